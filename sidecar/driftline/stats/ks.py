"""Kolmogorov-Smirnov: the largest distance of the two distribution functions.

Read off the grid at both one-sided limits of every edge. Between edges the functions could be further
apart, by no more than the smaller of the two masses in the cell: `ks_error` says how much at most.
"""

from __future__ import annotations

import math

import numpy as np

from driftline.columns import Floats
from driftline.counts import NumericCounts
from driftline.grid import Grid
from driftline.stats.result import Statistic, finite, unavailable

_TERMS = 101
_SMALL = 1.18
"""Below, Jacobi's transformed series converges in a few terms; above, the direct one."""


def ks(reference: NumericCounts, current: NumericCounts, grid: Grid) -> Statistic:
    """The two-sample statistic, in [0, 1]; at most `ks_error` too small."""
    missing = unavailable(reference.valid, current.valid)
    return missing or finite(float(np.abs(_distances(reference, current)).max()))


def ks_error(reference: NumericCounts, current: NumericCounts, grid: Grid) -> Statistic:
    """The largest min(reference, window) mass of an open cell: where one is empty, nothing is lost."""
    missing = unavailable(reference.valid, current.valid)
    if missing:
        return missing
    shares = (side.counts[::2] / side.valid for side in (reference, current))
    return finite(float(np.minimum(*shares).max()))


def ks_pvalue(reference: NumericCounts, current: NumericCounts, grid: Grid) -> Statistic:
    """The asymptotic p-value for independent rows; 0 where it is below 1e-308."""
    value = ks(reference, current, grid).value
    if value is None:
        return ks(reference, current, grid)
    return finite(math.exp(log_pvalue(value, reference.valid, current.valid)))


def log_pvalue(statistic: float, reference_rows: float, rows: float) -> float:
    """Log of the asymptotic p-value; rows may be effective ones (not whole).

    Kolmogorov's distribution of (s + .12 + .11 / s) D, s^2 = n N / (n + N) (Stephens 1970).
    """
    size = math.sqrt(reference_rows * rows / (reference_rows + rows))
    return log_kolmogorov_sf((size + 0.12 + 0.11 / size) * statistic)


def log_kolmogorov_sf(x: float) -> float:
    """Log of 2 sum (-1)^(k-1) exp(-2 k^2 x^2), the survival function of Kolmogorov's distribution."""
    if x <= 0:
        return 0.0
    if x < _SMALL:
        base = -(math.pi**2) / (8 * x * x)
        total = sum(math.exp((2 * k - 1) ** 2 * base) for k in range(1, 5))
        return math.log1p(-math.sqrt(2 * math.pi) / x * total)
    tail = sum((-1) ** (k - 1) * math.exp(-2 * (k * k - 1) * x * x) for k in range(2, _TERMS))
    return math.log(2) - 2 * x * x + math.log1p(tail)


def _distances(reference: NumericCounts, current: NumericCounts) -> Floats:
    """F - G at the end of every cell: left of each edge, and at it."""
    distances: Floats = (
        np.cumsum(reference.counts) / reference.valid - np.cumsum(current.counts) / current.valid
    )
    return distances
