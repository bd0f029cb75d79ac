"""A prediction with all that is known of its id, and the erasure of an id."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftline_operator.hub import schema

MOST: Final = 100
"""Of each kind; an id has one of each, or a few."""


class FoundPrediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored prediction."""

    at: float
    boot: str
    sequence: int
    row: int
    prediction: str | float | None = None
    score: float | None = None
    weight: float = 1.0
    version: str = ""
    variant: str = ""
    segments: dict[str, str] = msgspec.field(default_factory=dict)
    features: dict[str, str | float] = msgspec.field(default_factory=dict)


class FoundLabel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored label: what was known from `at` until `until`."""

    at: float
    label: str | float
    received: float
    until: float | None = None


class FoundFeedback(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored piece of feedback."""

    at: float
    received: float
    event: str = ""
    thumb: str | None = None
    score: float | None = None
    comment: str = ""


class FoundKpi(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored KPI event."""

    at: float
    received: float
    name: str
    value: float
    event: str = ""


class FoundId(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one id, the newest of each first."""

    id: str
    predictions: tuple[FoundPrediction, ...]
    labels: tuple[FoundLabel, ...]
    feedback: tuple[FoundFeedback, ...]
    kpis: tuple[FoundKpi, ...]

    def __bool__(self) -> bool:
        return bool(self.predictions or self.labels or self.feedback or self.kpis)


def find(connection: Connection, monitor: int, identity: str) -> FoundId:
    """What is known of an id; empty where nothing is."""

    def rows(table: sa.Table) -> Any:
        query = sa.select(table).where(table.c.monitor_id == monitor, table.c.id == identity)
        return connection.execute(query.order_by(table.c.at.desc()).limit(MOST)).mappings()

    return FoundId(
        id=identity,
        predictions=_predictions(connection, monitor, identity),
        labels=tuple(
            FoundLabel(at=row["at"], label=_outcome(row), received=row["received"], until=row["until"])
            for row in rows(schema.labels)
        ),
        feedback=tuple(
            FoundFeedback(
                at=row["at"],
                received=row["received"],
                event=row["event"],
                thumb=None if row["thumb"] is None else ("down", "up")[row["thumb"]],
                score=row["score"],
                comment=row["comment"],
            )
            for row in rows(schema.feedback)
        ),
        kpis=tuple(
            FoundKpi(
                at=row["at"],
                received=row["received"],
                name=row["name"],
                value=row["value"],
                event=row["event"],
            )
            for row in rows(schema.kpis)
        ),
    )


def _predictions(connection: Connection, monitor: int, identity: str) -> tuple[FoundPrediction, ...]:
    table, strata, sources = schema.predictions, schema.strata.c, schema.sources.c
    query = (
        sa.select(table, strata.version, strata.variant, strata.segments, sources.boot)
        .where(table.c.monitor_id == monitor, table.c.id == identity)
        .join(schema.strata, strata.id == table.c.stratum_id)
        .join(schema.sources, sources.id == table.c.source_id)
        .order_by(table.c.at.desc(), sources.boot, table.c.sequence.desc(), table.c.place)
        .limit(MOST)
    )
    return tuple(
        FoundPrediction(
            at=row["at"],
            boot=row["boot"],
            sequence=row["sequence"],
            row=row["place"],
            prediction=_outcome(row),
            score=row["score"],
            weight=row["weight"],
            version=row["version"],
            variant=row["variant"],
            segments=msgspec.json.decode(row["segments"]),
            features=msgspec.json.decode(row["features"]) if row["features"] else {},
        )
        for row in connection.execute(query).mappings()
    )


def _outcome(row: Any) -> Any:
    return row["value"] if row["class"] is None else row["class"]


def erase(connection: Connection, monitor: int, identity: str) -> int:
    """Delete all of an id: predictions, labels, feedback, KPI events.

    How many rows went. What was already added up, in reports and series, stays: it names nobody.
    """
    erased = 0
    for table in (schema.predictions, schema.labels, schema.feedback, schema.kpis):
        gone = sa.delete(table).where(table.c.monitor_id == monitor, table.c.id == identity)
        erased += connection.execute(gone).rowcount
    return erased
