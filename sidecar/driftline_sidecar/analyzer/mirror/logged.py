"""What candidates answered, on its way to the prediction log: bounded, and nothing of it goes uncounted."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from driftline_sidecar.analyzer.predictions.rows import Drop, Rows

MOST: Final = 10_000
"""Requests whose rows wait; the log takes them several times a second."""


class Logged:
    """Of one monitor, whichever of its mirrors they come from: one that has ended may still bring some.

    Mirrors put, each in a thread of its own, and the analysis takes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Rows] = deque()
        self._missed = 0

    def put(self, rows: Rows) -> None:
        """Of one request. Where too many wait the oldest is dropped."""
        with self._lock:
            if len(self._waiting) >= MOST:
                self._missed += sum(map(len, self._waiting.popleft().by_boot.values()))
            self._waiting.append(rows)

    def take(self) -> list[Rows]:
        """What has come since the last time, and what was dropped meanwhile."""
        with self._lock:
            found = [*self._waiting]
            self._waiting.clear()
            missed, self._missed = self._missed, 0
        if missed:
            found.append(Rows())
            found[-1].dropped[Drop.NOT_TAKEN] = missed
        return found
