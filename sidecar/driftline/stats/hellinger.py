"""Hellinger: the Euclidean distance of the roots of shares, over root 2 (Hellinger 1909)."""

from __future__ import annotations

import math

import numpy as np

from driftline.categories import Categories
from driftline.counts import CategoricalCounts
from driftline.stats.bins import category_bins, shares
from driftline.stats.result import Statistic, finite, unavailable


def hellinger(reference: CategoricalCounts, current: CategoricalCounts, categories: Categories) -> Statistic:
    """In [0, 1], over all categories, unseen ones too."""
    missing = unavailable(reference.valid, current.valid)
    if missing:
        return missing
    r, c = (np.sqrt(shares(side)) for side in category_bins(reference, current))
    return finite(float(np.linalg.norm(c - r)) / math.sqrt(2))
