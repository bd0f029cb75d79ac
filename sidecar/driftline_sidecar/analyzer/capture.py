"""Rows of live traffic kept until there are enough of them for a reference.

Raw rows are needed: the grid's edges are quantiles, and nothing less than the rows gives them
exactly. They stay in columns (10,000 rows of 30 floats: 2.4 MB) and are bounded by bytes as well:
categories may be long.
"""

from __future__ import annotations

import numpy as np
from driftline.batches import concatenate
from driftline.columns import Batch, CategoricalColumn, Column, Floats

MOST_BYTES = 48 << 20
"""Memory the rows may take; when it is used up, the reference is made of what there is."""

_CHUNK = 256


class CaptureBuffer:
    """Collects batches until `wanted` rows are there."""

    def __init__(self, wanted: int, most_bytes: int = MOST_BYTES) -> None:
        self.wanted = wanted
        self.rows = 0
        self._most_bytes = most_bytes
        self._bytes = 0
        self._joined: list[Batch] = []
        self._loose: list[Batch] = []
        self._times: list[tuple[float, int]] = []

    @property
    def full(self) -> bool:
        """Whether a reference can be made: the rows wanted, or all that memory allows."""
        return self.rows >= self.wanted or (self.rows > 0 and self._bytes >= self._most_bytes)

    @property
    def cut_short(self) -> bool:
        """Whether memory ran out before the rows were there."""
        return self.full and self.rows < self.wanted

    def add(self, batch: Batch, at: float) -> None:
        """Keep a batch of rows that came at that time (unix seconds)."""
        if batch.rows == 0 or self.full:
            return
        self.rows += batch.rows
        self._bytes += sum(map(_size, batch.columns.values()))
        self._times.append((at, batch.rows))
        self._loose.append(batch)
        # Batches of one row would cost more in objects than in values.
        if len(self._loose) >= _CHUNK:
            self._joined.append(concatenate(self._loose))
            self._loose = []

    def batch(self) -> Batch:
        """All rows, in the order in which they came."""
        return concatenate([*self._joined, *self._loose])

    def times(self) -> Floats:
        """When each row came, unix seconds, shape (rows,)."""
        return np.repeat([at for at, _ in self._times], [rows for _, rows in self._times]).astype(np.float64)


def _size(column: Column) -> int:
    size = column.states.nbytes if column.states is not None else 0
    if isinstance(column, CategoricalColumn):
        return size + column.codes.nbytes + sum(60 + len(category) for category in column.dictionary)
    return size + column.values.nbytes
