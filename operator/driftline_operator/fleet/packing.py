"""Flat counts as bytes that are small and quick to add up. Pure.

Only what counts something is kept. Of a cell's sum is kept what moves a mean by a 256th of the cell's width
at most, in panes that don't stay long: the upper half of a float32. Of those that do, five bits, where in
the cell the mean of its values lies, to a 62nd: cells are narrow, so that a column's mean moves by a
thousandth of its standard deviation. (A column's outer cells have no width: theirs stay halves of float32.)
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

import msgspec
import numpy as np
from driftline.errors import DataError
from numpy.typing import NDArray

from driftline_operator.fleet.layout import Floats, Ints, Layout, Places, widths

TIGHT: Final = 6
"""zlib's level for panes that stay; sums are kept as shares then."""
_WIDTHS: Final = (1, 2, 4, 8)
TYPES: Final = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}
_MOST_INFLATED: Final = 64 << 20
_STEPS: Final = 31
"""Of a share."""
_LEAST_BLOCK: Final = 512
"""Bytes that are worth codes of their own."""


class Packed(msgspec.Struct, array_like=True, frozen=True):
    """What is kept of some rows, by the places of a `Layout`."""

    steps: bytes
    """From each place to the next, 255: it stands in `far`."""
    far: bytes
    small: bytes
    """Counts; 255: it stands in `large`."""
    width: int
    large: bytes
    sums: bytes
    clusters: bytes
    low: bytes
    high: bytes
    new: dict[str, dict[str, int]]
    shares: bytes = b""
    """Of the cells that have a width, where they aren't among `sums`."""


class Unpacked(NamedTuple):
    """Counts at their places, sums at theirs (`at`), and the rest of them."""

    places: NDArray[np.intp]
    counts: Ints
    at: Places
    sums: Floats
    rest: Packed


_decoder = msgspec.msgpack.Decoder(Packed)


def pack(
    layout: Layout,
    cells: tuple[NDArray[np.intp], Ints, Floats],
    clusters: Floats,
    ends: tuple[Floats, Floats],
    new: dict[str, dict[str, int]],
    level: int,
) -> bytes:
    """`cells`: places (rising), counts, sums. `ends`: by column smallest and largest. `level`: zlib's."""
    places, counts, sums = cells
    width = next(each for each in _WIDTHS if int(counts.max(initial=0)) < 1 << 8 * each)
    large = counts[counts >= 255].astype(TYPES[width])
    steps = np.diff(places, prepend=0)
    shares, sums = _shares(layout, places, counts, sums) if level == TIGHT else (b"", sums)
    packed = Packed(
        np.minimum(steps, 255).astype(np.uint8).tobytes(),
        steps[steps >= 255].astype("<u4").tobytes(),
        np.minimum(counts, 255).astype(np.uint8).tobytes(),
        width,
        large.tobytes(),
        _planes(sums),
        clusters.astype("<f8").tobytes() if clusters.any() else b"",
        ends[0].astype("<f8").tobytes(),
        ends[1].astype("<f8").tobytes(),
        new,
        shares,
    )
    return _compressed(packed, level)


def _compressed(packed: Packed, level: int) -> bytes:
    """One stream, each part of the array with codes of its own: a tenth smaller than all with the same."""
    if level != TIGHT:
        return zlib.compress(msgspec.msgpack.encode(packed), level)
    engine = zlib.compressobj(level)
    parts = msgspec.structs.astuple(packed)
    data = [engine.compress(bytes([0x90 | len(parts)]))]  # MessagePack's head of a short array
    for part in parts:
        data += [engine.compress(msgspec.msgpack.encode(part))]
        if isinstance(part, bytes) and len(part) > _LEAST_BLOCK:
            data.append(engine.flush(zlib.Z_BLOCK))
    return b"".join([*data, engine.flush()])


def unpack(layout: Layout, data: bytes) -> Unpacked:
    """What `pack` made on the same layout. Raises DataError."""
    try:
        engine = zlib.decompressobj()
        raw = engine.decompress(data, _MOST_INFLATED)
        if not engine.eof:
            raise DataError("packed counts are cut off, or too many")
        return _unpacked(layout, _decoder.decode(raw))
    except (zlib.error, msgspec.DecodeError, ValueError, KeyError, IndexError) as error:
        raise DataError(f"packed counts are damaged: {error}") from error


def _unpacked(layout: Layout, packed: Packed) -> Unpacked:
    steps = np.frombuffer(packed.steps, np.uint8).astype(np.intp)
    if packed.far:
        steps[steps == 255] = np.frombuffer(packed.far, "<u4")
    counts = np.frombuffer(packed.small, np.uint8).astype(np.int64)
    if packed.large:
        counts[counts == 255] = np.frombuffer(packed.large, TYPES[packed.width]).astype(np.int64)
    places = np.cumsum(steps)
    if len(counts) != len(places) or (len(places) and places[-1] >= layout.size):
        raise DataError("packed counts of another layout")
    at = layout.sums_of(places)
    sums = _from_planes(packed.sums)
    if packed.shares:
        sums = _from_shares(layout, packed.shares, counts[layout.with_sums(places)], at, sums)
    if len(sums) != len(at):
        raise DataError("packed sums of another layout")
    return Unpacked(places, counts, at, sums, packed)


def _shares(layout: Layout, places: Places, counts: Ints, sums: Floats) -> tuple[bytes, Floats]:
    """The shares, and what isn't one; none where a sum is no sum of values within the cell."""
    wide = widths(layout)[layout.sums_of(places) - 2 * len(layout.names)]
    inner = np.isfinite(wide)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = sums[inner] / (counts[layout.with_sums(places)][inner] * wide[inner])
    if not len(found) or not ((found > -1 / _STEPS) & (found < 1 + 1 / _STEPS)).all():
        return b"", sums
    return np.rint(np.clip(found, 0, 1) * _STEPS).astype(np.uint8).tobytes(), sums[~inner]


def _from_shares(layout: Layout, shares: bytes, counts: Ints, at: Places, outer: Floats) -> Floats:
    wide = widths(layout)[at - 2 * len(layout.names)]
    inner = np.isfinite(wide)
    sums = np.empty(len(at))
    sums[inner] = np.frombuffer(shares, np.uint8) / _STEPS * counts[inner] * wide[inner]
    sums[~inner] = outer
    return sums


def _planes(values: Floats) -> bytes:
    """The upper half of float32, byte by byte: exponents lie together and compress."""
    with np.errstate(over="ignore"):
        bits = values.astype("<f4").view(np.uint32)
    finite = (bits & 0x7F800000) != 0x7F800000
    rounded = np.where(finite, bits + 0x8000, bits)
    return rounded.astype("<u4").view(np.uint8).reshape(-1, 4)[:, 2:].T.tobytes()


def _from_planes(data: bytes) -> Floats:
    parts = np.frombuffer(data, np.uint8).reshape(2, -1)
    whole = np.zeros((parts.shape[1], 4), np.uint8)
    whole[:, 2:] = parts.T
    return whole.view("<f4")[:, 0].astype(np.float64)
