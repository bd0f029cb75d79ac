"""The measured thing: proxy and analyzer as they run in a pod, two programs joined by a Unix socket."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import workload
from benchmarks.processes import Cores, free_port, running

BIN = Path(sys.executable).parent
NAME = "Driftline"
REFERENCE_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Files:
    """The monitor and the reference profile of all measurements."""

    monitor: Path
    profile: Path

    @classmethod
    def write(cls, directory: Path) -> Files:
        """Build a profile of 30 features with the command line, as a user would."""
        files = cls(directory / "monitor.yaml", directory / "benchmark.profile")
        reference = directory / "reference.csv"
        workload.write_csv(reference, REFERENCE_ROWS)
        files.monitor.write_text(workload.monitor(files.profile))
        command = [BIN / "driftline", "profile", "build", reference, "-f", files.monitor, "-o", files.profile]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
        return files


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running pair."""

    port: int
    health: int
    admin: int
    proxy: subprocess.Popen[bytes]
    analyzer: subprocess.Popen[bytes]

    def captured(self) -> str:
        """How much of what the relay saw reached the analyzer, in words, from both programs' metrics."""
        found = {
            name: sum(
                float(line.rpartition(" ")[2])
                for port in (self.health, self.admin)
                for line in metrics(port)
                if line.startswith(f"modelmonitor_capture_{name}_total")
            )
            for name in ("seen", "captured", "dropped")
        }
        share = found["captured"] / found["seen"] if found["seen"] else 0.0
        return (
            f"{NAME} captured {share:.0%} of {found['seen']:,.0f} exchanges; the rest was dropped, counted."
        )


def metrics(port: int) -> list[str]:
    """The lines of a `/metrics` page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text.splitlines()


@contextmanager
def sidecar(
    directory: Path, files: Files, upstream: int, cores: Cores, options: Sequence[str] = ()
) -> Iterator[Sidecar]:
    """Proxy and analyzer in front of the loopback port `upstream`; `options`: more of the analyzer's."""
    port, health, admin = free_port(), free_port(), free_port()
    tee = directory / f"tee-{port}.sock"
    program = str(BIN / "driftline-sidecar")
    analyze = [program, "analyzer", "--monitor", str(files.monitor), "--profile", str(files.profile)]
    analyze += ["--tee", str(tee), "--admin", f"127.0.0.1:{admin}", *options]
    relay = [program, "proxy", "--monitor", str(files.monitor), "--upstream", f"127.0.0.1:{upstream}"]
    relay += ["--listen", f"127.0.0.1:{port}", "--health", f"127.0.0.1:{health}", "--tee", str(tee)]
    with (
        running(analyze, cores.analyzer, directory / f"analyzer-{port}.log", admin) as analyzer,
        running(relay, cores.proxy, directory / f"proxy-{port}.log", port) as proxy,
    ):
        yield Sidecar(port, health, admin, proxy, analyzer)
