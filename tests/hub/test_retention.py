"""What is too old, too much, or of nobody, goes; the rest stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from driftline.events import Feedback, Kpi, Label, Prediction
from driftline_operator.hub import panes, partitions, reading, registry, retention, schema
from driftline_operator.hub.database import Database, away
from driftline_operator.hub.panes import StoredPane
from driftline_operator.hub.refusal import Refusal
from driftline_operator.hub.retention import Limits
from driftline_operator.hub.strata import Numbers
from driftline_operator.hub.upkeep import upkeep

from tests.support.hubs import NOW, Store

DAY = 86_400.0


def rows(store: Store, table: sa.Table) -> int:
    with store.database.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def fill(store: Store) -> None:
    """One a day for ten days, with all that may come of it."""
    for day in range(10):
        at = NOW - day * DAY
        store.predict(Prediction(id=f"{day}", at=at, sequence=day, segments={"sex": "f"}))
        store.label(Label(id=f"{day}", label="x", at=at), now=at)
        store.judge(Feedback(id=f"{day}", thumb="up"), now=at)
        store.count(Kpi(id=f"{day}", name="revenue"), now=at)


def test_by_age(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PIECE", 2)
    fill(store)
    other = Store(store.database, "other")
    other.predict(Prediction(id="a", at=NOW - 9 * DAY))
    limits = [Limits(store.monitor, 4.5 * DAY, 1000), Limits(other.monitor, 20 * DAY, 1000)]
    counts = retention.clean(store.database, limits, NOW)
    assert counts == {"predictions": 5, "labels": 5, "feedback": 5, "kpis": 5}
    assert rows(store, schema.predictions) == 6
    assert [rows(store, each) for each in (schema.labels, schema.feedback, schema.kpis)] == [5, 5, 5]
    assert retention.clean(store.database, limits, NOW) == {}


def test_by_number(store: Store) -> None:
    fill(store)
    assert retention.clean(store.database, [Limits(store.monitor, 90 * DAY, 3)], NOW)["predictions"] == 7
    with store.database.reading() as connection:
        assert set(connection.execute(sa.select(schema.predictions.c.id)).scalars()) == {"0", "1", "2"}


def test_what_a_removed_monitor_left(store: Store) -> None:
    fill(store)
    with store.database.writing() as connection:
        panes.add(
            connection, store.monitor, (StoredPane(start=NOW, seconds=60.0, profile="a", body=b"x"),), NOW
        )
        registry.remove(connection, "ml", "census")
    kept = Store(store.database, "kept")
    kept.predict(Prediction(id="a", at=NOW, segments={"sex": "f"}))
    assert kept.monitor > store.monitor
    retention.clean(store.database, [Limits(kept.monitor, 90 * DAY, 1000)], NOW)
    for table in schema.OF_MONITOR:
        with store.database.reading() as connection:
            assert set(connection.execute(sa.select(table.c.monitor_id)).scalars()) <= {kept.monitor}
    assert (rows(kept, schema.predictions), rows(kept, schema.stratum_segments)) == (1, 1)


def test_limits_are_the_monitors(store: Store) -> None:
    with store.database.reading() as connection:
        found = retention.limits_of(registry.read(connection))
    assert found == [Limits(store.monitor, 90 * DAY, 50_000_000)]


def test_days_are_made_ahead_and_take_what_came_before_them(store: Store) -> None:
    if not store.database.postgres:
        pytest.skip("SQLite has no partitions")
    today = NOW // DAY * DAY
    store.predict(*(Prediction(id=f"{n}", at=today + n * DAY + 5, sequence=n + 9) for n in range(-9, 10)))
    with store.database.writing() as connection:
        made = partitions.ensure(connection, NOW)
        assert len(made) == partitions.BEHIND + 1 + partitions.AHEAD
        assert partitions.ensure(connection, NOW) == []
    assert in_partition(store.database, "predictions_others") == 19 - 6
    assert {in_partition(store.database, name) for name in made} == {1}
    assert store.predict(Prediction(id="0", at=today + 5, sequence=9)) == 0
    assert store.predict(Prediction(id="new", at=today + 6, sequence=100)) == 1
    with store.database.writing() as connection:
        assert partitions.drop_before(connection, today) == made[:2]
    assert rows(store, schema.predictions) == 18


def in_partition(database: Database, name: str) -> int:
    with database.reading() as connection:
        return int(connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one())


def test_pane_history_is_idempotent_and_found_by_time(store: Store) -> None:
    sent = tuple(
        StoredPane(start=NOW + 60.0 * n, seconds=60.0, profile="a", body=bytes([n])) for n in range(5)
    )
    other = StoredPane(start=NOW, seconds=60.0, profile="b", body=b"other")
    with store.database.writing() as connection:
        assert panes.add(connection, store.monitor, (*sent, other), NOW) == 6
        assert panes.add(connection, store.monitor, sent, NOW) == 0
        changed = StoredPane(start=NOW, seconds=60.0, profile="a", body=b"newer")
        assert panes.add(connection, store.monitor, (changed,), NOW) == 1
    with store.database.reading() as connection:
        page = panes.find(connection, store.monitor, "a", NOW, NOW + 240, most=2)
        rest = panes.find(connection, store.monitor, "a", page.next or 0, NOW + 240)
    assert page.panes == (changed, sent[1])
    assert (page.next, rest.panes, rest.next) == (NOW + 120, sent[2:4], None)


def test_no_day_is_dropped_while_a_monitor_cant_be_read(store: Store) -> None:
    """A newer hub's monitor may keep its rows for longer than all others."""
    if not store.database.postgres:
        pytest.skip("SQLite has no partitions")
    newer = Store(store.database, "newer")
    partitions.keep(store.database, NOW)
    newer.predict(Prediction(id="a", at=NOW))
    with store.database.writing() as connection:
        document = sa.update(schema.monitors).values(document='{"spec": {"unknown": 1}}')
        connection.execute(document.where(schema.monitors.c.id == newer.monitor))
    with store.database.reading() as connection:
        found = registry.read(connection)
    assert found.unreadable == {("ml", "newer")}
    with pytest.raises(Refusal, match="newer hub"):
        found.find("ml", "newer")
    assert "partitions" not in retention.clean(store.database, retention.limits_of(found), NOW + 200 * DAY)
    assert rows(newer, schema.predictions) == 1


def test_days_arent_waited_for_while_someone_reads(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    if not store.database.postgres:
        pytest.skip("SQLite has no partitions")
    upkeep(store.database, NOW - 300 * DAY)
    store.predict(Prediction(id="old", at=NOW - 300 * DAY))
    with store.database.reading() as reader:
        reader.execute(sa.select(sa.func.count()).select_from(schema.predictions))
        with ThreadPoolExecutor(1) as thread:
            cleaning = thread.submit(upkeep, store.database, NOW)
            store.predict(Prediction(id="new", at=NOW, sequence=1))  # waits a second at most
            cleaning.result(20)
    caplog.set_level("INFO")
    upkeep(store.database, NOW)
    assert "partitions" in caplog.text
    assert rows(store, schema.predictions) == 1


def test_a_read_that_takes_too_long_is_ended(store: Store) -> None:
    if not store.database.postgres:
        pytest.skip("SQLite has no such limit")
    with pytest.raises(sa.exc.OperationalError) as ended, store.database.reading(0.1) as connection:
        connection.execute(sa.text("SELECT pg_sleep(20)"))
    refusal = away(ended.value)
    assert refusal is not None
    assert "ask for less time" in refusal.error


def test_of_a_label_that_goes_the_one_before_holds_again(store: Store) -> None:
    """The correction came first, what it corrects later: retention goes by when they came."""
    store.label(Label(id="a", label="corrected", at=NOW - 10), now=NOW - 5 * DAY)
    store.label(Label(id="a", label="first", at=NOW - 20), now=NOW - DAY)
    assert retention.clean(store.database, [Limits(store.monitor, 2 * DAY, 1000)], NOW) == {"labels": 1}
    with store.database.reading() as connection:
        (left,) = reading.find(connection, store.monitor, "a").labels
    assert (left.label, left.until) == ("first", None)


def test_labels_too_are_no_more_than_rows(store: Store) -> None:
    fill(store)
    counts = retention.clean(store.database, [Limits(store.monitor, 90 * DAY, 3)], NOW)
    assert counts == {"predictions": 7, "labels": 7, "feedback": 7, "kpis": 7}


def test_segments_that_nothing_has_any_longer_make_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftline_operator.hub.strata.MOST_STRATA", 2)
    clock = [NOW]
    store.numbers = Numbers(store.database, lambda: clock[0])
    limits = [Limits(store.monitor, 10 * DAY, 1000)]

    def send(sex: str, sequence: int, at: float = 0.0) -> str:
        one = Prediction(id=f"{sequence}", at=at or clock[0], sequence=sequence, segments={"sex": sex})
        store.predict(one, boot=f"{sequence}")
        with store.database.reading() as connection:
            return reading.find(connection, store.monitor, f"{sequence}").predictions[0].segments["sex"]

    assert [send("a", 0), send("b", 1, NOW + 90 * DAY), send("c", 2)] == ["a", "b", "(other)"]
    clock[0] = NOW + 11.5 * DAY
    retention.clean(store.database, limits, clock[0])
    assert (rows(store, schema.strata), rows(store, schema.sources)) == (1, 1)  # b's row is of the future
    assert rows(store, schema.stratum_segments) == 1
    assert [send("c", 3), send("b", 4), send("d", 5)] == ["c", "b", "(other)"]


def test_what_is_still_sent_keeps_its_number(store: Store) -> None:
    clock = [NOW]
    store.numbers = Numbers(store.database, lambda: clock[0])
    for day in range(0, 400, 2):
        clock[0] = NOW + day * DAY / 8
        store.predict(Prediction(id=f"{day}", at=clock[0], sequence=day, segments={"sex": "f"}))
        if day % 40 == 0:
            retention.clean(store.database, [Limits(store.monitor, DAY, 1000)], clock[0])
    assert (rows(store, schema.strata), rows(store, schema.sources)) == (1, 1)


def test_versions_have_a_limit_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftline_operator.hub.strata.MOST_STRATA", 2)
    monkeypatch.setattr("driftline_operator.hub.strata.MOST_VERSIONS", 2)
    store.predict(*(Prediction(id=f"{n}", at=NOW, sequence=n, version=f"v{n}") for n in range(9)))
    store.predict(*(Prediction(id=f"{n}", at=NOW, sequence=n, version=f"v{n}") for n in range(9, 12)))
    assert rows(store, schema.strata) == 5
    with store.database.reading() as connection:
        versions = set(connection.execute(sa.select(schema.strata.c.version)).scalars())
    assert versions == {"v0", "v1", "v2", "v3", "(other)"}
