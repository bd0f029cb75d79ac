"""What is sent is stored once, whatever the order and however often."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from driftline.events import Feedback, Kpi, Label, Prediction
from driftline_operator.hub import intake, reading, registry
from driftline_operator.hub.reading import FoundFeedback, FoundId, FoundKpi, FoundLabel, FoundPrediction
from driftline_operator.hub.refusal import Refusal

from tests.support.hubs import NOW, Store


def found(store: Store, identity: str) -> FoundId:
    with store.database.reading() as connection:
        return reading.find(connection, store.monitor, identity)


def test_a_prediction_is_kept_with_what_the_monitor_names(store: Store) -> None:
    sent = Prediction(
        id="a", at=NOW, sequence=7, row=2, prediction="yes", score=0.1 + 0.2, weight=2.0, version="3",
        variant="b", segments={"sex": "f", "secret": "x"}, features={"age": 41.5, "secret": "x"},
    )  # fmt: skip
    assert store.predict(sent) == 1
    assert found(store, "a").predictions == (
        FoundPrediction(
            at=NOW, boot="boot", sequence=7, row=2, prediction="yes", score=0.1 + 0.2, weight=2.0,
            version="3", variant="b", segments={"sex": "f"}, features={"age": 41.5},
        ),
    )  # fmt: skip


def test_a_prediction_sent_again_is_there_once(store: Store) -> None:
    one, two = (Prediction(id=name, at=NOW, sequence=n) for n, name in enumerate("ab"))
    assert store.predict(one) == 1
    assert store.predict(one, two) == 1
    assert store.predict(two, one, one) == 0
    assert len(found(store, "a").predictions) == len(found(store, "b").predictions) == 1


def test_another_boot_sends_others(store: Store) -> None:
    one = Prediction(id="a", at=NOW)
    assert (store.predict(one), store.predict(one, boot="other")) == (1, 1)
    assert {each.boot for each in found(store, "a").predictions} == {"boot", "other"}


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        ("x", "x"),
        (True, "true"),
        (1.0, "1"),
        (0.5, "0.5"),
        (-0.0, "0"),
        ("1.0", "1"),
        ("-2.00", "-2"),
        ("1.5", "1.5"),
        ("v1.0", "v1.0"),
    ],
)
def test_classes_go_by_their_name(store: Store, outcome: str | float | bool, kept: str) -> None:
    store.label(Label(id="a", label=outcome, at=NOW))
    assert [each.label for each in found(store, "a").labels] == [kept]


def test_a_regressions_outcomes_are_numbers(store: Store) -> None:
    regression = Store(store.database, "delay", "regression")
    regression.label(Label(id="a", label="12.5", at=NOW), Label(id="b", label=3.0, at=NOW))
    assert [found(regression, name).labels[0].label for name in "ab"] == [12.5, 3.0]
    for wrong in ("late", "nan", True):
        with pytest.raises(Refusal, match="must be a number") as refusal:
            regression.label(Label(id="a", label=1.0), Label(id="b", label=wrong))
        assert (refusal.value.field, refusal.value.value) == ("labels[1].label", wrong)


def test_the_newest_label_holds_and_older_ones_are_known_until_then(store: Store) -> None:
    store.label(Label(id="a", label="second", at=NOW + 20))
    store.label(Label(id="a", label="third", at=NOW + 30), Label(id="a", label="first", at=NOW + 10))
    assert [(each.label, each.at, each.until) for each in found(store, "a").labels] == [
        ("third", NOW + 30, None),
        ("second", NOW + 20, NOW + 30),
        ("first", NOW + 10, NOW + 20),
    ]


def test_of_equally_old_labels_the_last_one_counts(store: Store) -> None:
    assert store.label(Label(id="a", label="x", at=NOW), Label(id="a", label="y", at=NOW)) == 1
    assert store.label(Label(id="a", label="y", at=NOW)) == 0
    assert store.label(Label(id="a", label="z", at=NOW), now=NOW + 1) == 1
    assert found(store, "a").labels == (FoundLabel(at=NOW, label="z", received=NOW + 1),)


def test_a_label_without_time_that_is_known_is_no_news(store: Store) -> None:
    assert store.label(Label(id="a", label="x"), Label(id="b", label="x"), now=NOW) == 2
    assert store.label(Label(id="a", label="x"), Label(id="b", label="y"), now=NOW + 5) == 1
    assert [(each.label, each.at) for each in found(store, "a").labels] == [("x", NOW)]
    assert [(each.label, each.at) for each in found(store, "b").labels] == [("y", NOW + 5), ("x", NOW)]


def test_feedback_is_one_per_event_and_the_newest(store: Store) -> None:
    up, down = Feedback(id="a", thumb="up", at=NOW), Feedback(id="a", thumb="down", at=NOW + 1)
    assert (store.judge(down), store.judge(up), store.judge(down)) == (1, 0, 0)
    assert store.judge(Feedback(id="a", score=0.5, comment="hm", event="e", at=NOW)) == 1
    assert found(store, "a").feedback == (
        FoundFeedback(at=NOW + 1, received=NOW, thumb="down"),
        FoundFeedback(at=NOW, received=NOW, event="e", score=0.5, comment="hm"),
    )


def test_feedback_that_says_nothing_is_refused(store: Store) -> None:
    with pytest.raises(Refusal, match="needs thumb, score or comment"):
        store.judge(Feedback(id="a", thumb="up"), Feedback(id="b"))
    assert not found(store, "a")


def test_kpis_are_one_per_event_and_only_the_named(store: Store) -> None:
    first, second = (Kpi(id="a", name="revenue", value=float(n), event=str(n), at=NOW) for n in (1, 2))
    assert (store.count(first, second), store.count(second, first)) == (2, 0)
    assert store.count(Kpi(id="a", name="revenue", value=9.0, event="2", at=NOW + 1)) == 1
    assert set(found(store, "a").kpis) == {
        FoundKpi(at=NOW, received=NOW, name="revenue", value=1.0, event="1"),
        FoundKpi(at=NOW + 1, received=NOW, name="revenue", value=9.0, event="2"),
    }
    with pytest.raises(Refusal, match="no such name"):
        store.count(Kpi(id="b", name="revenue"), Kpi(id="b", name="profit"))
    assert not found(store, "b")


def test_erasure_takes_all_of_an_id_and_nothing_else(store: Store) -> None:
    for name in "ab":
        store.predict(Prediction(id=name, at=NOW), boot=name)
        store.label(Label(id=name, label="x", at=NOW), Label(id=name, label="y", at=NOW + 1))
        store.judge(Feedback(id=name, thumb="up"))
        store.count(Kpi(id=name, name="revenue"))
    kept = found(store, "b")
    with store.database.writing() as connection:
        assert reading.erase(connection, store.monitor, "a") == 5
    assert not found(store, "a")
    assert found(store, "b") == kept


def test_nothing_is_taken_for_a_monitor_that_has_gone(store: Store) -> None:
    with store.database.writing() as connection:
        assert registry.remove(connection, "ml", "census")
    sending: list[Callable[[], int]] = [
        lambda: store.predict(Prediction(id="a", at=NOW)),
        lambda: store.label(Label(id="a", label="x")),
        lambda: store.judge(Feedback(id="a", thumb="up")),
        lambda: store.count(Kpi(id="a", name="revenue")),
    ]
    for send in sending:
        with pytest.raises(Refusal, match="removed"):
            send()
    assert not found(store, "a")


def test_segments_beyond_the_limit_are_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftline_operator.hub.strata.MOST_STRATA", 2)
    store.predict(*(Prediction(id=s, at=NOW, sequence=n, segments={"sex": s}) for n, s in enumerate("abcd")))
    assert [found(store, each).predictions[0].segments["sex"] for each in "abcd"] == [
        "a", "b", "(other)", "(other)",
    ]  # fmt: skip


def test_rows_are_made_without_the_database(store: Store) -> None:
    rows = intake.label_rows(store.known, [Label(id="b", label="x"), Label(id="a", label="x", at=3.0)], NOW)
    assert [(row["id"], row["at"], row["given"]) for row in rows] == [("a", 3.0, True), ("b", NOW, False)]


def test_what_is_acknowledged_is_stored(store: Store) -> None:
    """Two predictions of one key would be one row: the second isn't taken in silence."""
    with pytest.raises(Refusal, match="sequence of its own") as refusal:
        store.predict(Prediction(id="a", at=NOW), Prediction(id="b", at=NOW))
    assert (refusal.value.status, refusal.value.field) == (400, "predictions[1].id")
    assert store.predict(Prediction(id="a", at=NOW), Prediction(id="c", at=NOW, row=1)) == 2
    for again in ((0, 0), (0, 1)):
        with pytest.raises(Refusal, match="sequence of its own") as refusal:
            store.predict(Prediction(id="new", at=NOW, sequence=9), Prediction(id="b", at=NOW, row=again[1]))
        assert (refusal.value.status, refusal.value.value) == (409, "b")
    assert not found(store, "b")
    assert not found(store, "new")  # all or nothing
    assert store.predict(*(Prediction(id=f"{n}", at=NOW, sequence=n) for n in range(10, 700))) == 690
    assert store.predict(*(Prediction(id=f"{n}", at=NOW, sequence=n) for n in range(10, 700))) == 0
