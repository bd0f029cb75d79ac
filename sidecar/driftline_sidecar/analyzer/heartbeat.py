"""How late the event loop runs what is due: the honest part of /healthz."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

INTERVAL = 0.25
_KEPT = 40


class Heartbeat:
    """Measures the loop's lag over the last ten seconds. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lags: deque[float] = deque(maxlen=_KEPT)

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            due = self._clock() + INTERVAL
            await asyncio.sleep(INTERVAL)
            self.beat(due)

    def beat(self, due: float) -> None:
        """Note that what was due then runs only now."""
        self._lags.append(max(0.0, self._clock() - due))

    @property
    def lag(self) -> float:
        """The largest of the last readings, in seconds."""
        return max(self._lags, default=0.0)
