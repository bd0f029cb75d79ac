"""Two proportions: their difference and ratio, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

from driftline.performance.estimate import Estimate, Undefined, between, undefined
from driftline.performance.intervals import LEVEL, wilson_bounds


@dataclass(frozen=True, slots=True)
class Rate:
    """hits of n rows, worth n / effect independent ones."""

    hits: float
    n: float
    effect: float = 1.0

    @property
    def value(self) -> float:
        """The share; n > 0."""
        return self.hits / self.n

    def bounds(self, level: float = LEVEL) -> tuple[float, float]:
        """Wilson's."""
        return wilson_bounds(self.hits / self.effect, self.n / self.effect, level)


def difference(a: Rate, b: Rate, level: float = LEVEL) -> Estimate:
    """a - b with Newcombe's hybrid score interval (1998, method 10)."""
    if not a.n or not b.n:
        return undefined(Undefined.NO_ROWS, a.n + b.n)
    (low_a, high_a), (low_b, high_b) = a.bounds(level), b.bounds(level)
    value = a.value - b.value
    low = value - math.hypot(a.value - low_a, high_b - b.value)
    high = value + math.hypot(high_a - a.value, b.value - low_b)
    return between(value, max(-1.0, low), min(1.0, high), a.n + b.n, "newcombe", level)


def ratio(a: Rate, b: Rate, level: float = LEVEL) -> Estimate:
    """a / b; the interval by recovering variances from Wilson's of the logs (Zou and Donner 2008)."""
    if not a.n or not b.n:
        return undefined(Undefined.NO_ROWS, a.n + b.n)
    if not b.hits:
        return undefined(Undefined.ZERO_DENOMINATOR, a.n + b.n)
    (low_a, high_a), (low_b, high_b) = a.bounds(level), b.bounds(level)
    n, value = a.n + b.n, a.value / b.value
    if not a.hits:
        return between(0.0, 0.0, high_a / low_b, n, "wilson", level)
    up = math.hypot(math.log(high_a / a.value), math.log(b.value / low_b))
    down = math.hypot(math.log(a.value / low_a), math.log(high_b / b.value))
    return between(value, value * math.exp(-down), value * math.exp(up), n, "mover", level)
