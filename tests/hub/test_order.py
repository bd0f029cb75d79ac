"""Whatever the order, the batches and the repetitions: the same is stored, and added up."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from driftline.events import Feedback, Kpi, Label, Prediction
from driftline.performance.bins import ScoreBins
from driftline_operator.hub import schema
from driftline_operator.hub.aggregates import By, Classes, open_window, outcomes, sums
from driftline_operator.hub.database import Database
from driftline_operator.hub.migrate import migrate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from tests.support.hubs import NOW, Store

YES = Classes.of("yes")
IDS = "abcd"
AT = st.integers(0, 5).map(lambda n: NOW + 10.0 * n)
NEW = itertools.count()


@st.composite
def events(draw: st.DrawFn) -> list[Any]:
    """Events of few ids, so that they meet. One time has one label: the last of two that tie would count."""
    predictions = {
        (n, each): Prediction(id=each, at=at, sequence=n, prediction=said, score=0.5)
        for n, (each, at, said) in enumerate(
            draw(st.lists(st.tuples(st.sampled_from(IDS), AT, st.sampled_from(["yes", "no"])), max_size=6))
        )
    }
    labels = draw(
        st.dictionaries(st.tuples(st.sampled_from(IDS), AT), st.sampled_from(["yes", "no"]), max_size=6)
    )
    thumbs = draw(
        st.dictionaries(st.tuples(st.sampled_from(IDS), AT), st.sampled_from(["up", "down"]), max_size=4)
    )
    values = draw(st.dictionaries(st.tuples(st.sampled_from(IDS), AT), st.integers(0, 3), max_size=4))
    return [
        *predictions.values(),
        *(Label(id=each, at=at, label=label) for (each, at), label in labels.items()),
        *(Feedback(id=each, at=at, thumb=thumb) for (each, at), thumb in thumbs.items()),  # type: ignore[arg-type]
        *(Kpi(id=each, at=at, name="revenue", value=float(x)) for (each, at), x in values.items()),
    ]


def send(store: Store, sent: list[Any], size: int) -> None:
    for start in range(0, len(sent), size):
        batch = sent[start : start + size]
        store.predict(*(each for each in batch if isinstance(each, Prediction)))
        store.label(*(each for each in batch if isinstance(each, Label)))
        store.judge(*(each for each in batch if isinstance(each, Feedback)))
        store.count(*(each for each in batch if isinstance(each, Kpi)))


def added_up(store: Store) -> list[Any]:
    with (
        store.database.reading() as connection,
        open_window(connection, store.monitor, NOW, NOW + 100, ScoreBins.default(), numeric=False) as window,
    ):
        binary = [sums.binary(window, YES, By(age=age)) for age in (None, 0.0, 10.0, 30.0)]
        return [
            [{cell: (each.counts.tolist(), each.errors) for cell, each in found.items()} for found in binary],
            sums.error_buckets(window, By(bucket=20.0), YES),
            {cell: each.counts.tolist() for cell, each in outcomes.lags(window, By()).items()},
            {cell: each.labelled.tolist() for cell, each in outcomes.coverage(window, By(age=10.0)).items()},
            outcomes.feedback(window, By()),
            outcomes.kpi(window, "revenue", By()),
        ]


def empty(store: Store) -> None:
    with store.database.writing() as connection:
        for table in (schema.predictions, schema.labels, schema.feedback, schema.kpis):
            connection.execute(delete(table))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=events(), data=st.data())
def test_order_batches_and_repetitions_change_nothing(
    store: Store, sent: list[Any], data: st.DataObject
) -> None:
    empty(store)
    send(store, sent, size=len(sent) or 1)
    expected = added_up(store)
    empty(store)
    again = data.draw(st.lists(st.sampled_from(sent), max_size=8)) if sent else []
    shuffled = data.draw(st.permutations(sent + again))
    send(store, shuffled, size=data.draw(st.integers(1, 7)))
    assert added_up(store) == expected


@pytest.mark.parametrize("kind", ["sqlite"])
def test_another_replica_adds_up_the_same(kind: str, tmp_path: Path) -> None:
    url = f"{kind}:///{tmp_path}/hub.db"
    first, second = Database(url), Database(url)
    migrate(first)
    writing, reading = Store(first), Store(second)
    writing.predict(Prediction(id="a", at=NOW, prediction="yes"))
    reading.label(Label(id="a", label="yes", at=NOW + 1))
    assert added_up(writing) == added_up(reading)
    assert added_up(writing)[0][0]
    first.close()
    second.close()
