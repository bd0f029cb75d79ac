"""The PSI's bins, for many blocks at once.

`stats.psi` judges one window's counts; this does the same arithmetic on a matrix of blocks, straight from
rows, because a reference of millions of rows has to be cut into thousands of blocks in seconds. A test
holds the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.categories import Categories, clip
from driftline.columns import CategoricalColumn, Column, NumericColumn
from driftline.pane import FeatureAxis

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

SHARE_FLOOR = 1e-4
"""A bin's share is never less, so that an empty bin gives a finite PSI."""

POOLED_BELOW = 5.0
"""Categories expected fewer times than this in a window are pooled."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Where a column's values fall: (a, b] between decile edges, or the known categories and the others."""

    count: int
    edges: Floats | None = None
    known: dict[str, int] | None = None

    @classmethod
    def of(cls, axis: FeatureAxis) -> Bins:
        """The bins of a profile's axis."""
        if isinstance(axis, Categories):
            return cls(len(axis.known) + 1, known=axis.index)
        return cls(len(axis.decile_edges) + 1, edges=axis.decile_edges)

    @property
    def pooled(self) -> bool:
        """Categories are pooled where they are rare; deciles never are."""
        return self.known is not None

    def codes(self, column: Column) -> Codes:
        """The bin of each row, -1 where the row has no value (missing, null, not finite): shape (rows,)."""
        if self.edges is not None and isinstance(column, NumericColumn):
            codes = np.searchsorted(self.edges, column.values, side="left").astype(np.int64)
            codes[~np.isfinite(column.values)] = -1
            return codes
        if self.known is not None and isinstance(column, CategoricalColumn):
            other = len(self.known)
            table = np.array(
                [self.known.get(clip(value), other) for value in column.dictionary] + [-1], np.int64
            )
            return table[column.codes]
        return np.full(_rows(column), -1, np.int64)


def _rows(column: Column) -> int:
    return len(column.values if isinstance(column, NumericColumn) else column.codes)


def shares_psi(reference: Codes, current: Codes, *, pooled: bool) -> Floats:
    """PSI of each row of `current` (int, shape (blocks, bins)) against the same row of `reference`.

    Shares are floored at `SHARE_FLOOR`; with `pooled`, bins that the reference lets expect fewer than
    `POOLED_BELOW` values of the block are added up into the last bin first. NaN where either is empty.
    """
    if pooled:
        reference, current = pool(reference, current)
    held = (reference.sum(axis=1) > 0) & (current.sum(axis=1) > 0)
    r, c = _floored(reference[held]), _floored(current[held])
    found = np.full(len(current), np.nan)
    found[held] = np.sum((c - r) * np.log(c / r), axis=1)
    return found


def _floored(counts: Codes) -> Floats:
    shares: Floats = np.maximum(counts / counts.sum(axis=1, keepdims=True), SHARE_FLOOR)
    return shares


def pool(reference: Codes, current: Codes) -> tuple[Codes, Codes]:
    """Move what is rare per block into the last bin; what was moved is left as an empty bin in both."""
    expected = reference * (current.sum(axis=1) / np.maximum(reference.sum(axis=1), 1))[:, None]
    rare = expected < POOLED_BELOW
    rare[:, -1] = False
    pooled_reference = np.where(rare, 0, reference)
    pooled_current = np.where(rare, 0, current)
    pooled_reference[:, -1] += np.where(rare, reference, 0).sum(axis=1)
    pooled_current[:, -1] += np.where(rare, current, 0).sum(axis=1)
    return pooled_reference, pooled_current
