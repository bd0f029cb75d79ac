"""What one core analyses in a second, and what Evidently and whylogs do with the same rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks import workload
from benchmarks.plan import Plan
from benchmarks.processes import Cores
from benchmarks.report import Report, table
from benchmarks.sidecar import NAME, Files

PEERS_PYTHON = Path(".bench/venv/bin/python")
PEERS_SCRIPT = Path(__file__).with_name("peers_analysis.py")


def measure(directory: Path, files: Files, plan: Plan, cores: Cores, report: Report) -> None:
    """One table: rows per second, and captured exchanges per second. `files` are for the other parts."""
    del files
    reference, current = directory / "reference-rows.csv", directory / "current-rows.csv"
    workload.write_csv(reference, plan.rows, seed=1)
    workload.write_csv(current, plan.rows, seed=2)
    runs: dict[str, list[float]] = {}
    for _ in range(plan.rounds):
        for name, command in _jobs(reference, current, plan).items():
            for label, rate in _said(command, cores.proxy).items():
                runs.setdefault(f"{name}{label}", []).append(rate)
    rows = [[name, f"{median(rates):,.0f}"] for name, rates in runs.items()]
    text = table(["on one core, 30 numeric features", "rows/s"], rows)
    report.section("Analysis", f"{text}\n\n{NOTE.format(rows=plan.rows)}")


NOTE = (
    "Counting is per batch on the full grid, merged as in a pane; the statistics of a window are read off "
    "its counts. Evidently: DataDriftPreset with PSI over {rows:,} rows against {rows:,}; whylogs: "
    "a profile of {rows:,} rows. Exchanges hold one row each."
)


def _jobs(reference: Path, current: Path, plan: Plan) -> dict[str, list[str]]:
    """Every job prints one JSON line of rates by label; the table calls it `name + label`."""
    ours = [sys.executable, "-m"]
    return {
        f"{NAME}: grid, batches of ": [*ours, "benchmarks.counting", str(plan.rows), "1"],
        f"{NAME}: ": [*ours, "benchmarks.exchanges", str(plan.rows)],
        "": [str(PEERS_PYTHON), str(PEERS_SCRIPT), str(reference), str(current), "1"],
    }


def _said(command: list[str], core: str) -> dict[str, float]:
    done = subprocess.run(
        ["taskset", "--cpu-list", core, *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    said: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return said
