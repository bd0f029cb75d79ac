"""The bins that statistics of shares are computed on: deciles, and categories."""

from __future__ import annotations

import numpy as np

from driftline.columns import Floats
from driftline.counts import CategoricalCounts, Integers, NumericCounts
from driftline.grid import Grid


def decile_bins(counts: NumericCounts, grid: Grid) -> Integers:
    """Rows per bin (-inf, d1], (d1, d2], ..., (dk, inf): int64 (k + 1,)."""
    starts = np.append(0, 2 * grid.decile_index + 2)
    return np.add.reduceat(counts.counts, starts, dtype=np.int64)


def decile_cells(counts: NumericCounts, grid: Grid) -> Integers:
    """Rows below, at and between the deciles: int64 (2k + 1,), open bins and single values by turns."""
    at = 2 * grid.decile_index + 1
    starts = np.append(0, np.ravel(np.column_stack([at, at + 1])))
    return np.add.reduceat(counts.counts, starts, dtype=np.int64)


def category_bins(reference: CategoricalCounts, current: CategoricalCounts) -> tuple[Integers, Integers]:
    """Rows per category of both, aligned: the known, other, every new one that has a name, unnamed ones."""
    names = sorted({*reference.new, *current.new})
    first, second = (
        np.concatenate(
            [side.known, [side.other], [side.new.get(name, 0) for name in names], [side.new_overflow]]
        ).astype(np.int64)
        for side in (reference, current)
    )
    return first, second


def shares(counts: Integers) -> Floats:
    """Counts over their sum, which must not be 0."""
    found: Floats = counts / counts.sum()
    return found
