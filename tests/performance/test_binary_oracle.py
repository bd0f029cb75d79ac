"""Binary metrics from sums against scikit-learn on the cases' rows."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.performance.aggregates import ScoreCounts
from driftline.performance.binary import BinaryPerformance, binary_performance
from driftline.performance.bins import ScoreBins
from driftline.performance.calibration import recalibration, reliability
from driftline.performance.curves import auc, average_precision
from driftline.performance.estimate import Undefined
from driftline.performance.from_rows import binary_sums
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from tests.support.labelled import columns, floats, ints, reference_bins
from tests.support.oracle import case_ids, expected

CASES = case_ids("binary")
WITHIN = 2e-4
AVERAGE_PRECISION_WITHIN = 2e-3


def measured(case: str, bins: ScoreBins | None = None) -> BinaryPerformance:
    data = columns(case)
    scores = floats(data["score"])
    used = bins or reference_bins(scores)
    return binary_performance(binary_sums(used, ints(data["y_true"]), ints(data["y_pred"]), scores))


def test_the_cases_are_here() -> None:
    assert len(CASES) == 8


@pytest.mark.parametrize("case", CASES)
def test_all_metrics_agree_with_scikit_learn(case: str) -> None:
    found, oracle = measured(case), expected(case)["sklearn"]
    confusion = {name: getattr(found.confusion, name) for name in ("tn", "fp", "fn", "tp")}
    assert confusion == oracle["confusion"]
    for name, key in (
        ("accuracy", "accuracy"),
        ("recall", "recall"),
        ("f1", "f1"),
        ("auc", "roc_auc"),
        ("log_loss", "log_loss"),
        ("brier", "brier"),
    ):
        assert found.metrics[name].value == pytest.approx(oracle[key], rel=0, abs=WITHIN), name
    value = found.metrics["average_precision"].value
    assert value == pytest.approx(oracle["average_precision"], rel=0, abs=AVERAGE_PRECISION_WITHIN)
    precision = found.metrics["precision"]
    if found.confusion.tp + found.confusion.fp:
        assert precision.value == pytest.approx(oracle["precision"], rel=0, abs=1e-12)
    else:
        assert (precision.value, precision.reason) == (None, Undefined.NO_PREDICTED_POSITIVES)


@pytest.mark.parametrize("case", CASES)
def test_counts_and_losses_are_exact_whatever_the_bins(case: str) -> None:
    found, oracle = measured(case, ScoreBins(np.array([0.5]))).metrics, expected(case)["sklearn"]
    for name in ("accuracy", "recall", "f1", "log_loss", "brier"):
        assert found[name].value == pytest.approx(oracle[name], rel=1e-12), name


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("edges", [np.array([0.5]), np.linspace(0.1, 0.9, 9), ScoreBins.default().edges])
def test_the_auc_is_never_off_by_more_than_its_bound(case: str, edges: np.ndarray) -> None:
    found = measured(case, ScoreBins(edges))
    value, bound = found.metrics["auc"].value, found.auc_bound
    assert value is not None
    assert bound is not None
    assert abs(value - expected(case)["sklearn"]["roc_auc"]) <= bound + 1e-12


def test_weights_below_one_row_are_no_missing_class() -> None:
    """As `roc_auc_score` with the same weights: .6 of a positive row is not none."""
    bins = ScoreBins(np.array([0.3, 0.6]))
    counts = ScoreCounts(bins, np.array([40.5, 10.25, 0.7]), np.array([0.1, 0.2, 0.3]))
    scores, labels = np.tile([0.1, 0.5, 0.9], 2), np.repeat([0, 1], 3)
    weights = np.concatenate([counts.negatives, counts.positives])
    wanted = sk.roc_auc_score(labels, scores, sample_weight=weights)
    assert auc(counts).value == pytest.approx(wanted, abs=1e-12)
    wanted = sk.average_precision_score(labels, scores, sample_weight=weights)
    assert average_precision(counts).value == pytest.approx(wanted, abs=1e-12)


def test_rare_positives_keep_their_auc() -> None:
    rng = np.random.default_rng(12)
    labels = (rng.random(400_000) < 2e-4).astype(np.int64)
    scores = 1 / (1 + np.exp(-(rng.normal(-9, 1.2, len(labels)) + 2.0 * labels)))
    rare = binary_performance(binary_sums(reference_bins(scores), labels, None, scores))
    equal_width = binary_sums(ScoreBins(np.linspace(0.001, 0.999, 999)), labels, None, scores)
    exact = sk.roc_auc_score(labels, scores)
    assert rare.metrics["auc"].value == pytest.approx(exact, abs=WITHIN)
    blurred = binary_performance(equal_width).metrics["auc"].value
    assert blurred is not None
    assert abs(blurred - exact) > 0.05


def test_labels_that_were_given_are_not_recomputed_at_one_half() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.9])
    labels = np.array([0, 1, 1, 1])
    found = binary_performance(binary_sums(ScoreBins.default(), labels, np.array([0, 1, 1, 1]), scores))
    assert found.metrics["accuracy"].value == 1.0


def test_a_score_of_exactly_zero_costs_what_scikit_learn_says() -> None:
    labels, scores = np.array([1, 0, 1]), np.array([0.0, 1.0, 0.5])
    found = binary_performance(binary_sums(ScoreBins.default(), labels, None, scores)).metrics["log_loss"]
    assert found.value == pytest.approx(sk.log_loss(labels, scores), rel=1e-12)


@pytest.mark.parametrize("case", ["l_ma_2016", "l_elec_w2", "l_ma_2018"])
def test_slope_and_intercept_are_those_of_a_logistic_regression(case: str) -> None:
    data = columns(case)
    labels, scores = ints(data["y_true"]), floats(data["score"])
    clipped = np.clip(scores, np.finfo(float).eps, 1 - np.finfo(float).eps)
    logits = np.log(clipped / (1 - clipped))
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logits[:, None], labels)
    found = recalibration(binary_sums(reference_bins(scores), labels, None, scores))
    assert found.slope.value == pytest.approx(oracle.coef_[0, 0], abs=2e-3)
    assert found.intercept.value == pytest.approx(oracle.intercept_[0], abs=2e-3)


def test_the_reliability_table_holds_every_row_once() -> None:
    data = columns("l_ma_2017")
    labels, scores = ints(data["y_true"]), floats(data["score"])
    table = reliability(binary_sums(reference_bins(scores), labels, None, scores))
    assert len(table) == 10
    assert sum(row.rows for row in table) == len(labels)
    assert sum(row.rows * row.score for row in table) == pytest.approx(scores.sum(), rel=1e-12)
    assert sum(row.rows * (row.share.value or 0.0) for row in table) == pytest.approx(labels.sum())
    assert [row.score for row in table] == sorted(row.score for row in table)


def test_the_calibration_error_is_that_of_rows_in_equal_groups() -> None:
    data = columns("l_ma_2016")
    labels, scores = ints(data["y_true"]), floats(data["score"])
    found = measured("l_ma_2016").metrics["calibration_error"].value
    order = np.argsort(scores, kind="stable")
    groups = np.array_split(order, 10)
    exact = sum(abs(labels[g].sum() - scores[g].sum()) for g in groups) / len(labels)
    assert found == pytest.approx(exact, abs=1e-3)
