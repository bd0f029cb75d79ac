"""Jensen-Shannon: the root of the mean divergence of two distributions from their mixture (a metric).

Lin 1991; Endres and Schindelin 2003. In base 2 it lies in [0, 1], in base e in [0, sqrt(ln 2)].
Numeric columns: over what lies between the reference's deciles and at each of them, so that a reference of
few values, or one, is never blind to a change.
"""

from __future__ import annotations

import math

import numpy as np

from driftline.categories import Categories
from driftline.columns import Floats
from driftline.counts import CategoricalCounts, NumericCounts
from driftline.grid import Grid
from driftline.stats.bins import category_bins, decile_cells, shares
from driftline.stats.result import Statistic, finite, unavailable


def jensen_shannon(reference: NumericCounts, current: NumericCounts, grid: Grid) -> Statistic:
    """The distance in base 2, over the deciles."""
    missing = unavailable(reference.valid, current.valid)
    if missing:
        return missing
    bins = (shares(decile_cells(side, grid)) for side in (reference, current))
    return finite(math.sqrt(_divergence(*bins) / math.log(2)))


def categorical_jensen_shannon(
    reference: CategoricalCounts, current: CategoricalCounts, categories: Categories
) -> Statistic:
    """The distance in base 2, over all categories, unseen ones too."""
    natural = categorical_jensen_shannon_e(reference, current, categories)
    return natural if natural.value is None else finite(natural.value / math.sqrt(math.log(2)))


def categorical_jensen_shannon_e(
    reference: CategoricalCounts, current: CategoricalCounts, categories: Categories
) -> Statistic:
    """The distance in base e, as SciPy and Evidently have it by default."""
    missing = unavailable(reference.valid, current.valid)
    if missing:
        return missing
    bins = (shares(side) for side in category_bins(reference, current))
    return finite(math.sqrt(_divergence(*bins)))


def _divergence(p: Floats, q: Floats) -> float:
    """In nats; never below 0, as rounding could make it."""
    middle = (p + q) / 2
    total = 0.0
    for side in (p, q):
        held = side > 0
        total += float(np.sum(side[held] * np.log(side[held] / middle[held])))
    return max(0.0, total / 2)
