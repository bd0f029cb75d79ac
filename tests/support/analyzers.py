"""The analyzer as a program of its own, fed with frames through its real socket."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from driftline_sidecar.frames import Ack, FrameReader

from tests.support.analysis import write_monitor
from tests.support.children import child, eventually, free_port

REPO = Path(__file__).resolve().parents[2]


class Running:
    """A running analyzer."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path, port: int) -> None:
        self.process = process
        self.port = port
        self.tee = directory / "tee.sock"
        self.log = directory / "analyzer.log"
        self._connection: socket.socket | None = None
        self._sent = 0
        self._acks = FrameReader()

    @staticmethod
    def now() -> float:
        """Unix seconds, as the program sees them."""
        return time.time()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def text(self, path: str) -> str:
        """The body of a 200."""
        status, body = self.get(path)
        assert status == 200, body
        return body.decode()

    def json(self, path: str) -> Any:
        """The document of a 200."""
        return json.loads(self.text(path))

    def connect(self) -> socket.socket:
        """A new connection to the tee's socket."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(str(self.tee))
        return connection

    def deliver(self, data: bytes) -> None:
        """Write frames on a connection of their own and wait for the acknowledgement."""
        reader = FrameReader()
        expected = FrameReader()
        count = sum(type(frame).__name__ == "Exchange" for frame in expected.feed(data))
        with contextlib.closing(self.connect()) as connection:
            connection.sendall(data)
            while True:
                acks = [frame for frame in reader.feed(connection.recv(65536)) if isinstance(frame, Ack)]
                if any(ack.received >= count for ack in acks):
                    return

    def ready(self) -> bool:
        """Whether it answers."""
        with contextlib.suppress(OSError):
            return self.get("/healthz")[0] == 200
        return False

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


@contextlib.contextmanager
def analyzer(
    directory: Path, *changes: tuple[str, str], options: tuple[str, ...] = (), write: bool = True
) -> Iterator[Running]:
    """An analyzer of the monitor with these changes, until the end of the block."""
    path = directory / "monitor.yaml"
    if write:
        write_monitor(path, *changes)
    port = free_port()
    command = [sys.executable, "-m", "driftline_sidecar.main", "analyzer", "--monitor", str(path)]
    command += ["--tee", str(directory / "tee.sock"), "--admin", f"127.0.0.1:{port}", *options]
    with child(command, directory / "analyzer.log") as process:
        running = Running(process, directory, port)
        eventually(lambda: running.ready() or process.poll() is not None, 20)
        assert process.poll() is None, running.log.read_text()
        yield running
