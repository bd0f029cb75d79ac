"""Programs that outlive the command that started them: known by process id and start time, ended by them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster.report import ClusterError


def started(pid: int) -> str | None:
    """When a process began, in clock ticks since boot; None where there is none. With it a pid names one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        return None


def run(*command: str | Path, quiet: bool = False, check: bool = True, stdin: bytes | None = None) -> str:
    """Run to its end; what it wrote. Raises ClusterError with its words where it fails."""
    ended = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else subprocess.STDOUT,
        check=False,
    )
    said = ended.stdout.decode(errors="replace")
    if check and ended.returncode:
        line = " ".join(str(part) for part in command)
        raise ClusterError(f"`{line}` exits with {ended.returncode}:\n{said[-3000:]}")
    return said


class Processes:
    """Those of one run directory, remembered in a file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / "processes.json"

    def _known(self) -> dict[str, tuple[int, str]]:
        try:
            found: dict[str, tuple[int, str]] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def alive(self, name: str) -> int | None:
        """Its pid while it runs."""
        pid, began = self._known().get(name, (0, ""))
        return pid if pid and started(pid) == began else None

    def names(self) -> list[str]:
        """All that were started and not ended, in their order."""
        return list(self._known())

    def start(self, name: str, command: Sequence[str | Path], env: dict[str, str] | None = None) -> int:
        """Start it in a session of its own, its output in NAME.log."""
        log = self._directory / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )
        process.returncode = 0  # it outlives us on purpose: no warning that it still runs
        known = self._known()
        known[name] = process.pid, started(process.pid) or ""
        self._file.write_text(json.dumps(known))
        return process.pid

    def log(self, name: str) -> str:
        """The end of what it wrote."""
        with contextlib.suppress(OSError):
            return (self._directory / f"{name}.log").read_text(errors="replace")[-2500:]
        return ""

    def end(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, if it is still the one that was started."""
        pid = self.alive(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + 10
            while self.alive(name) is not None and time.monotonic() < deadline:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                time.sleep(0.02)
        known = self._known()
        known.pop(name, None)
        self._file.write_text(json.dumps(known))
