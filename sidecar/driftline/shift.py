"""How far a numeric column has moved: its winsorised mean, in standard deviations of the reference's middle.

The PSI stops growing once every value has left the reference's deciles (near 8.4), and a reference whose
blocks are restless reaches the like by itself. A mean goes on. Values count at most `LIMIT` of these
units from the middle, so that one outlier, of the reference or of a window, moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.counts import NumericCounts
from driftline.grid import Grid

LIMIT = 9.0
"""In units: three times the distance of the outer deciles, beyond either of them."""

STEPS = 1 << 20
"""Scores of rows are added as whole numbers of 1 / STEPS, so that sums don't depend on their order."""

_OUTER = 1.2815515655446004
"""The ninth decile of a standard normal: outer deciles at +-_OUTER units give a normal column's sd."""


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a value is (value - `middle`) / `unit`, within +-`LIMIT`."""

    middle: float
    unit: float

    @classmethod
    def of(cls, grid: Grid) -> Score | None:
        """From the outer deciles; None where they are equal (or overflow): then there is no unit."""
        if len(grid.decile_edges) < 2:
            return None
        low, high = float(grid.decile_edges[0]), float(grid.decile_edges[-1])
        unit = (high / 2 - low / 2) / _OUTER
        return cls(low / 2 + high / 2, unit) if np.isfinite(1 / unit) and np.isfinite(unit) else None

    def scores(self, values: Floats) -> Floats:
        """Of values of any shape; infinities have the limit's."""
        with np.errstate(over="ignore", invalid="ignore"):
            found: Floats = np.clip((values - self.middle) / self.unit, -LIMIT, LIMIT)
        return found

    def steps(self, values: Floats) -> NDArray[np.int64]:
        """Scores in whole steps; 0 for what is not finite."""
        with np.errstate(invalid="ignore"):
            return np.where(np.isfinite(values), np.rint(self.scores(values) * STEPS), 0).astype(np.int64)

    def mean(self, counts: NumericCounts, grid: Grid) -> float | None:
        """The mean score of counted values, None without any.

        Exact but for cells that the limit cuts through: all values of such a cell score as their mean.
        """
        valid = counts.valid
        if valid == 0:
            return None
        open_cells = counts.counts[::2]
        with np.errstate(over="ignore", invalid="ignore"):
            means = counts.sums / np.maximum(open_cells, 1)
            if len(grid.edges):  # `grid.centres`, which isn't made here: kept, it takes as much as the grid
                means[0] += grid.edges[0]
                means[1:] += grid.edges
        total = float(self.scores(means) @ open_cells)
        on_edges = counts.counts[1::2]
        if on_edges.any():
            total += float(self.scores(grid.edges) @ on_edges)
        return total / valid
