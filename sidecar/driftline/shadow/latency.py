"""Latencies on a fixed grid, 128 cells a decade from 0.1 ms to 1,000 s: a cell is 1.8 % wide."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats

EDGES: Final[Floats] = np.geomspace(1e-4, 1e3, 7 * 128 + 1)
"""Seconds. Cell i of the counts is (EDGES[i-1], EDGES[i]]; the first reaches down to 0, the last is open."""

CELLS: Final = len(EDGES) + 1


def latency_counts(seconds: Floats) -> NDArray[np.int64]:
    """Counts of float64 (n,) seconds, none NaN: int64 (CELLS,)."""
    return np.bincount(np.searchsorted(EDGES, seconds), minlength=CELLS)
