"""Load: closed loops by wrk, and an open loop at a constant rate that owes nothing to slow answers."""

from __future__ import annotations

import ctypes
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.workload import PATHNAME

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: requests per second, latency percentiles in microseconds, and what failed."""

    rate: float
    p50: float
    p99: float
    errors: int


def wrk(port: int, body: Path, connections: int, seconds: float, core: str) -> Sample:
    """A closed loop of `connections` kept-alive connections for `seconds`, on `core`."""
    command = ["taskset", "--cpu-list", core, "wrk", "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{max(1, round(seconds))}s", "--timeout", "10s"]
    command += ["--script", str(SCRIPT), f"http://127.0.0.1:{port}"]
    environment = {**os.environ, "BODY": str(body), "PATHNAME": PATHNAME}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines or not lines[-1].startswith("{"):
        raise RuntimeError(f"wrk failed: {done.stdout}{done.stderr}")
    said: dict[str, Any] = json.loads(lines[-1])
    rate = said["requests"] / said["seconds"]
    return Sample(rate=rate, p50=said["p50"], p99=said["p99"], errors=said["errors"])


def open_loop(port: int, body: Path, rate: int, seconds: float, core: str) -> Sample:
    """Requests at a constant `rate`, each timed from the moment it was due; in a process pinned to `core`."""
    command = ["taskset", "--cpu-list", core, sys.executable, "-m", "benchmarks.load"]
    command += [str(port), str(body), str(rate), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the constant-rate client failed: {done.stderr}")
    return Sample(**json.loads(done.stdout))


class ConstantRate:
    """Sends on schedule over 64 connections; a request that finds none free waits, and its clock runs."""

    CONNECTIONS = 64
    ALLOWED_LAG = 5.0

    def __init__(self, port: int, body: bytes) -> None:
        head = f"POST {PATHNAME} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        self.request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        self.free = deque(socket.create_connection(("127.0.0.1", port)) for _ in range(self.CONNECTIONS))
        for connection in self.free:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.busy: dict[socket.socket, float] = {}
        self.latencies: list[float] = []
        self.errors = 0

    def run(self, rate: int, seconds: float) -> Sample:
        """Send `rate * seconds` requests; the first tenth warms up and is not counted."""
        total = int(rate * seconds)
        start = time.perf_counter() + 0.1
        sent = 0
        while (sent < total or self.busy) and time.perf_counter() < start + seconds + self.ALLOWED_LAG:
            due = start + sent / rate
            now = time.perf_counter()
            if sent < total and now >= due and self.free:
                connection = self.free.popleft()
                connection.sendall(self.request)
                self.busy[connection] = due
                sent += 1
            else:
                wait = max(0.0, due - now) if sent < total and self.free else 0.1
                self._receive(wait)
        self.errors += len(self.busy) + total - sent
        counted = sorted(self.latencies[len(self.latencies) // 10 :])
        return Sample(
            rate=sent / (time.perf_counter() - start),
            p50=counted[len(counted) // 2] * 1e6,
            p99=counted[int(len(counted) * 0.99)] * 1e6,
            errors=self.errors,
        )

    def _receive(self, wait: float) -> None:
        """Wait up to `wait` seconds for answers. Each is small and comes in one piece."""
        readable, _, _ = select.select(list(self.busy), [], [], wait)
        for connection in readable:
            answer = connection.recv(65536)
            self.latencies.append(time.perf_counter() - self.busy.pop(connection))
            self.errors += not answer.startswith(b"HTTP/1.1 200")
            self.free.append(connection)


def main() -> None:
    """The child of `open_loop`: prints one JSON line."""
    set_timer_slack = 29  # PR_SET_TIMERSLACK: wake on time, not up to 50 microseconds later
    ctypes.CDLL(None).prctl(set_timer_slack, 1, 0, 0, 0)
    port, body, rate, seconds = sys.argv[1:5]
    sample = ConstantRate(int(port), Path(body).read_bytes()).run(int(rate), float(seconds))
    said = {"rate": sample.rate, "p50": sample.p50, "p99": sample.p99, "errors": sample.errors}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
