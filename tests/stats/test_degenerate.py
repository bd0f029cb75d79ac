"""Degenerate inputs: every statistic is finite, or None with a reason; never NaN, never blind."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driftline.stats import CATEGORICAL, NUMERIC, Reason, Statistic, statistics
from driftline.stats.psi import noise_floor
from numpy.typing import ArrayLike
from scipy.stats import ks_2samp

from tests.support.oracle import categorical_pair, numeric_pair

NORMAL = np.random.default_rng(1).normal(size=500)
SPARSE = np.where(np.arange(500) % 50 == 0, 1.0, 0.0)

NUMERIC_INPUTS: dict[str, tuple[ArrayLike, ArrayLike]] = {
    "constant reference": (np.full(100, 7.0), NORMAL),
    "constant both": (np.full(100, 7.0), np.full(50, 7.0)),
    "constant window": (NORMAL, np.full(100, 7.0)),
    "tiny sd": (1.0 + np.arange(100) * 2.3e-16, NORMAL),
    "one value each": ([1.0], [2.0]),
    "one value in the window": (NORMAL, [0.1]),
    "empty window": (NORMAL, []),
    "empty reference": ([], NORMAL),
    "all NaN": (NORMAL, [math.nan] * 10),
    "reference all NaN": ([math.nan] * 10, NORMAL),
    "infinities": (NORMAL, [math.inf, -math.inf, 0.5]),
    "only infinities": (NORMAL, [math.inf, -math.inf]),
    "huge": (NORMAL * 1e300, NORMAL * 1e300 + 1e300),
    "largest": ([-1.7e308, 1.7e308], [1.7e308, -1.7e308, 0.0]),
    "huge window": (NORMAL, [1.7e308] * 20),
    "subnormal": (NORMAL * 5e-324 * 1000, NORMAL * 5e-324 * 3000),
    "negative zero": ([-0.0, 0.0, 1.0], [0.0, -0.0, 1.0]),
    "beyond 2^53": (np.arange(2**53, 2**53 + 400), np.arange(2**53 + 100, 2**53 + 500)),
    "float32": (NORMAL.astype(np.float32), (NORMAL + 1).astype(np.float32)),
    "one outlier of 1e9": (NORMAL, np.append(NORMAL, 1e9)),
    "few values": (SPARSE, SPARSE[:300]),
}


@pytest.mark.parametrize("case", NUMERIC_INPUTS)
@pytest.mark.parametrize("name", [*NUMERIC, "wasserstein_normed"])
def test_numeric_statistics_are_finite_or_say_why_not(case: str, name: str) -> None:
    pair = numeric_pair(*NUMERIC_INPUTS[case])
    found = statistics(pair.grid, pair.reference, pair.current, pair.sd, pair.max_abs)[name]
    assert_defined(found)
    if pair.current.valid == 0:
        assert found == (None, Reason.NO_ROWS)
    if pair.reference.valid == 0:
        assert found == (None, Reason.NO_REFERENCE_ROWS)


CATEGORICAL_INPUTS: dict[str, tuple[list[str], list[str]]] = {
    "one category": (["a"] * 50, ["a"] * 20),
    "one value each": (["a"], ["b"]),
    "disjoint": (["a"] * 50 + ["b"] * 50, ["c"] * 40),
    "empty window": (["a", "b"], []),
    "empty reference": ([], ["a", "b"]),
    "all missing": (["a", "b"], ["", ""]),
    "a thousand categories": ([f"c{i}" for i in range(1000)], [f"c{i}" for i in range(0, 1000, 2)]),
    "more new categories than have names": (["a"] * 9, [f"n{i}" for i in range(5000)]),
}


@pytest.mark.parametrize("case", CATEGORICAL_INPUTS)
@pytest.mark.parametrize("name", CATEGORICAL)
def test_categorical_statistics_are_finite_or_say_why_not(case: str, name: str) -> None:
    pair = categorical_pair(*CATEGORICAL_INPUTS[case])
    found = CATEGORICAL[name](pair.reference, pair.current, pair.categories)
    assert_defined(found)
    if pair.current.valid == 0:
        assert found.reason in (Reason.NO_ROWS, Reason.NO_REFERENCE_ROWS)


def assert_defined(found: Statistic) -> None:
    assert (found.value is None) == (found.reason is not None)
    assert found.value is None or math.isfinite(found.value)


@pytest.mark.parametrize("value", [6.0, 8.0, math.nextafter(7.0, 0.0)])
def test_a_constant_reference_is_never_blind(value: float) -> None:
    pair = numeric_pair(np.full(300, 7.0), np.full(200, value))
    found = statistics(pair.grid, pair.reference, pair.current, pair.sd, pair.max_abs)
    assert found["ks"].value == 1
    assert found["jensen_shannon"].value == pytest.approx(1)
    assert found["wasserstein"].value == pytest.approx(abs(value - 7))
    assert found["wasserstein_normed"].reason is Reason.CONSTANT_REFERENCE


@pytest.mark.parametrize("scale", [1e-310, 1e-12, 1.0, 1e12, 1e300])
def test_the_scale_of_a_column_changes_nothing(scale: float) -> None:
    pair = numeric_pair(NORMAL * scale, (NORMAL + 0.5) * scale)
    # Squares of 1e300 and of 1e-310 overflow and underflow in numpy's sd.
    found = statistics(pair.grid, pair.reference, pair.current, float(NORMAL.std()) * scale, pair.max_abs)
    assert found["ks"].value == pytest.approx(ks_2samp(NORMAL, NORMAL + 0.5).statistic, abs=0.003)
    assert found["wasserstein_normed"].value == pytest.approx(0.5 / NORMAL.std(), rel=1e-3)


def test_one_outlier_hides_nothing_but_from_evidentlys_bins() -> None:
    many = np.tile(NORMAL, 40)
    pair = numeric_pair(many, np.append(many + 1, 1e9))
    found = statistics(pair.grid, pair.reference, pair.current, pair.sd, pair.max_abs)
    assert found["psi"].value is not None
    assert found["psi"].value > 0.5
    assert found["evidently_psi"].value is not None
    assert found["evidently_psi"].value < 0.01


def test_identical_samples_are_at_distance_0() -> None:
    numeric = numeric_pair(NORMAL, NORMAL)
    for name in ("psi", "ks", "wasserstein", "jensen_shannon"):
        assert NUMERIC[name](numeric.reference, numeric.current, numeric.grid).value == 0
    values = ["a", "b", "b", "c"]
    categorical = categorical_pair(values, values)
    for name in ("psi", "chi2", "jensen_shannon", "hellinger", "l_infinity", "total_variation"):
        found = CATEGORICAL[name](categorical.reference, categorical.current, categorical.categories)
        assert found.value == pytest.approx(0, abs=1e-12), name


def test_a_thousand_categories_without_drift_stay_below_their_noise_floor() -> None:
    rng = np.random.default_rng(2)
    share = 1 / np.arange(1, 1001)
    share /= share.sum()
    reference = [f"c{i}" for i in rng.choice(1000, 20_000, p=share)]
    for _ in range(5):
        pair = categorical_pair(reference, [f"c{i}" for i in rng.choice(1000, 1000, p=share)])
        psi = CATEGORICAL["psi"](pair.reference, pair.current, pair.categories).value
        floor = CATEGORICAL["psi_expected"](pair.reference, pair.current, pair.categories).value
        assert psi is not None
        assert floor is not None
        assert psi < floor < 0.5


@pytest.mark.parametrize("bins", [2, 10, 100])
def test_the_noise_floor_is_exceeded_once_in_a_thousand(bins: int) -> None:
    rng = np.random.default_rng(bins)
    counts = np.full(bins, 200_000 // bins, np.int64)
    floor = noise_floor(counts.tobytes(), 20_000)
    draws = rng.multinomial(20_000, np.full(bins, 1 / bins), 20_000) / 20_000
    reference = rng.multinomial(200_000, np.full(bins, 1 / bins), 20_000) / 200_000
    psi = ((draws - reference) * np.log(draws / reference)).sum(axis=1)
    assert 0.0001 <= (psi > floor).mean() <= 0.003


def test_the_noise_floor_is_deterministic_and_bounded_at_5000_categories() -> None:
    counts = np.full(5000, 10, np.int64).tobytes()
    first = noise_floor(counts, 50_000)
    noise_floor.cache_clear()
    assert noise_floor(counts, 50_000) == first
    # The mean is about (k - 1)(1/n + 1/N); 3.09 sd above it for a sum of so many terms.
    assert first == pytest.approx(4999 * 2 / 50_000 * (1 + 3.09 * math.sqrt(2 / 4999)), rel=0.08)


def test_new_categories_of_a_truncated_reference_cant_be_told() -> None:
    pair = categorical_pair(["a"] * 5 + ["b"] * 3, ["c"])
    truncated = type(pair.categories)(pair.categories.known, truncated=True)
    found = CATEGORICAL["new_category_ratio"](pair.reference, pair.current, truncated)
    assert found == (None, Reason.CATEGORIES_TRUNCATED)
