"""What a profile's labels say of the reference's own performance."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.labels import Group, LabelsBuilder, ResidualLabels, ScoreLabels, prediction_edges, score_edges
from driftline.performance.bins import ScoreBins
from driftline.performance.from_rows import mean_sums, prediction_counts
from driftline.performance.reference import reference_errors, reference_metrics
from sklearn import metrics as sk


def test_a_classifiers_reference_is_decided_as_live_predictions_are() -> None:
    rng = np.random.default_rng(1)
    scores = rng.beta(1.2, 2.0, 20_000)
    labels = (rng.random(20_000) < scores).astype(np.float64)
    builder = LabelsBuilder(score_edges(scores, labels), regression=False)
    builder.add(scores, labels, {})
    kept = builder.build()
    assert isinstance(kept, ScoreLabels)
    live = rng.beta(1.0, 1.5, 30_000)
    counts = prediction_counts(ScoreBins(kept.edges), live, (live > 0.37).astype(np.int64))
    found = reference_metrics(kept, counts)
    predicted = scores > 0.37
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted), abs=1e-3)
    assert found["f1"] == pytest.approx(sk.f1_score(labels, predicted), abs=1e-3)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, scores), abs=2e-4)
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(labels, scores), abs=2e-3)
    errors = reference_errors(kept, counts)
    assert errors is not None
    assert errors.total / errors.rows == pytest.approx(1 - found["accuracy"])
    assert set(reference_metrics(kept)) == {"auc", "average_precision"}
    assert reference_errors(kept) is None
    few = prediction_counts(
        ScoreBins(kept.edges), live[live > 0.5], np.ones(int((live > 0.5).sum()), np.int64)
    )
    assert set(reference_metrics(kept, few)) == {"auc", "average_precision"}
    assert reference_metrics(kept, counts, Group("sex", "1")) == {}
    assert reference_errors(kept, counts, Group("sex", "1")) is None


def test_a_regressions_reference_is_its_residuals() -> None:
    rng = np.random.default_rng(2)
    predictions = rng.normal(10, 3, 5000)
    labels = predictions - rng.normal(0.5, 1, 5000)
    builder = LabelsBuilder(prediction_edges(predictions), regression=True)
    builder.add(predictions, labels, {})
    kept = builder.build()
    assert isinstance(kept, ResidualLabels)
    found = reference_metrics(kept)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(labels, predictions))
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(labels, predictions))
    assert found["mean_error"] == pytest.approx((predictions - labels).mean())
    wanted = mean_sums(np.abs(predictions - labels))
    errors = reference_errors(kept)
    assert errors is not None
    assert (errors.rows, errors.total, errors.squares) == pytest.approx(
        (wanted.rows, wanted.total, wanted.squares)
    )
