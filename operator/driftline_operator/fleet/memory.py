"""Gives memory back to the system that the C library keeps after a round's many short-lived arrays."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable


def trimmer() -> Callable[[], None]:
    """glibc's `malloc_trim`; nothing where there is none. Some milliseconds."""
    with contextlib.suppress(OSError, AttributeError):
        trim = ctypes.CDLL(None).malloc_trim
        trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
        return lambda: trim(0) and None
    return lambda: None
