"""The database's sums are those of `driftline.performance.from_rows`, on the same rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from driftline.events import Feedback, Kpi, Label, Prediction
from driftline.performance import from_rows
from driftline.performance.aggregates import FeedbackCounts, MeanSums, RegressionSums
from driftline.performance.bins import ScoreBins
from driftline.performance.lag import LagCounts
from driftline_operator.hub.aggregates import By, Cell, Classes, Window, open_window, outcomes, sums

from tests.support.hubs import NOW, Store

YES = Classes.of("yes")
ROWS = 600
HOUR = 3600.0


class Rows(NamedTuple):
    """What was sent, and what must be found of it."""

    predictions: list[Prediction]
    labels: list[Label]


def some(kind: str, *, multiple: bool) -> Rows:
    """Predictions over an hour, two thirds of them labelled, some late, some corrected late."""
    random = np.random.default_rng(7)
    predictions, labels = [], []
    for n in range(ROWS):
        score = [0.0, 1.0, 1.5, None][n % 4] if n < 16 else float(random.random() ** 3)
        said: str | float | None = None if n % 50 == 49 else ("yes" if (score or 0) > 0.3 else "no")
        if kind == "regression":
            said, score = float(random.normal(20, 5)), None
        at = NOW + n * HOUR / ROWS
        predictions.append(
            Prediction(
                id=f"id{n}", at=at, sequence=n // 3 if multiple else n, row=n % 3 if multiple else 0,
                prediction=said, score=score, version="12"[n % 2], variant="",
                segments={"sex": "fm"[n % 5 == 0]} if n % 7 else {},
            )
        )  # fmt: skip
        if n % 3:
            truth: str | float = float(random.normal(20, 5)) if n % 11 else 0.0
            if kind != "regression":
                truth = "yes" if random.random() < (score or 0.1) else "no"
            labels.append(Label(id=f"id{n}", label=truth, at=at + (60 if n % 4 < 2 else 7200)))
            if n % 20 == 1:
                other = -1.0 if kind == "regression" else ("no" if truth == "yes" else "yes")
                labels.append(Label(id=f"id{n}", label=other, at=at + 10_000))
    return Rows(predictions, labels)


@pytest.fixture(params=[False, True], ids=["rows", "requests"])
def multiple(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def looked(store: Store, bins: ScoreBins, kind: str = "classification") -> Any:
    connection = store.database.reading()

    class _Opened:
        def __enter__(self) -> Window:
            self._window = open_window(
                connection.__enter__(), store.monitor, NOW, NOW + HOUR, bins, numeric=kind != "classification"
            )
            return self._window.__enter__()

        def __exit__(self, *error: Any) -> None:
            self._window.__exit__(*error)
            connection.__exit__(*error)

    return _Opened()


def known_at(rows: Rows, age: float | None) -> dict[str, str | float]:
    made = {each.id: each.at for each in rows.predictions}
    found: dict[str, str | float] = {}
    for each in sorted(rows.labels, key=lambda label: label.at or 0):
        if age is None or (each.at or 0) - made[each.id] <= age:
            found[each.id] = each.label
    return found


def same_means(a: MeanSums, b: MeanSums) -> None:
    assert (a.requests, a.rows, a.sizes) == (b.requests, b.rows, b.sizes)
    for x, y in ((a.total, b.total), (a.squares, b.squares), (a.products, b.products)):
        assert math.isclose(x, y, rel_tol=1e-11, abs_tol=1e-12)


def column(rows: list[Prediction], name: str, missing: float = math.nan) -> Any:
    return np.array(
        [missing if getattr(row, name) is None else getattr(row, name) for row in rows], np.float64
    )


def cells(rows: Rows, segment: bool) -> Iterator[tuple[Cell, list[Prediction]]]:
    for version in "12":
        own = [each for each in rows.predictions if each.version == version]
        if not segment:
            yield Cell(version, ""), own
            continue
        for value in "fm":
            yield Cell(version, "", value), [each for each in own if each.segments.get("sex") == value]


@pytest.mark.parametrize("age", [None, HOUR, 3 * HOUR])
@pytest.mark.parametrize("segment", [None, "sex"])
def test_binary(store: Store, multiple: bool, age: float | None, segment: str | None) -> None:
    rows, bins = some("classification", multiple=multiple), ScoreBins.default()
    store.label(*rows.labels[::-1])
    store.predict(*rows.predictions)
    truth = known_at(rows, age)
    with looked(store, bins) as window:
        found = sums.binary(window, YES, By(segment=segment, age=age))
    expected = dict(cells(rows, segment is not None))
    assert found.keys() == expected.keys()
    for cell, members in expected.items():
        own = [each for each in members if each.id in truth]
        said = np.array([2 if row.prediction is None else int(row.prediction == "yes") for row in own])
        wanted = from_rows.binary_sums(
            bins,
            np.array([int(truth[row.id] == "yes") for row in own]),
            said,
            column(own, "score"),
            column(own, "sequence").astype(np.int64),
        )
        got = found[cell]
        assert np.array_equal(got.counts, wanted.counts)
        assert got.rows > 10
        assert np.allclose(got.scores, wanted.scores, rtol=1e-12)
        assert got.outside == wanted.outside
        for name in ("errors", "log_loss", "brier"):
            same_means(getattr(got, name), getattr(wanted, name))


def test_corrections_count_from_their_time_on(store: Store) -> None:
    rows = some("classification", multiple=False)
    assert known_at(rows, HOUR) != known_at(rows, 2 * HOUR) != known_at(rows, None)
    store.predict(*rows.predictions)
    store.label(*rows.labels)
    with looked(store, ScoreBins.default()) as window:
        found = [
            sum(each.rows for each in sums.binary(window, YES, By(age=age)).values()) for age in (HOUR, None)
        ]
    assert found == [len(known_at(rows, HOUR)), len(known_at(rows, None))]


def test_multiclass(store: Store, multiple: bool) -> None:
    rows = some("classification", multiple=multiple)
    store.predict(*rows.predictions)
    store.label(*rows.labels)
    truth = known_at(rows, None)
    with looked(store, ScoreBins.default()) as window:
        found = sums.multiclass(window, Classes(), By())
    for cell, members in cells(rows, segment=False):
        own = [each for each in members if each.id in truth and each.prediction is not None]
        wanted = from_rows.multiclass_sums(
            np.array([truth[row.id] for row in own]),
            np.array([row.prediction for row in own]),
            request=column(own, "sequence").astype(np.int64),
        )
        assert found[cell].classes == wanted.classes
        assert np.array_equal(found[cell].confusion, wanted.confusion)
        same_means(found[cell].errors, wanted.errors)


def test_regression(store: Store, multiple: bool) -> None:
    store = Store(store.database, "delay", "regression")
    rows = some("regression", multiple=multiple)
    store.predict(*rows.predictions)
    store.label(*rows.labels)
    truth = known_at(rows, HOUR)
    with looked(store, ScoreBins(np.array([15.0, 20.0, 25.0])), "regression") as window:
        found = sums.regression(window, By(age=HOUR))
        counts = sums.predicted(window, By(), Classes())
    for cell, members in cells(rows, segment=False):
        own = [each for each in members if each.id in truth]
        wanted = from_rows.regression_sums(
            np.array([truth[row.id] for row in own]),
            column(own, "prediction"),
            found[cell].labels.shift,
            column(own, "sequence").astype(np.int64),
        )
        same_regression(found[cell], wanted)
        all_of = from_rows.prediction_counts(counts[cell].bins, column(members, "prediction"))
        assert np.array_equal(counts[cell].counts, all_of.counts)


def same_regression(a: RegressionSums, b: RegressionSums) -> None:
    for name in ("errors", "absolute", "squares", "percentage"):
        same_means(getattr(a, name), getattr(b, name))
    assert (a.labels.rows, a.labels.shift) == (b.labels.rows, b.labels.shift)
    for x, y in zip(
        (*a.labels.sums, *a.labels.cross, a.labels.squared_errors, a.largest),
        (*b.labels.sums, *b.labels.cross, b.labels.squared_errors, b.largest),
        strict=True,
    ):
        assert math.isclose(x, y, rel_tol=1e-10, abs_tol=1e-9)


def test_errors_by_time_add_up_to_the_whole(store: Store, multiple: bool) -> None:
    rows = some("classification", multiple=multiple)
    store.predict(*rows.predictions)
    store.label(*rows.labels)
    with looked(store, ScoreBins.default()) as window:
        buckets = sums.error_buckets(window, By(bucket=HOUR / 4), YES)
        by_name = sums.error_buckets(window, By(bucket=HOUR / 4), Classes())
        whole = sums.binary(window, YES, By())
    assert buckets == by_name  # two classes: wrong is wrong
    for cell, found in buckets.items():
        assert [each.start for each in found] == [NOW + n * HOUR / 4 for n in range(4)]
        total = found[0].errors + found[1].errors + found[2].errors + found[3].errors
        assert (total.rows, total.total) == (whole[cell].errors.rows, whole[cell].errors.total)


def test_coverage_and_lag(store: Store) -> None:
    rows, bins = some("classification", multiple=False), ScoreBins.default()
    store.predict(*rows.predictions)
    store.label(*rows.labels)
    made = {each.id: each.at for each in rows.predictions}
    with looked(store, bins) as window:
        coverage = outcomes.coverage(window, By(age=HOUR))
        lags = outcomes.lags(window, By())
        counts = sums.predicted(window, By(), YES)
    truth = known_at(rows, HOUR)
    for cell, own in cells(rows, segment=False):
        labelled = np.array([row.id in truth for row in own])
        wanted = from_rows.coverage_counts(bins, column(own, "score"), labelled)
        assert np.array_equal(coverage[cell].labelled, wanted.labelled)
        assert np.array_equal(coverage[cell].unlabelled, wanted.unlabelled)
        said = np.array([2 if row.prediction is None else int(row.prediction == "yes") for row in own])
        all_of = from_rows.prediction_counts(bins, column(own, "score"), said)
        assert np.array_equal(counts[cell].counts, all_of.counts)
        names = {row.id for row in own}
        first: dict[str, float] = {}
        for label in rows.labels:
            if label.id in names:
                first.setdefault(label.id, (label.at or 0) - made[label.id])
        assert np.array_equal(lags[cell].counts, LagCounts.of(first.values()).counts)


def test_the_newest_prediction_of_an_id_within_the_window_counts(store: Store) -> None:
    store.predict(
        Prediction(id="a", at=NOW + 1, sequence=1, prediction="no"),
        Prediction(id="a", at=NOW + 2, sequence=2, prediction="yes"),
        Prediction(id="a", at=NOW + HOUR, sequence=3, prediction="no"),  # of the next window
        Prediction(id="a", at=NOW - 1, sequence=0, prediction="no"),  # of the one before
    )
    store.label(Label(id="a", label="yes", at=NOW - 100))
    with looked(store, ScoreBins.default()) as window:
        (found,) = sums.binary(window, YES, By()).values()
    assert found.confusion().tolist() == [[0, 0], [0, 1]]


def test_feedback_and_kpis_by_variant(store: Store) -> None:
    store.predict(
        *(Prediction(id=f"{n}", at=NOW + n, sequence=n, variant="ab"[n % 2]) for n in range(10)),
    )
    store.judge(
        Feedback(id="0", thumb="down", at=NOW), Feedback(id="0", thumb="up", event="again", at=NOW + 1),
        Feedback(id="2", thumb="up"), Feedback(id="1", thumb="down"), Feedback(id="3", score=0.1),
        Feedback(id="unknown", thumb="up"),
    )  # fmt: skip
    store.count(
        Kpi(id="0", name="revenue", value=2.0, event="x"), Kpi(id="0", name="revenue", value=3.0, event="y"),
        Kpi(id="2", name="revenue", value=7.0), Kpi(id="unknown", name="revenue"),
    )  # fmt: skip
    with looked(store, ScoreBins.default()) as window:
        feedback = outcomes.feedback(window, By())
        kpis = outcomes.kpi(window, "revenue", By())
    assert feedback == {Cell("", "a"): FeedbackCounts(2, 0), Cell("", "b"): FeedbackCounts(0, 1)}
    assert kpis[Cell("", "a")].values == MeanSums(2, 3, 12.0, 25 + 49, 2 * 5 + 7, 5)
    assert (kpis[Cell("", "a")].converted, kpis[Cell("", "a")].predictions) == (2, 5)
    assert (kpis[Cell("", "b")].converted, kpis[Cell("", "b")].predictions) == (0, 5)
