"""Bounded values counted on a fixed grid: all that a bounded mean, or a quantile, needs of them.

The grid is logarithmic around zero, 20 points a decade from a millionth of the declared limit up to it, so
its size never depends on the data. A cell's sum is kept beside its count: the values can then be put on the
grid's points with their mean kept exactly (`weights`), which is how `bounded` wants them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.errors import IncompatiblePanes

Counts = NDArray[np.int64]

MAGNITUDES: Final[Floats] = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 121)])
"""Of a limit of 1: zero, and 20 points a decade."""


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """`counts` int64 (c,), `sums` float64 (c,); c = 122, or 243 with signs (negative ones first, mirrored).

    Cell i of the magnitudes is (MAGNITUDES[i-1], MAGNITUDES[i]] times `limit`, cell 0 is zero itself; a sum
    is of |x| / limit less the cell's lower end. `clipped`: values beyond the limit, counted as the limit.
    """

    limit: float
    signed: bool
    counts: Counts
    sums: Floats
    clipped: int = 0

    @classmethod
    def empty(cls, limit: float, *, signed: bool) -> Values:
        """None yet. `limit` > 0, in the values' unit."""
        cells = 2 * len(MAGNITUDES) - 1 if signed else len(MAGNITUDES)
        return cls(limit, signed, np.zeros(cells, np.int64), np.zeros(cells))

    @classmethod
    def of(cls, values: Floats, limit: float, *, signed: bool) -> Values:
        """Of float64 (n,), no NaN; without signs none is negative."""
        none = cls.empty(limit, signed=signed)
        size = np.abs(values) / limit
        cell = np.searchsorted(MAGNITUDES, np.minimum(size, 1.0))
        rest = np.minimum(size, 1.0) - MAGNITUDES[np.maximum(cell - 1, 0)]
        place = len(MAGNITUDES) - 1 + np.where(values < 0, -cell, cell) if signed else cell
        return cls(
            limit,
            signed,
            np.bincount(place, minlength=len(none.counts)),
            np.bincount(place, weights=rest, minlength=len(none.counts)).astype(np.float64),
            int((size > 1.0).sum()),
        )

    def __add__(self, other: Values) -> Values:
        """Both together. Raises IncompatiblePanes where they count differently."""
        if (self.limit, self.signed) != (other.limit, other.signed):
            raise IncompatiblePanes("values of unlike limits don't merge: use one configuration")
        return Values(
            self.limit,
            self.signed,
            self.counts + other.counts,
            self.sums + other.sums,
            self.clipped + other.clipped,
        )

    @property
    def count(self) -> int:
        """How many."""
        return int(self.counts.sum())

    @property
    def points(self) -> Floats:
        """Where `weights` are, ascending, in the values' unit."""
        half = MAGNITUDES * self.limit
        return np.concatenate([-half[:0:-1], half]) if self.signed else half

    @property
    def weights(self) -> Floats:
        """Counts moved to the grid's points, float64 (c,): the same total, the same mean."""
        if not self.signed:
            return _spread(self.counts, self.sums)
        zero = len(MAGNITUDES) - 1
        up = _spread(self.counts[zero:], self.sums[zero:])
        down = _spread(
            np.append(0, self.counts[:zero][::-1]).astype(np.int64), np.append(0.0, self.sums[:zero][::-1])
        )
        return np.concatenate([down[:0:-1], [down[0] + up[0]], up[1:]])

    def quantile(self, p: float) -> float:
        """The p-quantile's estimate: the mean of the values in its cell, so it errs by the cell's width at
        most, 12.2 % (a millionth of the limit near zero). Raises ValueError without values.
        """
        if not self.count:
            raise ValueError("no values have no quantile")
        cell = int(np.searchsorted(np.cumsum(self.counts), max(1, math.ceil(p * self.count))))
        place = cell - (len(MAGNITUDES) - 1 if self.signed else 0)
        if place == 0:
            return 0.0
        size = MAGNITUDES[abs(place) - 1] + self.sums[cell] / self.counts[cell]
        return math.copysign(float(size) * self.limit, place)


def _spread(counts: Counts, sums: Floats) -> Floats:
    """Each cell's count on its two ends, so that the cell's sum comes out."""
    widths = np.diff(MAGNITUDES)
    outer = np.clip(sums[1:] / widths, 0.0, counts[1:])
    weights = np.zeros(len(MAGNITUDES))
    weights[0] = counts[0]
    weights[1:] += outer
    weights[:-1] += counts[1:] - outer
    return weights
