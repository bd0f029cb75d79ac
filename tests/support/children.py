"""Real programs as children of a test: model servers, the proxy, something that takes the tee's frames."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

REPO = Path(__file__).parents[2]

MONITOR = """\
apiVersion: driftline.io/v1alpha1
kind: ModelMonitor
metadata: {name: census, namespace: ml}
spec:
  selector: {matchLabels: {app: census}}
  endpoint: {port: 8080}
  model: {name: census, type: classification}
  schema:
    features: [{name: age, type: numeric}]
    prediction: {name: label}
"""


_GIVEN: set[int] = set()


def free_port() -> int:
    """A port below those that the kernel gives to connecting sockets: load could take it meanwhile.

    Given once only, and to one of the workers that run tests side by side: what is bound a moment later
    by a child is free until then.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = [port for port in range(20_000 + worker % 8, 32_000, 8) if port not in _GIVEN]
    for port in random.SystemRandom().sample(mine, 100):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            _GIVEN.add(port)
            return port
    raise AssertionError("no free port among a hundred")


def eventually(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until `holds()` is true; fail where it is not within that time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def child(command: Sequence[str], log: Path, cwd: Path = REPO) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended with the test, whatever happens; its output goes to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=cwd, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


@contextlib.contextmanager
def model(directory: Path, port: int | None = None) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A model under uvicorn, as a user would serve it."""
    port = port or free_port()
    command = python(
        "-m", "uvicorn", "tests.support.model:app", "--port", str(port), "--log-level", "warning",
        "--backlog", "16384", "--timeout-keep-alive", "60",
    )  # fmt: skip
    with child(command, directory / "model.log") as process:
        eventually(lambda: listens(port))
        yield port, process


@contextlib.contextmanager
def taker(directory: Path, mode: str = "ack") -> Iterator[subprocess.Popen[bytes]]:
    """A program that takes the tee's frames as the analyzer does, and counts nothing."""
    path = directory / "tee.sock"
    with child(python("-m", "tests.support.taker", str(path), mode), directory / "taker.log") as process:
        eventually(path.exists)
        yield process


@contextlib.contextmanager
def analyzer(directory: Path, port: int | None = None, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The real analyzer on the tee and the monitor file in `directory`."""
    path, port = directory / "tee.sock", port or free_port()
    command = python(
        "-m", "driftline_sidecar.main", "analyzer", "--monitor", str(directory / "monitor.yaml"),
        "--tee", str(path), "--admin", f"127.0.0.1:{port}", *options,
    )  # fmt: skip
    with child(command, directory / "analyzer.log") as process:
        eventually(lambda: listens(port) and path.exists(), 20)
        yield process


def count(exposition: str, name: str, **labels: str) -> float:
    """The sum of a series' samples that carry these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == "modelmonitor_" + name and labels.items() <= sample.labels.items()
    )


class Proxy:
    """A running `driftline-sidecar proxy`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, health: int, log: Path) -> None:
        self.process, self.port, self.health, self.log = process, port, health, log

    @property
    def worker(self) -> int:
        """The pid of the worker; 0 where there is none."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = path.read_text().split()
        return int(pids[0]) if pids else 0

    def ask(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.health, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("/readyz")[0] == 200
        return False

    def count(self, name: str, **labels: str) -> float:
        """The sum of a series' samples that carry these labels."""
        return count(self.ask("/metrics")[1], name, **labels)

    def pss(self) -> float:
        """MB of supervisor and worker together."""
        return sum(_pss(pid) for pid in (self.process.pid, self.worker))

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


def _pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no Pss of {pid}")


@contextlib.contextmanager
def proxy(directory: Path, upstream: int, *options: str, monitor: str = MONITOR) -> Iterator[Proxy]:
    """The proxy in front of `upstream`, its monitor file and tee in `directory`."""
    port, health = free_port(), free_port()
    (directory / "monitor.yaml").write_text(monitor)
    command = python(
        "-m", "driftline_sidecar.main", "proxy", "--upstream", f"127.0.0.1:{upstream}",
        "--listen", f"127.0.0.1:{port}", "--health", f"127.0.0.1:{health}",
        "--tee", str(directory / "tee.sock"), "--monitor", str(directory / "monitor.yaml"), *options,
    )  # fmt: skip
    log = directory / "proxy.log"
    with child(command, log) as process:
        running = Proxy(process, port, health, log)
        eventually(lambda: running.ready() and "the worker accepts" in log.read_text())
        yield running
