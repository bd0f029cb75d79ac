"""Where each column's counts lie when all columns of a pane stand one after the other. Pure.

Numeric columns come last, an even number of places each, so that the sum of a cell is found by arithmetic:
an index of it would be a tenth of a monitor's memory, or of its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
from driftline.categories import Categories
from driftline.grid import Grid
from driftline.pane import FeatureAxis
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Places = NDArray[np.signedinteger[Any]]

ROWS: Final = 0
REQUESTS: Final = 1
"""Where these stand among the ints."""
HEAD: Final = 2
OTHERS: Final = 7
"""Counters beside the cells: a column has this many, a categorical one uses one less."""


class Layout:
    """For the axes of one profile.

    ints: rows, requests | by column seven counters | by column cluster rows, cluster sizes | category
    squares | cells of categorical columns | cells of numeric columns, each with an unused place behind them
    floats: by column cluster products, cluster squares | sums of the open cells
    """

    def __init__(self, axes: Mapping[str, FeatureAxis]) -> None:
        self.axes = dict(axes)
        self.names = tuple(axes)
        columns = len(self.names)
        at = HEAD + (OTHERS + 2) * columns
        categories = {name: axis for name, axis in axes.items() if isinstance(axis, Categories)}
        grids = {name: axis for name, axis in axes.items() if isinstance(axis, Grid)}
        self._squares: dict[str, slice] = {}
        self.cells: dict[str, slice] = {}
        for name, known in categories.items():
            self._squares[name] = slice(at, at + len(known.known) + 2)
            at += len(known.known) + 2
        self.head = at
        """Where the cells begin among the ints."""
        for name, known in categories.items():
            self.cells[name] = slice(at, at + len(known.known))
            at += len(known.known)
        self.open = at
        """Where the numeric columns begin."""
        for name, grid in grids.items():
            self.cells[name] = slice(at, at + grid.cells)
            at += grid.cells + 1
        self.size = at
        self.floats = 2 * columns + (at - self.open) // 2
        self._order = {name: index for index, name in enumerate(self.names)}
        self.categorical, self.numeric = tuple(categories), tuple(grids)
        """The columns' names, in the order of their cells."""
        self.sizes = [part.stop - part.start for part in self.cells.values()]
        self.starts = np.array([part.start for part in self.cells.values()], np.intp)
        """Of each column's cells."""
        self.numeric_at = np.array([self._order[name] for name in grids], np.intp)
        """Which columns are numeric."""

    def sums_of(self, places: Places) -> Places:
        """Where the sums of those places (rising) lie, for the ones that have a sum: the open cells."""
        inside = places[np.searchsorted(places, self.open) :] - self.open
        found: Places = (inside[inside & 1 == 0] >> 1) + 2 * len(self.names)
        return found

    def with_sums(self, places: Places) -> NDArray[np.bool_]:
        """Which of the places have a sum."""
        found: NDArray[np.bool_] = (places >= self.open) & (places - self.open & 1 == 0)
        return found

    def others(self, name: str) -> slice:
        """A column's seven counters."""
        start = HEAD + OTHERS * self._order[name]
        return slice(start, start + OTHERS)

    def cluster(self, name: str) -> tuple[int, int]:
        """Where a column's cluster rows and sizes lie."""
        start = HEAD + OTHERS * len(self.names) + 2 * self._order[name]
        return start, start + 1

    def column(self, name: str) -> int:
        """Its number."""
        return self._order[name]

    def products(self, name: str) -> int:
        """A column's cluster products among the floats; its squares follow."""
        return 2 * self._order[name]

    def squares(self, name: str) -> slice:
        """A categorical column's squares."""
        return self._squares[name]

    def sums(self, name: str) -> slice:
        """A numeric column's sums."""
        cells = self.cells[name]
        start = 2 * len(self.names) + (cells.start - self.open) // 2
        return slice(start, start + (cells.stop - cells.start) // 2 + 1)


@lru_cache(maxsize=4)
def widths(layout: Layout) -> Floats:
    """By sum the width of its cell; infinite for a column's outer two. Made when a monitor's turn comes."""
    parts = [np.empty(0)]
    for name in layout.numeric:
        axis = layout.axes[name]
        if isinstance(axis, Grid):
            with np.errstate(over="ignore"):
                inner = np.diff(axis.edges)
            parts += [np.array([np.inf]), inner, np.full(min(1, len(axis.edges)), np.inf)]
    return np.concatenate(parts)
