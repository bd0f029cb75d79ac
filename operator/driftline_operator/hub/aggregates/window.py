"""The predictions of a span of time with what became true of them, as a temporary table of one connection.

The join is made once; what is asked of it then is a GROUP BY. Of several predictions of one id the newest
*of the span* is there: an answer that was given anew a week later doesn't take the older one out of its
window. A prediction has a row for each label it ever had: `since` and `until` say from which to which of its
ages the label was known (NULL: not labelled; still known). So `until IS NULL` is each prediction once, with
the newest label, and `since <= A AND (until IS NULL OR until > A)` is what was known at the age A.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from driftline.performance.bins import ScoreBins
from driftline.performance.lag import EDGES
from driftline.shadow.runtime import VARIANT
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from driftline_operator.hub import schema
from driftline_operator.hub.database import register_functions


class By(NamedTuple):
    """What to group by, and which labels count."""

    segment: str | None = None
    """By the values of this feature; None: all rows together."""
    bucket: float | None = None
    """By slices of the span, of so many seconds."""
    age: float | None = None
    """Labels that were known at this age of the prediction, in seconds; None: the newest there is."""


class Cell(NamedTuple):
    """One group."""

    version: str
    variant: str
    value: str | None = None
    """Of the segment."""
    bucket: float | None = None
    """Where the slice begins, unix seconds."""


@dataclass(frozen=True)
class Window:
    """A monitor's predictions in [start, end), while the connection's transaction lasts."""

    connection: Connection
    monitor: int
    start: float
    end: float
    bins: ScoreBins
    """Of the score, or of a number that is predicted."""
    table: sa.Table
    single: bool
    """Every request is one row of weight 1: sums by request are sums by row."""
    scale: float | None = None
    """Rows were sampled with unlike probabilities: what scales their weights; None: all count alike."""

    def grouped(self, by: By) -> tuple[list[sa.ColumnElement[Any]], sa.FromClause]:
        """The four columns of a `Cell`, and what they are selected from."""
        rows, strata, segments = self.table.c, schema.strata.c, schema.stratum_segments.c
        source: sa.FromClause = self.table.join(schema.strata, strata.id == rows.stratum_id)
        value: sa.ColumnElement[Any] = sa.null()
        if by.segment is not None:
            own = sa.and_(segments.stratum_id == rows.stratum_id, segments.segment == by.segment)
            source = source.join(schema.stratum_segments, own)
            value = segments.value
        bucket: sa.ColumnElement[Any] = sa.null()
        if by.bucket is not None:
            bucket = sa.func.floor((rows.at - self.start) / by.bucket)
        columns: list[sa.ColumnElement[Any]] = [
            strata.version,
            strata.variant,
            value.label("segment_value"),
            bucket.label("bucket"),
        ]
        return columns, source

    def folded(
        self,
        by: By,
        chosen: sa.ColumnElement[bool],
        keys: Mapping[str, Any],
        added: Mapping[str, Any],
        source_rows: sa.FromClause | None = None,
    ) -> sa.Select[Any]:
        """By cell and `keys` the sums of `added`, which are sums and counts themselves.

        `source_rows`: instead of the window's table, with its `stratum_id` and `at`.
        First by the stratum's number, then by what it stands for: texts are hashed for each group, not for
        each row.
        """
        rows = (self.table if source_rows is None else source_rows).c
        strata, segments = schema.strata.c, schema.stratum_segments.c
        bucket: sa.ColumnElement[Any] = sa.null()
        if by.bucket is not None:
            bucket = sa.func.floor((rows.at - self.start) / by.bucket)
        grouped = [
            rows.stratum_id,
            bucket.label("bucket"),
            *(each.label(name) for name, each in keys.items()),
        ]
        parts = (
            sa.select(*grouped, *(each.label(name) for name, each in added.items()))
            .where(chosen)
            .group_by(*first(len(grouped)))
            .subquery("parts")
        )
        source: sa.FromClause = parts.join(schema.strata, strata.id == parts.c.stratum_id)
        value: sa.ColumnElement[Any] = sa.null()
        if by.segment is not None:
            own = sa.and_(segments.stratum_id == parts.c.stratum_id, segments.segment == by.segment)
            source = source.join(schema.stratum_segments, own)
            value = segments.value
        columns = [strata.version, strata.variant, value, parts.c.bucket, *(parts.c[name] for name in keys)]
        whole = [sa.func.sum(parts.c[name]) for name in added]
        return sa.select(*columns, *whole).select_from(source).group_by(*first(len(columns)))

    def cell(self, by: By, key: tuple[Any, ...]) -> Cell:
        """Of the columns of `grouped`."""
        version, variant, value, bucket = key
        began = None if by.bucket is None else self.start + int(bucket) * by.bucket
        return Cell(version, variant, value, began)

    @property
    def weight(self) -> sa.ColumnElement[Any]:
        """What a row counts: 1, or its weight, scaled so that a window's weights add up to Kish's effective
        number of rows, (sum w)^2 / sum w^2. Then a share's interval is that of so many rows.
        """
        return sa.literal(1) if self.scale is None else self.table.c.weight * self.scale

    @property
    def rows(self) -> sa.ColumnElement[Any]:
        """How many rows, as they count."""
        return sa.func.count() if self.scale is None else sa.func.sum(self.weight)

    def weighed(self, number: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """A row's number times what the row counts."""
        return number if self.scale is None else number * self.weight

    def known_at(self, age: float | None) -> sa.ColumnElement[bool]:
        """Rows with the label that was known at that age; None: with the newest."""
        rows = self.table.c
        if age is None:
            return sa.and_(rows.since.is_not(None), rows.until.is_(None))
        return sa.and_(rows.since <= age, sa.or_(rows.until.is_(None), rows.until > age))

    def once(self) -> sa.ColumnElement[bool]:
        """Each prediction once."""
        return self.table.c.until.is_(None)


@contextmanager
def open_window(
    connection: Connection, monitor: int, start: float, end: float, bins: ScoreBins, *, numeric: bool
) -> Iterator[Window]:
    """Join what was predicted in [start, end), unix seconds, with its labels."""
    table = _table()
    register_functions(connection, bins.edges.tolist(), list(EDGES))
    if connection.dialect.name == "postgresql":  # of a million rows, not of the usual few
        connection.execute(sa.text("SET LOCAL work_mem = '128MB'"))
    table.create(connection)  # where something fails it goes with the transaction
    connection.execute(_filling(connection, table, monitor, start, end, bins, numeric=numeric))
    last, least, most, repeated = connection.execute(_first_look(connection, table)).one()
    if repeated:
        _drop_older(connection, table)
    if connection.dialect.name == "postgresql":
        # A sample of 3,000 rows tells a plan enough; the usual one costs ten times as much.
        connection.execute(sa.text("SET LOCAL default_statistics_target = 10"))
        connection.execute(sa.text("ANALYZE looked"))
    scale = None if least == most else _scale(connection, table)
    single = scale is None and not last
    yield Window(connection, monitor, start, end, bins, table, single, scale)
    table.drop(connection)


def _scale(connection: Connection, table: sa.Table) -> float:
    """By which weights add up to the effective number of rows (Kish 1965)."""
    w = table.c.weight
    both = sa.select(sa.func.sum(w), sa.func.sum(w * w)).where(table.c.until.is_(None))
    total, squares = connection.execute(both).one()
    return float(total / squares)


def first(count: int) -> list[sa.ColumnElement[Any]]:
    """GROUP BY the first so many selected columns, by their places: they may be NULL or parameters."""
    return [sa.literal_column(str(place + 1)) for place in range(count)]


@cache
def _table() -> sa.Table:
    """`looked`: as wide as what is grouped, no wider. One object: statements about it are compiled once."""
    exact = schema.Exact
    return sa.Table(
        "looked",
        sa.MetaData(),
        sa.Column("source_id", sa.Integer),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("place", sa.Integer),
        sa.Column("id", schema.Bytewise),
        sa.Column("at", exact),
        sa.Column("stratum_id", sa.Integer),
        sa.Column("class", sa.Text),
        sa.Column("value", exact),
        sa.Column("score", exact),
        sa.Column("weight", exact),
        sa.Column("bin", sa.Integer),
        sa.Column("label", sa.Text),
        sa.Column("truth", exact),
        sa.Column("since", exact),
        sa.Column("until", exact),
        prefixes=["TEMPORARY"],
    )


def _filling(
    connection: Connection,
    table: sa.Table,
    monitor: int,
    start: float,
    end: float,
    bins: ScoreBins,
    *,
    numeric: bool,
) -> sa.Insert:
    rows, labels = schema.predictions.c, schema.labels.c
    names = ("source_id", "sequence", "place", "id", "at", "stratum_id", "class", "value", "score", "weight")
    found = sa.select(
        *(rows[name] for name in names),
        bin_of(connection, "score_bin", rows.value if numeric else rows.score, bins.edges.tolist()),
        labels["class"],
        labels.value,
        labels.at - rows.at,
        labels.until - rows.at,
    ).where(rows.monitor_id == monitor, rows.at >= start, rows.at < end, ~of_candidates(monitor))
    own = sa.and_(labels.monitor_id == monitor, labels.id == rows.id)
    joined = schema.predictions.outerjoin(schema.labels, own)
    return sa.insert(table).from_select([each.name for each in table.c], found.select_from(joined))


def _first_look(connection: Connection, table: sa.Table) -> sa.Select[Any, Any, Any, Any]:
    """Largest place, least and largest weight, and whether an id may be there twice.

    PostgreSQL sorts 64-bit hashes of ids in half the time that it groups the ids in: equal ones are looked
    into, unlike ones are unlike ids.
    """
    rows = table.c
    own: sa.ColumnElement[Any] = rows.id
    if connection.dialect.name == "postgresql":
        own = sa.func.hashtextextended(rows.id, sa.literal_column("0"))
    named = sa.case((rows.until.is_(None), own), else_=None)
    repeated = sa.func.count(named) > sa.func.count(sa.distinct(named))
    return sa.select(sa.func.max(rows.place), sa.func.min(rows.weight), sa.func.max(rows.weight), repeated)


def of_candidates(monitor: int) -> sa.ColumnElement[bool]:
    """Predictions that a shadow's candidate made: nobody saw them, and they are not the model's."""
    strata = schema.strata.c
    theirs = sa.select(strata.id).where(
        strata.monitor_id == monitor, strata.variant.startswith(VARIANT, autoescape=True)
    )
    return schema.predictions.c.stratum_id.in_(theirs)


def _drop_older(connection: Connection, table: sa.Table) -> None:
    """Of several predictions of one id keep the newest."""
    rows = table.c
    repeated = sa.select(rows.id).where(rows.until.is_(None)).group_by(rows.id).having(sa.func.count() > 1)
    order = (rows.at.desc(), rows.sequence.desc(), rows.place.desc(), rows.source_id.desc())
    key = (rows.source_id, rows.sequence, rows.place, rows.at)
    place = sa.func.row_number().over(partition_by=rows.id, order_by=order).label("newest")
    placed = sa.select(*key, place).where(rows.until.is_(None), rows.id.in_(repeated)).subquery("placed")
    older = sa.select(*(placed.c[each.name] for each in key)).where(placed.c.newest > 1)
    connection.execute(sa.delete(table).where(sa.tuple_(*key).in_(older)))


def bin_of(
    connection: Connection, function: str, number: sa.ColumnElement[Any], edges: list[float]
) -> sa.ColumnElement[Any]:
    """How many edges are below a number (the bin (a, b] that it is in); NULL for NULL.

    Stored bins would save nothing (measured) and be wrong once the reference changes. PostgreSQL's
    width_bucket counts edges that are not above: so both are turned round.
    """
    if connection.dialect.name != "postgresql":
        return getattr(sa.func, function)(number)  # type: ignore[no-any-return]
    turned = sa.cast([-edge for edge in reversed(edges)], postgresql.ARRAY(schema.Exact))
    return sa.literal(len(edges)) - sa.func.width_bucket(-number, turned)
