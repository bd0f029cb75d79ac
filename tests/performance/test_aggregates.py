"""Merge laws: parts added in any order are the whole; nothing unlike is added; SQL gives the same."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple

import numpy as np
import pytest
from driftline.columns import Floats
from driftline.errors import IncompatiblePanes
from driftline.performance.aggregates import (
    BinarySums,
    CoverageCounts,
    ErrorBucket,
    FeedbackCounts,
    KpiSums,
    LabelMoments,
    MeanSums,
    MulticlassSums,
    RegressionSums,
    ScoreCounts,
)
from driftline.performance.binary import binary_performance
from driftline.performance.bins import NO_SCORE, ScoreBins
from driftline.performance.estimate import Undefined
from driftline.performance.from_rows import (
    binary_sums,
    coverage_counts,
    log_losses,
    mean_sums,
    multiclass_sums,
    prediction_counts,
    regression_sums,
)
from driftline.performance.multiclass import multiclass_performance
from driftline.performance.ranking import ListMeasures, ranking_sums
from driftline.performance.regression import regression_metrics
from hypothesis import given, settings
from hypothesis import strategies as st

BINS = ScoreBins(np.array([0.1, 0.25, 0.5, 0.9]))
SCORES = st.one_of(st.just(float("nan")), st.floats(-0.5, 1.5), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), SCORES), max_size=40)
VALUES = st.floats(-1e6, 1e6)
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=40)


def binary(rows: list[tuple[int, int, float]]) -> BinarySums:
    table = np.array(rows, np.float64).reshape(-1, 3)
    return binary_sums(BINS, table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2])


def same_binary(a: BinarySums, b: BinarySums) -> bool:
    return (
        np.array_equal(a.counts, b.counts)
        and np.allclose(a.scores, b.scores, rtol=1e-12, atol=1e-12)
        and a.outside == b.outside
        and all(
            np.allclose(astuple(x), astuple(y), rtol=1e-12, atol=1e-9)
            for x, y in ((a.errors, b.errors), (a.log_loss, b.log_loss), (a.brier, b.brier))
        )
    )


@given(ROWS, ROWS, ROWS)
def test_binary_sums_add_up_in_any_order(a: list, b: list, c: list) -> None:  # type: ignore[type-arg]
    whole = binary(a + b + c)
    first, second, third = binary(a), binary(b), binary(c)
    assert same_binary(first + second + third, whole)
    assert same_binary(third + (first + second), whole)
    assert same_binary(first + BinarySums.empty(BINS), first)
    assert whole.rows == len(a) + len(b) + len(c)


def regression(rows: Floats, shift: float = 0.0) -> RegressionSums:
    return regression_sums(rows[:, 0], rows[:, 1], shift)


@given(PAIRS, PAIRS, st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_regression_sums_add_up_about_any_shifts(a: list, b: list, c: float, d: float) -> None:  # type: ignore[type-arg]
    parts = [np.array(rows, np.float64) for rows in (a, b)]
    both = np.concatenate(parts)
    added = regression(parts[0], c) + regression(parts[1], d)
    whole = regression(both, c)
    assert added.labels.rows == len(both)
    assert added.largest == whole.largest
    for name in ("errors", "absolute", "squares", "percentage"):
        scale = max(1.0, getattr(whole, name).squares)
        assert np.allclose(astuple(getattr(added, name)), astuple(getattr(whole, name)), atol=1e-12 * scale)
    size = np.abs(both).max() + abs(c) + abs(d) + 1
    for power, (x, y) in enumerate(zip(added.labels.sums, whole.labels.sums, strict=True), 1):
        assert x == pytest.approx(y, abs=1e-10 * len(both) * size**power)


def test_a_shift_keeps_the_digits_of_labels_far_from_zero() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(1e9, 1.0, 5000)
    p = y + rng.normal(0, 0.5, 5000)
    near, far = (regression_metrics(regression_sums(y, p, shift))["r2"] for shift in (1e9, 0.0))
    exact = 1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert near.value == pytest.approx(exact, rel=1e-9)
    # Without it the fourth and second powers of 1e9 leave nothing.
    assert far.value != pytest.approx(exact, rel=1e-3)


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=2, max_size=30), st.data()
)
def test_several_classes_add_up_whatever_classes_a_part_has_seen(rows: list, data: st.DataObject) -> None:  # type: ignore[type-arg]
    cut = data.draw(st.integers(1, len(rows) - 1))

    def sums(part: list) -> MulticlassSums:  # type: ignore[type-arg]
        return multiclass_sums(np.array([row[0] for row in part]), np.array([row[1] for row in part]))

    for added in (sums(rows[:cut]) + sums(rows[cut:]), sums(rows[cut:]) + sums(rows[:cut])):
        whole = sums(rows)
        assert added.classes == whole.classes
        np.testing.assert_array_equal(added.confusion, whole.confusion)
        assert astuple(added.errors) == pytest.approx(astuple(whole.errors))


@given(st.lists(st.lists(VALUES, min_size=1, max_size=5), min_size=1, max_size=12), st.data())
def test_requests_add_up(requests: list[list[float]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(requests)))

    def sums(part: list[list[float]]) -> MeanSums:
        place = np.repeat(np.arange(len(part)), [len(rows) for rows in part])
        return mean_sums(np.array([x for rows in part for x in rows], np.float64), place)

    added, whole = sums(requests[:cut]) + sums(requests[cut:]), sums(requests)
    assert (added.requests, added.rows, added.sizes) == (whole.requests, whole.rows, whole.sizes)
    scale = max(1.0, whole.squares)
    assert np.allclose(astuple(added), astuple(whole), rtol=1e-12, atol=1e-12 * scale)
    by_hand = sum(sum(rows) ** 2 for rows in requests)
    assert whole.squares == pytest.approx(by_hand, rel=1e-9, abs=1e-9)


def test_the_small_ones_add_up() -> None:
    assert FeedbackCounts(1, 2) + FeedbackCounts(3, 4) == FeedbackCounts(4, 6)
    kpi = KpiSums(mean_sums(np.array([1.0])), 1, 5) + KpiSums(mean_sums(np.array([2.0, 3.0])), 2, 7)
    assert (kpi.values.total, kpi.values.squares, kpi.converted, kpi.predictions) == (6, 14, 3, 12)
    one = ErrorBucket(0.0, 60.0, mean_sums(np.array([1.0])))
    assert (one + one).errors.rows == 2
    with pytest.raises(IncompatiblePanes):
        one + ErrorBucket(60.0, 60.0, MeanSums())
    lists = ranking_sums([ListMeasures(1.0, 0.5, 0.25), None])
    assert (lists + lists).without_relevant == 2
    assert (lists + lists).average_precision.total == 1.0
    counts = prediction_counts(BINS, np.array([0.05, 0.95, np.nan]), np.array([0, 1, 2]))
    assert (counts + counts).counts.sum() == 6
    coverage = coverage_counts(BINS, np.array([0.05, np.nan]), np.array([True, False]))
    assert ((coverage + coverage).labelled[0], (coverage + coverage).unlabelled[-1]) == (2, 2)
    assert LabelMoments() + LabelMoments(3.0, 1, (1.0, 1.0, 1.0, 1.0)) == LabelMoments(
        3.0, 1, (1.0, 1.0, 1.0, 1.0)
    )


def test_unlike_bins_are_never_added() -> None:
    other = ScoreBins(np.array([0.1, 0.5]))
    with pytest.raises(IncompatiblePanes, match=f"{BINS.id} and {other.id}"):
        BinarySums.empty(BINS) + BinarySums.empty(other)
    with pytest.raises(IncompatiblePanes):
        ScoreCounts.empty(BINS) + ScoreCounts.empty(other)
    zeros = np.zeros(6, np.int64)
    with pytest.raises(IncompatiblePanes):
        CoverageCounts(BINS, zeros, zeros) + CoverageCounts(other, zeros, zeros)


@given(ROWS)
@settings(max_examples=60)
def test_every_metric_of_any_rows_is_finite_or_says_why(rows: list) -> None:  # type: ignore[type-arg]
    found = binary_performance(binary(rows))
    assert {name for name, of in found.metrics.items() if of.value is None and of.reason is None} == set()
    assert len(found.metrics) == 12


@given(PAIRS)
@settings(max_examples=60)
def test_every_regression_metric_is_finite_or_says_why(pairs: list) -> None:  # type: ignore[type-arg]
    found = regression_metrics(regression(np.array(pairs, np.float64)))
    assert all(of.value is not None or of.reason is not None for of in found.values())


@pytest.mark.parametrize("size", [1e100, 1e160, 1e300])
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_sums_beyond_the_largest_number_say_overflow(size: float) -> None:
    y = np.array([1.0, -1.0, 0.5]) * size
    found = regression_metrics(regression_sums(y, y[::-1].copy()))
    assert found["r2"].reason is Undefined.OVERFLOW
    assert all(of.value is None or np.isfinite(of.value) for of in found.values())


def test_nothing_at_all_has_no_metric() -> None:
    assert all(of.value is None for of in regression_metrics(RegressionSums()).values())
    none = multiclass_performance(MulticlassSums((), np.zeros((0, 0), np.int64)))
    assert all(of.value is None for of in none.metrics.values())


@given(st.lists(SCORES, min_size=1, max_size=30))
def test_one_score_is_binned_as_many_are(scores: list[float]) -> None:
    many = BINS.index(np.array(scores))
    assert many.tolist() == [BINS.of(score) for score in scores]
    assert BINS.of(None) == NO_SCORE


def test_bins_are_known_by_their_edges() -> None:
    assert ScoreBins(np.array([0.1, 0.25, 0.5, 0.9])) == BINS
    assert len({BINS, ScoreBins(np.array([0.1]))}) == 2
    assert BINS.index(np.array([0.1, 0.1000001, 0.9, 2.0, -np.inf])).tolist() == [0, 1, 3, 4, NO_SCORE]
    with pytest.raises(ValueError, match="ascending"):
        ScoreBins(np.array([0.5, 0.5]))


CELLS = """
    SELECT predicted, label, bin, COUNT(*), SUM(score) FROM rows GROUP BY predicted, label, bin
"""
MEANS = """
    SELECT COUNT(*), SUM(m), SUM(s), SUM(s * s), SUM(m * s), SUM(m * m) FROM
    (SELECT COUNT(*) AS m, SUM({x}) AS s FROM rows WHERE {when} GROUP BY request)
"""


def test_a_databases_group_by_gives_the_same() -> None:
    rng = np.random.default_rng(2)
    n = 5000
    bins = ScoreBins.default()
    labels, predicted = rng.integers(0, 2, n), rng.integers(0, 3, n)
    scores = np.where(rng.random(n) < 0.1, np.nan, rng.random(n))
    request = rng.integers(0, 1200, n)
    wanted = binary_sums(bins, labels, predicted, scores, request)
    if_negative, if_positive = log_losses(np.nan_to_num(scores, nan=0.5))
    rows = [
        (
            int(y),
            int(p),
            None if np.isnan(s) else float(s),
            bins.of(float(s)),
            int(r),
            float(a if y == 0 else b),
        )
        for y, p, s, r, a, b in zip(labels, predicted, scores, request, if_negative, if_positive, strict=True)
    ]
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE rows (label, predicted, score REAL, bin, request, loss REAL)")
    database.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", rows)
    counts, sums = np.zeros_like(wanted.counts), np.zeros(bins.count)
    for said, label, place, count, total in database.execute(CELLS):
        counts[said, label, place] = count
        if place != NO_SCORE:
            sums[place] += total
    errors, loss, brier = (
        MeanSums(*database.execute(MEANS.format(x=x, when=when)).fetchone())
        for x, when in (
            ("predicted <> label", "predicted < 2"),
            ("loss", "score BETWEEN 0 AND 1"),
            ("(score - label) * (score - label)", "score BETWEEN 0 AND 1"),
        )
    )
    database.close()
    assert same_binary(BinarySums(bins, counts, sums, errors, loss, brier), wanted)
