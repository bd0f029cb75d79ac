"""Fairness against Fairlearn's and AIF360's values on the cases' rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from driftline.performance.aggregates import BinarySums
from driftline.performance.bins import ScoreBins
from driftline.performance.estimate import Undefined
from driftline.performance.fairness import Fairness, GroupSums, fairness
from driftline.performance.from_rows import binary_sums, prediction_counts
from driftline.performance.rates import Rate, difference, ratio
from scipy.stats.contingency import relative_risk

from tests.support.labelled import columns, ints
from tests.support.oracle import case_ids, expected

BINS = ScoreBins(np.array([0.5]))
SEGMENTS = [
    (case, attribute)
    for case in case_ids("binary")
    for attribute, found in expected(case).get("fairlearn", {}).items()
    if isinstance(found, dict)
]

LACKING = [("l_ma_2017", "RAC1P"), ("l_ma_2018", "RAC1P")]
"""Cases with groups that have no positive, or no negative, label."""


def groups(case: str, attribute: str) -> dict[str, GroupSums]:
    data = columns(case)
    labels, predicted = ints(data["y_true"]), ints(data["y_pred"])
    values = data[f"sensitive_{attribute}"]
    return {
        str(value): GroupSums(binary_sums(BINS, labels[values == value], predicted[values == value]))
        for value in np.unique(values)
    }


def labelled(of: GroupSums) -> BinarySums:
    assert of.labelled is not None
    return of.labelled


def test_selection_is_of_all_rows_whoever_gets_a_label() -> None:
    """Only those who were chosen show their outcome: labelled rows alone would say that all are chosen."""
    said = {"a": np.arange(500) % 10 < 6, "b": np.arange(500) % 10 < 2}
    held = {}
    for name, chosen in said.items():
        sums = binary_sums(BINS, np.ones(chosen.sum(), np.int64), np.ones(chosen.sum(), np.int64))
        held[name] = GroupSums(sums, prediction_counts(BINS, np.full(500, np.nan), chosen.astype(np.int64)))
    found = fairness(held)
    assert found.metrics["demographic_parity_difference"].value == pytest.approx(0.4)
    assert found.metrics["demographic_parity_difference_to_overall"].value == pytest.approx(0.2)
    assert found.groups["b"].metrics["selection_rate"].value == pytest.approx(0.2)
    assert found.groups["b"].spd.value == pytest.approx(-0.4)
    assert found.metrics["equal_opportunity_difference"].value == 0.0  # of labelled rows
    few = fairness(held | {"b": GroupSums(None, held["b"].said)})
    assert few.metrics["demographic_parity_difference"].value == pytest.approx(0.4)
    assert few.metrics["equal_opportunity_difference"].reason is Undefined.TOO_FEW_GROUPS


def test_of_many_differences_each_must_be_clearer() -> None:
    held = groups("l_ma_2016", "SEX")
    one, twenty = fairness(held), fairness(held, comparisons=20)
    name = "demographic_parity_difference"
    assert value(one, name) == value(twenty, name)
    low, lower = one.metrics[name].low, twenty.metrics[name].low
    assert low is not None
    assert lower is not None
    assert lower < low


def test_the_cases_are_here() -> None:
    assert len(SEGMENTS) >= 7


@pytest.mark.parametrize(("case", "attribute"), SEGMENTS)
def test_all_measures_agree_with_fairlearn(case: str, attribute: str) -> None:
    oracle: dict[str, Any] = expected(case)["fairlearn"][attribute]
    held = groups(case, attribute)
    found = fairness(held, least_rows=1)
    # Fairlearn calls the rate of a group without positives (negatives) 0; we don't compare it by that rate.
    rates = all(labelled(of).confusion().sum(axis=1).all() for of in held.values())
    names = [name for name in found.metrics if rates or name.startswith("demographic_parity")]
    assert len(names) == (4 if (case, attribute) in LACKING else 12)
    for name in names:
        assert found.metrics[name].value == pytest.approx(float(oracle[name]), abs=1e-12), name


@pytest.mark.parametrize(("case", "attribute"), SEGMENTS)
def test_each_group_agrees_with_fairlearn_and_aif360(case: str, attribute: str) -> None:
    oracle: dict[str, Any] = expected(case)["fairlearn"][attribute]
    found = fairness(groups(case, attribute), least_rows=1)
    assert found.largest == str(oracle["aif360_definition"]["privileged"])
    for name, of in oracle["by_group"].items():
        group = found.groups[name]
        assert group.rows == of["count"]
        for mine, theirs in (
            ("accuracy", "accuracy"),
            ("selection_rate", "selection_rate"),
            ("recall", "tpr"),
        ):
            assert group.metrics[mine].value == pytest.approx(of[theirs], abs=1e-12)
        if name != found.largest:
            assert group.spd.value == pytest.approx(oracle["aif360_definition"]["spd"][name], abs=1e-12)
            assert group.dir.value == pytest.approx(oracle["aif360_definition"]["dir"][name], abs=1e-12)


def test_small_groups_are_left_out_and_named() -> None:
    held = groups("l_ma_2016", "RAC1P")
    everyone, large = fairness(held, least_rows=1), fairness(held)
    assert dict(large.left_out) == {"3": 14, "5": 5, "7": 5}
    assert set(large.groups) == {"1", "2", "6", "8", "9"}
    odds = "equalized_odds_difference"
    assert value(everyone, odds) > 0.4
    assert value(large, odds) < 0.1
    # What is left out is still part of all rows.
    whole = fairness({name: held[name] for name in large.groups})
    assert value(large, "demographic_parity_difference_to_overall") != pytest.approx(
        value(whole, "demographic_parity_difference_to_overall"), abs=1e-9
    )


def value(found: Fairness, name: str) -> float:
    estimate = found.metrics[name]
    assert estimate.value is not None
    return estimate.value


def test_one_group_cannot_be_compared_and_none_says_so() -> None:
    held = groups("l_ma_2016", "SEX")
    lone = fairness({"1": held["1"]})
    assert lone.metrics["demographic_parity_difference"].reason is Undefined.TOO_FEW_GROUPS
    assert lone.metrics["equalized_odds_difference_to_overall"].value == 0.0
    empty = fairness({"1": held["1"]}, least_rows=10**6)
    assert empty.metrics["equal_opportunity_ratio"].reason is Undefined.NO_ROWS
    assert dict(empty.left_out) == {"1": 4752}


def test_a_difference_that_is_not_there_is_rarely_found() -> None:
    rng = np.random.default_rng(4)
    found = 0
    for _ in range(200):
        held = {str(k): GroupSums(binary_sums(BINS, *rng.integers(0, 2, size=(2, 400)))) for k in range(6)}
        low = fairness(held).metrics["demographic_parity_difference"].low
        assert low is not None
        found += low > 0
    # 5 % at most over 200 runs: 10, and three standard deviations more.
    assert found <= 19


@pytest.mark.parametrize(("a", "b"), [((56, 70), (48, 80)), ((9, 10), (3, 10)), ((10, 10), (0, 20))])
def test_newcombes_interval_is_the_published_one(a: tuple[int, int], b: tuple[int, int]) -> None:
    """Newcombe 1998, table II, method 10."""
    published = {(56, 70): (0.0524, 0.3339), (9, 10): (0.1705, 0.8090), (10, 10): (0.6791, 1.0)}
    found = difference(Rate(*a), Rate(*b))
    assert (found.low, found.high) == pytest.approx(published[a], abs=5e-5)


def test_the_ratios_interval_is_near_scipys_for_many_rows() -> None:
    found = ratio(Rate(300, 1000), Rate(400, 1100))
    oracle = relative_risk(300, 1000, 400, 1100)
    bounds = oracle.confidence_interval(0.95)
    assert found.value == pytest.approx(oracle.relative_risk)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high), abs=2e-3)
    assert ratio(Rate(3, 10), Rate(0, 10)).reason is Undefined.ZERO_DENOMINATOR
    assert ratio(Rate(0, 10), Rate(3, 10)).value == 0.0
