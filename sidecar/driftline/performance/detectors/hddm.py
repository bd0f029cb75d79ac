"""HDDM-A: Hoeffding's bound on the mean since the best moment against the mean of all.

Frias-Blanco et al. 2015, as river has it. It needs errors in [0, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from driftline.performance.detectors.unit import Units


@dataclass(frozen=True, slots=True)
class _Mean:
    n: float = 0.0
    value: float = 0.0

    def add(self, units: Units) -> _Mean:
        n = self.n + units.n
        return _Mean(n, self.value + (units.mean - self.value) * units.n / n)


class HddmA:
    """`confidence`: of a false alarm. `two_sided`: alarms at falls as well."""

    def __init__(self, confidence: float = 0.001, *, two_sided: bool = True) -> None:
        self._confidence = confidence
        self._two_sided = two_sided
        self._all = self._lowest = self._highest = _Mean()

    def update(self, units: Units) -> tuple[float, float] | None:
        """Take in one bucket."""
        self._all = self._all.add(units)
        if not self._lowest.n:
            self._lowest = self._highest = self._all
        if self._lowest.value + self._bound(self._lowest.n) >= self._all.value + self._bound(self._all.n):
            self._lowest = self._all
        if self._highest.value - self._bound(self._highest.n) <= self._all.value - self._bound(self._all.n):
            self._highest = self._all
        risen = self._apart(self._lowest, self._all.value - self._lowest.value)
        fallen = self._two_sided and self._apart(self._highest, self._highest.value - self._all.value)
        if not risen and not fallen:
            return None
        before = self._lowest if risen else self._highest
        found = before.value, self._since(before)
        self._all = self._lowest = self._highest = _Mean()
        return found

    def _bound(self, n: float) -> float:
        return math.sqrt(math.log(1 / self._confidence) / (2 * n))

    def _apart(self, before: _Mean, difference: float) -> bool:
        """Whether the mean of all differs from the mean up to then by more than Hoeffding's bound."""
        if before.n == self._all.n:
            return False
        m = (self._all.n - before.n) / before.n / self._all.n
        return difference >= math.sqrt(m / 2 * math.log(2 / self._confidence))

    def _since(self, before: _Mean) -> float:
        """The mean of what came after."""
        n = self._all.n - before.n
        return (self._all.value * self._all.n - before.value * before.n) / n
