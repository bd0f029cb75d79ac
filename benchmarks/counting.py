"""Rows counted per second on the full grid, on the core this process is pinned to.

    python -m benchmarks.counting ROWS ROUNDS

The child of `analysis`: prints one JSON line, rows per second by batch size.
"""

from __future__ import annotations

import json
import sys
import time
from statistics import median

from driftline.columns import Batch, NumericColumn
from driftline.counting import count
from driftline.grid import Grid
from driftline.pane import Axes

from benchmarks.workload import FEATURES, rows

BATCHES = (1_000, 10_000)
REFERENCE_ROWS = 20_000


def axes() -> Axes:
    """A grid of some 400 edges per feature."""
    reference = rows(REFERENCE_ROWS, seed=1)
    grids = {name: Grid.from_values(reference[:, index]) for index, name in enumerate(FEATURES)}
    return Axes(grids, "benchmark", ranks={})


def batches(total: int, size: int) -> list[Batch]:
    """`total` rows as columns, every row a request of its own."""
    values = rows(total)
    return [
        Batch(
            rows=size,
            columns={
                name: NumericColumn(values[start : start + size, index].copy())
                for index, name in enumerate(FEATURES)
            },
            requests=size,
        )
        for start in range(0, total - size + 1, size)
    ]


def rate(total: int, size: int, rounds: int) -> float:
    """Rows per second: count every batch and merge the counts, as a pane does; the median of the rounds."""
    grid, work = axes(), batches(total, size)
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        merged = count(grid, work[0])
        for batch in work[1:]:
            merged = merged + count(grid, batch)
        times.append(time.perf_counter() - began)
        if merged.rows != len(work) * size:
            raise RuntimeError(f"{merged.rows} rows were counted of {len(work) * size}")
    return len(work) * size / median(times[1:])


if __name__ == "__main__":
    TOTAL, ROUNDS = int(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({str(size): rate(TOTAL, size, ROUNDS) for size in BATCHES}))
