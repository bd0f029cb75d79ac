"""`RankingSums` as SQL: each list measured as `driftline.performance.ranking.measure_list` would.

A list is a request; its items are the request's rows, in a cell those of the cell. The prediction is the
item's score, the label its relevance. A list counts once one of its labels is there; items without any are
not relevant, as trec_eval has it. Its order is made by window functions: no list leaves the database.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from driftline.performance.aggregates import ErrorBucket, MeanSums, RankingSums

from driftline_operator.hub import schema
from driftline_operator.hub.aggregates.means import number
from driftline_operator.hub.aggregates.window import By, Cell, Window, first

_LIST: Final = ("cell_0", "cell_1", "cell_2", "cell_3", "source_id", "sequence")
_MEASURES: Final = ("ndcg", "average_precision", "reciprocal_rank")

Expression = sa.ColumnElement[Any]


def ranking(window: Window, by: By, k: int) -> dict[Cell, RankingSums]:
    """Of lists with a label, at `k`."""
    lists = _lists(_ranked(_items(window, by)), k).c
    w = sa.case((lists.ndcg.is_not(None), lists.weight), else_=None)
    counted = [sa.func.sum(x) for name in _MEASURES for x in _sums_of(lists[name], w)]
    query = sa.select(
        *(lists[name] for name in _LIST[:4]),
        sa.func.count(lists.ndcg),
        sa.func.count() - sa.func.count(lists.ndcg),
        sa.func.sum(w),
        sa.func.sum(w * w),
        *counted,
    ).group_by(*first(4))
    found = {}
    for *key, some, none, rows, sizes, n1, n2, n3, a1, a2, a3, r1, r2, r3 in window.connection.execute(query):
        of = some, number(rows or 0), number(sizes or 0)
        ndcg, ap, rr = (_means(of, each) for each in ((n1, n2, n3), (a1, a2, a3), (r1, r2, r3)))
        found[window.cell(by, tuple(key))] = RankingSums(ndcg, ap, rr, none)
    return found


def _sums_of(x: Expression, w: Expression) -> tuple[Expression, Expression, Expression]:
    return w * x, w * w * x * x, w * w * x


def _means(of: tuple[int, float, float], sums: tuple[float | None, float | None, float | None]) -> MeanSums:
    (lists, rows, sizes), (total, squares, products) = of, sums
    return MeanSums(lists, rows, total or 0.0, squares or 0.0, products or 0.0, sizes)


def ranking_errors(window: Window, by: By, k: int) -> dict[Cell, list[ErrorBucket]]:
    """1 - NDCG by slice of `by.bucket` seconds, in order of time, by cells without `bucket`."""
    assert by.bucket is not None  # noqa: S101 - a bucket's width is what is asked for
    found: dict[Cell, list[ErrorBucket]] = {}
    for cell, sums in sorted(ranking(window, by, k).items(), key=lambda item: item[0].bucket or 0.0):
        bucket = ErrorBucket(cell.bucket or 0.0, by.bucket, sums.errors)
        found.setdefault(cell._replace(bucket=None), []).append(bucket)
    return found


def _items(window: Window, by: By) -> sa.Subquery:
    """Each prediction once, with the gain that is known at the age."""
    rows = window.table.c
    columns, source = window.grouped(by)
    known = window.known_at(by.age)
    gain = sa.func.max(sa.case((known, rows.truth), else_=None))
    return (
        sa.select(
            *(column.label(name) for name, column in zip(_LIST, columns, strict=False)),
            rows.source_id,
            rows.sequence,
            sa.func.max(rows.value).label("score"),
            sa.func.max(window.weight).label("weight"),
            sa.func.coalesce(gain, 0.0).label("gain"),
            sa.case((gain > 0, 1), else_=0).label("relevant"),
            sa.func.max(sa.case((known, 1), else_=0)).label("known"),
        )
        .select_from(source)
        .where(rows.value.is_not(None))
        .group_by(*first(6), rows.place, rows.at)
        .subquery("items")
    )


def _ranked(items: sa.Subquery) -> sa.Subquery:
    """Each item's rank, its run of equal scores (t items, r of them relevant), and what stands above it."""
    of = items.c
    lists = [of[name] for name in _LIST]
    run = [*lists, of.score]
    down = of.score.desc()
    return sa.select(
        *lists,
        of.gain,
        of.relevant,
        of.weight,
        sa.func.row_number().over(partition_by=lists, order_by=down).label("rank"),
        sa.func.rank().over(partition_by=lists, order_by=down).label("head"),
        sa.func.row_number().over(partition_by=lists, order_by=of.gain.desc()).label("best"),
        sa.func.count().over(partition_by=run).label("t"),
        sa.func.sum(of.relevant).over(partition_by=run).label("r"),
        sa.func.avg(of.gain).over(partition_by=run).label("mean"),
        sa.func.sum(of.relevant).over(partition_by=lists, order_by=down).label("upto"),
        sa.func.sum(of.known).over(partition_by=lists).label("known"),
    ).subquery("ranked")


def _lists(ranked: sa.Subquery, k: int) -> sa.Subquery:
    """The three measures of each list; NULL where nothing is relevant."""
    of = _chances(ranked).c
    relevant = sa.func.sum(of.relevant)
    most = sa.case((relevant < k, relevant), else_=k)
    held = relevant > 0
    ideal = sa.func.sum(sa.case((of.best <= k, of.gain * _discount(of.best)), else_=0.0))
    measures = (
        sa.func.sum(sa.case((of.rank <= k, of.mean * _discount(of.rank)), else_=0.0)) / ideal,
        sa.func.sum(sa.case((of.rank <= k, _precision(of)), else_=0.0)) / most,
        sa.func.sum(sa.case((of.rank <= k, of.chance / of.rank), else_=0.0)),
    )
    return (
        sa.select(
            *(of[name] for name in _LIST),
            sa.func.max(of.weight).label("weight"),
            *(
                sa.case((held, each), else_=None).label(name)
                for name, each in zip(_MEASURES, measures, strict=True)
            ),
        )
        .where(of.known > 0)
        .group_by(*first(6))
        .subquery("lists")
    )


def _chances(ranked: sa.Subquery) -> sa.Subquery:
    """`chance`: how probably the first relevant item stands there, if ties are in random order.

    At place i of a run of t items, r of them relevant: r / (t - i + 1) times that it is none of those before.
    """
    of = ranked.c
    left = _exact(of.head + of.t - of.rank)  # t - i + 1
    not_here = sa.case((left > of.r, sa.func.ln((left - of.r) / left)), else_=None)
    before = sa.func.sum(not_here).over(
        partition_by=[*(of[name] for name in _LIST), of.head], order_by=of.rank, rows=(None, -1)
    )
    here = sa.func.exp(sa.func.coalesce(before, 0.0)) * of.r / left
    is_first = sa.and_(of.upto == of.r, of.r > 0, left >= of.r)
    return sa.select(*of, sa.case((is_first, here), else_=0.0).label("chance")).subquery("chances")


def _precision(of: Any) -> Expression:
    """Expected precision there, times the chance that the item is relevant: `ranking._precisions`."""
    place, t, r = of.rank - of.head, _exact(of.t), of.r
    within = sa.case((of.t > 1, place * (r - 1) / (t - 1)), else_=0.0)
    return sa.case((r > 0, r / t * (of.upto - r + 1 + within) / of.rank), else_=0.0)


def _discount(rank: Expression) -> Expression:
    """1 / log2(rank + 1)."""
    return sa.func.ln(sa.literal(2.0, schema.Exact)) / sa.func.ln(_exact(rank + 1))


def _exact(number: Expression) -> Expression:
    return sa.cast(number, schema.Exact)
