"""The demo's parts as processes: free ports, a start that waits until it answers, an end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

BIN = Path(sys.executable).parent
READY_WITHIN = 60.0


class DemoError(Exception):
    """A part of the demo did not start or died; the message says where its log is."""


def port(wanted: int) -> int:
    """`wanted` on the loopback address if nobody has it, else one that is free."""
    for candidate in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise DemoError("no free port on 127.0.0.1")


@contextmanager
def running(log: Path, command: Sequence[object], url: str, **environment: str) -> Iterator[None]:
    """`command`, from the moment `url` answers until the end; its output goes to `log`."""
    name = log.stem
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
        try:
            await_answer(name, url, process, log)
            yield
            if process.poll() is not None:
                raise DemoError(f"{name} ended with {process.returncode} during the replay; see {log}")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def await_answer(name: str, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once `url` answers 200."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:  # refused, reset or not ready yet: URLError is one too
            time.sleep(0.1)
    raise DemoError(f"{name} is not ready ({url}); see {log}:\n{log.read_text()[-1500:]}")
