"""One statistic, one file, one interface: (reference counts, current counts, axis) -> `Statistic`.

A statistic is a finite number, or None with a reason; NaN and infinite values are counted with the
column and are never in it. `NUMERIC` and `CATEGORICAL` list them by the names reports and metrics use.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from driftline.categories import Categories
from driftline.counts import CategoricalCounts, ColumnCounts, NumericCounts
from driftline.grid import Grid
from driftline.stats.chi2 import chi2, chi2_log_pvalue, chi2_pvalue
from driftline.stats.evidently_psi import evidently_psi
from driftline.stats.hellinger import hellinger
from driftline.stats.jensen_shannon import (
    categorical_jensen_shannon,
    categorical_jensen_shannon_e,
    jensen_shannon,
)
from driftline.stats.ks import ks, ks_error, ks_pvalue
from driftline.stats.l_infinity import l_infinity
from driftline.stats.new_category_ratio import new_category_ratio
from driftline.stats.psi import categorical_psi, categorical_psi_expected, psi, psi_expected
from driftline.stats.result import Reason, Statistic
from driftline.stats.total_variation import total_variation
from driftline.stats.wasserstein import wasserstein, wasserstein_normed

__all__ = ["CATEGORICAL", "NUMERIC", "Reason", "Statistic", "statistics", "wasserstein_normed"]

NumericStatistic = Callable[[NumericCounts, NumericCounts, Grid], Statistic]
CategoricalStatistic = Callable[[CategoricalCounts, CategoricalCounts, Categories], Statistic]

NUMERIC: Mapping[str, NumericStatistic] = {
    "psi": psi,
    "psi_expected": psi_expected,
    "ks": ks,
    "ks_pvalue": ks_pvalue,
    "ks_error": ks_error,
    "wasserstein": wasserstein,
    "jensen_shannon": jensen_shannon,
    "evidently_psi": evidently_psi,
}

CATEGORICAL: Mapping[str, CategoricalStatistic] = {
    "psi": categorical_psi,
    "psi_expected": categorical_psi_expected,
    "chi2": chi2,
    "chi2_pvalue": chi2_pvalue,
    "chi2_log_pvalue": chi2_log_pvalue,
    "jensen_shannon": categorical_jensen_shannon,
    "jensen_shannon_e": categorical_jensen_shannon_e,
    "hellinger": hellinger,
    "l_infinity": l_infinity,
    "total_variation": total_variation,
    "new_category_ratio": new_category_ratio,
}


def statistics(
    axis: Grid | Categories,
    reference: ColumnCounts,
    current: ColumnCounts,
    sd: float | None = None,
    max_abs: float | None = None,
    wanted: Container[str] | None = None,
) -> dict[str, Statistic]:
    """Every statistic of a column, by name; numeric ones with `wasserstein_normed`. `wanted`: only these.

    `sd` (population) and `max_abs`: of the reference's finite values, as its profile has them.
    """
    if isinstance(axis, Grid) and isinstance(reference, NumericCounts) and isinstance(current, NumericCounts):
        found = {
            name: compute(reference, current, axis)
            for name, compute in NUMERIC.items()
            if wanted is None or name in wanted
        }
        if wanted is None or "wasserstein_normed" in wanted:
            found["wasserstein_normed"] = wasserstein_normed(reference, current, axis, sd, max_abs)
        return found
    if (
        isinstance(axis, Categories)
        and isinstance(reference, CategoricalCounts)
        and isinstance(current, CategoricalCounts)
    ):
        return {
            name: compute(reference, current, axis)
            for name, compute in CATEGORICAL.items()
            if wanted is None or name in wanted
        }
    raise TypeError("axis, reference and current must be of one column: all numeric or all categorical")
