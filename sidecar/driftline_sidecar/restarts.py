"""When a dead worker is replaced: at once, after a pause, or not for a while. Pure; time is passed in.

Connections wait in the backlog while no worker accepts, so a single death costs nothing but what was
in flight. A worker that dies again and again right after its start would turn that kindness into
clients that wait for nothing: then the socket is closed, and they see what they would see of a
server that is down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EARLY_SECONDS: Final = 1.0
"""A worker that lived shorter died of its start, or of what every client does."""

AT_ONCE: Final = 3
"""Early deaths in a row after which replacing begins to pause."""

CRASH_LOOP: Final = 10
"""Early deaths in a row that make a crash loop."""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.8
COOL_DOWN_SECONDS: Final = 30.0
"""How long a crash loop keeps the socket closed before one more try."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the successor after `pause` seconds."""

    pause: float


@dataclass(frozen=True, slots=True)
class CrashLoop:
    """Close the socket, report not ready, and try again after `pause` seconds."""

    pause: float
    deaths: int


class RestartPolicy:
    """Counts early deaths in a row."""

    def __init__(self) -> None:
        self.early_deaths = 0

    def died(self, lived: float) -> Restart | CrashLoop:
        """What to do about a worker that died after `lived` seconds."""
        self.early_deaths = self.early_deaths + 1 if lived < EARLY_SECONDS else 0
        if self.early_deaths >= CRASH_LOOP:
            return CrashLoop(COOL_DOWN_SECONDS, self.early_deaths)
        beyond = self.early_deaths - AT_ONCE
        if beyond <= 0:
            return Restart(0.0)
        return Restart(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (beyond - 1)))

    def settled(self, lived: float) -> bool:
        """Whether a worker has lived long enough to end a crash loop."""
        return lived >= EARLY_SECONDS
