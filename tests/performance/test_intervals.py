"""Intervals against SciPy, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driftline.columns import Floats
from driftline.performance.aggregates import FeedbackCounts, KpiSums, MeanSums
from driftline.performance.binary import binary_performance
from driftline.performance.bins import ScoreBins
from driftline.performance.curves import auc, average_precision
from driftline.performance.estimate import Estimate, Undefined, between
from driftline.performance.from_rows import (
    binary_sums,
    mean_sums,
    multiclass_sums,
    regression_sums,
    score_counts,
)
from driftline.performance.intervals import (
    design_effect,
    mean_estimate,
    normal_quantile,
    proportion,
    student_quantile,
)
from driftline.performance.multiclass import multiclass_performance
from driftline.performance.outcomes import approval, kpi_metrics, poisson_bounds
from driftline.performance.regression import regression_metrics
from numpy.typing import NDArray
from scipy import stats

from tests.support.labelled import reference_bins

RUNS = 300
LEAST = 0.92
"""Of nominal .95: 300 runs have a standard deviation of .013."""


def holds(estimate: Estimate, value: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= value <= estimate.high


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (37, 1000)])
def test_proportions_have_wilsons_interval(hits: int, n: int) -> None:
    found = proportion(hits, n)
    oracle = stats.binomtest(hits, n).proportion_ci(0.95, "wilson")
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


@pytest.mark.parametrize("df", [1, 2, 5, 30, 400])
def test_quantiles_are_scipys(df: int) -> None:
    assert student_quantile(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-8)
    assert normal_quantile() == pytest.approx(stats.norm.ppf(0.975), rel=1e-9)


def test_a_mean_of_single_rows_has_students_interval() -> None:
    x = np.random.default_rng(1).normal(3, 2, 40)
    found = mean_estimate(mean_sums(x))
    oracle = stats.t.interval(0.95, 39, loc=x.mean(), scale=stats.sem(x))
    assert (found.low, found.high) == pytest.approx(oracle, rel=1e-9)


@pytest.mark.parametrize("events", [0, 1, 7, 250])
def test_counts_have_garwoods_interval(events: int) -> None:
    low = stats.chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    assert poisson_bounds(events) == pytest.approx((low, stats.chi2.ppf(0.975, 2 * events + 2) / 2), rel=1e-7)


def test_outcomes_are_counted_and_bounded() -> None:
    assert approval(FeedbackCounts(8, 2)).value == 0.8
    assert approval(FeedbackCounts()).reason is Undefined.NO_ROWS
    found = kpi_metrics(KpiSums(mean_sums(np.array([2.0, 4.0, 6.0])), converted=3, predictions=60), 600.0)
    assert (found["count"].value, found["sum"].value, found["mean"].value) == (3, 12, 4)
    assert (found["rate"].value, found["per_second"].value) == (0.05, 0.005)
    none = kpi_metrics(KpiSums(predictions=60), 600.0)
    assert (none["count"].value, none["rate"].value) == (0, 0)
    assert none["count"].high == pytest.approx(3.689, abs=1e-3)
    assert none["mean"].reason is Undefined.NO_ROWS
    assert (none["sum"].low, none["sum"].reason) == (None, Undefined.TOO_FEW_ROWS)


def test_rows_of_one_request_are_not_as_many_observations() -> None:
    """20-row requests, intra-class correlation .5: the design effect is 1 + 19 x .5."""
    rng = np.random.default_rng(2)
    alike = rng.random((3000, 1)) < 0.5
    errors = np.where(rng.random((3000, 20)) < math.sqrt(0.5), alike, rng.random((3000, 20)) < 0.5)
    request = np.repeat(np.arange(3000), 20)
    assert design_effect(mean_sums(errors.ravel().astype(float), request)) == pytest.approx(10.5, rel=0.1)
    assert design_effect(mean_sums(errors.ravel().astype(float))) == 1.0


def clustered(rng: np.random.Generator, requests: int) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Errors of a regression in requests of 1 to 30 rows; labels; half of the variance is the request's."""
    sizes = rng.integers(1, 31, requests)
    request = np.repeat(np.arange(requests), sizes)
    shared = rng.normal(size=requests)[request]
    return rng.normal(0, 3, len(request)), request, shared + rng.normal(size=len(request))


@pytest.mark.slow
def test_intervals_of_clustered_rows_hold_the_truth() -> None:
    truth = {"mae": math.sqrt(2) * math.sqrt(2 / math.pi), "rmse": math.sqrt(2), "mean_error": 0.0}
    inside = dict.fromkeys(truth, 0)
    naive = 0
    for run in range(RUNS):
        labels, request, errors = clustered(np.random.default_rng(run), 120)
        found = regression_metrics(regression_sums(labels, labels + errors, 0.0, request))
        for name, value in truth.items():
            inside[name] += holds(found[name], value)
        naive += holds(regression_metrics(regression_sums(labels, labels + errors))["mean_error"], 0.0)
    assert min(inside.values()) >= LEAST * RUNS, inside
    assert naive < 0.75 * RUNS


@pytest.mark.slow
def test_r2s_interval_holds_the_truth() -> None:
    inside = 0
    for run in range(RUNS):
        rng = np.random.default_rng(run)
        y = rng.exponential(2.0, 500)
        e = rng.normal(0, 1, 500) * (1 + y / 4)
        truth = 1 - (1 + 2 * 2 / 4 + 8 / 16) / 4
        inside += holds(regression_metrics(regression_sums(y, y + e, 3.0))["r2"], truth)
    assert inside >= LEAST * RUNS


def scored(rng: np.random.Generator, rows: int) -> tuple[NDArray[np.int64], Floats]:
    labels = (rng.random(rows) < 0.2).astype(np.int64)
    logits = rng.normal(-1.2, 1.0, rows) + 1.5 * labels
    return labels, 1 / (1 + np.exp(-logits))


@pytest.mark.slow
def test_the_curves_intervals_hold_the_truth() -> None:
    labels, scores = scored(np.random.default_rng(0), 2_000_000)
    bins = reference_bins(scores)
    everyone = score_counts(bins, labels == 1, scores)
    truth = auc(everyone).value, average_precision(everyone).value
    assert truth[0] == pytest.approx(stats.norm.cdf(1.5 / math.sqrt(2)), abs=1e-3)
    inside = [0, 0]
    for run in range(RUNS):
        labels, scores = scored(np.random.default_rng(run + 1), 600)
        counts = score_counts(bins, labels == 1, scores)
        for place, (found, value) in enumerate(
            zip((auc(counts), average_precision(counts)), truth, strict=True)
        ):
            inside[place] += holds(found, value or 0.0)
    assert min(inside) >= LEAST * RUNS, inside


@pytest.mark.slow
def test_f1_and_calibration_intervals_hold_the_truth() -> None:
    labels, scores = scored(np.random.default_rng(0), 2_000_000)
    bins = reference_bins(scores)
    whole = binary_performance(binary_sums(bins, labels, (scores > 0.4).astype(np.int64), scores))
    truth = whole.metrics
    inside = dict.fromkeys(("f1", "precision", "recall", "log_loss", "brier"), 0)
    for run in range(RUNS):
        labels, scores = scored(np.random.default_rng(run + 1), 800)
        found = binary_performance(binary_sums(bins, labels, (scores > 0.4).astype(np.int64), scores))
        for name in inside:
            inside[name] += holds(found.metrics[name], truth[name].value or 0.0)
    assert min(inside.values()) >= LEAST * RUNS, inside


@pytest.mark.slow
def test_averages_over_classes_hold_the_truth() -> None:
    shares = np.array([[0.4, 0.1, 0.05], [0.05, 0.15, 0.05], [0.02, 0.03, 0.15]])
    cells = [(str(label), str(predicted)) for label in range(3) for predicted in range(3)]

    def sums(counts: NDArray[np.int64]) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
        rows = np.repeat(np.array(cells), counts, axis=0)
        return rows[:, 0], rows[:, 1]

    truth = multiclass_performance(
        multiclass_sums(*sums((shares.ravel() * 10_000).round().astype(int)))
    ).metrics
    names = [f"{name}_{of}" for name in ("precision", "recall", "f1") for of in ("macro", "weighted")]
    inside = dict.fromkeys(names, 0)
    rng = np.random.default_rng(3)
    for _ in range(RUNS):
        found = multiclass_performance(multiclass_sums(*sums(rng.multinomial(500, shares.ravel())))).metrics
        for name in names:
            inside[name] += holds(found[name], truth[name].value or 0.0)
    assert min(inside.values()) >= LEAST * RUNS, inside


def test_weighted_recall_is_accuracy_and_so_is_its_variance() -> None:
    rng = np.random.default_rng(5)
    labels = rng.choice(list("abc"), 4000)
    predicted = np.where(rng.random(4000) < 0.7, labels, rng.choice(list("abc"), 4000))
    found = multiclass_performance(multiclass_sums(labels, predicted)).metrics
    assert found["recall_weighted"].value == pytest.approx(found["accuracy"].value)
    assert width(found["recall_weighted"]) == pytest.approx(width(found["accuracy"]), rel=2e-3)


def width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def test_a_perfect_auc_of_few_rows_is_not_certain() -> None:
    counts = score_counts(ScoreBins.default(), np.arange(40) >= 20, np.linspace(0.1, 0.9, 40))
    found = auc(counts)
    assert found.value == 1.0
    assert found.low is not None
    assert found.low < 0.9


def test_an_estimate_is_a_number_or_says_why_not() -> None:
    with pytest.raises(ValueError, match="finite"):
        Estimate(float("nan"))
    with pytest.raises(ValueError, match="say why"):
        Estimate(None)
    assert between(0.5, 0.6, 0.7, 1, "x").low == 0.5
    assert mean_estimate(MeanSums()).reason is Undefined.NO_ROWS
    assert mean_estimate(mean_sums(np.array([1.0]))).reason is Undefined.TOO_FEW_ROWS
