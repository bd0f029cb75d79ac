"""Predictions, labels, feedback and KPI events into the database, each once.

`..._rows` checks one request's events and makes rows of them; `add_...` inserts them within a transaction,
all or none, and answers how many were new. Order doesn't matter: of two labels (or pieces of feedback, or KPI
events) of one key the newer counts, and of equally old ones the one that came last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from driftline.events import Feedback, Kpi, Label, Prediction
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from driftline_operator.hub import outcomes, schema
from driftline_operator.hub.database import Row, execute_batch, incoming, insert, lock
from driftline_operator.hub.refusal import Refusal
from driftline_operator.hub.registry import Known
from driftline_operator.hub.strata import Numbers, Stratum

_LABELS, _FEEDBACK, _KPIS = 1, 2, 3
"""Kinds of locks: who writes labels of a monitor is alone in it."""
_PREDICTION_COLUMNS: Final = tuple(each for each in schema.predictions.c if each.name != "monitor_id")


_KEYS: Final = 200
"""Of predictions, looked up at once."""
_Key = tuple[int, int, float]


def stratum_of(prediction: Prediction, segments: frozenset[str]) -> Stratum:
    """What it is grouped by; segments that the monitor doesn't name are dropped."""
    kept = tuple(sorted(item for item in prediction.segments.items() if item[0] in segments))
    return Stratum(prediction.version, prediction.variant, kept)


def prediction_rows(
    known: Known, source: int, predictions: Sequence[Prediction], numbers: Numbers
) -> list[Row]:
    """Rows of `predictions`, but for the monitor, each key once. Raises Refusal (400)."""
    kind, features = known.kind, known.features
    strata = [stratum_of(each, known.segments) for each in predictions]
    number = numbers.strata(known.id, dict.fromkeys(strata))
    rows: dict[_Key, Row] = {}
    for index, (each, stratum) in enumerate(zip(predictions, strata, strict=True)):
        place = f"predictions[{index}]"
        kept = outcomes.keep(kind, each.prediction, f"{place}.prediction")
        key = (each.sequence, each.row, each.at)
        if key in rows:
            if rows[key]["id"] != each.id:
                raise _same_key(400, place, each.id, rows[key]["id"])
            continue
        rows[key] = {
            "source_id": source,
            "sequence": each.sequence,
            "place": each.row,
            "at": each.at,
            "id": each.id,
            "stratum_id": number[stratum],
            "class": kept.name,
            "value": kept.value,
            "score": None if each.score is None else outcomes.bounded(each.score, f"{place}.score"),
            "weight": each.weight,
            "features": _features(each, features) if each.features else None,
        }
    return list(rows.values())


def _same_key(status: int, field: str, identity: str, other: str) -> Refusal:
    """Only one of the two would be stored, and both were acknowledged."""
    said = (
        f"has the sequence, row and time of {other!r}: give each prediction of a boot a sequence of its own"
    )
    return Refusal(status, said, field=f"{field}.id", value=identity)


def _features(prediction: Prediction, named: frozenset[str]) -> str | None:
    kept = {name: value for name, value in prediction.features.items() if name in named}
    return msgspec.json.encode(kept).decode() if kept else None


def add_predictions(connection: Connection, monitor: int, rows: Sequence[Row]) -> int:
    """How many were not there yet. Raises Refusal (404) where the monitor has gone meanwhile."""
    hold_monitor(connection, monitor)
    batch = incoming(connection, _PREDICTION_COLUMNS)
    columns = [each.name for each in _PREDICTION_COLUMNS]
    chosen = sa.select(sa.literal(monitor), *(batch.c[name] for name in columns)).where(sa.true())
    adding = insert(connection, schema.predictions).from_select(["monitor_id", *columns], chosen)
    new = execute_batch(connection, adding.on_conflict_do_nothing(), rows)
    if new < len(rows):  # sent again, or another sender's: seldom
        _check_known(connection, rows)
    return new


def _check_known(connection: Connection, rows: Sequence[Row]) -> None:
    """Raises Refusal (409) where a key that was there already is another id's."""
    table = schema.predictions.c
    key = sa.tuple_(table.sequence, table.place, table.at)
    for first in range(0, len(rows), _KEYS):
        some = {(row["sequence"], row["place"], row["at"]): row for row in rows[first : first + _KEYS]}
        query = sa.select(table.sequence, table.place, table.at, table.id)
        query = query.where(table.source_id == rows[first]["source_id"], key.in_(list(some)))
        for found in connection.execute(query):
            wanted = some[found.sequence, found.place, found.at]["id"]
            if wanted != found.id:
                raise _same_key(409, "predictions", wanted, found.id)


def hold_monitor(connection: Connection, monitor: int) -> None:
    """See that it is there and stays until the transaction ends. Raises Refusal (404)."""
    query = sa.select(schema.monitors.c.id).where(schema.monitors.c.id == monitor)
    if connection.execute(query.with_for_update(read=True, key_share=True)).first() is None:
        raise Refusal(404, "the monitor has just been removed", field="monitor", value=monitor)


def label_rows(known: Known, labels: Iterable[Label], now: float) -> list[Row]:
    """Rows of `labels`, one for each id and time. Raises Refusal (400)."""
    rows: dict[tuple[str, float], Row] = {}
    for index, each in enumerate(labels):
        kept = outcomes.keep_label(known.kind, each.label, f"labels[{index}].label")
        at = now if each.at is None else each.at
        rows[each.id, at] = {
            "id": each.id,
            "at": at,
            "class": kept.name,
            "value": kept.value,
            "received": now,
            "given": each.at is not None,
        }
    return [rows[key] for key in sorted(rows)]


def add_labels(connection: Connection, monitor: int, rows: Sequence[Row]) -> int:
    """How many were new, or changed the label of their time.

    A label without a time that says what is known already is no news: it would only make the label look late.
    """
    hold_monitor(connection, monitor)
    lock_labels(connection, monitor)
    several = _have_labels(connection, monitor, rows)
    adding = _upserting_labels if several else _inserting_labels
    changed = execute_batch(connection, adding(connection, monitor), rows)
    if changed and several:
        set_until(connection, monitor, dict.fromkeys(row["id"] for row in rows))
    return changed


def _inserting_labels(connection: Connection, monitor: int) -> sa.Executable:
    """Of ids that have no label yet."""
    names, batch = _LABEL_COLUMNS, _labels_of(connection)
    chosen = sa.select(sa.literal(monitor), *(batch.c[name] for name in names))
    return sa.insert(schema.labels).from_select(["monitor_id", *names], chosen)


def _upserting_labels(connection: Connection, monitor: int) -> sa.Executable:
    table, names, batch = schema.labels, _LABEL_COLUMNS, _labels_of(connection)
    holds = table.alias("holds")
    same = sa.and_(
        holds.c["class"].is_not_distinct_from(batch.c["class"]),
        holds.c.value.is_not_distinct_from(batch.c.value),
    )
    held = sa.and_(holds.c.monitor_id == monitor, holds.c.id == batch.c.id, holds.c.until.is_(None))
    # A scalar, not EXISTS: PostgreSQL would join, and knows too little of a batch to begin with it.
    repeated = (
        sa.select(holds.c.at).where(held, same, batch.c.given.is_(sa.false())).limit(1).scalar_subquery()
    )
    chosen = sa.select(sa.literal(monitor), *(batch.c[name] for name in names)).where(repeated.is_(None))
    adding = insert(connection, table).from_select(["monitor_id", *names], chosen)
    new = adding.excluded
    differs = sa.or_(
        table.c["class"].is_distinct_from(new["class"]), table.c.value.is_distinct_from(new.value)
    )
    upsert: sa.Executable = adding.on_conflict_do_update(
        index_elements=["monitor_id", "id", "at"],
        set_={name: new[name] for name in ("class", "value", "received")},
        where=differs,
    )
    return upsert


_LABEL_COLUMNS: Final = ("id", "at", "class", "value", "received")


def _labels_of(connection: Connection) -> sa.FromClause:
    return incoming(connection, [*(schema.labels.c[name] for name in _LABEL_COLUMNS), _GIVEN])


def _have_labels(connection: Connection, monitor: int, rows: Sequence[Row]) -> bool:
    """Whether any of these ids will have several labels: seldom; to look is cheaper than to set `until`."""
    ids = dict.fromkeys(row["id"] for row in rows)
    if len(ids) < len(rows) or connection.dialect.name != "postgresql":
        return True
    table = schema.labels.c
    known = sa.select(sa.func.count()).where(table.monitor_id == monitor, _one_of(table.id, list(ids)))
    return connection.execute(known).scalar_one() > 0


def _one_of(column: sa.Column[Any], ids: list[str]) -> sa.ColumnElement[bool]:
    """PostgreSQL: the ids as one array, which it looks up by index, however little it knows of the table."""
    return column == sa.any_(sa.cast(ids, postgresql.ARRAY(schema.Bytewise)))


_GIVEN: Final[sa.Column[Any]] = sa.Column("given", sa.Boolean)


def lock_labels(connection: Connection, monitor: int) -> None:
    """Be alone in writing a monitor's labels, until the transaction ends."""
    lock(connection, _LABELS, monitor)


def set_until(connection: Connection, monitor: int, its_ids: Iterable[str]) -> None:
    """Each label of these ids holds until the next one of its id."""
    table, later = schema.labels, schema.labels.alias("later")
    following = (
        sa.select(sa.func.min(later.c.at))
        .where(later.c.monitor_id == table.c.monitor_id, later.c.id == table.c.id, later.c.at > table.c.at)
        .scalar_subquery()
    )
    ids = list(its_ids)
    if not ids:
        return
    if connection.dialect.name == "postgresql":
        its, batch = _one_of(table.c.id, ids), None
    else:
        its, batch = table.c.id == sa.bindparam("its"), [{"its": name} for name in ids]
    differs = table.c.until.is_distinct_from(following)
    setting = sa.update(table).values(until=following).where(table.c.monitor_id == monitor, its, differs)
    connection.execute(setting, batch)


def feedback_rows(feedback: Iterable[Feedback], now: float) -> list[Row]:
    """Rows of `feedback`, the newest of each id and event. Raises Refusal (400) for one that says nothing."""
    rows: list[Row] = []
    for index, each in enumerate(feedback):
        if each.thumb is None and each.score is None and not each.comment:
            raise Refusal(400, "needs thumb, score or comment", field=f"feedback[{index}]", value=each.id)
        rows.append(
            {
                "id": each.id,
                "event": each.event,
                "at": now if each.at is None else each.at,
                "thumb": None if each.thumb is None else int(each.thumb == "up"),
                "score": each.score,
                "comment": each.comment,
                "received": now,
            }
        )
    return _newest(rows, ("id", "event"))


def kpi_rows(known: Known, kpis: Iterable[Kpi], now: float) -> list[Row]:
    """Rows of `kpis`, the newest of each id, name and event. Raises Refusal (400) for an unknown name."""
    rows: list[Row] = []
    for index, each in enumerate(kpis):
        if each.name not in known.kpis:
            names = ", ".join(sorted(known.kpis)) or "none"
            message = f"the monitor's spec.kpis has no such name (it has {names})"
            raise Refusal(400, message, field=f"kpis[{index}].name", value=each.name)
        rows.append(
            {
                "id": each.id,
                "name": each.name,
                "event": each.event,
                "at": now if each.at is None else each.at,
                "value": outcomes.bounded(each.value, f"kpis[{index}].value"),
                "received": now,
            }
        )
    return _newest(rows, ("id", "name", "event"))


def add_feedback(connection: Connection, monitor: int, rows: Sequence[Row]) -> int:
    """How many were new or newer."""
    lock(connection, _FEEDBACK, monitor)
    return _upsert(connection, schema.feedback, monitor, rows, ("id", "event"), ("thumb", "score", "comment"))


def add_kpis(connection: Connection, monitor: int, rows: Sequence[Row]) -> int:
    """How many were new or newer."""
    lock(connection, _KPIS, monitor)
    return _upsert(connection, schema.kpis, monitor, rows, ("id", "name", "event"), ("value",))


def _newest(rows: Sequence[Row], key: tuple[str, ...]) -> list[Row]:
    """One of each key; of equally old ones the last."""
    kept: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        name = tuple(row[part] for part in key)
        if name not in kept or row["at"] >= kept[name]["at"]:
            kept[name] = row
    return [kept[name] for name in sorted(kept)]


def _upsert(
    connection: Connection,
    table: sa.Table,
    monitor: int,
    rows: Sequence[Row],
    key: tuple[str, ...],
    content: tuple[str, ...],
) -> int:
    """Insert, or replace what is not newer and says something else."""
    hold_monitor(connection, monitor)
    names = [each.name for each in table.c if each.name != "monitor_id"]
    batch = incoming(connection, [table.c[name] for name in names])
    chosen = sa.select(sa.literal(monitor), *(batch.c[name] for name in names)).where(sa.true())
    adding = insert(connection, table).from_select(["monitor_id", *names], chosen)
    new = adding.excluded
    differs = [table.c[name].is_distinct_from(new[name]) for name in content]
    upsert = adding.on_conflict_do_update(
        index_elements=["monitor_id", *key],
        set_={name: new[name] for name in names if name not in key},
        where=sa.or_(
            new.at > table.c.at,
            sa.and_(new.at == table.c.at, sa.or_(*differs)),
        ),
    )
    return execute_batch(connection, upsert, rows)
