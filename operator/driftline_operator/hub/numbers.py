"""Numbers of strata and senders that no prediction has any longer go, so that new ones find room."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftline_operator.hub import schema
from driftline_operator.hub.database import Database
from driftline_operator.hub.strata import KNOWN_SECONDS

SPARE_SECONDS: Final = 4 * KNOWN_SECONDS
"""Beyond a monitor's `age`: replicas use what they know for `KNOWN_SECONDS`, by clocks of their own."""
_MOST: Final = 2_000
"""Looked at in one round."""
READ_SECONDS: Final = 300.0
"""To look through a monitor's predictions may take long."""


def clean(database: Database, monitor: int, now: float, age: float) -> None:
    """Delete a monitor's numbers of long ago. `age`: seconds for which it keeps predictions."""
    before = now - age - SPARE_SECONDS
    for table, column in (
        (schema.strata, schema.predictions.c.stratum_id),
        (schema.sources, schema.predictions.c.source_id),
    ):
        with database.reading(READ_SECONDS) as connection:
            old = _old(connection, table, monitor, before)
            there = _there(connection, column, monitor, old)
        if old:
            with database.writing() as connection:
                _delete(connection, table, [each for each in old if each not in there], before)
                _use(connection, table, there, now)


def _old(connection: Connection, table: sa.Table, monitor: int, before: float) -> list[int]:
    query = sa.select(table.c.id).where(table.c.monitor_id == monitor, table.c.used < before)
    return list(connection.execute(query.order_by(table.c.id).limit(_MOST)).scalars())


def _there(connection: Connection, column: sa.Column[int], monitor: int, old: list[int]) -> set[int]:
    """Those that predictions still have: of a future time, or of a hub that didn't note the use."""
    if not old:
        return set()
    mine = schema.predictions.c.monitor_id == monitor
    query = sa.select(column).where(mine, column.between(old[0], old[-1])).distinct()
    return set(connection.execute(query).scalars()) & set(old)


def _use(connection: Connection, table: sa.Table, numbers: set[int], now: float) -> None:
    """They are looked at again when it may be otherwise."""
    if numbers:
        connection.execute(sa.update(table).where(table.c.id.in_(sorted(numbers))).values(used=now))


def _delete(connection: Connection, table: sa.Table, numbers: list[int], before: float) -> None:
    """Unless used meanwhile."""
    still = sa.select(table.c.id).where(table.c.id.in_(numbers), table.c.used < before)
    gone = list(connection.execute(still.with_for_update()).scalars())
    if table is schema.strata:
        segments = schema.stratum_segments
        connection.execute(sa.delete(segments).where(segments.c.stratum_id.in_(gone)))
    connection.execute(sa.delete(table).where(table.c.id.in_(gone)))
