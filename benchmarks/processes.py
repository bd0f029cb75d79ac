"""Starts what is measured, each on its core, and stops it again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_WITHIN = 30.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores do what. With two cores the load, the model server and the analyzer share the second."""

    proxy: str
    load: str
    backend: str
    analyzer: str

    @classmethod
    def of_this_machine(cls) -> Cores:
        """One core each where there are four, else the measured process on a core of its own."""
        cores = sorted(os.sched_getaffinity(0))
        first, second = str(cores[0]), str(cores[-1])
        if len(cores) < 4:
            return cls(proxy=first, load=second, backend=second, analyzer=second)
        return cls(proxy=first, load=str(cores[1]), backend=str(cores[2]), analyzer=str(cores[3]))


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once `port` accepts connections; a process that died first is an error that quotes its log."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(
                f"{process.args!r} ended with {process.returncode}:\n{log.read_text()[-2000:]}"
            )
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not listen on {port} within {READY_WITHIN:.0f} s")


@contextmanager
def running(
    command: Sequence[str], cores: str, log: Path, port: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`command` pinned to `cores`, in a process group of its own, from listening on `port` until the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", cores, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if port is not None:
                await_port(port, process, log)
            yield process
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End `process` and whatever it started."""
    for sign, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, sign)
            process.wait(patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def family(pid: int) -> list[int]:
    """`pid` and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it has ended
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, []))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of `pid` and its descendants."""
    total = 0
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        total += int(fields[11]) + int(fields[12])
    return total / CLOCK_TICKS


def memory_mib(pid: int) -> tuple[float, float]:
    """Proportional and resident set size of `pid` and its descendants, in MiB."""
    proportional = resident = 0
    for member in family(pid):
        rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
        proportional += sizes["Pss"]
        resident += sizes["Rss"]
    return proportional / 1024, resident / 1024
