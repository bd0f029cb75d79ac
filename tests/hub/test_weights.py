"""A sampled monitor: rows count by their weight, as scikit-learn's do; sums are of the traffic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driftline.events import Kpi, Label, Prediction
from driftline.performance.aggregates import MulticlassSums
from driftline.performance.bins import ScoreBins
from driftline.performance.intervals import mean_estimate
from driftline_operator.hub.aggregates import By, Classes, Measure, measured, open_window, outcomes
from driftline_operator.hub.aggregates.measure import Sums
from driftline_operator.hub.database import Database
from driftline_operator.hub.evaluation import figures
from driftline_operator.hub.evaluation.sums import Part
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    mean_absolute_error,
    ndcg_score,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from tests.support.hubs import NOW, Store

HOUR = 3600.0
ROWS = 400


def scores_and_weights() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half of them sampled at 1 in 10, the other half all kept, and unlike."""
    rng = np.random.default_rng(5)
    weights = np.where(np.arange(ROWS) % 2, 10.0, 1.0)
    scores = np.where(weights > 1, rng.beta(2, 5, ROWS), rng.beta(5, 2, ROWS))
    labels = rng.random(ROWS) < np.where(weights > 1, scores, 0.5)
    return scores, labels, weights


def found(store: Store, kind: str, positive: str | None = None) -> Sums:
    bins = ScoreBins.default()
    with (
        store.database.reading() as connection,
        open_window(
            connection, store.monitor, NOW, NOW + HOUR, bins, numeric=kind != "classification"
        ) as window,
    ):
        (only,) = measured(window, Measure(kind, Classes.of(positive), 10), By()).values()  # type: ignore[arg-type]
    return only


def test_a_classifier(store: Store) -> None:
    scores, labels, weights = scores_and_weights()
    each = zip(scores.tolist(), labels.tolist(), weights.tolist(), strict=True)
    send(store, [("yes" if s > 0.4 else "no", w, "yes" if label else "no", s) for s, label, w in each])
    sums = found(store, "classification", "yes")
    metrics = figures.measured(sums)
    decided = scores > 0.4
    for name, wanted, bound in (
        ("accuracy", accuracy_score(labels, decided, sample_weight=weights), 1e-12),
        ("f1", f1_score(labels, decided, sample_weight=weights), 1e-12),
        ("auc", roc_auc_score(labels, scores, sample_weight=weights), 2e-4),
        ("average_precision", average_precision_score(labels, scores, sample_weight=weights), 2e-3),
        ("brier", brier_score_loss(labels, scores, sample_weight=weights), 1e-12),
        ("log_loss", log_loss(labels, scores, sample_weight=weights), 1e-12),
    ):
        assert metrics[name].value == pytest.approx(wanted, abs=bound), name
    assert abs(metrics["accuracy"].value - accuracy_score(labels, decided)) > 0.05
    effective = weights.sum() ** 2 / (weights**2).sum()
    assert metrics["accuracy"].n == pytest.approx(effective)
    low, high = metrics["accuracy"].low, metrics["accuracy"].high
    assert low is not None
    assert high is not None
    p = accuracy_score(labels, decided, sample_weight=weights)
    spread = math.sqrt((weights**2 * ((decided == labels) - p) ** 2).sum()) / weights.sum()
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.05)  # of Hájek's estimator
    several = found(store, "classification")
    assert isinstance(several, MulticlassSums)
    assert figures.measured(several)["accuracy"].value == pytest.approx(p)
    report = figures.sliced(Part(sums))
    assert report.confusion is not None
    assert abs(sum(map(sum, report.confusion)) - effective) <= 2


Row = tuple[str | float, float, str | float, float | None]
"""What was predicted, weight, label, score."""


def send(store: Store, rows: list[Row]) -> None:
    store.predict(
        *(
            Prediction(id=f"id{n}", at=NOW + n, sequence=n, prediction=said, score=score, weight=weight)
            for n, (said, weight, _, score) in enumerate(rows)
        )
    )
    store.label(*(Label(id=f"id{n}", label=row[2], at=NOW + n + 5) for n, row in enumerate(rows)))


def test_numbers(database_kind: Store) -> None:
    store = database_kind
    scores, _, weights = scores_and_weights()
    truth = 20 + 5 * np.random.default_rng(1).normal(size=ROWS)
    said = truth + scores * weights
    each = zip(said.tolist(), weights.tolist(), truth.tolist(), strict=True)
    send(store, [(p, w, y, None) for p, w, y in each])
    metrics = figures.measured(found(store, "regression"))
    for name, of in (("mae", mean_absolute_error), ("rmse", root_mean_squared_error), ("r2", r2_score)):
        assert metrics[name].value == pytest.approx(of(truth, said, sample_weight=weights), abs=1e-9), name


@pytest.fixture
def database_kind(database: object) -> Store:
    return Store(database, kind="regression")  # type: ignore[arg-type]


def test_one_weight_for_all_changes_no_share_and_all_sums(store: Store) -> None:
    send(store, [("yes" if n % 4 else "no", 10.0, "yes", 0.5) for n in range(100)])
    store.count(*(Kpi(id=f"id{n}", name="revenue", value=3.0 + n % 2) for n in range(40)))
    sums = found(store, "classification", "yes")
    assert figures.measured(sums)["accuracy"].n == 100  # no more than there are
    bins = ScoreBins.default()
    with (
        store.database.reading() as connection,
        open_window(connection, store.monitor, NOW, NOW + HOUR, bins, numeric=False) as window,
    ):
        (kpi,) = outcomes.kpi(window, "revenue", By()).values()
    said = figures.kpi_figures({"": kpi}, HOUR)[""]
    assert (said.events, said.sum, said.mean.value, said.rate.value) == (400, 1400.0, 3.5, 0.4)
    plain = mean_estimate(type(kpi.values)(40, 40, 140.0, 500.0, 140.0, 40))
    assert (said.mean.low, said.mean.high) == pytest.approx((plain.low, plain.high))
    assert said.rate.low is not None
    assert said.rate.low < 0.31  # as of 100 predictions, not of 1,000


def test_lists(database: Database) -> None:
    """A list counts by its request's weight: every second one stands for ten."""
    store = Store(database, kind="ranking")
    rng = np.random.default_rng(6)
    scores, grades = rng.normal(size=(60, 5)), rng.integers(0, 3, size=(60, 5))
    grades[:, 0] = 2
    scores[::2, 0] += 2.0  # those of weight 1 are the better ones
    weights = np.where(np.arange(60) % 2, 10.0, 1.0)
    predictions, labels = [], []
    for n, row in ((n, row) for n in range(60) for row in range(5)):
        predictions.append(
            Prediction(
                id=f"{n}/{row}",
                at=NOW + n,
                sequence=n,
                row=row,
                prediction=float(scores[n, row]),
                weight=float(weights[n]),
            )
        )
        labels.append(Label(id=f"{n}/{row}", label=float(grades[n, row]), at=NOW + n + 5))
    store.predict(*predictions)
    store.label(*labels)
    ndcg = np.array([ndcg_score(grades[n : n + 1], scores[n : n + 1]) for n in range(60)])
    value = figures.measured(found(store, "ranking"))["ndcg"].value
    assert value == pytest.approx(np.average(ndcg, weights=weights), abs=1e-12)
    assert abs(value - ndcg.mean()) > 0.01
