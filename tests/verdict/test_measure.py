from __future__ import annotations

import numpy as np
import pytest
from driftline.categories import Categories
from driftline.counts import CategoricalCounts, NumericCounts
from driftline.grid import Grid
from driftline.measure import bin_counts, noise_quantile
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]


def counted(grid: Grid, values: Values) -> NumericCounts:
    left, right = np.searchsorted(grid.edges, values), np.searchsorted(grid.edges, values, side="right")
    counts = np.bincount(left + right, minlength=grid.cells).astype(np.int64)
    return NumericCounts(counts=counts, sums=np.zeros(len(grid.edges) + 1))


@pytest.mark.parametrize(
    "values", [np.arange(1000.0), np.arange(1000) % 7 * 1.0, np.repeat([0.0, 5.0], [900, 100])]
)
def test_numeric_bins_are_closed_above(values: Values) -> None:
    grid = Grid.from_values(values)
    window = values[::3]
    expected = np.bincount(np.searchsorted(grid.decile_edges, window), minlength=len(grid.decile_edges) + 1)
    found = bin_counts(grid, counted(grid, window))
    assert found.tolist() == expected.tolist()


def test_a_constant_reference_sees_values_below_and_above() -> None:
    grid = Grid.from_values(np.full(100, 3.0))
    assert bin_counts(grid, counted(grid, np.array([2.0, 3.0, 3.0, 4.0, 5.0, 6.0]))).tolist() == [1, 2, 3]


def test_categories_end_with_the_others() -> None:
    counts = CategoricalCounts(known=np.array([5, 3]), other=2, new={"x": 4}, new_overflow=1)
    assert bin_counts(Categories(("a", "b")), counts).tolist() == [5, 3, 7]


@pytest.mark.parametrize("df", [1, 9, 100, 1000])
def test_the_noise_floor_is_the_99_9_percent_quantile(df: int) -> None:
    assert noise_quantile(df) == pytest.approx(stats.chi2.ppf(0.999, df), rel=1e-6)
