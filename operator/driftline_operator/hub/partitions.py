"""PostgreSQL's predictions by day (UTC): made ahead, dropped whole when all in them is too old.

What falls in no day goes into the partition `predictions_others`; when its day is made it moves there. SQLite
has no partitions and none of this.

Making and dropping a day needs the table for itself. Who reads for long (a dump, an evaluation) isn't waited
for: behind a waiting DROP every prediction would wait too. The next round tries again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftline_operator.hub.database import Database, lock

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

DAY: Final = 86_400
AHEAD: Final = 3
BEHIND: Final = 2
"""Days made before today: spools that were full when a hub was installed."""
PATIENCE: Final = "1s"
"""How long a change of days may wait for a lock, and others behind it."""
_KIND: Final = 10
_LOCKED: Final = "55P03"
"""PostgreSQL: no lock within `lock_timeout`."""


def keep(database: Database, now: float) -> None:
    """Make the days around now. Raises sqlalchemy.exc.SQLAlchemyError."""
    if database.postgres:
        _patiently(database, lambda connection: ensure(connection, now))


def drop(database: Database, before: float) -> int:
    """Drop the days that ended before; how many. Raises sqlalchemy.exc.SQLAlchemyError."""
    if not database.postgres:
        return 0
    return len(_patiently(database, lambda connection: drop_before(connection, before)) or ())


def _patiently(database: Database, work: Callable[[Connection], _T]) -> _T | None:
    """None: others had the table, nothing was changed."""
    try:
        with database.writing() as connection:
            connection.execute(sa.text(f"SET LOCAL lock_timeout = '{PATIENCE}'"))
            return work(connection)
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCKED:
            raise
        _log.info("days of predictions are made and dropped later: someone reads the table")
        return None


def ensure(connection: Connection, now: float) -> list[str]:
    """Make the days around now that are lacking; their names."""
    lock(connection, _KIND, 0)
    there = {name for name, _ in days(connection)}
    today = int(now // DAY)
    wanted = [day for day in range(today - BEHIND, today + AHEAD + 1) if day >= 0]
    made = [day for day in wanted if _name(day) not in there]
    for day in made:
        _make(connection, day)
    return [_name(day) for day in made]


def drop_before(connection: Connection, time: float) -> list[str]:
    """Drop the days that ended before; their names."""
    lock(connection, _KIND, 0)
    gone = [name for name, end in days(connection) if end <= time]
    for name in gone:
        connection.execute(sa.text(f"DROP TABLE {name}"))
    return gone


def days(connection: Connection) -> list[tuple[str, float]]:
    """The partitions of days, and when each ends."""
    query = sa.text(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'predictions'::regclass AND c.relname LIKE 'predictions\\_2%' ORDER BY 1"
    )
    return [(name, _end(name)) for name in connection.execute(query).scalars()]


def _make(connection: Connection, day: int) -> None:
    name, start, end = _name(day), day * DAY, (day + 1) * DAY
    connection.execute(sa.text(f"CREATE TABLE {name} (LIKE predictions INCLUDING ALL)"))
    connection.execute(
        sa.text(
            "WITH moved AS (DELETE FROM predictions_others WHERE at >= :start AND at < :end RETURNING *) "  # noqa: S608
            f"INSERT INTO {name} SELECT * FROM moved"
        ),
        {"start": start, "end": end},
    )
    connection.execute(
        sa.text(f"ALTER TABLE predictions ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})")
    )


def _name(day: int) -> str:
    return f"predictions_{datetime.fromtimestamp(day * DAY, UTC):%Y%m%d}"


def _end(name: str) -> float:
    began = datetime.strptime(name.removeprefix("predictions_"), "%Y%m%d").replace(tzinfo=UTC)
    return began.timestamp() + DAY
