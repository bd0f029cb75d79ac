"""What else becomes known of a window's predictions: whether and when labels came, feedback, KPIs."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import sqlalchemy as sa
from driftline.performance.aggregates import CoverageCounts, FeedbackCounts, Integers, KpiSums, MeanSums
from driftline.performance.lag import EDGES, LagCounts

from driftline_operator.hub import schema
from driftline_operator.hub.aggregates.classes import Classes
from driftline_operator.hub.aggregates.window import By, Cell, Window, bin_of, first


def coverage(window: Window, by: By) -> dict[Cell, CoverageCounts]:
    """Predictions with and without a label that was known at the age, by score bin."""
    labelled = _by_bin(window, by, window.known_at(by.age))
    every = _by_bin(window, by, window.once())
    none = np.zeros(window.bins.count + 1, np.int64)
    return {
        cell: CoverageCounts(window.bins, labelled.get(cell, none), counts - labelled.get(cell, none))
        for cell, counts in every.items()
    }


def _by_bin(window: Window, by: By, chosen: sa.ColumnElement[bool]) -> dict[Cell, Integers]:
    query = window.folded(by, chosen, {"bin": window.table.c.bin}, {"n": sa.func.count()})
    found: dict[Cell, Integers] = {}
    for *key, place, count in window.connection.execute(query):
        counts = found.setdefault(window.cell(by, tuple(key)), np.zeros(window.bins.count + 1, np.int64))
        counts[window.bins.count if place is None else place] += int(count)
    return found


class Unknown(NamedTuple):
    """Labels and predictions that name a class which isn't known: they are left out of all figures."""

    labels: int = 0
    predictions: int = 0
    example: str = ""
    """One of those names."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.labels + self.predictions > 0


NONE_UNKNOWN: Final = Unknown()


def unknown(window: Window, classes: Classes, age: float | None) -> Unknown:
    """Of a window, with the labels that were known at that age."""
    if not classes.known:
        return NONE_UNKNOWN
    rows = window.table.c
    label = sa.case((window.known_at(age), rows.label), else_=None)
    said = sa.case((window.once(), rows["class"]), else_=None)
    strange = [sa.case((name.not_in(classes.known), name), else_=None) for name in (label, said)]
    parts = [part for name in strange for part in (sa.func.count(name), sa.func.min(name))]
    labels, a_label, predictions, a_class = tuple(window.connection.execute(sa.select(*parts)).one())
    return Unknown(labels, predictions, a_label or a_class or "")


def lags(window: Window, by: By) -> dict[Cell, LagCounts]:
    """How long each prediction's first label took; `by.age` doesn't matter."""
    rows = window.table.c
    corrected = sa.select(sa.literal(1)).where(rows.until.is_not(None)).limit(1)
    if window.connection.execute(corrected).first() is None:
        place = bin_of(window.connection, "lag_bin", rows.since, list(EDGES))
        query = window.folded(by, rows.since.is_not(None), {"place": place}, {"n": sa.func.count()})
    else:
        query = _first_lags(window, by)
    found: dict[Cell, LagCounts] = {}
    for *key, index, count in window.connection.execute(query):
        found.setdefault(window.cell(by, tuple(key)), LagCounts()).counts[index] += int(count)
    return found


def _first_lags(window: Window, by: By) -> sa.Select[Any]:
    """Where labels were corrected: of each prediction's labels the first."""
    rows = window.table.c
    columns, source = window.grouped(by)
    named = [column.label(f"cell_{place}") for place, column in enumerate(columns)]
    earliest = (
        sa.select(*named, sa.func.min(rows.since).label("lag"))
        .select_from(source)
        .where(rows.since.is_not(None))
        .group_by(*first(4), rows.source_id, rows.sequence, rows.place, rows.at)
        .subquery("earliest")
    )
    place = bin_of(window.connection, "lag_bin", earliest.c.lag, list(EDGES))
    cells = [earliest.c[each.name] for each in named]
    return sa.select(*cells, place, sa.func.count()).group_by(*first(5))


def feedback(window: Window, by: By) -> dict[Cell, FeedbackCounts]:
    """Thumbs of the window's predictions; of several of one id the newest."""
    table, rows = schema.feedback.c, window.table.c
    order = (table.at.desc(), table.received.desc(), table.event.desc())
    place = sa.func.row_number().over(partition_by=table.id, order_by=order).label("newest")
    own = sa.select(rows.id).where(window.once())
    thumbs = (
        sa.select(table.id, table.thumb, place)
        .where(table.monitor_id == window.monitor, table.thumb.is_not(None), table.id.in_(own))
        .subquery("thumbs")
    )
    columns, source = window.grouped(by)
    joined = source.join(thumbs, sa.and_(thumbs.c.id == rows.id, thumbs.c.newest == 1))
    keys = [*columns, thumbs.c.thumb]
    query = (
        sa.select(*keys, sa.func.count()).select_from(joined).where(window.once()).group_by(*first(len(keys)))
    )
    found: dict[Cell, FeedbackCounts] = {}
    for *key, thumb, count in window.connection.execute(query):
        cell = window.cell(by, tuple(key))
        more = FeedbackCounts(up=count) if thumb else FeedbackCounts(down=count)
        found[cell] = found.get(cell, FeedbackCounts()) + more
    return found


def kpi(window: Window, name: str, by: By) -> dict[Cell, KpiSums]:
    """Events of one KPI by their prediction's cell; an id is one unit, however many events it has."""
    table, rows = schema.kpis.c, window.table.c
    events = (
        sa.select(table.id, sa.func.count().label("m"), sa.func.sum(table.value).label("s"))
        .where(
            table.monitor_id == window.monitor,
            table.name == name,
            table.id.in_(sa.select(rows.id).where(window.once())),
        )
        .group_by(table.id)
        .subquery("events")
    )
    columns, source = window.grouped(by)
    w = rows.weight  # unscaled: sums are of all traffic, whatever share of it was sampled
    m, s = w * events.c.m, w * events.c.s
    converted = sa.func.sum(sa.case((m.is_not(None), w), else_=0.0))
    parts = [sa.func.sum(x) for x in (m, s, s * s, m * s, m * m)]
    query = (
        sa.select(*columns, sa.func.count(m), sa.func.sum(w), sa.func.sum(w * w), converted, *parts)
        .select_from(source.outerjoin(events, events.c.id == rows.id))
        .where(window.once())
        .group_by(*first(4))
    )
    found = {}
    for row in window.connection.execute(query):
        ids, every, sizes, converted, *five = row[4:]
        rows_, total, squares, products, counts = (float(each or 0.0) for each in five)
        values = MeanSums(ids, rows_, total, squares, products, counts)
        found[window.cell(by, tuple(row[:4]))] = KpiSums(values, converted, every, sizes)
    return found
