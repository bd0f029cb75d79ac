"""A pane as a few flat arrays, all columns one after the other, and as bytes that are small and quick. Pure.

The controller merges panes of a thousand pods: by column, as a sidecar counts, that is sixty thousand small
additions; flat it is one addition a pane. What a window is judged on is unflattened from it, and is what a
sidecar would have: counts exactly; centred sums are kept at rest with a relative error of 2^-8 (`pack`),
which moves a mean by a 256th of a cell's width at most.
How often rows repeat (`RowSketch`) isn't kept: it is each pod's own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np
from driftline.categories import Categories
from driftline.counts import CategoricalCounts, ColumnCounts, NumericCounts, merge_new
from driftline.design_effect import CategoricalClusters, Clusters, NumericClusters
from driftline.errors import DataError
from driftline.grid import Grid
from driftline.pane import FeatureAxis, PaneCounts
from driftline.pane_codec import (
    PackedCategorical,
    PackedCategoricalClusters,
    PackedCells,
    PackedNumeric,
    PackedPane,
)
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Places = NDArray[np.signedinteger[Any]]

_OTHERS: Final = 7
"""Counters beside the cells: a column has this many, a categorical one uses one less."""
_NUMERIC_OTHERS: Final = ("nan", "pos_inf", "neg_inf", "missing", "null", "wrong_type", "out_of_range")
ROWS: Final = 0
REQUESTS: Final = 1
"""Where these stand among the ints."""
_HEAD: Final = 2
_WIDTHS: Final = (1, 2, 4, 8)
_TYPES: Final = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}
_MOST_INFLATED: Final = 64 << 20


class Layout:
    """Where each column's counts lie, for the axes of one profile.

    ints: rows, requests | by column seven counters, cluster rows, cluster sizes | category squares | cells
    floats: by column cluster products, cluster squares | sums of the open cells
    """

    def __init__(self, axes: Mapping[str, FeatureAxis]) -> None:
        self.axes = dict(axes)
        self.names = tuple(axes)
        columns = len(self.names)
        at = _HEAD + (_OTHERS + 2) * columns
        self._squares: dict[str, slice] = {}
        self.cells: dict[str, slice] = {}
        self._sums: dict[str, slice] = {}
        for name, axis in axes.items():
            if isinstance(axis, Categories):
                self._squares[name] = slice(at, at + len(axis.known) + 2)
                at += len(axis.known) + 2
        floats = 2 * columns
        for name, axis in axes.items():
            size = axis.cells if isinstance(axis, Grid) else len(axis.known)
            self.cells[name] = slice(at, at + size)
            if isinstance(axis, Grid):
                self._sums[name] = slice(floats, floats + size // 2 + 1)
                floats += size // 2 + 1
            at += size
        self.size, self.floats = at, floats
        self.head = min((part.start for part in self.cells.values()), default=at)
        """Where the cells begin among the ints."""
        self._order = {name: index for index, name in enumerate(self.names)}

    @property
    def sum_of(self) -> Places:
        """By place among the ints: where the cell's sum is; -1 where it has none."""
        return _sum_of(self)

    def others(self, name: str) -> slice:
        """A column's seven counters."""
        start = _HEAD + _OTHERS * self._order[name]
        return slice(start, start + _OTHERS)

    def cluster(self, name: str) -> tuple[int, int]:
        """Where a column's cluster rows and sizes lie."""
        start = _HEAD + _OTHERS * len(self.names) + 2 * self._order[name]
        return start, start + 1

    def products(self, name: str) -> int:
        """A column's cluster products among the floats; its squares follow."""
        return 2 * self._order[name]

    def squares(self, name: str) -> slice:
        """A categorical column's squares."""
        return self._squares[name]

    def sums(self, name: str) -> slice:
        """A numeric column's sums."""
        return self._sums[name]

    @property
    def numeric(self) -> Iterable[str]:
        """The numeric columns, in the order of their sums."""
        return self._sums


@lru_cache(maxsize=16)
def _sum_of(layout: Layout) -> Places:
    """Made when a monitor's turn comes: kept for all, these would be a tenth of the memory."""
    found = places_of(layout.size, layout.floats)
    for name in layout.numeric:
        cells, sums = layout.cells[name], layout.sums(name)
        found[cells.start : cells.stop : 2] = np.arange(sums.start, sums.stop)
    return found


def places_of(size: int, values: int) -> Places:
    """An index of that many places, all -1, for values below `values`."""
    if values < 1 << 15:
        return np.full(size, -1, np.int16)
    return np.full(size, -1, np.int32)


class Flat:
    """The counts of some rows: zero at first, and grown by adding."""

    __slots__ = ("floats", "high", "ints", "layout", "low", "new")

    def __init__(self, layout: Layout, *, cells: bool = True) -> None:
        """`cells`: False where only what stands before them is to be added."""
        self.layout = layout
        self.ints: Ints = np.zeros(layout.size if cells else layout.head, np.int64)
        self.floats: Floats = np.zeros(layout.floats if cells else 2 * len(layout.names))
        self.low: Floats = np.full(len(layout.names), np.inf)
        self.high: Floats = np.full(len(layout.names), -np.inf)
        self.new: dict[str, Mapping[str, int]] = {}

    @property
    def rows(self) -> int:
        """How many."""
        return int(self.ints[ROWS])

    @property
    def requests(self) -> int:
        """In how many requests they came."""
        return int(self.ints[REQUESTS])

    # ---- in ----

    def _add_head(self, pane: PackedPane) -> None:
        """All of a pane but its cells. Raises ValueError and the like where it is damaged."""
        layout = self.layout
        clusters = [(name, pane.clusters[name]) for name in pane.clusters if name in layout.cells]
        squares = [_square(layout, name, each) for name, each in clusters]
        self.ints[ROWS] += pane.rows
        self.ints[REQUESTS] += pane.requests
        for name, column in pane.features.items():
            self._others(name, column)
        for (name, each), found in zip(clusters, squares, strict=True):
            rows, sizes = layout.cluster(name)
            self.ints[rows] += each.rows
            self.ints[sizes] += each.sizes
            if found is not None:
                self.ints[found[0]] += found[1]
            elif not isinstance(each, PackedCategoricalClusters):
                products = layout.products(name)
                self.floats[products] += each.products
                self.floats[products + 1] += each.squares

    def _others(self, name: str, column: PackedNumeric | PackedCategorical) -> None:
        if any(column.others):
            start = self.layout.others(name).start
            self.ints[start : start + len(column.others)] += column.others
        if isinstance(column, PackedNumeric):
            index = self.layout.products(name) // 2
            self.low[index] = min(self.low[index], column.minimum)
            self.high[index] = max(self.high[index], column.maximum)
        elif column.new:
            self._add_new(name, column.new)

    def _add_new(self, name: str, new: Mapping[str, int]) -> None:
        merged, overflow = merge_new(self.new.get(name, {}), new)
        self.new[name] = merged
        if overflow:
            self.ints[self.layout.others(name).start + 1] += overflow

    def add_bytes(self, data: bytes) -> None:
        """Add what `pack` made on the same layout. Raises DataError."""
        places, counts, at, sums, rest = unpack(self.layout, data)
        self.ints[places] += counts
        self.floats[at] += sums
        if rest.clusters:
            self.floats[: 2 * len(self.low)] += np.frombuffer(rest.clusters, "<f8")
        np.minimum(self.low, np.frombuffer(rest.low, "<f8"), out=self.low)
        np.maximum(self.high, np.frombuffer(rest.high, "<f8"), out=self.high)
        for name, new in rest.new.items():
            self._add_new(name, new)

    # ---- out ----

    def pack(self, level: int = 1) -> bytes:
        """As bytes: only what counts something, a sum as the upper half of its float32. `level`: zlib's."""
        places = np.flatnonzero(self.ints)
        at = self.layout.sum_of[places]
        return self._packed(places, self.ints[places], self.floats[at[at >= 0]], level)

    def _packed(self, places: NDArray[np.intp], counts: Ints, sums: Floats, level: int) -> bytes:
        """Those cells, with all else as it is here."""
        clusters = self.floats[: 2 * len(self.low)]
        width = next(each for each in _WIDTHS if int(counts.max(initial=0)) < 1 << 8 * each)
        small = np.minimum(counts, 255).astype(np.uint8)
        large = counts[counts >= 255].astype(_TYPES[width])
        steps = np.diff(places, prepend=0)
        packed = _Packed(
            np.minimum(steps, 255).astype(np.uint8).tobytes(),
            steps[steps >= 255].astype("<u4").tobytes(),
            small.tobytes(),
            width,
            large.tobytes(),
            _planes(sums),
            clusters.astype("<f8").tobytes() if clusters.any() else b"",
            self.low.astype("<f8").tobytes(),
            self.high.astype("<f8").tobytes(),
            {name: dict(new) for name, new in self.new.items()},
        )
        return zlib.compress(msgspec.msgpack.encode(packed), level)

    def counts(self) -> PaneCounts:
        """What a window is judged on."""
        features: dict[str, ColumnCounts] = {}
        clusters: dict[str, Clusters] = {}
        for name, axis in self.layout.axes.items():
            others = self.ints[self.layout.others(name)].tolist()
            cells = self.ints[self.layout.cells[name]]
            if isinstance(axis, Grid):
                features[name] = self._numeric(name, cells, others)
            else:
                other, overflow, missing, null, wrong_type, out_of_range, _ = others
                features[name] = CategoricalCounts(
                    known=cells, other=other, new=self.new.get(name, {}), new_overflow=overflow,
                    missing=missing, null=null, wrong_type=wrong_type, out_of_range=out_of_range,
                )  # fmt: skip
            found = self._clusters(name, axis)
            if found is not None:
                clusters[name] = found
        return PaneCounts(rows=self.rows, requests=self.requests, features=features, clusters=clusters)

    def _numeric(self, name: str, cells: Ints, others: list[int]) -> NumericCounts:
        index = self.layout.products(name) // 2
        counters = dict(zip(_NUMERIC_OTHERS, others, strict=True))
        return NumericCounts(
            counts=cells,
            sums=self.floats[self.layout.sums(name)],
            minimum=float(self.low[index]),
            maximum=float(self.high[index]),
            **counters,
        )

    def _clusters(self, name: str, axis: Grid | Categories) -> Clusters | None:
        rows, sizes = (int(self.ints[at]) for at in self.layout.cluster(name))
        if not sizes:
            return None
        if isinstance(axis, Grid):
            at = self.layout.products(name)
            return NumericClusters(rows, sizes, float(self.floats[at]), float(self.floats[at + 1]))
        return CategoricalClusters(rows, sizes, self.ints[self.layout.squares(name)])


class _Packed(msgspec.Struct, array_like=True, frozen=True):
    steps: bytes
    """From each place to the next, 255: it stands in `far`."""
    far: bytes
    small: bytes
    """Counts; 255: it stands in `large`."""
    width: int
    large: bytes
    sums: bytes
    clusters: bytes
    low: bytes
    high: bytes
    new: dict[str, dict[str, int]]


_decoder = msgspec.msgpack.Decoder(_Packed)


def pack_pane(layout: Layout, pane: PackedPane) -> bytes:
    """A pane as a pod gave it, as `Flat.pack` packs. Raises DataError where it isn't of these axes."""
    if pane.features.keys() != layout.cells.keys() or pane.rows < 0 or pane.requests < 0:
        raise DataError("a pane of other columns than the reference's")
    head = Flat(layout, cells=False)
    try:
        cells, counts, sums = _cells_of(layout, pane)
        head._add_head(pane)
    except (OverflowError, ValueError, IndexError, TypeError, KeyError) as error:
        raise DataError(f"a pane is damaged: {error}") from error
    places = np.flatnonzero(head.ints)
    every = np.concatenate([places, cells]), np.concatenate([head.ints[places], counts])
    return head._packed(*every, sums, 0)  # not for long


def unpack(layout: Layout, data: bytes) -> tuple[NDArray[np.intp], Ints, Places, Floats, _Packed]:
    """Places, counts, places of the sums, sums and the rest of what `Flat.pack` made. Raises DataError."""
    try:
        engine = zlib.decompressobj()
        raw = engine.decompress(data, _MOST_INFLATED)
        if not engine.eof:
            raise DataError("packed counts are cut off, or too many")
        packed = _decoder.decode(raw)
        steps = np.frombuffer(packed.steps, np.uint8).astype(np.intp)
        steps[steps == 255] = np.frombuffer(packed.far, "<u4")
        counts = np.frombuffer(packed.small, np.uint8).astype(np.int64)
        counts[counts == 255] = np.frombuffer(packed.large, _TYPES[packed.width]).astype(np.int64)
        places = np.cumsum(steps)
        if len(counts) != len(places) or (len(places) and places[-1] >= layout.size):
            raise DataError("packed counts of another layout")
        sums = _from_planes(packed.sums)
        at = layout.sum_of[places]
        at = at[at >= 0]
        if len(sums) != len(at):
            raise DataError("packed sums of another layout")
    except (zlib.error, msgspec.DecodeError, ValueError, KeyError, IndexError) as error:
        raise DataError(f"packed counts are damaged: {error}") from error
    return places, counts, at, sums, packed


def _planes(values: Floats) -> bytes:
    """The upper half of float32, byte by byte: exponents lie together and compress."""
    with np.errstate(over="ignore"):
        bits = values.astype("<f4").view(np.uint32)
    finite = (bits & 0x7F800000) != 0x7F800000
    rounded = np.where(finite, bits + 0x8000, bits)
    return rounded.astype("<u4").view(np.uint8).reshape(-1, 4)[:, 2:].T.tobytes()


def _from_planes(data: bytes) -> Floats:
    parts = np.frombuffer(data, np.uint8).reshape(2, -1)
    whole = np.zeros((parts.shape[1], 4), np.uint8)
    whole[:, 2:] = parts.T
    return whole.view("<f4")[:, 0].astype(np.float64)


def _cells_of(layout: Layout, pane: PackedPane) -> tuple[NDArray[np.intp], Ints, Floats]:
    """All columns' cells: places among the ints, strictly rising in each column; counts; sums."""
    offsets, lengths, counts, sums, places, sizes = [], [], [], [], [], []
    for name, axis in layout.axes.items():
        column = pane.features[name]
        numeric = isinstance(column, PackedNumeric)
        if numeric != isinstance(axis, Grid):
            raise ValueError(f"{name!r} is of another type")
        cells = column.cells if isinstance(column, PackedNumeric) else column.known
        part = layout.cells[name]
        if cells.size != part.stop - part.start:
            raise ValueError(f"{name!r} has {cells.size} cells")
        found = _counts(cells)
        places.append(cells.places)
        counts.append(found)
        offsets.append(part.start)
        lengths.append(len(found))
        sizes.append(cells.size)
        if isinstance(column, PackedNumeric):
            sums.append(column.sums)
    at = np.frombuffer(b"".join(places), "<u4").astype(np.intp)
    repeated = np.repeat(np.array(offsets), lengths)
    if len(at) != len(repeated) or (at >= np.repeat(np.array(sizes), lengths)).any():
        raise ValueError("cells beyond the grid")
    whole = at + repeated
    if (np.diff(whole) <= 0).any():
        raise ValueError("cells out of order")
    every: Ints = np.concatenate(counts)
    if len(every) and int(every.min()) < 0:
        raise ValueError("counts beyond 2^63")
    total: Floats = np.frombuffer(b"".join(sums), "<f8")
    if len(total) != int((layout.sum_of[whole] >= 0).sum()):
        raise ValueError("sums that belong to no cell")
    return whole, every, total


def _counts(cells: PackedCells) -> Ints:
    return np.frombuffer(cells.counts, _TYPES[cells.count_bytes]).astype(np.int64)


def _square(layout: Layout, name: str, clusters: object) -> tuple[NDArray[np.intp], Ints] | None:
    if not isinstance(clusters, PackedCategoricalClusters):
        return None
    part = layout.squares(name)
    at = np.frombuffer(clusters.squares.places, "<u4").astype(np.intp) + part.start
    counts = _counts(clusters.squares)
    if clusters.squares.size != part.stop - part.start or (len(at) and int(at.max()) >= part.stop):
        raise ValueError(f"{name!r} has clusters of another size")
    if len(counts) != len(at):
        raise ValueError(f"{name!r} has clusters without places")
    return at, counts
