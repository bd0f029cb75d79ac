"""Mean and standard deviation that merge, without the cancellation of sums of squares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from driftline.columns import Floats


@dataclass(frozen=True, slots=True)
class Moments:
    """Of finite values: how many, their mean, the sum of squared deviations from it, the largest |x|."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    max_abs: float = 0.0

    @classmethod
    def of(cls, values: Floats) -> Moments:
        """Of float64 values, shape (n,), all finite."""
        if not values.size:
            return cls()
        with np.errstate(over="ignore", invalid="ignore"):
            mean, variance = float(np.mean(values)), float(np.var(values))
        return cls(values.size, mean, variance * values.size, float(np.abs(values).max()))

    @property
    def sd(self) -> float:
        """Of the population (ddof 0); 0 without values."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0

    def __add__(self, other: Moments) -> Moments:
        """Both together (Chan, Golub and LeVeque 1983)."""
        if not self.count or not other.count:
            return self if self.count else other
        total = self.count + other.count
        delta = other.mean - self.mean
        return Moments(
            total,
            self.mean + delta * other.count / total,
            self.squares + other.squares + delta * delta * self.count * other.count / total,
            max(self.max_abs, other.max_abs),
        )
