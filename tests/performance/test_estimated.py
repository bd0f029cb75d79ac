"""Performance before labels: against NannyML, against the truth, and where nothing can be said."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from driftline.columns import Floats
from driftline.isotonic import isotonic, isotonic_steps
from driftline.labels import LabelsBuilder, ResidualLabels, ScoreLabels, prediction_edges, score_edges
from driftline.performance.bins import ScoreBins
from driftline.performance.estimate import Estimate, Undefined
from driftline.performance.estimated import (
    Calibrator,
    EstimatedPerformance,
    estimate_error,
    estimated_loss,
    estimated_performance,
)
from driftline.performance.from_rows import prediction_counts
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from tests.support.oracle import CASES

WITHIN = 1e-4


def score_labels(scores: Floats, labels: Floats) -> ScoreLabels:
    builder = LabelsBuilder(score_edges(scores, labels), regression=False)
    builder.add(scores, labels, {})
    found = builder.build()
    assert isinstance(found, ScoreLabels)
    return found


def width(of: EstimatedPerformance, name: str) -> float:
    low, high = of.metrics[name].low, of.metrics[name].high
    assert low is not None
    assert high is not None
    return high - low


class TestBlocks:
    """Rows of an hour resemble each other: the calibration is less sure than so many rows would make it."""

    ROWS = 20_000
    RNG = np.random.default_rng(11)
    SCORES = RNG.beta(2, 3, ROWS)
    HOURS = RNG.normal(0, 0.8, 40)[np.arange(ROWS) * 40 // ROWS]
    MOVED = 1 / (1 + np.exp(-(np.log(SCORES / (1 - SCORES)) + HOURS)))

    def made(self, probability: Floats, *, blocks: bool) -> EstimatedPerformance:
        labels = (np.random.default_rng(12).random(self.ROWS) < probability).astype(np.float64)
        rows = self.ROWS if blocks else 0
        builder = LabelsBuilder(score_edges(self.SCORES, labels), regression=False, rows=rows)
        for part in np.array_split(np.arange(self.ROWS), 7):
            builder.add(self.SCORES[part], labels[part], {})
        found = builder.build()
        assert isinstance(found, ScoreLabels)
        assert (found.blocks is not None) == blocks
        of = Calibrator.of(found)
        assert of is not None
        return estimate(of, self.SCORES, (self.SCORES > 0.5).astype(np.int64))

    def test_count_every_row_once(self) -> None:
        labels = (self.RNG.random(self.ROWS) < self.SCORES).astype(np.float64)
        builder = LabelsBuilder(score_edges(self.SCORES), regression=False, rows=self.ROWS)
        builder.add(self.SCORES, labels, {})
        found = builder.build()
        assert isinstance(found, ScoreLabels)
        assert found.blocks is not None
        whole = found.groups[0]
        for counts, fine in zip(found.blocks.counts, (whole.negatives, whole.positives), strict=True):
            assert counts.sum(axis=0).tolist() == np.add.reduceat(fine, found.blocks.starts).tolist()
            assert counts.shape == (40, len(found.blocks.starts))
        assert found.blocks.counts.sum(axis=(0, 2)).tolist() == [self.ROWS // 40] * 40

    def test_of_independent_rows_change_little(self) -> None:
        by_row, by_block = (self.made(self.SCORES, blocks=each) for each in (False, True))
        for name in ("accuracy", "recall", "auc"):
            assert width(by_block, name) == pytest.approx(width(by_row, name), rel=0.35)
            assert by_block.metrics[name].value == by_row.metrics[name].value

    def test_of_hours_that_differ_widen_the_interval(self) -> None:
        by_row, by_block = (self.made(self.MOVED, blocks=each) for each in (False, True))
        assert width(by_block, "accuracy") > 1.5 * width(by_row, "accuracy")
        assert width(by_block, "recall") > 2 * width(by_row, "recall")

    def test_too_few_rows_make_none(self) -> None:
        builder = LabelsBuilder(score_edges(self.SCORES[:500]), regression=False, rows=500)
        builder.add(self.SCORES[:500], np.ones(500), {})
        found = builder.build()
        assert isinstance(found, ScoreLabels)
        assert found.blocks is None


def calibrator(scores: Floats, labels: Floats) -> Calibrator:
    found = Calibrator.of(score_labels(scores, labels))
    assert found is not None
    return found


def estimate(of: Calibrator, scores: Floats, predicted: NDArray[np.int64]) -> EstimatedPerformance:
    return estimated_performance(prediction_counts(of.bins, scores, predicted), of)


def test_the_estimate_is_nannymls() -> None:
    chunks = json.loads((CASES / "p_ma_cbpe.json").read_text())["expected"]["nannyml"]["cbpe"]["chunks"]
    with np.load(CASES / "p_ma_cbpe.npz") as data:
        of = calibrator(data["ref_proba"], data["ref_y"].astype(np.float64))
        scores, predicted = data["cur_proba"], data["cur_pred"].astype(np.int64)
    assert of.bins.count <= 1000
    assert len(chunks) == 9
    for place, chunk in enumerate(chunks):
        rows = slice(place * 5000, (place + 1) * 5000)
        found = estimate(of, scores[rows], predicted[rows]).metrics
        for name, key in (
            ("accuracy", "accuracy"),
            ("precision", "precision"),
            ("recall", "recall"),
            ("f1", "f1"),
            ("specificity", "specificity"),
            ("auc", "roc_auc"),
        ):
            assert found[name].value == pytest.approx(chunk[key]["estimated"], rel=0, abs=WITHIN), name


def world(rows: int, seed: int, centre: float = -1.0) -> tuple[Floats, Floats]:
    """Scores that are too extreme by a half, and labels that follow the true probability."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(centre, 1.2, rows)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.float64)
    return 1 / (1 + np.exp(-1.5 * logits)), labels


def truth(scores: Floats, labels: Floats, predicted: NDArray[np.int64]) -> dict[str, float]:
    hits = float((labels * predicted).sum())
    return {
        "accuracy": float((labels == predicted).mean()),
        "precision": hits / float(predicted.sum()),
        "recall": hits / float(labels.sum()),
    }


@pytest.mark.slow
def test_the_interval_holds_the_realised_value_about_as_often_as_it_says() -> None:
    inside = dict.fromkeys(("accuracy", "precision", "recall"), 0)
    runs = 60
    for run in range(runs):
        of = calibrator(*world(8000, 1000 + run))
        scores, labels = world(2000, 5000 + run, centre=-0.6)
        predicted = (scores > 0.5).astype(np.int64)
        found = estimate(of, scores, predicted).metrics
        for name, value in truth(scores, labels, predicted).items():
            error = estimate_error(found[name], Estimate(value, n=2000))
            inside[name] += bool(error.within)
    # 95 % nominal; 60 runs at .95 give fewer than 51 in 1 of 1,000.
    assert min(inside.values()) >= 51, inside


def test_it_is_blind_to_a_change_of_the_labels_given_the_score() -> None:
    of = calibrator(*world(20000, 1))
    scores, labels = world(5000, 2)
    flipped = np.where(np.random.default_rng(3).random(5000) < 0.2, 1 - labels, labels)
    predicted = (scores > 0.5).astype(np.int64)
    found = estimate(of, scores, predicted).metrics["accuracy"]
    assert found.value == pytest.approx(truth(scores, labels, predicted)["accuracy"], abs=0.02)
    error = estimate_error(found, Estimate(truth(scores, flipped, predicted)["accuracy"], n=5000))
    assert error.difference is not None
    assert error.difference > 0.08
    assert error.within is False


def test_rows_where_the_reference_has_no_labels_make_it_unsupported() -> None:
    scores, labels = world(20000, 4)
    low = scores < 0.6
    of = calibrator(scores[low], labels[low])
    window, _ = world(3000, 5, centre=2.0)
    found = estimate(of, window, (window > 0.5).astype(np.int64))
    assert found.unsupported is not None
    assert found.unsupported > 0.5
    assert {estimate.reason for estimate in found.metrics.values()} == {Undefined.UNSUPPORTED}
    again = estimate(of, window[window < 0.55], np.zeros(int((window < 0.55).sum()), np.int64))
    assert again.unsupported == pytest.approx(0, abs=0.05)
    assert again.metrics["accuracy"].value is not None


def test_a_window_of_other_bins_or_without_rows_says_so() -> None:
    of = calibrator(*world(5000, 6))
    other = prediction_counts(ScoreBins.default(), np.array([0.5]))
    assert estimated_performance(other, of).metrics["auc"].reason is Undefined.UNLIKE_BINS
    empty = prediction_counts(of.bins, np.empty(0))
    assert estimated_performance(empty, of).metrics["auc"].reason is Undefined.NO_ROWS


def test_a_model_that_never_says_positive_has_no_estimated_precision() -> None:
    of = calibrator(*world(5000, 7))
    scores, _ = world(1000, 8)
    found = estimate(of, scores, np.zeros(1000, np.int64)).metrics
    assert found["precision"].reason is Undefined.NO_PREDICTED_POSITIVES
    assert found["recall"].value == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_isotonic_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 6, 200).astype(float)
    hits = rng.binomial(rows.astype(int), np.linspace(0.1, 0.8, 200)).astype(float)
    held = rows > 0
    oracle = IsotonicRegression().fit(np.flatnonzero(held), hits[held] / rows[held], sample_weight=rows[held])
    np.testing.assert_allclose(isotonic(hits, rows)[held], oracle.predict(np.flatnonzero(held)), atol=1e-12)


@pytest.mark.parametrize("rows", [3000, 120_000])
def test_the_steps_cut_scores_where_the_fit_rises(rows: int) -> None:
    scores, labels = world(rows, 9)
    steps = isotonic_steps(scores, labels, 10_000)
    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, labels).predict(scores)
    between = np.searchsorted(steps, scores)
    spread = max(np.ptp(fitted[between == k]) for k in range(len(steps) + 1) if (between == k).any())
    assert spread < (1e-12 if rows == 3000 else 0.2)
    assert len(isotonic_steps(scores, labels, 7)) == 7


def test_a_regressions_loss_follows_its_predictions() -> None:
    rng = np.random.default_rng(10)
    predictions = rng.uniform(0, 10, 20000)
    labels = predictions + rng.normal(size=20000) * (0.2 + predictions / 5)
    builder = LabelsBuilder(prediction_edges(predictions), regression=True)
    builder.add(predictions, labels, {})
    reference = builder.build()
    assert isinstance(reference, ResidualLabels)
    window = rng.uniform(5, 10, 4000)
    errors = rng.normal(size=4000) * (0.2 + window / 5)
    found = estimated_loss(prediction_counts(ScoreBins(reference.edges), window), reference)
    mae = found["mae"]
    assert mae.low is not None
    assert mae.high is not None
    assert mae.low <= np.abs(errors).mean() <= mae.high
    assert mae.high - mae.low < 0.15
    assert found["rmse"].value == pytest.approx(np.sqrt((errors**2).mean()), rel=0.03)
    assert found["rmse"].reason is Undefined.NO_MOMENTS
    counts = prediction_counts(ScoreBins(reference.edges), window)
    light = estimated_loss(replace(counts, counts=counts.counts * (0.6 / 4000)), reference)
    assert light["mae"].value == pytest.approx(mae.value)  # however little the rows weigh together
