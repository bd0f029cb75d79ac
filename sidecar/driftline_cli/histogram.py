"""A column's distribution as a row of characters, on bins that suit both sides of a comparison."""

from __future__ import annotations

import numpy as np
from driftline.columns import Floats
from driftline.counts import CategoricalCounts, ColumnCounts, NumericCounts
from driftline.grid import Grid
from driftline.profile import FeatureProfile

from driftline_cli.sparkline import sparkline

WIDTH = 12
_CENTRAL = (0.005, 0.995)


def spark(feature: FeatureProfile, counts: ColumnCounts) -> str:
    """Numbers: bins of equal width over the reference's central 99 %, the ends included in the outermost.

    Categories: the reference's most frequent ones, then all others together.
    """
    shares = _shares(feature, counts)
    return sparkline([float(share) for share in shares], WIDTH, float(shares.max(initial=0.0)))


def _shares(feature: FeatureProfile, counts: ColumnCounts) -> Floats:
    if isinstance(counts, CategoricalCounts):
        held = np.append(counts.known[: WIDTH - 1], counts.valid - int(counts.known[: WIDTH - 1].sum()))
        if len(counts.known) < WIDTH and not held[-1]:
            held = held[:-1]
    elif isinstance(feature.axis, Grid) and isinstance(feature.counts, NumericCounts):
        return _histogram(feature.axis, feature.counts, counts)
    else:
        raise TypeError(f"column {feature.name!r}: counts and axis are of unlike kinds")
    shares: Floats = held / max(1, held.sum())
    return shares


def _histogram(grid: Grid, reference: NumericCounts, counts: NumericCounts) -> Floats:
    if not reference.valid or not counts.valid:
        return np.zeros(WIDTH)
    places, weights = _points(grid, reference)
    order = np.argsort(places, kind="stable")
    mass = np.cumsum(weights[order]) / weights.sum()
    low, high = places[order][np.minimum(np.searchsorted(mass, _CENTRAL), len(order) - 1)]
    if not low < high:
        low, high = low - 1.0, high + 1.0
    places, weights = _points(grid, counts)
    with np.errstate(over="ignore", invalid="ignore"):
        bins = np.nan_to_num((np.clip(places, low, high) - low) / (high - low)) * WIDTH
    held = np.bincount(np.minimum(bins.astype(int), WIDTH - 1), weights, WIDTH)
    shares: Floats = held / weights.sum()
    return shares


def _points(grid: Grid, counts: NumericCounts) -> tuple[Floats, Floats]:
    """Where the values stand, and how many: at the edges, and at the mean of each open cell."""
    held = counts.counts[::2]
    cells = np.flatnonzero(held)
    with np.errstate(over="ignore", invalid="ignore"):
        means = grid.centres[cells] + counts.sums[cells] / held[cells]
    places = np.concatenate([grid.edges, means])
    return places, np.concatenate([counts.counts[1::2], held[cells]]).astype(np.float64)
