"""Arrays as compact little-endian bytes that gzip compresses well.

The bytes of all numbers are stored plane by plane (all first bytes, then all second ones, …): sorted
edges and small counts share their high bytes, so the planes are long runs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats

Integers = NDArray[np.int64]

_WIDTHS = ("<i1", "<i2", "<i4", "<i8")


def pack_integers(values: Integers) -> bytes:
    """In the narrowest of 1, 2, 4 or 8 bytes that holds all; the first byte says which."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    code = next(c for c, w in enumerate(_WIDTHS) if np.iinfo(w).min <= low and high <= np.iinfo(w).max)
    return bytes([code]) + _planes(values.astype(_WIDTHS[code]))


def unpack_integers(data: bytes) -> Integers:
    """The inverse: int64. Raises ValueError where the bytes can't be that."""
    if not data or data[0] >= len(_WIDTHS):
        raise ValueError("no width of integers")
    return _from_planes(data[1:], _WIDTHS[data[0]]).astype(np.int64)


def pack_floats(values: Floats, kind: str = "<f8") -> bytes:
    """float64, or `<f4` where that is enough."""
    return _planes(values.astype(kind))


def unpack_floats(data: bytes, kind: str = "<f8") -> Floats:
    """The inverse: float64. Raises ValueError where the length doesn't fit."""
    return _from_planes(data, kind).astype(np.float64)


def _planes(values: NDArray[np.generic]) -> bytes:
    return values.view(np.uint8).reshape(len(values), values.itemsize).T.tobytes()


def _from_planes(data: bytes, kind: str) -> NDArray[np.generic]:
    size = np.dtype(kind).itemsize
    if len(data) % size:
        raise ValueError(f"{len(data)} bytes are no numbers of {size} bytes")
    return np.frombuffer(data, np.uint8).reshape(size, -1).T.copy().view(kind).ravel()
