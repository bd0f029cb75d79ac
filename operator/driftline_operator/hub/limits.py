"""How much may be sent: bytes and events of a request, events per second of a token, requests at once."""

from __future__ import annotations

from typing import Final

import msgspec

from driftline_operator.hub.refusal import Refusal

_MOST_BUCKETS: Final = 10_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a hub takes."""

    body: int = 16 << 20
    """Bytes of a request, once it is unpacked."""
    upload: int = 64 << 20
    """Bytes of a CSV or Parquet file of labels."""
    upload_rows: int = 500_000
    """Rows of such a file."""
    rate: float = 50_000.0
    """Events per second of one token, over some seconds."""
    burst: float = 500_000.0
    """Events that a token may send at once after a pause."""
    waiting: int = 64
    """Requests that wait for the database; further ones are told to come back."""
    seconds: float = 60.0
    """How long a request's body may take to come."""
    held: int = 128 << 20
    """Bytes of all bodies that are held at once, unpacked; never less than one upload."""


class Room:
    """How much of all requests' bodies is in memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[int, int] = {}
        self.held = 0

    def take(self, request: object, size: int) -> None:
        """Raises Refusal (503) where there is no room."""
        if self.held + size > self._most:
            raise Refusal(503, "too much is being sent at once: nothing was taken", retry=1.0)
        self.held += size
        self._of[id(request)] = self._of.get(id(request), 0) + size

    def give(self, request: object) -> None:
        """What it took isn't needed any longer."""
        self.held -= self._of.pop(id(request), 0)


class Buckets:
    """A bucket per token: each event takes one out, time fills it. One that is in debt waits."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, token: str, events: int, now: float) -> float:
        """0: taken. Else nothing was, and these are the seconds to wait. `now`: monotonic seconds."""
        level, then = self._levels.get(token, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        if level <= 0:
            return max(1.0, -level / self._rate)
        if len(self._levels) > _MOST_BUCKETS:
            self._levels.clear()
        self._levels[token] = (level - events, now)
        return 0.0
