"""Every statistic against SciPy and the textbook, over real and synthetic columns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driftline.stats import CATEGORICAL, NUMERIC, Reason, statistics
from driftline.stats.bins import category_bins
from driftline.tails import chi2_log_sf
from numpy.typing import NDArray
from scipy import stats as scipy_stats
from scipy.spatial import distance

from tests.support.oracle import (
    CategoricalPair,
    case_ids,
    categorical_case,
    categorical_pair,
    expected,
    numeric_case,
    numeric_pair,
)

NUMERIC_CASES = case_ids("numeric")
CATEGORICAL_CASES = case_ids("categorical")


def test_the_cases_are_here() -> None:
    assert len(NUMERIC_CASES) > 25
    assert len(CATEGORICAL_CASES) > 10


@pytest.mark.parametrize("case", NUMERIC_CASES)
def test_numeric_statistics_agree_with_the_oracle(case: str) -> None:
    pair, oracle = numeric_case(case), expected(case)
    found = statistics(pair.grid, pair.reference, pair.current, pair.sd, pair.max_abs)
    ks = oracle["scipy"]["ks_2samp"]["statistic"]
    assert found["psi"].value == pytest.approx(
        oracle["textbook"]["psi_10_quantile"]["value"], rel=0, abs=1e-9
    )
    assert found["ks"].value == pytest.approx(ks, rel=0, abs=0.005)
    assert found["ks"].value is not None
    assert found["ks_error"].value is not None
    assert abs(found["ks"].value - ks) <= found["ks_error"].value + 1e-12
    sd = oracle["moments"]["ref"]["std0"]
    if sd <= 1e-12 * pair.max_abs:
        assert found["wasserstein_normed"] == (None, Reason.CONSTANT_REFERENCE)
    else:
        w1 = oracle["scipy"]["wasserstein"] / sd
        assert found["wasserstein_normed"].value == pytest.approx(w1, rel=0, abs=0.01)


@pytest.mark.parametrize("case", [case for case in NUMERIC_CASES if expected(case)["rows"] >= 1000])
def test_decisions_agree_with_exact_ones(case: str) -> None:
    pair, oracle = numeric_case(case), expected(case)
    found = statistics(pair.grid, pair.reference, pair.current, pair.sd, pair.max_abs)
    distance_ = found["wasserstein_normed"].value
    p = found["ks_pvalue"].value
    assert p is not None
    assert (p <= 0.05) == (oracle["scipy"]["ks_2samp_asymp_pvalue"] <= 0.05)
    if distance_ is not None:
        assert (distance_ >= 0.1) == (oracle["scipy"]["wasserstein_over_ref_std0"] >= 0.1)


@pytest.mark.parametrize("case", CATEGORICAL_CASES)
def test_categorical_distances_agree_with_the_oracle(case: str) -> None:
    pair, oracle = categorical_case(case), expected(case)["scipy"]
    found = statistics(pair.categories, pair.reference, pair.current)
    for name, key in (
        ("jensen_shannon", "js_distance_base_2"),
        ("jensen_shannon_e", "js_distance_base_e"),
        ("hellinger", "hellinger"),
        ("l_infinity", "l_infinity"),
        ("total_variation", "tvd"),
    ):
        assert found[name].value == pytest.approx(oracle[key], rel=0, abs=1e-9), name


@pytest.mark.parametrize("case", CATEGORICAL_CASES)
def test_chi_squared_agrees_with_scipy_without_correction(case: str) -> None:
    check_chi2(categorical_case(case), full_support=case)


@pytest.mark.parametrize(("n", "shift"), [(10, 0), (100, 3), (1000, 200), (9000, 4400)])
def test_chi_squared_of_two_by_two_has_no_continuity_correction(n: int, shift: int) -> None:
    half = n // 2
    reference = ["a"] * half + ["b"] * half
    check_chi2(categorical_pair(reference, ["a"] * (half - shift) + ["b"] * (half + shift)))


def check_chi2(pair: CategoricalPair, full_support: str = "") -> None:
    table = np.stack(category_bins(pair.reference, pair.current))
    table = table[:, table.sum(axis=0) > 0]
    oracle = scipy_stats.chi2_contingency(table, correction=False)
    found = statistics(pair.categories, pair.reference, pair.current)
    assert found["chi2"].value == pytest.approx(oracle.statistic, rel=1e-12)
    if full_support and oracle.dof > 1:
        stored = expected(full_support)["scipy"]["chi2_contingency"]
        assert oracle.dof == stored["dof"]
        assert oracle.statistic == pytest.approx(stored["statistic"], rel=1e-9)
    log_p = log_chi2_sf(float(oracle.statistic), int(oracle.dof))
    assert found["chi2_log_pvalue"].value == pytest.approx(log_p, rel=0, abs=1e-6)
    assert found["chi2_pvalue"].value == pytest.approx(oracle.pvalue, rel=1e-6, abs=1e-300)


def log_chi2_sf(x: float, df: int) -> float:
    """SciPy's; where its p underflows, by recurrence in logs."""
    log_p = float(scipy_stats.chi2.logsf(x, df))
    return log_p if math.isfinite(log_p) else chi2_sf_by_recurrence(x, df)


def chi2_sf_by_recurrence(x: float, df: int) -> float:
    """Q(a + 1, z) = Q(a, z) + z^a e^-z / Gamma(a + 1), in logs, up from Q(1, z) or Q(1/2, z)."""
    z = x / 2
    a = 1.0 if df % 2 == 0 else 0.5
    log_q = -z if df % 2 == 0 else float(math.log(2) + scipy_stats.norm.logsf(math.sqrt(2 * z)))
    while a < df / 2 - 0.25:
        log_q = float(np.logaddexp(log_q, a * math.log(z) - z - math.lgamma(a + 1)))
        a += 1
    return log_q


@pytest.mark.parametrize("df", [1, 2, 3, 7, 50, 999, 5000, 20000])
@pytest.mark.parametrize("ratio", [0.5, 0.9, 0.999, 1.0, 1.001, 1.1, 2.0, 10.0, 300.0])
def test_the_log_of_chi_squareds_p_is_accurate_far_out(df: int, ratio: float) -> None:
    x = df * ratio
    assert chi2_log_sf(x, df) == pytest.approx(log_chi2_sf(x, df), rel=1e-12, abs=1e-6)


@pytest.mark.parametrize("df", [1, 4, 25])
def test_a_p_of_1e_minus_3000_is_accurate(df: int) -> None:
    x = 13800.0
    log_p = chi2_log_sf(x, df)
    assert log_p < -2900 * math.log(10)
    assert log_p == pytest.approx(chi2_sf_by_recurrence(x, df), rel=0, abs=1e-6)


@pytest.mark.parametrize(
    "case", [c for c in CATEGORICAL_CASES if c not in ("s_cat_disjoint", "s_cat_tiny_n6", "s_cat_zipf_5000")]
)
def test_psi_of_common_categories_is_the_textbooks(case: str) -> None:
    pair = categorical_case(case)
    found = CATEGORICAL["psi"](pair.reference, pair.current, pair.categories)
    assert found.value == pytest.approx(expected(case)["textbook"]["psi"]["value"], rel=0, abs=1e-9)


def test_the_ks_p_value_is_scipys_asymptotic_one() -> None:
    rng = np.random.default_rng(7)
    for shift in (0.0, 0.03, 0.06, 0.1):
        reference, current = rng.normal(size=4000), rng.normal(shift, size=3000)
        pair = numeric_pair(reference, current)
        found = NUMERIC["ks_pvalue"](pair.reference, pair.current, pair.grid).value
        d = NUMERIC["ks"](pair.reference, pair.current, pair.grid).value
        assert d is not None
        assert found == pytest.approx(scipy_stats.kstwo.sf(d, round(3000 * 4000 / 7000)), rel=0.02)


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e15])
def test_wasserstein_is_stable_at_any_offset(offset: float) -> None:
    rng = np.random.default_rng(11)
    reference = np.round(rng.normal(size=5000) * 64) + offset
    current = np.round(rng.normal(0.5, 1.3, size=4000) * 64) + offset
    pair = numeric_pair(reference, current)
    found = NUMERIC["wasserstein"](pair.reference, pair.current, pair.grid).value
    # The oracle sums raw values, which fails at 1e15: it gets the values without their offset.
    oracle = scipy_stats.wasserstein_distance(reference - offset, current - offset)
    assert found == pytest.approx(oracle, rel=0, abs=0.001 * (reference - offset).std())


def test_wasserstein_is_exact_where_the_distributions_dont_cross() -> None:
    rng = np.random.default_rng(3)
    reference = rng.exponential(size=3000)
    current = reference * 1.5 + 0.01
    pair = numeric_pair(reference, current)
    found = NUMERIC["wasserstein"](pair.reference, pair.current, pair.grid).value
    assert found == pytest.approx(scipy_stats.wasserstein_distance(reference, current), rel=1e-12)


def test_jensen_shannon_of_numeric_columns_is_scipys_over_the_deciles() -> None:
    rng = np.random.default_rng(5)
    reference, current = rng.normal(size=2000), rng.normal(0.7, size=2000)
    pair = numeric_pair(reference, current)
    edges = np.quantile(reference, [k / 10 for k in range(1, 10)])
    first, second = (shares_of(values, edges) for values in (reference, current))
    found = NUMERIC["jensen_shannon"](pair.reference, pair.current, pair.grid).value
    assert found == pytest.approx(float(distance.jensenshannon(first, second, base=2)), abs=1e-12)


def shares_of(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) / len(values)
