"""Labels that are missing: diagnosed, corrected where scores explain it, bounded where nothing does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from driftline.columns import Floats
from driftline.performance.aggregates import BinarySums, CoverageCounts
from driftline.performance.binary import binary_performance
from driftline.performance.estimate import Undefined
from driftline.performance.from_rows import binary_sums, coverage_counts, prediction_counts
from driftline.performance.lag import LagCounts, coverage, lag_bin, watermark
from driftline.performance.missing import missingness, post_stratified, worst_case
from numpy.typing import NDArray

from tests.support.labelled import reference_bins

Ints = NDArray[np.int64]


@dataclass
class World:
    """Predictions whose label is there with `labelled`; the truth is known to the test."""

    scores: Floats
    labels: Ints
    predicted: Ints
    labelled: NDArray[np.bool_]

    @property
    def sums(self) -> BinarySums:
        held = self.labelled
        return binary_sums(
            reference_bins(self.scores), self.labels[held], self.predicted[held], self.scores[held]
        )

    @property
    def coverage(self) -> CoverageCounts:
        return coverage_counts(reference_bins(self.scores), self.scores, self.labelled)

    def truth(self, name: str) -> float:
        bins = reference_bins(self.scores)
        found = binary_performance(binary_sums(bins, self.labels, self.predicted, self.scores))
        value = found.metrics[name].value
        assert value is not None
        return value


def world(rows: int = 20_000, seed: int = 1, by_outcome: bool = False) -> World:
    """Scores with an accuracy of about .77; confident ones get their label far more often."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.75, rows)
    scores = 1 / (1 + np.exp(-logits))
    labels = (rng.random(rows) < scores).astype(np.int64)
    probability = np.clip(1.6 * np.abs(scores - 0.5) ** 1.2, 0.03, 0.9)
    if by_outcome:
        probability = np.where(labels == (scores > 0.5), 0.6, 0.2)
    return World(scores, labels, (scores > 0.5).astype(np.int64), rng.random(rows) < probability)


def test_post_stratifying_finds_the_truth_where_labels_depend_on_the_score() -> None:
    of = world()
    naive = binary_performance(of.sums).metrics["accuracy"]
    corrected = post_stratified(of.sums, of.coverage)
    truth = of.truth("accuracy")
    assert naive.value is not None
    assert naive.value - truth > 0.05
    accuracy = corrected.metrics["accuracy"]
    assert accuracy.value == pytest.approx(truth, abs=0.015)
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low <= truth <= accuracy.high < naive.value
    for name in ("precision", "recall", "f1", "base_rate", "auc"):
        assert corrected.metrics[name].value == pytest.approx(of.truth(name), abs=0.02), name


@pytest.mark.slow
def test_its_intervals_are_as_wide_as_its_spread_and_little_bias_is_left() -> None:
    """Strata of finite width leave some of the bias: a twentieth of it here, so that 93 % hold, not 95."""
    names = ("accuracy", "precision", "recall", "f1", "auc")
    runs = 120
    truth = {name: world(1_000_000, 99).truth(name) for name in names}
    found = {name: np.empty((runs, 3)) for name in names}
    naive = np.empty(runs)
    for seed in range(runs):
        of = world(20_000, seed)
        metrics = post_stratified(of.sums, of.coverage).metrics
        naive[seed] = binary_performance(of.sums).metrics["accuracy"].value
        for name in names:
            found[name][seed] = [metrics[name].value, metrics[name].low, metrics[name].high]
    for name, (values, low, high) in {name: found[name].T for name in names}.items():
        assert ((high - low) / (2 * 1.96)).mean() == pytest.approx(values.std(), rel=0.2), name
        assert abs(values.mean() - truth[name]) < 0.005, name
        assert ((low <= truth[name]) & (truth[name] <= high)).mean() >= 0.88, name
    assert naive.mean() - truth["accuracy"] > 0.05


def test_scores_with_and_without_labels_are_compared() -> None:
    of = world()
    found = missingness(of.coverage)
    assert found.psi is not None
    assert found.psi_expected is not None
    assert found.psi > 0.25
    by_stratum = [stratum.probability.value or 0.0 for stratum in found.strata]
    assert len(by_stratum) == 10
    assert by_stratum[0] > 5 * by_stratum[5]
    assert found.coverage.value == pytest.approx(of.labelled.mean())
    of.labelled = np.random.default_rng(5).random(len(of.scores)) < 0.4
    at_random = missingness(of.coverage)
    assert at_random.psi is not None
    assert at_random.psi < 4 * (at_random.psi_expected or 0.0)
    assert (
        missingness(CoverageCounts(of.coverage.bins, 0 * of.coverage.labelled, of.coverage.labelled)).psi
        is None
    )


def test_strata_without_labels_make_it_unsupported() -> None:
    of = world()
    of.labelled = of.labelled & (of.scores > 0.3)
    found = post_stratified(of.sums, of.coverage)
    assert found.uncovered is not None
    assert found.uncovered > 0.2
    assert {estimate.reason for estimate in found.metrics.values()} == {Undefined.UNSUPPORTED}
    of.labelled = np.zeros(len(of.scores), bool)
    assert post_stratified(of.sums, of.coverage).metrics["auc"].reason is Undefined.NO_ROWS


def test_the_bounds_hold_whatever_the_missing_labels_are() -> None:
    of = world(3000, 7, by_outcome=True)
    everyone = prediction_counts(reference_bins(of.scores), of.scores, of.predicted)
    bounds = worst_case(of.sums, everyone)
    assert set(bounds) == {"accuracy", "precision", "recall", "f1", "base_rate"}
    rng = np.random.default_rng(8)
    flips = [np.zeros(3000, np.int64), np.ones(3000, np.int64), of.predicted, 1 - of.predicted, of.labels]
    for labels in [*flips, *(rng.integers(0, 2, 3000) for _ in range(20))]:
        other = World(of.scores, np.where(of.labelled, of.labels, labels), of.predicted, of.labelled)
        for name, bound in bounds.items():
            assert bound.low - 1e-12 <= other.truth(name) <= bound.high + 1e-12, name
    worst = World(of.scores, np.where(of.labelled, of.labels, 1 - of.predicted), of.predicted, of.labelled)
    best = World(of.scores, np.where(of.labelled, of.labels, of.predicted), of.predicted, of.labelled)
    for name in ("accuracy", "precision", "recall", "f1"):
        assert worst.truth(name) == pytest.approx(bounds[name].low), name
        assert best.truth(name) == pytest.approx(bounds[name].high), name


def test_labels_that_depend_on_the_outcome_cannot_be_corrected_but_are_bounded() -> None:
    of = world(20_000, 9, by_outcome=True)
    corrected = post_stratified(of.sums, of.coverage).metrics["accuracy"].value
    truth = of.truth("accuracy")
    assert corrected is not None
    assert corrected - truth > 0.05
    bound = worst_case(of.sums, prediction_counts(of.coverage.bins, of.scores, of.predicted))["accuracy"]
    assert bound.low <= truth <= bound.high


def test_lags_are_counted_and_give_the_watermark() -> None:
    lags = LagCounts.of([-5.0] + [60.0] * 94 + [3600.0] * 5 + [1e9])
    assert lags.labels == 101
    assert lags.quantile(0.5) == pytest.approx(60, rel=0.19)
    assert lags.quantile(0.95) == pytest.approx(3600, rel=0.19)
    assert lags.quantile(1.0) == float("inf")
    assert 3600 <= 10_000 - (watermark(lags, 10_000.0) or 0.0) <= 3600 * 1.19
    assert watermark(LagCounts(), 10_000.0) is None
    assert (lags + lags).labels == 202
    assert (lag_bin(1.0), lag_bin(1.01), lag_bin(1e12)) == (0, 1, 97)


def test_coverage_is_a_share_of_predictions() -> None:
    assert coverage(3, 4).value == 0.75
    assert coverage(0, 0).reason is Undefined.NO_ROWS
