"""The grid a reference fixes for a numeric column: where its values are counted, once and for all.

m edges cut the line into 2m + 1 cells: an open cell below, between and above the edges, and one cell
for values *equal to* each edge, so that bins (a, b] and [a, b) can both be read exactly:

    cell   0        1      2        3           2m-1      2m
        (-inf, e0)  {e0}  (e0, e1)  {e1}  ...  {e(m-1)}  (e(m-1), inf)

The number of edges never depends on the data's range: an outlier of 1e9 costs no memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from driftline.columns import Floats

QUANTILE_EDGES = 200
"""Edges at the quantiles i/200, i = 1..200: the mass of an open cell is at most about 1/200."""

WIDTH_EDGES = 200
"""Edges at equal distances from minimum to maximum: cells of the tails stay narrow."""

DECILES = 9
"""Inner deciles, the PSI's bins; they are among the quantile edges."""

QUANTILES: Floats = np.array([i / QUANTILE_EDGES for i in range(1, QUANTILE_EDGES + 1)])
"""Probabilities of the quantile edges. Integer divisions: `linspace`'s 0.7 is not 7/10."""

DECILE_QUANTILES: Floats = np.array([k / 10 for k in range(1, DECILES + 1)])


@dataclass(frozen=True, eq=False)
class Grid:
    """`edges`: float64 (m,), finite, strictly increasing; `decile_edges`: the unique deciles, among them.

    Without edges (a reference without finite values) there is one cell. Raises ValueError otherwise.
    """

    edges: Floats
    decile_edges: Floats

    def __post_init__(self) -> None:
        edges = np.ascontiguousarray(self.edges, np.float64)
        deciles = np.ascontiguousarray(self.decile_edges, np.float64)
        if not np.isfinite(edges).all() or (edges[1:] <= edges[:-1]).any():
            raise ValueError("the edges of a grid must be finite and strictly increasing")
        if not np.isin(deciles, edges).all() or (deciles[1:] <= deciles[:-1]).any():
            raise ValueError("the deciles of a grid must be among its edges and strictly increasing")
        for array in (edges, deciles):
            array.setflags(write=False)
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "decile_edges", deciles)

    @classmethod
    def from_values(cls, values: ArrayLike) -> Grid:
        """The grid of a reference's values (any numeric dtype, any shape); what isn't finite is left out."""
        x = np.asarray(values, np.float64).ravel()
        x = np.sort(x[np.isfinite(x)])
        if len(x) == 0:
            return cls(np.empty(0), np.empty(0))
        distinct = x[np.append(True, x[1:] != x[:-1])]
        with np.errstate(over="ignore", invalid="ignore"):
            quantiles, deciles = np.quantile(x, QUANTILES), np.quantile(x, DECILE_QUANTILES)
        return cls.build(quantiles, deciles, float(x[0]), float(x[-1]), distinct)

    @classmethod
    def build(
        cls,
        quantiles: Floats,
        deciles: Floats,
        minimum: float,
        maximum: float,
        distinct: Floats | None = None,
    ) -> Grid:
        """The grid from exact summaries of the reference, for data larger than memory.

        `quantiles`: numpy's (linear) quantiles at `QUANTILES`; `deciles` at `DECILE_QUANTILES`;
        `distinct`: the distinct values, None when known to be more than `QUANTILE_EDGES + WIDTH_EDGES`.
        Interpolation between values near +-1.8e308 overflows; such quantiles are left out.
        """
        deciles = np.unique(deciles[np.isfinite(deciles)])
        wide = equal_width_edges(minimum, maximum)
        edges = np.unique(np.concatenate([quantiles[np.isfinite(quantiles)], wide, deciles]))
        if distinct is not None and len(distinct) <= len(edges):
            edges = np.unique(np.concatenate([distinct, deciles]))
        return cls(edges + 0.0, deciles + 0.0)

    @property
    def cells(self) -> int:
        """2m + 1."""
        return 2 * len(self.edges) + 1

    @cached_property
    def centres(self) -> Floats:
        """The edge each open cell's sum is centred on, shape (m + 1,): the lower one; the first cell's upper.

        So a sum's terms all have one sign within a cell, and overflow gives an infinity, never a NaN.
        """
        if len(self.edges) == 0:
            return np.zeros(1)
        return np.concatenate([self.edges[:1], self.edges])

    @cached_property
    def cell_centres(self) -> Floats:
        """The same for every cell, shape (2m + 1,): a value equal to an edge is centred on that edge."""
        centres = np.empty(self.cells)
        centres[::2], centres[1::2] = self.centres, self.edges
        return centres

    @cached_property
    def decile_index(self) -> NDArray[np.intp]:
        """Where the deciles stand among the edges."""
        return np.searchsorted(self.edges, self.decile_edges)

    def cells_of(self, values: Floats) -> NDArray[np.intp]:
        """The cell of each finite value, in any order: same shape."""
        below = self.edges.searchsorted(values)
        if len(self.edges) == 0:
            return below
        cells: NDArray[np.intp] = 2 * below + (self.edges.take(below, mode="clip") == values)
        return cells

    def ranks(self, counts: NDArray[np.int64]) -> Floats:
        """The mid-distribution function per cell, in (0, 1), shape (2m + 1,): mass below plus half its own.

        `counts`: the reference's, shape (2m + 1,). 0.5 everywhere if they are all zero.
        """
        total = counts.sum()
        if total == 0:
            return np.full(self.cells, 0.5)
        ranks: Floats = (np.cumsum(counts) - counts / 2) / total
        return ranks

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return np.array_equal(self.edges, other.edges) and np.array_equal(
            self.decile_edges, other.decile_edges
        )

    def __hash__(self) -> int:
        return hash((self.edges.tobytes(), self.decile_edges.tobytes()))


def equal_width_edges(minimum: float, maximum: float) -> Floats:
    """`WIDTH_EDGES` points from minimum to maximum, both included; also where their distance overflows."""
    share = np.arange(WIDTH_EDGES) / (WIDTH_EDGES - 1)
    points = minimum * (1 - share) + maximum * share
    points[0], points[-1] = minimum, maximum
    clipped: Floats = np.clip(points, minimum, maximum)
    return clipped
