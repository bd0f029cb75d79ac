"""`MeanSums` as SQL: sums of a number by request, and of those over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from driftline.performance.aggregates import MeanSums

from driftline_operator.hub.aggregates.window import By, Cell, Window

Numbers = Mapping[str, sa.ColumnElement[Any]]
"""By name: a number of each row, NULL in rows that have none."""


def mean_sums(
    window: Window, by: By, chosen: sa.ColumnElement[bool], numbers: Numbers
) -> dict[Cell, dict[str, MeanSums]]:
    """Of each number, by cell. `chosen`: which rows of the window."""
    columns, source, timely = window.grouped(by)
    if window.single:
        query = _by_row(columns, numbers).select_from(source).where(chosen, timely).group_by(*columns)
    else:
        query = _by_request(window, columns, source, sa.and_(chosen, timely), numbers)
    found = {}
    for row in window.connection.execute(query):
        cell = window.cell(by, tuple(row[:4]))
        found[cell] = {
            name: _read(row[4 + 6 * place : 10 + 6 * place]) for place, name in enumerate(numbers)
        }
    return found


def _by_row(columns: Sequence[sa.ColumnElement[Any]], numbers: Numbers) -> sa.Select[Any]:
    chosen = list(columns)
    for x in numbers.values():
        count, total = sa.func.count(x), sa.func.sum(x)
        chosen += [count, count, total, sa.func.sum(x * x), total, count]
    return sa.select(*chosen)


def _by_request(
    window: Window,
    columns: Sequence[sa.ColumnElement[Any]],
    source: sa.FromClause,
    chosen: sa.ColumnElement[bool],
    numbers: Numbers,
) -> sa.Select[Any]:
    rows = window.table.c
    named = [column.label(f"cell_{place}") for place, column in enumerate(columns)]
    inner = [
        part
        for name, x in numbers.items()
        for part in (sa.func.count(x).label(f"m_{name}"), sa.func.coalesce(sa.func.sum(x), 0.0).label(f"s_{name}"))
    ]
    requests = (
        sa.select(*named, *inner)
        .select_from(source)
        .where(chosen)
        .group_by(*columns, rows.source_id, rows.sequence)
        .subquery("requests")
    )
    outer: list[sa.ColumnElement[Any]] = [requests.c[each.name] for each in named]
    for name in numbers:
        m, s = requests.c[f"m_{name}"], requests.c[f"s_{name}"]
        some = sa.func.sum(sa.case((m > 0, 1), else_=0))
        outer += [some, sa.func.sum(m), sa.func.sum(s), sa.func.sum(s * s), sa.func.sum(m * s), sa.func.sum(m * m)]
    return sa.select(*outer).group_by(*outer[: len(named)])


def _read(values: Sequence[Any]) -> MeanSums:
    requests, rows, total, squares, products, sizes = (value or 0 for value in values)
    return MeanSums(int(requests), int(rows), float(total), float(squares), float(products), int(sizes))
