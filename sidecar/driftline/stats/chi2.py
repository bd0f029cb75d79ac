"""Chi-squared: Pearson's test of the two-sample table, without continuity correction.

The reference is a sample too: goodness of fit against it, taken as exact, finds drift in every window of
a reference that is not much larger (one real column: p .060 against 3e-6).
"""

from __future__ import annotations

import math

import numpy as np

from driftline.categories import Categories
from driftline.counts import CategoricalCounts, Integers
from driftline.stats.bins import category_bins
from driftline.stats.result import Statistic, finite, unavailable
from driftline.tails import chi2_log_sf


def chi2(reference: CategoricalCounts, current: CategoricalCounts, categories: Categories) -> Statistic:
    """The statistic over all categories that either side has; 0 where there is only one."""
    missing = unavailable(reference.valid, current.valid)
    return missing or finite(table_chi2(*category_bins(reference, current))[0])


def chi2_pvalue(
    reference: CategoricalCounts, current: CategoricalCounts, categories: Categories
) -> Statistic:
    """The asymptotic p-value for independent rows; 0 where it is below 1e-308."""
    log_p = chi2_log_pvalue(reference, current, categories)
    return log_p if log_p.value is None else finite(math.exp(log_p.value))


def chi2_log_pvalue(
    reference: CategoricalCounts, current: CategoricalCounts, categories: Categories
) -> Statistic:
    """Log of the p-value, which doesn't underflow; 0 (p = 1) where there is only one category."""
    missing = unavailable(reference.valid, current.valid)
    if missing:
        return missing
    statistic, freedom = table_chi2(*category_bins(reference, current))
    return finite(chi2_log_sf(statistic, freedom) if freedom else 0.0)


def table_chi2(first: Integers, second: Integers) -> tuple[float, int]:
    """Statistic and degrees of freedom of two samples' counts, int64 (bins,) aligned; neither is empty."""
    table = np.stack([first, second]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return float(((table - expected) ** 2 / expected).sum()), table.shape[1] - 1
