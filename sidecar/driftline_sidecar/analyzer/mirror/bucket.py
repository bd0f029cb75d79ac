"""A budget of requests a second that may be saved up for one second."""

from __future__ import annotations


class Bucket:
    """`rate` a second; None: no limit. The clock is an argument."""

    def __init__(self, rate: float | None, now: float) -> None:
        self._rate = rate
        self._tokens = self._most
        self._at = now

    @property
    def _most(self) -> float:
        return max(1.0, self._rate or 0.0)

    def take(self, now: float) -> bool:
        """Whether a request may go."""
        if self._rate is None:
            return True
        self._tokens = min(self._most, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
