"""A pane as bytes: versioned, sparse, checked. What sidecars hand out and the pane store keeps.

Only cells that count something are written, each count in as few bytes as the largest needs, so that a
minute of quiet traffic takes a few hundred bytes a feature where its arrays take ten thousand. The
head is `driftline.envelope`'s.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.counts import CategoricalCounts, ColumnCounts, NumericCounts
from driftline.design_effect import CategoricalClusters, Clusters, NumericClusters
from driftline.duplicates import RowSketch
from driftline.envelope import Envelope
from driftline.pane import Pane, PaneCounts

MAX_BYTES: Final = 64 << 20
"""A pane inflates to no more than this: one of 1,000 full features takes about 12 MB."""

MAGIC: Final = b"DLPANE"
ENVELOPE: Final = Envelope(MAGIC, 1, "pane", MAX_BYTES)

_MAX_CELLS: Final = 1 << 20
_UNSIGNED: Final = ("<u1", "<u2", "<u4", "<u8")


class PackedCells(msgspec.Struct, array_like=True, frozen=True):
    """A sparse int64 array of `size`: `counts` at `places`, little-endian, of the widths given."""

    size: int
    places: bytes
    count_bytes: int
    counts: bytes


class PackedNumeric(msgspec.Struct, array_like=True, frozen=True, tag="n"):
    """A numeric column as it is packed."""

    cells: PackedCells
    sums: bytes
    """float64 of those open cells that count something."""
    minimum: float
    maximum: float
    others: tuple[int, int, int, int, int, int, int]
    """nan, pos_inf, neg_inf, missing, null, wrong_type, out_of_range."""


class PackedCategorical(msgspec.Struct, array_like=True, frozen=True, tag="c"):
    """A categorical column as it is packed."""

    known: PackedCells
    new: dict[str, int]
    others: tuple[int, int, int, int, int, int]
    """other, new_overflow, missing, null, wrong_type, out_of_range."""


class PackedNumericClusters(msgspec.Struct, array_like=True, frozen=True, tag="n"):
    """What requests add to a numeric column."""

    rows: int
    sizes: int
    products: float
    squares: float


class PackedCategoricalClusters(msgspec.Struct, array_like=True, frozen=True, tag="c"):
    """What requests add to a categorical column."""

    rows: int
    sizes: int
    squares: PackedCells


class PackedPane(msgspec.Struct, array_like=True, frozen=True):
    """A pane as it is packed, read but not unpacked."""

    start: int
    length: int
    profile_hash: str
    model_version: str
    rows: int
    requests: int
    features: dict[str, PackedNumeric | PackedCategorical]
    clusters: dict[str, PackedNumericClusters | PackedCategoricalClusters]
    hashes: bytes
    copies: bytes


_decoder = msgspec.msgpack.Decoder(PackedPane)


def encode_pane(pane: Pane) -> bytes:
    """The pane as bytes; `decode_pane` gives an equal one."""
    counts = pane.counts
    packed = msgspec.msgpack.encode(
        PackedPane(
            pane.start,
            pane.length,
            pane.profile_hash,
            pane.model_version,
            counts.rows,
            counts.requests,
            {name: _pack_counts(column) for name, column in counts.features.items()},
            {name: _pack_clusters(clusters) for name, clusters in counts.clusters.items()},
            counts.sketch.hashes.astype("<u8").tobytes(),
            counts.sketch.copies.astype("<i8").tobytes(),
        )
    )
    return ENVELOPE.seal(packed)


def decode_pane(data: bytes) -> Pane:
    """The pane of these bytes. Raises DataError for an unknown version and for damage."""
    wire = inflate(data)
    try:
        counts = PaneCounts(
            rows=wire.rows,
            requests=wire.requests,
            features={name: _unpack_counts(column) for name, column in wire.features.items()},
            clusters={name: _unpack_clusters(clusters) for name, clusters in wire.clusters.items()},
            sketch=RowSketch(
                np.frombuffer(wire.hashes, "<u8").astype(np.uint64),
                np.frombuffer(wire.copies, "<i8").astype(np.int64),
            ),
        )
    except (ValueError, IndexError, TypeError) as error:
        raise ENVELOPE.damaged(error) from error
    return Pane(
        start=wire.start,
        length=wire.length,
        profile_hash=wire.profile_hash,
        model_version=wire.model_version,
        counts=counts,
    )


def inflate(data: bytes) -> PackedPane:
    """The pane as it is packed, with no array made of it. Raises DataError as `decode_pane` does."""
    packed = ENVELOPE.open(data)
    try:
        return _decoder.decode(packed)
    except msgspec.DecodeError as error:
        raise ENVELOPE.damaged(error) from error


def verify(data: bytes) -> bytes:
    """What follows a pane's head; it is read no further. Raises DataError: mark, version, checksum."""
    return ENVELOPE.verify(data)


def pack_cells(values: NDArray[np.int64]) -> PackedCells:
    """Counts, int64 (n,), none negative; raises ValueError where one is."""
    places = np.flatnonzero(values)
    counts = values[places]
    if len(counts) and counts.min() < 0:
        raise ValueError("a pane's counts are never negative")
    width = _width(int(counts.max(initial=0)))
    return PackedCells(
        len(values), places.astype("<u4").tobytes(), width, counts.astype(f"<u{width}").tobytes()
    )


def _width(largest: int) -> int:
    return next(width for width in (1, 2, 4, 8) if largest < 1 << 8 * width)


def unpack_cells(cells: PackedCells) -> NDArray[np.int64]:
    """The inverse. Raises ValueError or IndexError where the bytes can't be that."""
    if not 0 <= cells.size <= _MAX_CELLS or f"<u{cells.count_bytes}" not in _UNSIGNED:
        raise ValueError("cells of an impossible size")
    values = np.zeros(cells.size, np.int64)
    values[np.frombuffer(cells.places, "<u4")] = np.frombuffer(cells.counts, f"<u{cells.count_bytes}")
    return values


def _open_cells(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Which sums may differ from zero: those of open cells (the even ones) that count something."""
    return np.flatnonzero(counts[::2])


def _pack_counts(column: ColumnCounts) -> PackedNumeric | PackedCategorical:
    if isinstance(column, NumericCounts):
        c = column
        return PackedNumeric(
            pack_cells(c.counts),
            c.sums[_open_cells(c.counts)].astype("<f8").tobytes(),
            c.minimum,
            c.maximum,
            (c.nan, c.pos_inf, c.neg_inf, c.missing, c.null, c.wrong_type, c.out_of_range),
        )
    others = (column.other, column.new_overflow, column.missing, column.null)
    return PackedCategorical(
        pack_cells(column.known), dict(column.new), (*others, column.wrong_type, column.out_of_range)
    )


def _unpack_counts(wire: PackedNumeric | PackedCategorical) -> ColumnCounts:
    if isinstance(wire, PackedCategorical):
        other, overflow, missing, null, wrong_type, out_of_range = wire.others
        return CategoricalCounts(
            known=unpack_cells(wire.known),
            other=other,
            new=wire.new,
            new_overflow=overflow,
            missing=missing,
            null=null,
            wrong_type=wrong_type,
            out_of_range=out_of_range,
        )
    counts = unpack_cells(wire.cells)
    sums = np.zeros(len(counts) // 2 + 1)
    sums[_open_cells(counts)] = np.frombuffer(wire.sums, "<f8")
    names = ("nan", "pos_inf", "neg_inf", "missing", "null", "wrong_type", "out_of_range")
    others: dict[str, Any] = dict(zip(names, wire.others, strict=True))
    return NumericCounts(counts=counts, sums=sums, minimum=wire.minimum, maximum=wire.maximum, **others)


def _pack_clusters(clusters: Clusters) -> PackedNumericClusters | PackedCategoricalClusters:
    if isinstance(clusters, NumericClusters):
        return PackedNumericClusters(clusters.rows, clusters.sizes, clusters.products, clusters.squares)
    return PackedCategoricalClusters(clusters.rows, clusters.sizes, pack_cells(clusters.squares))


def _unpack_clusters(wire: PackedNumericClusters | PackedCategoricalClusters) -> Clusters:
    if isinstance(wire, PackedNumericClusters):
        return NumericClusters(wire.rows, wire.sizes, wire.products, wire.squares)
    return CategoricalClusters(wire.rows, wire.sizes, unpack_cells(wire.squares))
