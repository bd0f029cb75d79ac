"""Page-Hinkley: the forgetting sum of deviations from the running mean against its extreme (Page 1954).

As river has it. Its threshold is in units of summed error: on errors of sd 1 the defaults alarm about once in
1,500 rows without any change, on errors in [0, 1] about once in 10,000.
"""

from __future__ import annotations

import math

import numpy as np

from driftline.performance.detectors.unit import Units


class PageHinkley:
    """`delta`: a change that is tolerated. `threshold`: of the sum. `alpha`: what a unit leaves of the sum.

    A bucket enters as `n` units that all have its mean; the extremes are looked at between buckets.
    """

    def __init__(
        self, least: int = 30, delta: float = 0.005, threshold: float = 50.0, alpha: float = 1 - 0.0001
    ) -> None:
        self._least = least
        self._delta = delta
        self._threshold = threshold
        self._alpha = alpha
        self._begin()

    def _begin(self) -> None:
        self._n = 0.0
        self._mean = 0.0
        self._rise = self._fall = 0.0
        self._lowest, self._highest = math.inf, -1.0

    def update(self, units: Units) -> tuple[float, float] | None:
        """Take in one bucket."""
        before = self._mean
        count = max(1, round(units.n))
        places = np.arange(1, count + 1)
        # Unit j finds a mean that has moved by the j units of its bucket before and with it.
        deviations = (units.mean - before) * self._n / (self._n + places) if self._n else _from_zero(count)
        kept = self._alpha ** np.arange(count - 1, -1, -1)
        forgotten = self._alpha**count
        self._rise = self._rise * forgotten + float(kept @ (deviations - self._delta))
        self._fall = self._fall * forgotten + float(kept @ (deviations + self._delta))
        self._n += count
        self._mean = before + (units.mean - before) * count / self._n
        self._lowest = min(self._lowest, self._rise)
        self._highest = max(self._highest, self._fall)
        if self._n < self._least or not self._crossed():
            return None
        self._begin()
        return before, units.mean

    def _crossed(self) -> bool:
        return self._rise - self._lowest > self._threshold or self._highest - self._fall > self._threshold


def _from_zero(count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The first bucket is its own mean."""
    return np.zeros(count)
