"""Counting rows on the axes of a reference: the hot path of the analyzer.

A column is sorted once, and the edges are searched in the sorted column: m searches of log n steps
instead of n searches of log m, and no row is touched by Python.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from driftline.categories import Categories, clip
from driftline.columns import Batch, CategoricalColumn, Codes, Column, Floats, NumericColumn, State, States
from driftline.counts import CategoricalCounts, ColumnCounts, Integers, NumericCounts, merge_new
from driftline.design_effect import Clusters, categorical_clusters, numeric_clusters
from driftline.duplicates import RowSketch, row_hashes
from driftline.grid import Grid
from driftline.multivariate import MULTIVARIATE
from driftline.pane import Axes, FeatureAxis, Limits, PaneCounts

_NO_LIMITS = Limits()


def count(axes: Axes, batch: Batch, between: Callable[[], object] = lambda: None) -> PaneCounts:
    """The counts of a batch's rows. Columns the batch lacks are missing in every row; others are ignored.

    `between` is called between columns, for who shares a core with others.
    """
    columns = _with_error(axes, batch)
    features: dict[str, ColumnCounts] = {}
    with np.errstate(over="ignore"):
        for name, axis in axes.features.items():
            between()
            limits = axes.limits.get(name, _NO_LIMITS)
            features[name] = _count_column(axis, columns.get(name), batch.rows, limits)
    names = tuple(name for name in axes.features if name != MULTIVARIATE)
    between()
    return PaneCounts(
        rows=batch.rows,
        requests=batch.requests,
        features=features,
        clusters={} if batch.request is None else _clusters(axes, columns, batch.request),
        sketch=RowSketch.of(row_hashes(batch, names)),
    )


def count_column(
    axis: FeatureAxis, column: Column | None, rows: int, limits: Limits = _NO_LIMITS
) -> ColumnCounts:
    """The counts of one column; None: missing in every row. A column of the other kind is of wrong type."""
    with np.errstate(over="ignore"):
        return _count_column(axis, column, rows, limits)


def _count_column(axis: FeatureAxis, column: Column | None, rows: int, limits: Limits) -> ColumnCounts:
    """Sums may overflow to an infinity, which statistics say: the caller must let them."""
    if isinstance(axis, Grid):
        return _count_numeric(axis, column, rows, limits)
    return _count_categorical(axis, column, rows, limits)


def _with_error(axes: Axes, batch: Batch) -> dict[str, Column]:
    columns = dict(batch.columns)
    if axes.multivariate is not None and MULTIVARIATE in axes.features:
        columns[MULTIVARIATE] = NumericColumn(axes.multivariate.error(batch.columns, batch.rows))
    return columns


def _count_numeric(grid: Grid, column: Column | None, rows: int, limits: Limits) -> NumericCounts:
    if not isinstance(column, NumericColumn):
        missing, null, wrong = _absent(column, rows)
        empty = NumericCounts.empty(grid)
        return NumericCounts(
            counts=empty.counts, sums=empty.sums, missing=missing, null=null, wrong_type=wrong
        )
    values, missing, null, wrong = column.values, 0, 0, 0
    if column.states is not None:
        missing, null, wrong = _states(column.states)
        values = values[column.states == State.VALUE]
    x = np.sort(values)
    nan = neg_inf = pos_inf = 0
    # NaN sorts last, infinities at the ends: two looks tell whether there is anything to cut off.
    if len(x) and not (x[0] > -np.inf and x[-1] < np.inf):
        low, high, valid = np.searchsorted(x, [-np.inf, np.inf, np.inf], side="right")
        high = np.searchsorted(x, np.inf, side="left")
        neg_inf, pos_inf, nan = int(low), int(valid - high), int(len(x) - valid)
        x = x[low:high]
    counts, sums = _count_sorted(grid, x)
    return NumericCounts(
        counts=counts,
        sums=sums,
        minimum=float(x[0]) if len(x) else np.inf,
        maximum=float(x[-1]) if len(x) else -np.inf,
        nan=nan,
        pos_inf=pos_inf,
        neg_inf=neg_inf,
        missing=missing,
        null=null,
        wrong_type=wrong,
        out_of_range=_out_of_range(x, limits),
    )


def _count_sorted(grid: Grid, x: Floats) -> tuple[Integers, Floats]:
    """Counts (2m + 1,) and centred sums (m + 1,) of finite, sorted values."""
    edges, n = grid.edges, len(x)
    if n == 0:
        return np.zeros(grid.cells, np.int64), np.zeros(len(edges) + 1)
    # Where each cell begins in the sorted values, and where the last one ends.
    bounds = np.empty(grid.cells + 1, np.int64)
    left = x.searchsorted(edges)
    bounds[0], bounds[-1] = 0, n
    bounds[1:-1:2] = left
    bounds[2:-1:2] = left
    # Only an edge that a value equals needs its second search: none of them, for continuous columns.
    hit = (x.take(left, mode="clip") == edges).nonzero()[0]
    if len(hit):
        bounds[2 * hit + 2] = x.searchsorted(edges[hit], side="right")
    counts = bounds[1:] - bounds[:-1]
    held = counts.nonzero()[0]
    sums = np.zeros(grid.cells)
    sums[held] = np.add.reduceat(x - grid.cell_centres.repeat(counts), bounds.take(held))
    return counts, sums[::2].copy()


def _out_of_range(x: Floats, limits: Limits) -> int:
    """Values beyond the schema's range, of finite sorted ones."""
    below = 0 if limits.minimum is None else int(np.searchsorted(x, limits.minimum, side="left"))
    above = 0 if limits.maximum is None else len(x) - int(np.searchsorted(x, limits.maximum, side="right"))
    return below + above


def _count_categorical(
    categories: Categories, column: Column | None, rows: int, limits: Limits
) -> CategoricalCounts:
    known = np.zeros(len(categories.known), np.int64)
    if not isinstance(column, CategoricalColumn):
        missing, null, wrong = _absent(column, rows)
        return CategoricalCounts(known=known, missing=missing, null=null, wrong_type=wrong)
    missing, null, wrong = _states(column.states)
    held = np.bincount(column.codes[column.codes >= 0], minlength=len(column.dictionary))
    new: dict[str, int] = {}
    outside = 0
    for value, number in zip(column.dictionary, held.tolist(), strict=True):
        if not number:
            continue
        place = categories.index.get(clip(value))
        if place is not None:
            known[place] += number
        else:
            new[clip(value)] = new.get(clip(value), 0) + number
        if limits.allowed is not None and value not in limits.allowed:
            outside += number
    other = sum(new.values()) if categories.truncated else 0
    bounded, overflow = merge_new({}, {} if categories.truncated else new)
    return CategoricalCounts(
        known=known,
        other=other,
        new=bounded,
        new_overflow=overflow,
        missing=missing,
        null=null,
        wrong_type=wrong,
        out_of_range=outside,
    )


def _states(states: States | None) -> tuple[int, int, int]:
    """Missing, null and wrong-type cells."""
    if states is None:
        return 0, 0, 0
    found = np.bincount(states, minlength=len(State))
    return int(found[State.MISSING]), int(found[State.NULL]), int(found[State.WRONG_TYPE])


def _absent(column: Column | None, rows: int) -> tuple[int, int, int]:
    """The cells of a column that isn't there, or whose values are all of the other kind."""
    if column is None:
        return rows, 0, 0
    missing, null, _ = _states(column.states)
    return missing, null, rows - missing - null


def _clusters(axes: Axes, columns: dict[str, Column], request: Codes) -> dict[str, Clusters]:
    """Between-request sums of every column that has several valid rows in some request."""
    found: dict[str, Clusters] = {}
    for name, axis in axes.features.items():
        clusters = _column_clusters(axis, columns.get(name), request, axes.ranks.get(name))
        if clusters is not None and clusters.sizes:
            found[name] = clusters
    return found


def _column_clusters(
    axis: FeatureAxis, column: Column | None, request: Codes, ranks: Floats | None
) -> Clusters | None:
    if isinstance(axis, Grid) and isinstance(column, NumericColumn) and ranks is not None:
        valid = np.isfinite(column.values)
        x = column.values[valid]
        return numeric_clusters(ranks[axis.cells_of(x)] - 0.5, request[valid])
    if isinstance(axis, Categories) and isinstance(column, CategoricalColumn):
        other, new = len(axis.known), len(axis.known) + 1
        unknown = other if axis.truncated else new
        table = [axis.index.get(clip(value), unknown) for value in column.dictionary]
        valid = column.codes >= 0
        bins = np.array(table or [0], np.int64)[column.codes[valid]]
        return categorical_clusters(bins, request[valid], new + 1)
    return None
