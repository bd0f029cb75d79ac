"""The monitor files in force: one named file, or a folder for each monitor as a pod mounts them.

In a pod, `DIR/<monitor>/monitor.yaml` stands beside the monitor's profile, each folder from a ConfigMap of
its own that may come, change and go. A broken one is refused alone; the others stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from driftline.decoding import decode_monitors
from driftline.errors import DataError, DriftlineError
from driftline.spec import ModelMonitor

from driftline_sidecar.reload import Refusal, Watched

MONITOR_FILE: Final = "monitor.yaml"
MOST_FOLDERS: Final = 64


class Placed(NamedTuple):
    """A monitor, and the directory in which its files are."""

    monitor: ModelMonitor
    folder: Path


class MonitorFiles:
    """`file` or `folder`, not both; neither: no monitors. `poll` first of all: it reads them."""

    def __init__(self, file: Path | None, folder: Path | None) -> None:
        self.folder = folder
        self._file = file
        self._watched: dict[Path, Watched[tuple[ModelMonitor, ...]]] = {}
        self._values: dict[Path, tuple[ModelMonitor, ...]] = {}
        self._refused_before = 0
        """Of files that are no longer there."""

    def load(self) -> list[Placed]:
        """What is there now; raises DriftlineError where a file that was named can't be used."""
        if self._file is not None:
            watched = self._watch(self._file)
            self._values[self._file] = watched.load()
        else:
            self._look(0.0)
        return self.placed

    def poll(self, now: float) -> list[Placed] | None:
        """All monitors where any of them changed, else None. Never raises."""
        return self.placed if self._look(now) else None

    @property
    def placed(self) -> list[Placed]:
        """The monitors in force; of two with one name the first folder's."""
        found: dict[str, Placed] = {}
        for path, monitors in sorted(self._values.items()):
            for monitor in monitors:
                found.setdefault(monitor.key, Placed(monitor, path.parent))
        return list(found.values())

    @property
    def watched(self) -> list[Watched[tuple[ModelMonitor, ...]]]:
        """The files, with what is in force of each and what was refused."""
        return [self._watched[path] for path in sorted(self._watched)]

    @property
    def refused(self) -> int:
        """How many contents were refused so far."""
        return self._refused_before + sum(each.refused for each in self._watched.values())

    @property
    def refusals(self) -> list[Refusal]:
        """Contents that are not in force."""
        return [each.refusal for each in self.watched if each.refusal is not None]

    def _watch(self, path: Path) -> Watched[tuple[ModelMonitor, ...]]:
        found = self._watched[path] = Watched(path, decoder(path))
        return found

    def _look(self, now: float) -> bool:
        changed = False
        present = self._present()
        for path in [each for each in self._watched if each not in present]:
            self._refused_before += self._watched.pop(path).refused
            changed |= self._values.pop(path, None) is not None
        for path in present:
            known = self._watched.get(path)
            value = (self._watch(path) if known is None else known).poll(now)
            if value is not None:
                self._values[path] = value
                changed = True
        return changed

    def _present(self) -> Sequence[Path]:
        if self._file is not None:
            return [self._file]
        if self.folder is None:
            return []
        try:
            # Kubelet's own entries (`..data` and what it points to) begin with two dots.
            folders = [each for each in self.folder.iterdir() if not each.name.startswith(".")]
        except OSError:
            return []
        found = [each / MONITOR_FILE for each in sorted(folders)[:MOST_FOLDERS]]
        return [each for each in found if each.exists()]


def decoder(path: Path) -> Callable[[bytes], tuple[ModelMonitor, ...]]:
    """Reads the file's monitors; raises DriftlineError with the file's name."""

    def decode(raw: bytes) -> tuple[ModelMonitor, ...]:
        monitors = decode_monitors(raw, str(path))
        if not monitors:
            raise DataError(f"{path}: holds no ModelMonitor")
        return monitors

    return decode


def tolerant(files: MonitorFiles, now: float) -> list[Placed]:
    """As `load`, but what can't be used is refused: the proxy relays whatever its files hold."""
    try:
        return files.load()
    except DriftlineError as error:
        for watched in files.watched:
            watched.refuse("", str(error), now)
        return []
