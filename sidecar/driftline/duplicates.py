"""How many rows are copies of others: a mergeable sketch of row hashes.

The k smallest distinct hashes and how often each came (a bottom-k, or KMV, sketch: Beyer et al. 2007).
A hash among the smallest of all rows is among the smallest of every part it came in, so counts are
never lost: merging is exact, associative and commutative. With fewer than k distinct rows it is no
estimate but a count; beyond, the distinct rows kept are a uniform sample of all distinct rows.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.columns import Batch, CategoricalColumn, NumericColumn

Hashes = NDArray[np.uint64]
Integers = NDArray[np.int64]

KEPT = 512
"""Distinct hashes kept: 8 kB a pane; the ratio's standard error is at most about 2 %."""

_FIRST = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xBF58476D1CE4E5B9)
_HALF, _SHORT = np.uint64(32), np.uint64(29)


class RowSketch(msgspec.Struct, frozen=True, eq=False):
    """`hashes`: uint64 (at most KEPT,), strictly increasing; `copies`: int64, rows with each hash."""

    hashes: Hashes
    copies: Integers

    @classmethod
    def empty(cls) -> RowSketch:
        """No rows."""
        return cls(np.empty(0, np.uint64), np.empty(0, np.int64))

    @classmethod
    def of(cls, hashes: Hashes) -> RowSketch:
        """The sketch of rows with those hashes, in any order."""
        ordered = np.sort(hashes)
        starts = (
            np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else np.empty(0, int)
        )
        copies = np.diff(np.append(starts, len(ordered)))
        return cls(ordered[starts[:KEPT]], copies[:KEPT].astype(np.int64))

    @property
    def duplicate_ratio(self) -> float | None:
        """The share of rows that repeat an earlier one, 1 - distinct / rows; None without rows."""
        rows = int(self.copies.sum())
        return None if rows == 0 else 1 - len(self.copies) / rows

    def __add__(self, other: RowSketch) -> RowSketch:
        """Both together."""
        if len(other.hashes) == 0:
            return self
        hashes, inverse = np.unique(np.concatenate([self.hashes, other.hashes]), return_inverse=True)
        copies = np.zeros(len(hashes), np.int64)
        np.add.at(copies, inverse, np.concatenate([self.copies, other.copies]))
        return RowSketch(hashes[:KEPT].copy(), copies[:KEPT].copy())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RowSketch):
            return NotImplemented
        return np.array_equal(self.hashes, other.hashes) and np.array_equal(self.copies, other.copies)

    __hash__ = None  # type: ignore[assignment]


def row_hashes(batch: Batch, names: tuple[str, ...]) -> Hashes:
    """A hash per row over those columns, in that order: uint64 (rows,). Equal rows have equal hashes.

    The same in every process and pod: no salted hash. Columns the batch lacks hash alike in every row.
    """
    bits = np.zeros((len(names), batch.rows), np.uint64)
    for place, name in enumerate(names):
        column = batch.columns.get(name)
        if isinstance(column, NumericColumn):
            # -0.0 + 0.0 is 0.0: equal values must have equal bits.
            np.add(column.values, 0.0, out=bits[place].view(np.float64))
        elif isinstance(column, CategoricalColumn):
            table = np.array([*(_text_hash(value) for value in column.dictionary), 0], np.uint64)
            bits[place] = table[column.codes]
        if column is not None and column.states is not None:
            bits[place][column.states != 0] = 0
            bits[place] += column.states
    # High bits alone differ between floats such as 1 and 2: fold them down before multiplying.
    bits ^= bits >> _HALF
    bits *= _multipliers(len(names))
    bits ^= bits >> _SHORT
    hashes: Hashes = np.bitwise_xor.reduce(bits, axis=0) if len(names) == 1 else np.add.reduce(bits, axis=0)
    hashes *= _SECOND
    hashes ^= hashes >> _HALF
    return hashes


@lru_cache(maxsize=8)
def _multipliers(count: int) -> Hashes:
    """An odd multiplier per column, shape (count, 1), so that swapped columns hash unlike."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * _FIRST
    mixed = (steps ^ (steps >> _HALF)) * _SECOND
    return (mixed | np.uint64(1))[:, None]


@lru_cache(maxsize=16384)
def _text_hash(value: str) -> int:
    return int.from_bytes(blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
