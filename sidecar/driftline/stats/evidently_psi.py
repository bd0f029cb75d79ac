"""Evidently's PSI, for comparison with dashboards that teams have; never for verdicts.

Equal-width bins over both samples together, as many as Sturges' rule says, so that one outlier of 1e9
puts everything else into one bin. Empty bins get 1e-4, or a millionth of the smallest share where that is
below 1e-4. (Evidently 0.7, `legacy.calculations.stattests.psi`, as documented there.)
"""

from __future__ import annotations

import math

import numpy as np

from driftline.columns import Floats
from driftline.counts import Integers, NumericCounts
from driftline.grid import Grid
from driftline.stats.bins import shares
from driftline.stats.result import Statistic, finite, unavailable

_EMPTY = 1e-4
_MILLIONTH = 1e-6
_FEW_VALUES = 20


def evidently_psi(reference: NumericCounts, current: NumericCounts, grid: Grid) -> Statistic:
    """The PSI, each cell of the grid standing at the mean of its values; an approximation at bin borders.

    A reference of no more than 20 distinct values is compared value by value.
    """
    missing = unavailable(reference.valid, current.valid)
    if missing:
        return missing
    low, high = min(reference.minimum, current.minimum), max(reference.maximum, current.maximum)
    if not math.isfinite(high - low):
        return finite(high - low)
    if np.count_nonzero(reference.counts) <= _FEW_VALUES:
        r, c = reference.counts, current.counts
    else:
        bins = math.ceil(math.log2(reference.valid + current.valid) + 1)
        r, c = (_histogram(side, grid, low, high, bins) for side in (reference, current))
    held = r + c > 0
    first, second = _filled(shares(r[held])), _filled(shares(c[held]))
    return finite(float(np.sum((first - second) * np.log(first / second))))


def _histogram(side: NumericCounts, grid: Grid, low: float, high: float, bins: int) -> Integers:
    """Values per equal-width bin: int64 (bins,).

    Not numpy's histogram: it refuses a range that holds fewer numbers than there are bins.
    """
    held = np.flatnonzero(side.counts[::2])
    means = grid.centres[held] + side.sums[held] / side.counts[::2][held]
    at = np.flatnonzero(side.counts[1::2])
    places = np.clip(np.concatenate([means, grid.edges[at]]), low, high)
    weights = np.concatenate([side.counts[::2][held], side.counts[1::2][at]])
    bin_of = np.minimum((places - low) / (high - low) * bins, bins - 1).astype(np.intp)
    return np.bincount(bin_of, weights=weights, minlength=bins).astype(np.int64)


def _filled(share: Floats) -> Floats:
    smallest = float(share[share > 0].min())
    return np.where(share == 0, smallest * _MILLIONTH if smallest <= _EMPTY else _EMPTY, share)
