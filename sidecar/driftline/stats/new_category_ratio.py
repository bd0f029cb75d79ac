"""The share of values that the reference has never seen: a metric of its own, not a p-value of 0."""

from __future__ import annotations

from driftline.categories import Categories
from driftline.counts import CategoricalCounts
from driftline.stats.result import Reason, Statistic, finite


def new_category_ratio(
    reference: CategoricalCounts, current: CategoricalCounts, categories: Categories
) -> Statistic:
    """Unseen over valid values. None where there are none, or where the reference doesn't list all it has."""
    if current.valid == 0:
        return Statistic(None, Reason.NO_ROWS)
    if categories.truncated:
        return Statistic(None, Reason.CATEGORIES_TRUNCATED)
    return finite(current.new_rows / current.valid)
