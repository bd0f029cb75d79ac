"""`MeanSums` as SQL: sums of a number by request, and of those over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from driftline.performance.aggregates import MeanSums

from driftline_operator.hub.aggregates.window import By, Cell, Window, first

Numbers = Mapping[str, sa.ColumnElement[Any]]
"""By name: a number of each row, NULL in rows that have none."""


def mean_sums(
    window: Window, by: By, chosen: sa.ColumnElement[bool], numbers: Numbers
) -> dict[Cell, dict[str, MeanSums]]:
    """Of each number, by cell. `chosen`: which rows of the window."""
    if window.single:
        query, width = window.folded(by, chosen, {}, by_row(numbers)), 3
    else:
        query, width = _by_request(window, by, chosen, numbers), 6
    found = {}
    for row in window.connection.execute(query):
        cell = window.cell(by, tuple(row[:4]))
        parts = (row[4 + width * place : 4 + width * (place + 1)] for place in range(len(numbers)))
        found[cell] = dict(zip(numbers, map(read_means, parts), strict=True))
    return found


def by_row(numbers: Numbers) -> dict[str, sa.ColumnElement[Any]]:
    """Count, sum and sum of squares of each."""
    added: dict[str, sa.ColumnElement[Any]] = {}
    for name, x in numbers.items():
        added |= {f"n_{name}": sa.func.count(x), f"s_{name}": sa.func.sum(x), f"q_{name}": sa.func.sum(x * x)}
    return added


def _by_request(window: Window, by: By, chosen: sa.ColumnElement[bool], numbers: Numbers) -> sa.Select[Any]:
    rows = window.table.c
    columns, source = window.grouped(by)
    named = [column.label(f"cell_{place}") for place, column in enumerate(columns)]
    inner = [
        part
        for name, x in numbers.items()
        for part in (
            _sizes(window, x).label(f"m_{name}"),
            sa.func.coalesce(sa.func.sum(window.weighed(x)), 0.0).label(f"s_{name}"),
        )
    ]
    requests = (
        sa.select(*named, *inner)
        .select_from(source)
        .where(chosen)
        .group_by(*first(4), rows.source_id, rows.sequence)
        .subquery("requests")
    )
    outer: list[sa.ColumnElement[Any]] = [requests.c[each.name] for each in named]
    for name in numbers:
        m, s = requests.c[f"m_{name}"], requests.c[f"s_{name}"]
        some = sa.func.sum(sa.case((m > 0, 1), else_=0))
        outer += [
            some,
            sa.func.sum(m),
            sa.func.sum(s),
            sa.func.sum(s * s),
            sa.func.sum(m * s),
            sa.func.sum(m * m),
        ]
    return sa.select(*outer).group_by(*first(4))


def _sizes(window: Window, x: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Rows of a request that have x, as they count."""
    if window.scale is None:
        return sa.func.count(x)
    return sa.func.coalesce(sa.func.sum(sa.case((x.is_not(None), window.weight), else_=None)), 0.0)


def read_means(values: Sequence[Any]) -> MeanSums:
    """Of six sums by request, or of count, sum and sum of squares where every request is one row."""
    if len(values) == 3:
        count, total, squares = (value or 0 for value in values)
        return MeanSums(int(count), int(count), float(total), float(squares), float(total), int(count))
    requests, rows, total, squares, products, sizes = (value or 0 for value in values)
    return MeanSums(int(requests), number(rows), float(total), float(squares), float(products), number(sizes))


def number(counted: Any) -> int | float:
    """What a database counts or adds up: of rows with weights a float, else an integer."""
    return counted if isinstance(counted, float) else int(counted)
