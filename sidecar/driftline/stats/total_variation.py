"""Total variation: the share of rows that would have to change their category."""

from __future__ import annotations

import numpy as np

from driftline.categories import Categories
from driftline.counts import CategoricalCounts
from driftline.stats.bins import category_bins, shares
from driftline.stats.result import Statistic, finite, unavailable


def total_variation(
    reference: CategoricalCounts, current: CategoricalCounts, categories: Categories
) -> Statistic:
    """Half the sum of |c - r|, in [0, 1]."""
    missing = unavailable(reference.valid, current.valid)
    if missing:
        return missing
    r, c = (shares(side) for side in category_bins(reference, current))
    return finite(float(np.abs(c - r).sum() / 2))
