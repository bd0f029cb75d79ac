"""The rows of a reference for `driftline.profile_build`: in memory as long as they fit, else on disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
from driftline.batches import concatenate
from driftline.columns import Batch, CategoricalColumn, Column, Floats, NumericColumn
from driftline.grid import DECILE_QUANTILES, QUANTILE_EDGES, QUANTILES, WIDTH_EDGES, Grid
from driftline.moments import Moments
from driftline.profile_build import MemoryRows, NumericSummary, ReferenceRows, TimedBatch

from driftline_cli.readers.convert import Kind, Rows
from driftline_cli.readers.spool import DiskSpool

MEMORY_CELLS = 25_000_000
"""Cells kept in memory: 200 MB of numbers, and as much again while they are sorted."""


def reference_rows(
    rows: Iterable[Rows], kinds: Sequence[tuple[str, Kind]], memory_cells: int = MEMORY_CELLS
) -> AbstractContextManager[ReferenceRows]:
    """Take all rows in; the context holds them."""
    kept: list[Rows] = []
    cells = 0
    remaining = iter(rows)
    for chunk in remaining:
        kept.append(chunk)
        cells += chunk.count * len(kinds)
        if cells > memory_cells:
            return _on_disk(itertools.chain(kept, remaining), kinds)
    return nullcontext(MemoryRows(_in_order(kept)))


class DiskRows:
    """Rows in a spool, as a reference."""

    requests: int | None = None

    def __init__(self, spool: DiskSpool) -> None:
        self._spool = spool
        self.rows = spool.rows

    def batches(self) -> Iterator[TimedBatch]:
        """The rows in time order."""
        return self._spool.batches()

    def numeric(self, name: str) -> NumericSummary:
        """Exact, from one external sort."""
        rows = self._spool.finite(name)
        if not rows:
            return NumericSummary(Grid.from_values(np.empty(0)), Moments())
        return summarise(self._spool.sorted_values(name), rows)

    def categories(self, name: str) -> Mapping[str, int]:
        """Exact counts."""
        return self._spool.categories(name)


def summarise(pieces: Iterable[Floats], rows: int) -> NumericSummary:
    """Grid and moments of values that come sorted, piece by piece; as if they came at once.

    The quantiles are numpy's linear ones, computed from the same two order statistics.
    """
    probabilities = np.concatenate([QUANTILES, DECILE_QUANTILES])
    places = (rows - 1) * probabilities
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, rows - 1)
    wanted = np.unique(np.concatenate([below, above]))
    picked, distinct = np.empty(wanted.size), np.empty(0)
    moments, place = Moments(), 0
    low = high = 0.0
    for piece in pieces:
        low = piece[0] if place == 0 else low
        high = piece[-1]
        inside = (wanted >= place) & (wanted < place + piece.size)
        picked[inside] = piece[wanted[inside] - place]
        if distinct.size <= QUANTILE_EDGES + WIDTH_EDGES:
            distinct = np.union1d(distinct, piece)
        moments += Moments.of(piece)
        place += piece.size
    lower, upper = (picked[np.searchsorted(wanted, at)] for at in (below, above))
    quantiles = _interpolated(lower, upper, places - below)
    few = distinct if distinct.size <= QUANTILE_EDGES + WIDTH_EDGES else None
    split = len(QUANTILES)
    return NumericSummary(
        Grid.build(quantiles[:split], quantiles[split:], float(low), float(high), few), moments
    )


def _interpolated(lower: Floats, upper: Floats, share: Floats) -> Floats:
    """As numpy does it: from the nearer end, so that it is symmetric and exact at both."""
    with np.errstate(over="ignore", invalid="ignore"):
        difference = upper - lower
        return np.where(share >= 0.5, upper - difference * (1 - share), lower + difference * share)


@contextmanager
def _on_disk(rows: Iterable[Rows], kinds: Sequence[tuple[str, Kind]]) -> Iterator[ReferenceRows]:
    with DiskSpool(kinds) as spool:
        for chunk in rows:
            spool.add(chunk)
        yield DiskRows(spool)


def _in_order(chunks: Sequence[Rows]) -> list[TimedBatch]:
    batches = [Batch(chunk.count, chunk.columns, chunk.count) for chunk in chunks]
    times = [chunk.times for chunk in chunks if chunk.times is not None]
    if not times:
        return [(batch, None) for batch in batches]
    every = np.concatenate(times)
    if (np.diff(every) >= 0).all():
        return list(zip(batches, times, strict=True))
    order = np.argsort(every, kind="stable")
    whole = concatenate(batches)
    columns = {name: _taken(column, order) for name, column in whole.columns.items()}
    return [(Batch(whole.rows, columns, whole.rows), every[order])]


def _taken(column: Column, order: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Column:
    states = None if column.states is None else column.states[order]
    if isinstance(column, NumericColumn):
        return NumericColumn(column.values[order], states)
    return CategoricalColumn(column.codes[order], column.dictionary, states)
