"""Data larger than memory: twice the rows, (nearly) the same memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

SCRIPT = """
import functools, json, sys
from driftline_cli import dataset
from driftline_cli.main import main
from driftline_cli.readers import rows, spool

spool.MEMORY = "100MB"
dataset.reference_rows = functools.partial(rows.reference_rows, memory_cells=100_000)
data, profile = sys.argv[1:]
def peak():
    # Not getrusage: its maximum is inherited from the process that started this one.
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
built = main(["profile", "build", data, "-o", profile])
after_build = peak()
compared = main(["drift", profile, data, "-o", profile + ".txt"])
after_drift = peak()
print(json.dumps([built, compared, after_build / 1024, after_drift / 1024]))
"""


def write(path: Path, rows: int) -> Path:
    rng = np.random.default_rng(0)
    groups = pa.array([f"group {i}" for i in range(50)])
    names = ("a", "b", "c")
    schema = pa.schema([*((name, pa.float64()) for name in names), ("g", pa.string())])
    with pacsv.CSVWriter(path, schema) as writer:
        for start in range(0, rows, 250_000):
            count = min(250_000, rows - start)
            columns = {name: rng.normal(size=count) for name in names}
            taken = groups.take(pa.array(rng.integers(0, 50, count)))
            writer.write_table(pa.table({**columns, "g": taken}, schema=schema))
    return path


def measured(path: Path) -> tuple[float, float]:
    """Largest resident memory in MB after a build, and after a comparison too."""
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, path, f"{path}.profile"],
        check=True,
        capture_output=True,
        text=True,
        # Pools that keep freed pages for later show what the machine was busy with, not what is needed.
        env=os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"},
    )
    built, compared, after_build, after_drift = json.loads(found.stdout.splitlines()[-1])
    assert (built, compared) == (0, 0), found.stderr
    return after_build, after_drift


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    small = measured(write(tmp_path / "small.csv", 5_000_000))
    large = measured(write(tmp_path / "large.csv", 10_000_000))
    print(f"5M rows: {small[0]:.0f} MB, 10M rows: {large[0]:.0f} MB")
    # Five million rows more are 200 MB as numbers. What stays is what allocators keep for later.
    assert large[0] < small[0] + 100
    assert large[1] < large[0] + 60
    assert large[0] < 750
