"""ADWIN: a window that grows while its parts agree (Bifet and Gavalda 2007).

As river has it: parts are kept in an exponential histogram, five of a size before two of them become one of
double size, and every boundary between parts is a cut that is tested. A part holds a bucket's n units.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from driftline.performance.detectors.unit import Units


@dataclass(frozen=True, slots=True)
class _Part:
    n: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: _Part) -> _Part:
        """Chan's rule for the summed squared deviations."""
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        apart = self.total / self.n - other.total / other.n
        squares = self.squares + other.squares + self.n * other.n / n * apart * apart
        return _Part(n, self.total + other.total, squares)

    @property
    def mean(self) -> float:
        return self.total / self.n


class Adwin:
    """`delta`: the bound of a false alarm. `clock`: buckets between tests. `least`: units on each side."""

    def __init__(
        self, delta: float = 0.002, clock: int = 1, parts: int = 5, least: int = 5, grace: int = 10
    ) -> None:
        self._delta = delta
        self._clock = clock
        self._parts = parts
        self._least = least
        self._grace = grace
        self._begin()

    def _begin(self) -> None:
        self._tick = 0
        self._rows: list[list[_Part]] = [[]]
        self._window = _Part()

    def update(self, units: Units) -> tuple[float, float] | None:
        """Take in one bucket."""
        part = _Part(units.n, units.mean * units.n, units.squares)
        self._window += part
        self._rows[0].append(part)
        self._compress()
        self._tick += 1
        if self._tick % self._clock or self._window.n <= self._grace:
            return None
        found = self._cut()
        if found is not None:
            self._begin()
        return found

    def _compress(self) -> None:
        for size, row in enumerate(self._rows):
            if len(row) <= self._parts:
                return
            if size + 1 == len(self._rows):
                self._rows.append([])
            self._rows[size + 1].append(row.pop(0) + row.pop(0))

    def _cut(self) -> tuple[float, float] | None:
        """The means before and after the cut whose sides differ most for its bound; None where none does."""
        old = _Part()
        best, most = None, 1.0
        parts = list(self._oldest_first())
        for part in parts[:-1]:
            old += part
            n = self._window.n - old.n
            if n < self._least or old.n < self._least:
                continue
            recent = (self._window.total - old.total) / n
            apart = abs(old.mean - recent) / self._bound(old.n, n)
            if apart > most:
                best, most = (old.mean, recent), apart
        return best

    def _oldest_first(self) -> Iterator[_Part]:
        for row in reversed(self._rows):
            yield from row

    def _bound(self, old: float, recent: float) -> float:
        log_term = math.log(2 * math.log(self._window.n) / self._delta)
        harmonic = 1 / (old - self._least + 1) + 1 / (recent - self._least + 1)
        variance = self._window.squares / self._window.n
        return math.sqrt(2 * harmonic * variance * log_term) + 2 / 3 * log_term * harmonic
