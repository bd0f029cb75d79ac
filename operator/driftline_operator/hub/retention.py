"""What is deleted: predictions by `spec.labels.retention`, what came of them with them, removed monitors.

In pieces, so that nobody waits long for a lock. Any replica may do it; that another does it too only means
that there is less to delete.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftline_operator.hub import intake, numbers, partitions, schema
from driftline_operator.hub.database import Database
from driftline_operator.hub.registry import Registry

PIECE: Final = 10_000
"""Rows deleted in one transaction."""
_KEYS: Final = 200
"""Of labels, deleted by one statement."""
PANE_WINDOWS: Final = 2
"""Of pane history: so many of the longest window, that one which has just ended can be looked at whole."""


class Limits(NamedTuple):
    """What a monitor keeps."""

    monitor: int
    age: float
    """Seconds."""
    rows: int
    panes: float = 2 * 86_400.0
    """Seconds, of pane history."""


def limits_of(registry: Registry) -> list[Limits]:
    """What each monitor keeps; without `spec.labels` nothing new comes, and the default ages it out."""
    found = []
    for known in registry.monitors.values():
        labels = known.monitor.spec.labels
        retention = (
            DEFAULT
            if labels is None
            else DEFAULT._replace(age=float(labels.retention.age), rows=labels.retention.rows)
        )
        panes = PANE_WINDOWS * float(max(known.monitor.spec.windows))
        found.append(retention._replace(monitor=known.id, panes=panes))
    return found


DEFAULT: Final = Limits(0, 90 * 86_400.0, 50_000_000)


def clean(database: Database, limits: Iterable[Limits], now: float) -> dict[str, int]:
    """Delete what is too old or too much; rows by table."""
    kept = list(limits)
    counts: dict[str, int] = {}
    if _all_known(database, kept):
        longest = max((each.age for each in kept), default=DEFAULT.age)
        _add(counts, "partitions", partitions.drop(database, now - longest))
    for each in kept:
        with database.reading() as connection:
            excess = _excess(connection, each, schema.predictions.c.at)
        oldest = now - each.age if excess is None else max(now - each.age, excess)
        _add(counts, "predictions", _pieces(database, schema.predictions, each.monitor, "at", oldest))
        for table in (schema.labels, schema.feedback, schema.kpis):
            with database.reading() as connection:
                excess = _excess(connection, each, table.c.received)
            oldest = now - each.age if excess is None else max(now - each.age, excess)
            _add(counts, table.name, _pieces(database, table, each.monitor, "received", oldest))
        _add(counts, "panes", _pieces(database, schema.panes, each.monitor, "start", now - each.panes))
    _orphans(database, counts)
    for each in kept:
        numbers.clean(database, each.monitor, now, each.age)
    return counts


def _all_known(database: Database, limits: Iterable[Limits]) -> bool:
    """Whether of all monitors it is known what they keep: a newer hub's may not be readable here."""
    with database.reading() as connection:
        there = set(connection.execute(sa.select(schema.monitors.c.id)).scalars())
    return there <= {each.monitor for each in limits}


def _add(counts: dict[str, int], name: str, more: int) -> None:
    if more:
        counts[name] = counts.get(name, 0) + more


def _excess(connection: Connection, limits: Limits, column: sa.Column[float]) -> float | None:
    """The time of the oldest of the newest `rows`; what is older is too much. None: there are no more."""
    query = (
        sa.select(column)
        .where(column.table.c.monitor_id == limits.monitor)
        .order_by(column.desc())
        .offset(limits.rows - 1)
        .limit(1)
    )
    return connection.execute(query).scalar()


def _pieces(database: Database, table: sa.Table, monitor: int, column: str, before: float | None) -> int:
    """Delete a monitor's rows older than that, or all where None; how many."""
    total = 0
    while True:
        with database.writing() as connection:
            deleted = _piece(connection, table, monitor, column, before)
        total += deleted
        if deleted < PIECE:
            return total


def _piece(connection: Connection, table: sa.Table, monitor: int, column: str, before: float | None) -> int:
    chosen = table.c.monitor_id == monitor
    if before is not None:
        chosen &= table.c[column] < before
    key = list(table.primary_key.columns)
    some = sa.select(*key).where(chosen).order_by(table.c[column]).limit(PIECE)
    if table is schema.labels and before is not None:
        return _labels(connection, monitor, some)
    return connection.execute(sa.delete(table).where(sa.tuple_(*key).in_(some))).rowcount


def _labels(connection: Connection, monitor: int, some: sa.Select[Any]) -> int:
    """Of a label that goes the one before holds again: a correction may come before what it corrects."""
    intake.lock_labels(connection, monitor)
    gone = connection.execute(some).all()
    key = list(schema.labels.primary_key.columns)
    for first in range(0, len(gone), _KEYS):
        part = [tuple(row) for row in gone[first : first + _KEYS]]
        connection.execute(sa.delete(schema.labels).where(sa.tuple_(*key).in_(part)))
    intake.set_until(connection, monitor, dict.fromkeys(row.id for row in gone))
    return len(gone)


def _orphans(database: Database, counts: dict[str, int]) -> None:
    """Rows of monitors that were removed."""
    with database.reading() as connection:
        found = {number for table in schema.OF_MONITOR for number in _numbers(connection, table)}
        gone = found - set(connection.execute(sa.select(schema.monitors.c.id)).scalars())
    for number in sorted(gone):
        _forget_segments(database, number)
        for table in schema.OF_MONITOR:
            column = next(iter(table.primary_key.columns)).name
            _add(counts, table.name, _pieces(database, table, number, column, None))


def _numbers(connection: Connection, table: sa.Table) -> list[int]:
    """Which monitors a table has rows of: one index look-up for each, not a scan of all rows."""
    column = table.c.monitor_id
    found: list[int] = []
    last = -1
    while True:
        query = sa.select(column).where(column > last).order_by(column).limit(1)
        number = connection.execute(query).scalar()
        if number is None:
            return found
        found.append(number)
        last = number


def _forget_segments(database: Database, monitor: int) -> None:
    own = sa.select(schema.strata.c.id).where(schema.strata.c.monitor_id == monitor)
    with database.writing() as connection:
        connection.execute(
            sa.delete(schema.stratum_segments).where(schema.stratum_segments.c.stratum_id.in_(own))
        )
