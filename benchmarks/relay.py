"""Requests per second through Driftline's relay with its tee on, and through the peers."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks import load, peers, workload
from benchmarks.plan import Plan
from benchmarks.processes import Cores, cpu_seconds, free_port, running
from benchmarks.report import Report, table
from benchmarks.sidecar import NAME, Files, Sidecar, sidecar

SIZES = {"0.7 KB": workload.SMALL, "64 KB": workload.MEDIUM, "1 MB": workload.LARGE}
DIRECT = "no proxy"
BREATH = 0.3
"""Seconds between loads, for the analyzer and the mirrors to finish what is queued."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to send load to: its port, and the process whose processor time is its own."""

    name: str
    port: int
    pid: int | None
    pair: Sidecar | None = None
    """Of Driftline: what can say how much it captured."""


@contextmanager
def targets(directory: Path, files: Files, size: int, cores: Cores) -> Iterator[list[Target]]:
    """The model server for bodies of `size` bytes, Driftline and every peer in front of it."""
    with ExitStack() as stack:
        upstream = free_port()
        if size == workload.SMALL:
            server = peers.nginx_backend(directory, upstream, workload.answer(size)).command
        else:
            server = (sys.executable, "-m", "benchmarks.backend", str(upstream))
        stack.enter_context(running(server, cores.backend, directory / "backend.log", upstream))
        found = [Target(DIRECT, upstream, None)]
        ours = stack.enter_context(sidecar(directory, files, upstream, cores))
        found.append(Target(NAME, ours.port, ours.proxy.pid, ours))
        for peer in _peers(directory, upstream):
            log = directory / f"{peer.name}.log"
            process = stack.enter_context(running(peer.command, cores.proxy, log, peer.port))
            found.append(Target(peer.name, peer.port, process.pid))
        yield found


def _peers(directory: Path, upstream: int) -> list[peers.Peer]:
    port = free_port()
    by_hand = (sys.executable, "-m", "benchmarks.aiohttp_proxy", str(port), str(upstream))
    return [
        peers.nginx("nginx proxy_pass", directory, free_port(), upstream, mirrored=False),
        peers.nginx("nginx mirror", directory, free_port(), upstream, mirrored=True),
        peers.envoy("Envoy", directory, free_port(), upstream, mirrored=False),
        peers.envoy("Envoy with a mirror", directory, free_port(), upstream, mirrored=True),
        peers.Peer("aiohttp proxy", by_hand, port),
    ]


def measure(directory: Path, files: Files, plan: Plan, cores: Cores, report: Report) -> None:
    """One table per body size."""
    for label, size in SIZES.items():
        body = directory / f"body-{size}.json"
        body.write_bytes(workload.body(size))
        with targets(directory, files, size, cores) as found:
            long = replace(plan, seconds=plan.seconds * (3 if size == workload.LARGE else 1))
            rates, busy = _rounds(found, body, long, cores)
            captured = "".join(target.pair.captured() for target in found if target.pair)
        report.section(f"Relay, {label} bodies", f"{_text(found, rates, busy, plan)}\n{captured}")


Point = tuple[str, int]


def _rounds(
    found: list[Target], body: Path, plan: Plan, cores: Cores
) -> tuple[dict[Point, list[float]], dict[Point, list[float]]]:
    """Requests per second and processor microseconds per request, per target and number of connections."""
    rates: dict[Point, list[float]] = defaultdict(list)
    busy: dict[Point, list[float]] = defaultdict(list)
    for _ in range(plan.rounds):
        for connections in plan.connections:
            for target in found:
                before = cpu_seconds(target.pid) if target.pid else 0.0
                sample = load.wrk(target.port, body, connections, plan.seconds, cores.load)
                spent = cpu_seconds(target.pid) - before if target.pid else 0.0
                if sample.errors or not sample.rate:
                    raise RuntimeError(f"{target.name}: {sample.errors} requests failed, {sample.rate:.0f}/s")
                rates[target.name, connections].append(sample.rate)
                busy[target.name, connections].append(spent / (sample.rate * plan.seconds) * 1e6)
                time.sleep(BREATH)
    return rates, busy


def _text(
    found: list[Target], rates: dict[Point, list[float]], busy: dict[Point, list[float]], plan: Plan
) -> str:
    head = ["requests/s (CPU microseconds per request)"]
    head += [f"{connections} connection{'s' * (connections > 1)}" for connections in plan.connections]
    rows = []
    for target in found:
        cells = [target.name]
        for connections in plan.connections:
            rate, spent = median(rates[target.name, connections]), median(busy[target.name, connections])
            cells.append(f"{rate:,.0f}" + (f" ({spent:,.1f})" if target.pid else ""))
        rows.append(cells)
    return table(head, rows) + "\n\n" + _ratios(rates, plan)


def _ratios(rates: dict[Point, list[float]], plan: Plan) -> str:
    """Driftline against the two peers that the wanted figures name."""
    lines = []
    for peer in ("nginx proxy_pass", "Envoy with a mirror"):
        ratios = [
            f"{median(rates[NAME, connections]) / median(rates[peer, connections]):.2f} at {connections}"
            for connections in plan.connections
        ]
        lines.append(f"{NAME} against {peer}: {', '.join(ratios)} connections.")
    return "\n".join(lines)
