"""A pane as a pod gave it, checked, as flat arrays. Pure: a tenant may have made it up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from driftline.grid import Grid
from driftline.pane_codec import (
    PackedCategorical,
    PackedCategoricalClusters,
    PackedCells,
    PackedNumeric,
    PackedPane,
)
from numpy.typing import NDArray

from driftline_operator.fleet.layout import Floats, Ints, Layout
from driftline_operator.fleet.packing import TYPES


class Cells(NamedTuple):
    """All columns' cells: places among the ints, strictly rising; counts; sums of the open ones."""

    places: NDArray[np.intp]
    counts: Ints
    sums: Floats


def cells_of(layout: Layout, pane: PackedPane) -> Cells:
    """Raises ValueError or KeyError where a pane isn't of these axes."""
    sums, every, offsets, sizes = [], [], [], []
    for name, part in layout.cells.items():
        column = pane.features[name]
        if isinstance(column, PackedNumeric):
            cells = column.cells
            sums.append(column.sums)
        else:
            cells = column.known
        if isinstance(column, PackedNumeric) != isinstance(layout.axes[name], Grid):
            raise ValueError(f"{name!r} is of another type")
        if cells.size != part.stop - part.start:
            raise ValueError(f"{name!r} has {cells.size} cells")
        every.append(cells)
        offsets.append(part.start)
        sizes.append(cells.size)
    lengths = [len(each.places) // 4 for each in every]
    at = np.frombuffer(b"".join([each.places for each in every]), "<u4").astype(np.intp)
    counts = counts_of(every)
    if len(at) != sum(lengths) or len(counts) != len(at) or (at >= np.repeat(sizes, lengths)).any():
        raise ValueError("cells beyond the grid")
    places = at + np.repeat(offsets, lengths)
    if (places[1:] <= places[:-1]).any():
        raise ValueError("cells out of order")
    if len(counts) and int(counts.min()) < 0:
        raise ValueError("counts beyond 2^63")
    total: Floats = np.frombuffer(b"".join(sums), "<f8")
    if len(total) != int(layout.with_sums(places).sum()):
        raise ValueError("sums that belong to no cell")
    return Cells(places, counts, total)


def counts_of(every: Sequence[PackedCells]) -> Ints:
    """One after the other; each as many as it has places."""
    if any(len(each.counts) * 4 != len(each.places) * each.count_bytes for each in every):
        raise ValueError("counts without places")
    kinds = {each.count_bytes for each in every}
    if len(kinds) == 1:  # as in most panes: all counts are small
        return np.frombuffer(b"".join([each.counts for each in every]), TYPES[kinds.pop()]).astype(np.int64)
    parts = [np.frombuffer(each.counts, TYPES[each.count_bytes]).astype(np.int64) for each in every]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def squares_of(layout: Layout, name: str, clusters: object) -> tuple[NDArray[np.intp], Ints] | None:
    """Where a categorical column's squares are to be added; None for a numeric one's clusters."""
    if not isinstance(clusters, PackedCategoricalClusters):
        return None
    part = layout.squares(name)
    at = np.frombuffer(clusters.squares.places, "<u4").astype(np.intp) + part.start
    counts = counts_of([clusters.squares])
    if clusters.squares.size != part.stop - part.start or (len(at) and int(at.max()) >= part.stop):
        raise ValueError(f"{name!r} has clusters of another size")
    return at, counts


def counters_of(layout: Layout, pane: PackedPane) -> list[tuple[int, PackedNumeric | PackedCategorical]]:
    """The columns that have something beside their cells, with where their counters begin."""
    return [
        (layout.others(name).start, column) for name, column in pane.features.items() if any(column.others)
    ]
