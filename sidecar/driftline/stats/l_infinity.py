"""L-infinity: the largest change of any one category's share."""

from __future__ import annotations

import numpy as np

from driftline.categories import Categories
from driftline.counts import CategoricalCounts
from driftline.stats.bins import category_bins, shares
from driftline.stats.result import Statistic, finite, unavailable


def l_infinity(reference: CategoricalCounts, current: CategoricalCounts, categories: Categories) -> Statistic:
    """max |c - r|, in [0, 1]."""
    missing = unavailable(reference.valid, current.valid)
    if missing:
        return missing
    r, c = (shares(side) for side in category_bins(reference, current))
    return finite(float(np.abs(c - r).max()))
