"""Rates and latency of the exchanges that were captured, over a short recent span.

The proxy's own histograms are exact counts over all traffic; this is what a person looks at:
percentiles over the last minutes, in cells 3 % wide, whatever the traffic's volume.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from driftline.columns import Floats

SLOTS = 30
_LOWEST, _HIGHEST, _STEP = 1e-5, 1e3, 1.03
_EDGES = _LOWEST * _STEP ** np.arange(int(np.log(_HIGHEST / _LOWEST) / np.log(_STEP)) + 2)


class Traffic(NamedTuple):
    """What passed within the span. Latencies in seconds, None where nothing passed."""

    requests: int
    rate: float
    """Requests per second."""
    errors: int
    """Responses of status 500 and above."""
    p50: float | None
    p95: float | None
    p99: float | None


class RecentTraffic:
    """A ring of time slots, each with a histogram of durations."""

    def __init__(self, span: float, now: float) -> None:
        self._slot_length = span / SLOTS
        self._cells = np.zeros((SLOTS, len(_EDGES) + 1), dtype=np.int64)
        self._errors = np.zeros(SLOTS, dtype=np.int64)
        self._current = int(now // self._slot_length)
        self._began = now

    def add(self, now: float, durations: Floats, errors: int) -> None:
        """Count exchanges that have just ended; `durations` in seconds, shape (exchanges,)."""
        slot = self._turn_to(now)
        cells = np.searchsorted(_EDGES, durations)
        self._cells[slot] += np.bincount(cells, minlength=self._cells.shape[1])
        self._errors[slot] += errors

    def read(self, now: float) -> Traffic:
        """The span that ends now; a younger ring's rate is over its own age."""
        self._turn_to(now)
        cells = self._cells.sum(axis=0)
        requests = int(cells.sum())
        slots_begun = (SLOTS - 1) * self._slot_length + now % self._slot_length
        span = max(min(slots_begun, now - self._began), self._slot_length)
        quantiles = [_quantile(cells, q) for q in (0.5, 0.95, 0.99)]
        return Traffic(requests, requests / span, int(self._errors.sum()), *quantiles)

    def _turn_to(self, now: float) -> int:
        """The slot of now, with the slots that time has passed over emptied."""
        current = int(now // self._slot_length)
        for passed in range(self._current + 1, min(current, self._current + SLOTS) + 1):
            self._cells[passed % SLOTS] = 0
            self._errors[passed % SLOTS] = 0
        self._current = max(self._current, current)
        return self._current % SLOTS


def _quantile(cells: np.ndarray[tuple[int], np.dtype[np.int64]], q: float) -> float | None:
    """The geometric middle of the cell in which the quantile lies: off by 1.5 % at most."""
    total = int(cells.sum())
    if total == 0:
        return None
    cell = int(np.searchsorted(np.cumsum(cells), q * total))
    return float(_LOWEST * _STEP ** (cell - 0.5))
