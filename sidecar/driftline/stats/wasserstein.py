"""Wasserstein: the area between the two distribution functions (W1, the earth mover's distance).

In a cell (a, b) the integral of a distribution function is exact from its value at a, its count and its
sum centred on a. So the area is exact wherever the functions don't cross within the cell, in the tails
too, at any offset; where they do, it is as if their difference were straight between a and b.
"""

from __future__ import annotations

import numpy as np

from driftline.columns import Floats
from driftline.counts import NumericCounts
from driftline.grid import Grid
from driftline.stats.result import Reason, Statistic, finite, unavailable

CONSTANT = 1e-12
"""An sd of no more than this share of max |x| is rounding noise."""


def wasserstein(reference: NumericCounts, current: NumericCounts, grid: Grid) -> Statistic:
    """W1, in the column's unit."""
    missing = unavailable(reference.valid, current.valid)
    if missing:
        return missing
    with np.errstate(over="ignore", invalid="ignore"):
        return finite(_inner(reference, current, grid) + _tails(reference, current))


def wasserstein_normed(
    reference: NumericCounts,
    current: NumericCounts,
    grid: Grid,
    sd: float | None,
    max_abs: float | None,
) -> Statistic:
    """W1 over the reference's sd (population), given with its largest |x| as the profile has them exactly.

    None for `ConstantReference` where sd <= 1e-12 max |x|. Outliers in the reference rule the sd: never
    judge by this alone.
    """
    distance = wasserstein(reference, current, grid)
    if distance.value is None:
        return distance
    if sd is None or max_abs is None or not np.isfinite(sd) or sd <= CONSTANT * max_abs:
        return Statistic(None, Reason.CONSTANT_REFERENCE)
    with np.errstate(over="ignore"):
        return finite(float(np.float64(distance.value) / sd))


def _inner(reference: NumericCounts, current: NumericCounts, grid: Grid) -> float:
    """The area between the first and the last edge."""
    if len(grid.edges) < 2:
        return 0.0
    width = np.diff(grid.edges)
    f_left, f_right, f_area = _cells(reference, width)
    g_left, g_right, g_area = _cells(current, width)
    left, right = f_left - g_left, f_right - g_right
    area = left * width + (f_area - g_area)
    crossing = (f_left < g_right) & (g_left < f_right) & (left * right < 0)
    if crossing.any():
        ends = np.abs(left[crossing]) + np.abs(right[crossing])
        straight = width[crossing] * (left[crossing] ** 2 + right[crossing] ** 2) / (2 * ends)
        area[crossing] = np.maximum(np.abs(area[crossing]), straight)
    return float(np.abs(area).sum())


def _cells(side: NumericCounts, width: Floats) -> tuple[Floats, Floats, Floats]:
    """Per inner cell: the function at its left edge, its limit at the right, and the area gained within."""
    n = side.valid
    distribution = np.cumsum(side.counts) / n
    held = side.counts[2:-1:2] / n
    return distribution[1:-2:2], distribution[2:-1:2], held * width - side.sums[1:-1].astype(np.float64) / n


def _tails(reference: NumericCounts, current: NumericCounts) -> float:
    """Beyond the reference's extremes only the window has values: its mean distance from the edge."""
    ends = [0, -1]
    theirs, ours = (side.sums[ends].astype(np.float64) for side in (reference, current))
    difference = theirs / reference.valid - ours / current.valid
    return float(np.abs(difference).sum())
