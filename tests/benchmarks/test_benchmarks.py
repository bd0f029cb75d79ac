"""The benchmarks measure what they say: sizes of bodies, whole requests read, a clock no stall can stop."""

from __future__ import annotations

import json
import socket
import socketserver
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks import workload
from benchmarks.load import ConstantRate
from benchmarks.processes import Cores, cpu_seconds, free_port, memory_mib, running
from benchmarks.report import table

CORES = Cores.of_this_machine()


@pytest.mark.parametrize("size", [workload.SMALL, workload.MEDIUM, workload.LARGE])
def test_bodies_have_their_size_and_hold_whole_rows(size: int) -> None:
    body = workload.body(size)
    rows = json.loads(body)["instances"]
    assert len(body) == size
    assert rows
    assert all(tuple(row) == workload.FEATURES for row in rows)
    assert len(json.loads(workload.answer(size))["predictions"]) == len(rows)


def request(body: bytes) -> bytes:
    return b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("pieces", [1, 7])
def test_the_backend_answers_once_the_whole_body_came(tmp_path: Path, pieces: int) -> None:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.backend", str(port)]
    with (
        running(command, CORES.backend, tmp_path / "log", port),
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        client.settimeout(0.3)
        sent = request(b"x" * 100_000)
        step = len(sent) // pieces
        client.sendall(sent[:step])
        if pieces > 1:
            with pytest.raises(TimeoutError):
                client.recv(1)
        client.sendall(sent[step:])
        client.settimeout(10)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


class StallingServer(socketserver.ThreadingTCPServer):
    """Answers every request at once, but for one: then everybody waits `stall` seconds."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, at: int, stall: float) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.at, self.stall, self.served, self.lock = at, stall, 0, threading.Lock()


class Answers(socketserver.BaseRequestHandler):
    server: StallingServer

    def handle(self) -> None:
        while self.request.recv(65536):
            with self.server.lock:
                self.server.served += 1
                if self.server.served == self.server.at:
                    time.sleep(self.server.stall)
            self.request.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


def test_a_stall_is_paid_by_every_request_it_delays() -> None:
    """One stall of 0.3 s at 200 requests/s delays about 60 of them: a closed loop would see one."""
    with StallingServer(at=100, stall=0.3) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = ConstantRate(server.server_address[1], b"{}")
        sample = client.run(rate=200, seconds=1.5)
        for connection in client.free:
            connection.close()
        server.shutdown()
    assert sample.errors == 0
    assert len(client.latencies) == 300
    assert sum(latency > 0.05 for latency in client.latencies) >= 40


def test_processes_are_counted_with_their_children(tmp_path: Path) -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    with running([sys.executable, "-c", script], CORES.load, tmp_path / "log") as parent:
        deadline = time.monotonic() + 20
        while cpu_seconds(parent.pid) < 0.5:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        proportional, resident = memory_mib(parent.pid)
        assert 0 < proportional <= resident


def test_a_process_that_dies_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no licence')"]
    with (
        pytest.raises(RuntimeError, match="no licence"),
        running(command, CORES.load, tmp_path / "log", free_port()),
    ):
        pass


def test_tables_are_markdown() -> None:
    assert table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
