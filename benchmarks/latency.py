"""The latency that a proxy adds to small requests: one connection, and 1,000 requests a second."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import median

from benchmarks import load, workload
from benchmarks.plan import Plan
from benchmarks.processes import Cores
from benchmarks.relay import targets
from benchmarks.report import Report, table
from benchmarks.sidecar import Files

RATE = 1000
PATIENCE = 2
"""Percentiles need more requests than rates: each load lasts this many times longer."""


def measure(directory: Path, files: Files, plan: Plan, cores: Cores, report: Report) -> None:
    """One table: p50 and p99 of both loads, for no proxy, Driftline and every peer."""
    body = directory / f"body-{workload.SMALL}.json"
    body.write_bytes(workload.body(workload.SMALL))
    closed: dict[str, list[load.Sample]] = defaultdict(list)
    steady: dict[str, list[load.Sample]] = defaultdict(list)
    seconds = plan.seconds * PATIENCE
    with targets(directory, files, workload.SMALL, cores) as found:
        for _ in range(plan.rounds):
            for target in found:
                closed[target.name].append(load.wrk(target.port, body, 1, seconds, cores.load))
                steady[target.name].append(load.open_loop(target.port, body, RATE, seconds, cores.load))
    head = ["microseconds", "1 connection, p50", "p99", f"{RATE:,} requests/s, p50", "p99"]
    rows = [[target.name, *_cells(closed[target.name]), *_cells(steady[target.name])] for target in found]
    report.section("Latency, 0.7 KB bodies", table(head, rows) + f"\n\n{NOTE}")


NOTE = (
    "Whole round trips; what a proxy adds is the difference to no proxy. At the constant rate each request "
    "is timed from the moment it was due, so that a stall is paid by every request it delays."
)


def _cells(samples: list[load.Sample]) -> list[str]:
    return [
        f"{median(sample.p50 for sample in samples):,.0f}",
        f"{median(sample.p99 for sample in samples):,.0f}",
    ]
