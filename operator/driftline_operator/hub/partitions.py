"""PostgreSQL's predictions by day (UTC): made ahead, dropped whole when all in them is too old.

What falls in no day goes into the partition `predictions_others`; when its day is made it moves there. SQLite
has no partitions and none of this.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftline_operator.hub.database import lock

DAY: Final = 86_400
AHEAD: Final = 3
BEHIND: Final = 2
"""Days made before today: spools that were full when a hub was installed."""
_KIND: Final = 10


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
