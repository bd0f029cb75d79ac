"""Quantiles on the grid: bounds in ranks, outwards to the edges."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.shadow.latency import CELLS, EDGES, latency_counts
from driftline.shadow.sequences.bound import Levels
from driftline.shadow.sequences.quantile import quantile_bound, ratio_bound

WIDTH = EDGES[1] / EDGES[0]


def exponential(rng: np.random.Generator, n: int, mean: float = 0.05) -> np.ndarray:
    return latency_counts(rng.exponential(mean, n))


def test_the_grid_covers_everything() -> None:
    assert len(EDGES) + 1 == CELLS
    assert WIDTH < 1.0182
    counts = latency_counts(np.array([0.0, 1e-4, 1.00001e-4, 1e3, 1e9]))
    assert counts[0] == 2
    assert counts[1] == 1
    assert counts[-2:].tolist() == [1, 1]


@pytest.mark.parametrize("p", [0.5, 0.95, 0.99])
def test_bounds_hold_the_true_quantile_and_close_in(p: float) -> None:
    rng = np.random.default_rng(4)
    truth = -0.05 * np.log(1 - p)
    widths = []
    for n in (200, 5_000, 200_000):
        value, lower, upper = quantile_bound(EDGES, exponential(rng, n), p)
        assert value is not None
        assert lower < truth <= upper
        assert lower < value <= upper
        widths.append(upper / lower if lower else np.inf)
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] < 1.1


def test_few_values_leave_a_high_quantile_open() -> None:
    found = quantile_bound(EDGES, latency_counts(np.full(20, 0.1)), 0.99)
    assert found.upper == np.inf
    assert quantile_bound(EDGES, np.zeros(CELLS, np.int64), 0.5) == (None, 0.0, np.inf)


def test_ties_are_one_edge() -> None:
    value, lower, upper = quantile_bound(EDGES, latency_counts(np.full(5_000, 0.1)), 0.95)
    assert value == upper
    assert lower < 0.1 <= upper
    assert upper / lower == pytest.approx(WIDTH)


def test_a_ratio_passes_and_rejects_where_it_should() -> None:
    rng = np.random.default_rng(5)
    live = exponential(rng, 50_000)
    same, slow = exponential(rng, 50_000), exponential(rng, 50_000, 0.1)
    equal = ratio_bound(EDGES, same, live, 0.95)
    assert equal.lower < 1 < equal.upper < 1.15
    double = ratio_bound(EDGES, slow, live, 0.95)
    assert 1.85 < double.lower < 2 < double.upper < 2.2


def test_a_ratio_without_one_side_tells_nothing() -> None:
    live = exponential(np.random.default_rng(6), 1_000)
    none = np.zeros(CELLS, np.int64)
    assert ratio_bound(EDGES, none, live, 0.5) == (None, 0.0, np.inf)
    assert ratio_bound(EDGES, live, none, 0.5) == (None, 0.0, np.inf)


@pytest.mark.parametrize("p", [0.5, 0.95])
def test_bounds_are_seldom_wrong_at_any_of_many_looks(p: float) -> None:
    """100 runs of 4,000 values, looked at 20 times each: at most .05 + 3 sd of one-sided misses."""
    rng = np.random.default_rng(7)
    truth = -0.05 * np.log(1 - p)
    misses = np.zeros(2)
    for _ in range(100):
        counts = np.zeros(CELLS, np.int64)
        missed = np.zeros(2, bool)
        for _ in range(20):
            counts += exponential(rng, 200)
            _, lower, upper = quantile_bound(EDGES, counts, p)
            missed |= [upper < truth, lower > truth]
        misses += missed
    assert (misses / 100 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)).all()


def test_a_ratio_gives_each_side_half_of_each_error() -> None:
    rng = np.random.default_rng(6)
    above, below = exponential(rng, 3_000), exponential(rng, 3_000)
    found = ratio_bound(EDGES, above, below, 0.95, Levels(0.04, 0.01))
    first = quantile_bound(EDGES, above, 0.95, Levels(0.02, 0.005))
    second = quantile_bound(EDGES, below, 0.95, Levels(0.005, 0.02))
    assert found.upper == first.upper / second.lower
    assert found.lower == first.lower / second.upper
