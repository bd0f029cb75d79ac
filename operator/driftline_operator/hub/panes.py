"""The fleet's pane history: opaque bytes by time, length and the reference's hash, kept as they came.

The hub can't read them and needn't: the controller, which makes and reads them, versions their form.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.engine import Connection

from driftline_operator.hub import schema
from driftline_operator.hub.database import insert
from driftline_operator.hub.intake import hold_monitor

MOST_PANES: Final = 1_000
"""In one request, and in one answer."""

Hash = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[0-9a-zA-Z]+$")]
Seconds = Annotated[float, Meta(gt=0, le=366 * 86_400)]


class StoredPane(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of one slice of time. Sent again with another body, the last one counts."""

    start: Annotated[float, Meta(ge=0, le=253_402_300_799)]
    """Unix seconds."""
    seconds: Seconds
    """Its length."""
    profile: Hash
    """The hash of the reference on whose grid it counts."""
    body: bytes
    """Base64; opaque to the hub."""


class Panes(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor's panes, the oldest first."""

    panes: Annotated[tuple[StoredPane, ...], Meta(max_length=MOST_PANES)]
    next: float | None = None
    """Of an answer: there are more, from this start on."""


def add(connection: Connection, monitor: int, panes: tuple[StoredPane, ...], now: float) -> int:
    """How many were new or changed."""
    hold_monitor(connection, monitor)
    changed = 0
    table = schema.panes
    for pane in sorted(panes, key=lambda each: (each.profile, each.start, each.seconds)):
        adding = insert(connection, table).values(
            monitor_id=monitor,
            profile_hash=pane.profile,
            start=pane.start,
            seconds=pane.seconds,
            body=pane.body,
            received=now,
        )
        upsert = adding.on_conflict_do_update(
            index_elements=["monitor_id", "profile_hash", "start", "seconds"],
            set_={"body": adding.excluded.body, "received": now},
            where=table.c.body != adding.excluded.body,
        )
        changed += connection.execute(upsert).rowcount
    return changed


def find(
    connection: Connection,
    monitor: int,
    profile: str,
    start: float,
    end: float,
    seconds: float | None = None,
    most: int = MOST_PANES,
) -> Panes:
    """Panes that begin within [start, end), of one reference; at most so many, and where the rest begins.

    `seconds`: only those of that length.
    """
    table = schema.panes.c
    query = (
        sa.select(table.start, table.seconds, table.body)
        .where(
            table.monitor_id == monitor,
            table.profile_hash == profile,
            table.start >= start,
            table.start < end,
            sa.true() if seconds is None else table.seconds == seconds,
        )
        .order_by(table.start, table.seconds)
        .limit(most + 1)
    )
    rows = connection.execute(query).all()
    found = tuple(
        StoredPane(start=row.start, seconds=row.seconds, profile=profile, body=bytes(row.body))
        for row in rows[:most]
    )
    return Panes(panes=found, next=rows[most].start if len(rows) > most else None)
