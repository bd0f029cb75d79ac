"""What a window knows of a column: counts and centred sums, which merge by addition.

Merging is associative and commutative: counts exactly, sums up to rounding (1e-12 of the sum of the
absolute terms). The grid or the categories they were counted on are not here: a pane's profile hash
says which they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.categories import MAX_NEW, MAX_NEW_CHARACTERS, Categories
from driftline.columns import Floats
from driftline.errors import IncompatiblePanes
from driftline.grid import Grid

Integers = NDArray[np.int64]


class NumericCounts(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A numeric column. Out-of-range values are finite and in the distribution; the rest below is not."""

    counts: Integers
    """int64 (2m + 1,): values per cell of the grid."""
    sums: Floats
    """float64 (m + 1,): per open cell the sum of value - `grid.centres`."""
    minimum: float = float("inf")
    """The smallest finite value; inf where there is none."""
    maximum: float = float("-inf")
    """The largest finite value; -inf where there is none."""
    nan: int = 0
    pos_inf: int = 0
    neg_inf: int = 0
    missing: int = 0
    null: int = 0
    wrong_type: int = 0
    out_of_range: int = 0

    @classmethod
    def empty(cls, grid: Grid) -> NumericCounts:
        """No rows: the neutral element of merging."""
        return cls(counts=np.zeros(grid.cells, np.int64), sums=np.zeros(len(grid.edges) + 1))

    @property
    def others(self) -> tuple[int, int, int, int, int, int, int]:
        """What is counted beside the cells."""
        nans = self.nan, self.pos_inf, self.neg_inf
        return *nans, self.missing, self.null, self.wrong_type, self.out_of_range

    @property
    def valid(self) -> int:
        """Values that are in the distribution: the finite ones."""
        return int(self.counts.sum())

    @property
    def rows(self) -> int:
        """Rows counted, whatever they held."""
        return self.rows_with(self.valid)

    def rows_with(self, valid: int) -> int:
        """The same where `valid` is known: adding it up is all that this costs."""
        other = self.nan + self.pos_inf + self.neg_inf + self.missing + self.null + self.wrong_type
        return valid + other

    def __add__(self, other: NumericCounts) -> NumericCounts:
        """Both together. Raises IncompatiblePanes where the grids differ in size."""
        _same_size(self.counts, other.counts)
        return NumericCounts(
            counts=self.counts + other.counts,
            sums=self.sums + other.sums,
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
            nan=self.nan + other.nan,
            pos_inf=self.pos_inf + other.pos_inf,
            neg_inf=self.neg_inf + other.neg_inf,
            missing=self.missing + other.missing,
            null=self.null + other.null,
            wrong_type=self.wrong_type + other.wrong_type,
            out_of_range=self.out_of_range + other.out_of_range,
        )

    def __sub__(self, part: NumericCounts) -> NumericCounts:
        """What is left without a part of it. Minimum and maximum stay the whole's: they can't be undone."""
        _same_size(self.counts, part.counts)
        return NumericCounts(
            counts=self.counts - part.counts,
            sums=self.sums - part.sums,
            minimum=self.minimum,
            maximum=self.maximum,
            nan=self.nan - part.nan,
            pos_inf=self.pos_inf - part.pos_inf,
            neg_inf=self.neg_inf - part.neg_inf,
            missing=self.missing - part.missing,
            null=self.null - part.null,
            wrong_type=self.wrong_type - part.wrong_type,
            out_of_range=self.out_of_range - part.out_of_range,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NumericCounts):
            return NotImplemented
        return (
            np.array_equal(self.counts, other.counts)
            and np.array_equal(self.sums, other.sums)
            and all(getattr(self, name) == getattr(other, name) for name in _NUMERIC_SCALARS)
        )

    __hash__ = None  # type: ignore[assignment]


class PackedNumericCounts(NumericCounts, frozen=True, eq=False, kw_only=True):
    """The same for who judges many monitors by references: unpacked when it is asked for, some 30 us."""

    packed: tuple[bytes, bytes]
    """Counts as int64 and sums as float32, both compressed."""

    @classmethod
    def of(cls, found: NumericCounts) -> PackedNumericCounts:
        """Packed; sums as float32, which is what a stored profile has of them."""
        fields = {name: getattr(found, name) for name in _NUMERIC_SCALARS}
        parts = found.counts.astype(np.int64).tobytes(), found.sums.astype(np.float32).tobytes()
        nothing = np.empty(0, np.int64), np.empty(0)
        return cls(
            counts=nothing[0],
            sums=nothing[1],
            packed=(zlib.compress(parts[0]), zlib.compress(parts[1])),
            **fields,
        )

    @property  # type: ignore[misc]
    def counts(self) -> Integers:
        """int64 (2m + 1,)."""
        return np.frombuffer(zlib.decompress(self.packed[0]), np.int64)

    @property  # type: ignore[misc]
    def sums(self) -> Floats:
        """float32 (m + 1,)."""
        return np.frombuffer(zlib.decompress(self.packed[1]), np.float32)


_NUMERIC_SCALARS = tuple(name for name in NumericCounts.__struct_fields__ if name not in ("counts", "sums"))


class CategoricalCounts(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A categorical column: the known categories, the reference's other ones, and the unseen."""

    known: Integers
    """int64 (k,): rows per known category, in the order of `Categories.known`."""
    other: int = 0
    """Rows of categories that a truncated reference doesn't list."""
    new: Mapping[str, int] = msgspec.field(default_factory=dict)
    """Rows per category the reference has never seen; at most `MAX_NEW` of them."""
    new_overflow: int = 0
    """Rows of further unseen categories, whose names are not kept."""
    missing: int = 0
    null: int = 0
    wrong_type: int = 0
    out_of_range: int = 0
    """Rows whose category is not among those the schema allows; they are in the distribution."""

    @classmethod
    def empty(cls, categories: Categories) -> CategoricalCounts:
        """No rows: the neutral element of merging."""
        return cls(known=np.zeros(len(categories.known), np.int64))

    @property
    def new_rows(self) -> int:
        """Rows of unseen categories."""
        return sum(self.new.values()) + self.new_overflow

    @property
    def valid(self) -> int:
        """Values that are in the distribution: all categories, known or not."""
        return int(self.known.sum()) + self.other + self.new_rows

    @property
    def rows(self) -> int:
        """Rows counted, whatever they held."""
        return self.rows_with(self.valid)

    def rows_with(self, valid: int) -> int:
        """The same where `valid` is known."""
        return valid + self.missing + self.null + self.wrong_type

    def __add__(self, other: CategoricalCounts) -> CategoricalCounts:
        """Both together. Raises IncompatiblePanes where the numbers of known categories differ."""
        _same_size(self.known, other.known)
        new, overflow = merge_new(self.new, other.new)
        return CategoricalCounts(
            known=self.known + other.known,
            other=self.other + other.other,
            new=new,
            new_overflow=self.new_overflow + other.new_overflow + overflow,
            missing=self.missing + other.missing,
            null=self.null + other.null,
            wrong_type=self.wrong_type + other.wrong_type,
            out_of_range=self.out_of_range + other.out_of_range,
        )

    def __sub__(self, part: CategoricalCounts) -> CategoricalCounts:
        """What is left without a part of it; unseen categories it has no name for come off the overflow."""
        _same_size(self.known, part.known)
        new = {value: count - part.new.get(value, 0) for value, count in self.new.items()}
        unnamed = sum(count for value, count in part.new.items() if value not in self.new)
        return CategoricalCounts(
            known=self.known - part.known,
            other=self.other - part.other,
            new={value: count for value, count in new.items() if count},
            new_overflow=self.new_overflow - part.new_overflow - unnamed,
            missing=self.missing - part.missing,
            null=self.null - part.null,
            wrong_type=self.wrong_type - part.wrong_type,
            out_of_range=self.out_of_range - part.out_of_range,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CategoricalCounts):
            return NotImplemented
        return np.array_equal(self.known, other.known) and all(
            getattr(self, name) == getattr(other, name) for name in _CATEGORICAL_SCALARS
        )

    __hash__ = None  # type: ignore[assignment]


_CATEGORICAL_SCALARS = tuple(name for name in CategoricalCounts.__struct_fields__ if name != "known")

ColumnCounts = NumericCounts | CategoricalCounts


def merge_new(a: Mapping[str, int], b: Mapping[str, int]) -> tuple[Mapping[str, int], int]:
    """Both lists together, cut to what comes first alphabetically, and the rows that were cut off.

    Which values stay depends on the names alone, so that merging is associative: a value that is among
    the first `MAX_NEW` and `MAX_NEW_CHARACTERS` of all is so in every part that has it.
    """
    if not b:
        return a, 0
    merged = dict(a)
    for value, count in b.items():
        merged[value] = merged.get(value, 0) + count
    if len(merged) <= MAX_NEW and sum(map(len, merged)) <= MAX_NEW_CHARACTERS:
        return merged, 0
    bounded: dict[str, int] = {}
    room = MAX_NEW_CHARACTERS
    for value in sorted(merged)[:MAX_NEW]:
        room -= len(value)
        if room < 0:
            break
        bounded[value] = merged[value]
    return bounded, sum(merged.values()) - sum(bounded.values())


def _same_size(a: Integers, b: Integers) -> None:
    if a.shape != b.shape:
        raise IncompatiblePanes(
            f"counts on unlike grids don't merge: {len(a)} and {len(b)} cells; rebuild them on one profile"
        )
