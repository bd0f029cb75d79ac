"""Several classes, regression and ranking against scikit-learn on the cases' rows."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.performance.estimate import Undefined
from driftline.performance.from_rows import multiclass_sums, regression_sums
from driftline.performance.multiclass import MulticlassPerformance, multiclass_performance
from driftline.performance.ranking import ListMeasures, measure_list, ranking_metrics, ranking_sums
from driftline.performance.regression import regression_metrics
from sklearn import metrics as sk

from tests.support.labelled import columns, floats, ints
from tests.support.oracle import case_ids, expected

WITHIN = 2e-4


def covtype() -> MulticlassPerformance:
    data = columns("l_covtype_multi")
    probabilities = {str(k): floats(data[f"p{k}"]) for k in range(7)}
    return multiclass_performance(multiclass_sums(data["y_true"], data["y_pred"], probabilities))


def test_several_classes_agree_with_scikit_learn() -> None:
    found, oracle = covtype(), expected("l_covtype_multi")["sklearn"]
    for name, key in (
        ("accuracy", "accuracy"),
        ("f1_macro", "f1_macro"),
        ("f1_weighted", "f1_weighted"),
        ("precision_macro", "precision_macro"),
        ("recall_macro", "recall_macro"),
        ("recall_weighted", "accuracy"),
        ("log_loss", "log_loss"),
        ("auc_macro", "roc_auc_ovr_macro"),
        ("auc_weighted", "roc_auc_ovr_weighted"),
    ):
        assert found.metrics[name].value == pytest.approx(oracle[key], rel=0, abs=WITHIN), name


def test_each_class_agrees_with_scikit_learn() -> None:
    data, found = columns("l_covtype_multi"), covtype()
    oracle = sk.precision_recall_fscore_support(data["y_true"], data["y_pred"], zero_division=np.nan)
    for place, name in enumerate(sorted(set(data["y_true"]))):
        for values, metric in zip(oracle, ("precision", "recall", "f1"), strict=False):
            value = found.by_class[name][metric].value
            assert value == (None if np.isnan(values[place]) else pytest.approx(values[place], rel=1e-12))


def test_a_class_never_predicted_counts_as_zero_and_is_named() -> None:
    found = covtype()
    assert found.counted_as_zero["precision"] == ("4",)
    assert found.by_class["4"]["precision"].reason is Undefined.NO_PREDICTED_POSITIVES


@pytest.mark.parametrize("case", case_ids("regression"))
def test_regression_agrees_with_scikit_learn(case: str) -> None:
    data, oracle = columns(case), expected(case)["sklearn"]
    y, p = floats(data["y_true"]), floats(data["y_pred"])
    found = regression_metrics(regression_sums(y, p, shift=float(y[0])))
    for name, key in (
        ("mae", "mae"),
        ("rmse", "rmse"),
        ("r2", "r2"),
        ("mean_error", "mean_error_pred_minus_true"),
        ("max_error", "max_error"),
    ):
        assert found[name].value == pytest.approx(oracle[key], rel=1e-9, abs=1e-12), name
    nonzero = y != 0
    mape = sk.mean_absolute_percentage_error(y[nonzero], p[nonzero])
    assert found["mape"].value == pytest.approx(mape, rel=1e-12)
    assert found["mape"].n == nonzero.sum()
    if nonzero.all():
        assert found["mape"].value == pytest.approx(oracle["mape"], rel=1e-9)


def lists() -> list[tuple[np.ndarray, np.ndarray]]:
    data = columns("l_rank_300x20")
    users, scores, target = ints(data["user"]), floats(data["score"]), floats(data["target"])
    return [(scores[users == user], target[users == user]) for user in np.unique(users)]


@pytest.mark.parametrize("k", [1, 3, 5, 10])
def test_ranking_agrees_with_numpy_and_scikit_learn(k: int) -> None:
    oracle = expected("l_rank_300x20")["numpy"][f"k{k}"]
    sums = ranking_sums([measure_list(scores, target, k) for scores, target in lists()])
    found = ranking_metrics(sums)
    assert found["ndcg"].value == pytest.approx(oracle["sklearn_ndcg"], abs=1e-9)
    assert found["map"].value == pytest.approx(oracle["map_min_k_rel"], abs=1e-9)
    assert found["mrr"].value == pytest.approx(oracle["mrr"], abs=1e-9)
    assert sums.without_relevant == 35
    assert found["ndcg"].n == 265


@pytest.mark.parametrize("k", [1, 2, 4, 7])
def test_ties_are_the_mean_over_all_their_orders(k: int) -> None:
    rng = np.random.default_rng(8)
    for _ in range(8):
        scores = rng.integers(0, 4, 9).astype(float)
        target = rng.integers(0, 2, 9).astype(float)
        found = measure_list(scores, target, k)
        if found is None:
            assert not target.any()
            continue
        orders = [scores + 1e-6 * rng.permutation(9) for _ in range(600)]
        parts = [measured for order in orders if (measured := measure_list(order, target, k))]
        for name in ListMeasures.__slots__:
            values = np.array([getattr(part, name) for part in parts])
            error = 5 * values.std() / len(values) ** 0.5 + 1e-9
            assert getattr(found, name) == pytest.approx(values.mean(), abs=error), name
        assert found.ndcg == pytest.approx(sk.ndcg_score([target], [scores], k=k), abs=1e-12)


def test_ranking_does_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(9)
    scores, target = rng.integers(0, 5, 30).astype(float), rng.integers(0, 3, 30).astype(float)
    first = measure_list(scores, target, 10)
    assert first is not None
    for _ in range(20):
        place = rng.permutation(30)
        again = measure_list(scores[place], target[place], 10)
        assert again is not None
        assert again.ndcg == pytest.approx(first.ndcg, abs=1e-12)
        assert again.average_precision == pytest.approx(first.average_precision, abs=1e-12)
        assert again.reciprocal_rank == pytest.approx(first.reciprocal_rank, abs=1e-12)
