"""What proxy and analyzer hold in memory with 30 features and three windows, under millions of requests."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks import load, peers, workload
from benchmarks.plan import Plan
from benchmarks.processes import Cores, free_port, memory_mib, running, stop
from benchmarks.report import Report, table
from benchmarks.sidecar import Files, Sidecar, sidecar

CONNECTIONS = 32
STEPS = 5
SETTLE = 3.0
"""Seconds for the analyzer to finish what is queued."""


def measure(directory: Path, files: Files, plan: Plan, cores: Cores, report: Report) -> None:
    """A row per step of the load, and each program alone at the end."""
    body = directory / f"body-{workload.SMALL}.json"
    body.write_bytes(workload.body(workload.SMALL))
    upstream = free_port()
    backend = peers.nginx_backend(directory, upstream, workload.answer(workload.SMALL))
    with (
        running(backend.command, cores.backend, directory / "backend.log", upstream),
        sidecar(directory, files, upstream, cores) as pair,
    ):
        rows = _under_load(pair, body, plan, cores)
        stop(pair.analyzer)
        rows.append(["proxy alone, afterwards", *_cells(pair.proxy.pid), "", ""])
    with (
        running(backend.command, cores.backend, directory / "backend.log", upstream),
        sidecar(directory, files, upstream, cores) as pair,
    ):
        load.wrk(pair.port, body, CONNECTIONS, plan.seconds, cores.load)
        stop(pair.proxy)
        time.sleep(SETTLE)
        rows.append(["analyzer alone, after a load", "", "", *_cells(pair.analyzer.pid)])
    head = ["MiB", "proxy PSS", "RSS", "analyzer PSS", "RSS"]
    report.section("Memory, 30 features, three windows", table(head, rows))


def _under_load(pair: Sidecar, body: Path, plan: Plan, cores: Cores) -> list[list[str]]:
    sent = 0
    rows = [["at the start", *_cells(pair.proxy.pid), *_cells(pair.analyzer.pid)]]
    for step in range(1, STEPS + 1):
        while sent < plan.requests * step / STEPS:
            sample = load.wrk(pair.port, body, CONNECTIONS, plan.seconds, cores.load)
            sent += round(sample.rate * plan.seconds)
        time.sleep(SETTLE)
        rows.append([f"after {sent:,} requests", *_cells(pair.proxy.pid), *_cells(pair.analyzer.pid)])
    return rows


def _cells(pid: int) -> list[str]:
    return [f"{size:.1f}" for size in memory_mib(pid)]
