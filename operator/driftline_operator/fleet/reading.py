"""A pane as a pod gave it, checked, as flat arrays. Pure: a tenant may have made it up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
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
    numeric, categorical = columns_of(layout, pane)
    every = [each.known for each in categorical] + [each.cells for each in numeric]
    if [each.size for each in every] != layout.sizes:
        raise ValueError("cells of another grid")
    lengths = [len(each.places) // 4 for each in every]
    at = np.frombuffer(b"".join([each.places for each in every]), "<u4").astype(np.intp)
    counts = counts_of(every)
    if len(at) != sum(lengths) or (at >= np.repeat(layout.sizes, lengths)).any():
        raise ValueError("cells beyond the grid")
    places = at + np.repeat(layout.starts, lengths)
    if (places[1:] <= places[:-1]).any():
        raise ValueError("cells out of order")
    if len(counts) and int(counts.min()) < 0:
        raise ValueError("counts beyond 2^63")
    total: Floats = np.frombuffer(b"".join([each.sums for each in numeric]), "<f8")
    if len(total) != int(layout.with_sums(places).sum()):
        raise ValueError("sums that belong to no cell")
    return Cells(places, counts, total)


def columns_of(layout: Layout, pane: PackedPane) -> tuple[list[PackedNumeric], list[PackedCategorical]]:
    """The numeric and the categorical columns, in the order of their cells. Raises ValueError, KeyError."""
    numeric = [each for name in layout.numeric if isinstance(each := pane.features[name], PackedNumeric)]
    categorical = [
        each for name in layout.categorical if isinstance(each := pane.features[name], PackedCategorical)
    ]
    if (len(numeric), len(categorical)) != (len(layout.numeric), len(layout.categorical)):
        raise ValueError("columns of another type")
    return numeric, categorical


def counts_of(every: Sequence[PackedCells]) -> Ints:
    """One after the other; each as many as it has places."""
    if [4 * len(each.counts) for each in every] != [len(each.places) * each.count_bytes for each in every]:
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
