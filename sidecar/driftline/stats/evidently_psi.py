"""Evidently's PSI, for comparison with dashboards that teams have; never for verdicts.

Equal-width bins over both samples together, as many as Sturges' rule says, so that one outlier of 1e9
puts everything else into one bin. Empty bins get 1e-4, or a millionth of the smallest share where that is
below 1e-4. (Evidently 0.7, `legacy.calculations.stattests.psi`, as documented there.)
"""

from __future__ import annotations

import math

import numpy as np

from driftline.columns import Floats
from driftline.counts import NumericCounts
from driftline.grid import Grid
from driftline.stats.bins import shares
from driftline.stats.result import Statistic, finite, unavailable

_EMPTY = 1e-4
_MILLIONTH = 1e-6


def evidently_psi(reference: NumericCounts, current: NumericCounts, grid: Grid) -> Statistic:
    """The PSI, each cell of the grid standing at the mean of its values; an approximation at bin borders."""
    missing = unavailable(reference.valid, current.valid)
    if missing:
        return missing
    low = min(reference.minimum, current.minimum)
    high = max(reference.maximum, current.maximum)
    if not math.isfinite(high - low) or low == high:
        return finite(0.0) if low == high else finite(math.inf)
    bins = math.ceil(math.log2(reference.valid + current.valid) + 1)
    r, c = (_filled(_histogram(side, grid, low, high, bins)) for side in (reference, current))
    return finite(float(np.sum((r - c) * np.log(r / c))))


def _histogram(side: NumericCounts, grid: Grid, low: float, high: float, bins: int) -> Floats:
    """Shares of values in equal-width bins."""
    places, weights = _points(side, grid)
    held, _ = np.histogram(np.clip(places, low, high), bins=bins, range=(low, high), weights=weights)
    return shares(held.astype(np.int64))


def _points(side: NumericCounts, grid: Grid) -> tuple[Floats, Floats]:
    """Where the values stand: at the edges, and at the mean of each open cell."""
    held = side.counts[::2]
    cells = np.flatnonzero(held)
    means = grid.centres[cells] + side.sums[cells] / held[cells]
    return np.concatenate([grid.edges, means]), np.concatenate([side.counts[1::2], held[cells]])


def _filled(share: Floats) -> Floats:
    smallest = float(share[share > 0].min())
    return np.where(share == 0, smallest * _MILLIONTH if smallest <= _EMPTY else _EMPTY, share)
