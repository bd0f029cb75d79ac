"""A ranking's metrics: the database's against `measure_list` on the same lists, and against scikit-learn."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from driftline.events import Label, Prediction
from driftline.performance.bins import ScoreBins
from driftline.performance.ranking import measure_list, ranking_metrics, ranking_sums
from driftline_operator.hub.aggregates import By, Cell, open_window
from driftline_operator.hub.aggregates.ranking import ranking, ranking_errors
from driftline_operator.hub.database import Database
from driftline_operator.hub.evaluation.turns import Turns
from driftline_operator.hub.refusal import Refusal
from sklearn.metrics import average_precision_score, ndcg_score

from tests.support.hubs import NOW, Store

HOUR = 3600.0
CASE = Path(__file__).parents[1] / "cases" / "l_rank_300x20.csv.gz"
START = NOW // HOUR * HOUR
Item = tuple[float, float | None, float]
"""Score, relevance (None: there is no label), seconds until the label."""


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, kind="ranking")


def tied() -> Iterator[list[Item]]:
    """Lists with runs of equal scores, grades, late labels, lists without label or relevant item."""
    rng = np.random.default_rng(3)
    for place in range(120):
        scores = rng.integers(0, 5, 12) / 4 if place % 2 else rng.normal(size=rng.integers(1, 15))
        grades = rng.integers(0, 4, len(scores)) * (rng.random(len(scores)) < 0.4)
        labelled = rng.random(len(scores)) < (0.0 if place % 10 == 9 else 0.7)
        yield [
            (float(score), float(grade) if known else None, 7200.0 if rng.random() < 0.2 else 60.0)
            for score, grade, known in zip(scores, grades, labelled, strict=True)
        ]


def send(store: Store, lists: list[list[Item]]) -> None:
    predictions, labels = [], []
    for place, items in enumerate(lists):
        at = START + HOUR * place / len(lists)
        for row, (score, relevance, late) in enumerate(items):
            identity = f"{place}/{row}"
            predictions.append(
                Prediction(
                    id=identity, at=at, sequence=place, row=row, prediction=score, version="12"[place % 2]
                )
            )
            if relevance is not None:
                labels.append(Label(id=identity, label=relevance, at=at + late))
    order = np.random.default_rng(0).permutation(len(predictions))  # the order of rows says nothing
    store.predict(*(predictions[place] for place in order))
    store.label(*labels)


@pytest.mark.parametrize("k", [1, 3, 10, 100])
@pytest.mark.parametrize("age", [None, HOUR])
def test_the_database_measures_lists_as_rows_do(store: Store, k: int, age: float | None) -> None:
    lists = list(tied())
    send(store, lists)
    bins = ScoreBins.default()
    with (
        store.database.reading() as connection,
        open_window(connection, store.monitor, START, START + HOUR, bins, numeric=True) as window,
    ):
        found = ranking(window, By(age=age), k)
        errors = ranking_errors(window, By(age=age, bucket=HOUR / 4), k)
    for version in (0, 1):
        known = [
            [(score, None if r is None or (age is not None and late > age) else r) for score, r, late in each]
            for each in lists[version::2]
        ]
        measured = [
            measure_list(np.array([s for s, _ in each]), np.array([r or 0.0 for _, r in each]), k)
            for each in known
            if any(r is not None for _, r in each)
        ]
        wanted, got = ranking_sums(measured), found[Cell("12"[version], "")]
        assert got.without_relevant == wanted.without_relevant > 0
        for name in ("ndcg", "average_precision", "reciprocal_rank"):
            a, b = getattr(got, name), getattr(wanted, name)
            assert (a.requests, a.rows, a.sizes) == (b.requests, b.rows, b.sizes)
            assert (a.total, a.squares, a.products) == pytest.approx(
                (b.total, b.squares, b.products), rel=1e-12
            )
        buckets = errors[Cell("12"[version], "")]
        assert len(buckets) == 4
        assert sum(each.errors.rows for each in buckets) == wanted.ndcg.rows
        assert sum(each.errors.total for each in buckets) == pytest.approx(
            wanted.ndcg.rows - wanted.ndcg.total
        )


def case() -> list[list[Item]]:
    with gzip.open(CASE, "rt") as file:
        rows = list(csv.DictReader(file))
    lists: dict[str, list[Item]] = {}
    for row in rows:
        lists.setdefault(row["user"], []).append((float(row["score"]), float(row["target"]), 60.0))
    return list(lists.values())


def test_the_report_is_scikit_learns_on_the_same_lists(store: Store) -> None:
    lists = case()
    send(store, lists)
    turns = Turns(store.database, 60.0, lambda: START + 2 * HOUR)
    spec = store.known.monitor.spec
    assert spec.labels is not None
    assert turns.turn({store.known.name: store.known}) == 1
    report = turns.reports[store.known.name]
    held = [each for each in lists if any(relevance for _, relevance, _ in each)]
    overall = report.ages[0].overall
    assert overall.labels == sum(map(len, lists))
    metrics = overall.metrics
    scores = [[[score for score, _, _ in each]] for each in held]
    truth = [[[relevance for _, relevance, _ in each]] for each in held]
    assert metrics["ndcg"].n == len(held) == 265
    assert metrics["ndcg"].value == pytest.approx(
        np.mean([ndcg_score(y, s, k=10) for y, s in zip(truth, scores, strict=True)]), abs=2e-4
    )
    assert metrics["ndcg"].low is not None
    assert metrics["mrr"].value == pytest.approx(np.mean([reciprocal(each) for each in held]), abs=2e-4)
    assert set(metrics) == {"ndcg", "map", "mrr"}
    assert report.estimated is not None
    assert report.estimated.state == "Unsupported"


def reciprocal(items: list[Item], k: int = 10) -> float:
    ranks = [rank for rank, item in enumerate(sorted(items, key=lambda each: -each[0]), 1) if item[1]]
    return 1 / ranks[0] if ranks[0] <= k else 0.0


def test_the_mean_average_precision_of_whole_lists_is_scikit_learns(store: Store) -> None:
    lists = case()
    send(store, lists)
    bins = ScoreBins.default()
    with (
        store.database.reading() as connection,
        open_window(connection, store.monitor, START, START + HOUR, bins, numeric=True) as window,
    ):
        (one, two) = ranking(window, By(), 20).values()
    exact = [
        average_precision_score([relevance or 0 for _, relevance, _ in each], [score for score, _, _ in each])
        for each in lists
        if any(relevance for _, relevance, _ in each)
    ]
    assert ranking_metrics(one + two)["map"].value == pytest.approx(np.mean(exact), abs=2e-4)


def test_a_relevance_is_not_negative(store: Store) -> None:
    with pytest.raises(Refusal, match="negative"):
        store.label(Label(id="a", label=-1.0))
    with pytest.raises(Refusal, match="number"):
        store.label(Label(id="a", label="good"))
