"""A pane as a few flat arrays, all columns one after the other. Pure.

The controller merges panes of a thousand pods: by column, as a sidecar counts, that is sixty thousand small
additions; flat it is one addition a pane. What a window is judged on is unflattened from it, and is what a
sidecar would have: counts exactly; centred sums as precisely as `packing` keeps them.
How often rows repeat (`RowSketch`) isn't kept: it is each pod's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from driftline.categories import Categories
from driftline.counts import CategoricalCounts, ColumnCounts, NumericCounts, merge_new
from driftline.design_effect import CategoricalClusters, Clusters, NumericClusters
from driftline.errors import DataError
from driftline.grid import Grid
from driftline.pane import PaneCounts
from driftline.pane_codec import PackedCategoricalClusters, PackedPane

from driftline_operator.fleet.layout import HEAD, OTHERS, REQUESTS, ROWS, Floats, Ints, Layout
from driftline_operator.fleet.packing import Unpacked, pack, unpack
from driftline_operator.fleet.reading import Cells, cells_of, columns_of, counters_of, squares_of


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

    def add_head(self, pane: PackedPane) -> None:
        """All of a pane but its cells. Raises ValueError and the like where it is damaged."""
        layout = self.layout
        clusters = [(name, pane.clusters[name]) for name in pane.clusters if name in layout.cells]
        squares = [squares_of(layout, name, each) for name, each in clusters]
        self.ints[ROWS] += pane.rows
        self.ints[REQUESTS] += pane.requests
        for start, column in counters_of(layout, pane):
            self.ints[start : start + len(column.others)] += column.others
        self._columns(pane)
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

    def _columns(self, pane: PackedPane) -> None:
        """Smallest and largest values, and unseen categories."""
        numeric, categorical = columns_of(self.layout, pane)
        at = self.layout.numeric_at
        self.low[at] = np.minimum(self.low[at], [each.minimum for each in numeric])
        self.high[at] = np.maximum(self.high[at], [each.maximum for each in numeric])
        for name, column in zip(self.layout.categorical, categorical, strict=True):
            if column.new:
                self._add_new(name, column.new)

    def _add_new(self, name: str, new: Mapping[str, int]) -> None:
        merged, overflow = merge_new(self.new.get(name, {}), new)
        self.new[name] = merged
        if overflow:
            self.ints[self.layout.others(name).start + 1] += overflow

    def add_pane(self, pane: PackedPane) -> None:
        """Add a pane as a pod gave it. Raises DataError where it isn't of these axes, and adds nothing."""
        cells, head = _read(self.layout, pane)
        self.ints[: self.layout.head] += head.ints
        self.floats[: len(head.floats)] += head.floats
        self.ints[cells.places] += cells.counts
        self.floats[self.layout.sums_of(cells.places)] += cells.sums
        self._ends(head.low, head.high)
        for name, new in head.new.items():
            self._add_new(name, new)

    def add(self, part: Unpacked) -> None:
        """Add what was packed on the same layout."""
        self.ints[part.places] += part.counts
        self.floats[part.at] += part.sums
        if part.rest.clusters:
            self.floats[: 2 * len(self.low)] += np.frombuffer(part.rest.clusters, "<f8")
        self._ends(np.frombuffer(part.rest.low, "<f8"), np.frombuffer(part.rest.high, "<f8"))
        for name, new in part.rest.new.items():
            self._add_new(name, new)

    def add_bytes(self, data: bytes) -> None:
        """Add what `pack` made on the same layout. Raises DataError."""
        self.add(unpack(self.layout, data))

    def _ends(self, low: Floats, high: Floats) -> None:
        np.minimum(self.low, low, out=self.low)
        np.maximum(self.high, high, out=self.high)

    # ---- out ----

    def pack(self, level: int = 1) -> bytes:
        """As bytes. `level`: zlib's; `packing.TIGHT` for what stays."""
        places = np.flatnonzero(self.ints)
        return self._packed(Cells(places, self.ints[places], self.floats[self.layout.sums_of(places)]), level)

    def _packed(self, cells: Cells, level: int) -> bytes:
        """Those cells, with all else as it is here."""
        new = {name: dict(new) for name, new in self.new.items()}
        ends = self.low, self.high
        return pack(self.layout, cells, self.floats[: 2 * len(self.low)], ends, new, level)

    def counts(self) -> PaneCounts:
        """What a window is judged on."""
        features: dict[str, ColumnCounts] = {}
        clusters: dict[str, Clusters] = {}
        clustered = self.ints[HEAD + OTHERS * len(self.low) : HEAD + (OTHERS + 2) * len(self.low)].any()
        counters = self.ints[HEAD : HEAD + OTHERS * len(self.low)].reshape(-1, OTHERS).tolist()
        ends = zip(self.low.tolist(), self.high.tolist(), strict=True)
        for (name, axis), others, end in zip(self.layout.axes.items(), counters, ends, strict=True):
            cells = self.ints[self.layout.cells[name]]
            if isinstance(axis, Grid):
                features[name] = self._numeric(name, cells, others, end)
            else:
                other, overflow, missing, null, wrong_type, out_of_range, _ = others
                features[name] = CategoricalCounts(
                    known=cells, other=other, new=self.new.get(name, {}), new_overflow=overflow,
                    missing=missing, null=null, wrong_type=wrong_type, out_of_range=out_of_range,
                )  # fmt: skip
            found = self._clusters(name, axis) if clustered else None
            if found is not None:
                clusters[name] = found
        return PaneCounts(rows=self.rows, requests=self.requests, features=features, clusters=clusters)

    def _numeric(self, name: str, cells: Ints, others: list[int], ends: tuple[float, float]) -> NumericCounts:
        nan, pos_inf, neg_inf, missing, null, wrong_type, out_of_range = others
        return NumericCounts(
            counts=cells, sums=self.floats[self.layout.sums(name)], minimum=ends[0], maximum=ends[1], nan=nan,
            pos_inf=pos_inf, neg_inf=neg_inf, missing=missing, null=null, wrong_type=wrong_type,
            out_of_range=out_of_range,
        )  # fmt: skip

    def _clusters(self, name: str, axis: Grid | Categories) -> Clusters | None:
        rows, sizes = (int(self.ints[at]) for at in self.layout.cluster(name))
        if not sizes:
            return None
        if isinstance(axis, Grid):
            at = self.layout.products(name)
            return NumericClusters(rows, sizes, float(self.floats[at]), float(self.floats[at + 1]))
        return CategoricalClusters(rows, sizes, self.ints[self.layout.squares(name)])


def pack_pane(layout: Layout, pane: PackedPane) -> bytes:
    """A pane as a pod gave it, as `Flat.pack` packs. Raises DataError where it isn't of these axes."""
    cells, head = _read(layout, pane)
    places = np.flatnonzero(head.ints)
    every = np.concatenate([places, cells.places]), np.concatenate([head.ints[places], cells.counts])
    return head._packed(Cells(*every, cells.sums), 0)  # not for long


def _read(layout: Layout, pane: PackedPane) -> tuple[Cells, Flat]:
    """A pane's cells, and all else of it. Raises DataError."""
    if pane.features.keys() != layout.cells.keys() or pane.rows < 0 or pane.requests < 0:
        raise DataError("a pane of other columns than the reference's")
    head = Flat(layout, cells=False)
    try:
        cells = cells_of(layout, pane)
        head.add_head(pane)
    except (OverflowError, ValueError, IndexError, TypeError, KeyError) as error:
        raise DataError(f"a pane is damaged: {error}") from error
    return cells, head
