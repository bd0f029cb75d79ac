"""Packets that the hub doesn't have yet, oldest first: in memory, and in a directory where there is one.

Bounded by bytes; where they don't fit, the oldest of the largest spool goes. Everything here is quick: the
blocking calls on files are `Entry.store`, `Entry.load` and `discard`, which run in a thread.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from pathlib import Path
from typing import Final

from driftline_sidecar.analyzer.predictions.packet import MOST_ROWS, Packet

MEMORY_BYTES: Final = 8 << 20
"""Of all monitors' packets in memory: 60,000 rows or so, some minutes of a busy model."""
DISK_BYTES: Final = 64 << 20
"""In the directory; a pod's volume holds other things too, and ends the pod where it overflows."""

_NAME: Final = re.compile(r"([0-9]{20})-([0-9]+)-([0-9]+)\.json")


class Entry:
    """A packet that waits: its body in memory, or in a file."""

    __slots__ = ("body", "bytes", "gone", "path", "rows")

    def __init__(self, rows: int, size: int, body: bytes | None, path: Path | None = None) -> None:
        self.rows = rows
        self.bytes = size
        self.body = body
        self.path = path
        self.gone = False
        """It is no longer waited for: a file that is written later must go."""

    def store(self, path: Path) -> None:
        """Write it to a file, whole or not at all. Raises OSError."""
        body = self.body
        if body is None:
            return
        unready = path.with_suffix(".part")
        try:
            with unready.open("wb") as file:
                file.write(body)
            unready.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                unready.unlink()
            raise

    def load(self) -> bytes:
        """Its body. Raises OSError where its file is gone or damaged."""
        if self.body is not None:
            return self.body
        body = self.path.read_bytes() if self.path is not None else b""
        if len(body) != self.bytes:
            raise OSError(f"{self.path}: {len(body)} bytes where {self.bytes} were written")
        return body


class Room:
    """What all spools of a process share: how much they may hold."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES, disk_bytes: int = DISK_BYTES) -> None:
        self._limits = {False: memory_bytes, True: disk_bytes}
        self.spools: list[Spool] = []

    def make(self) -> None:
        """Let the oldest packets of the largest spool go until the rest fits."""
        for on_disk, limit in self._limits.items():
            while sum(spool.held(on_disk) for spool in self.spools) > limit:
                largest = max(self.spools, key=lambda spool: spool.held(on_disk))
                if not largest.evict(on_disk):
                    break


class Spool:
    """One monitor's packets."""

    def __init__(self, room: Room, directory: Path | None) -> None:
        self.evicted = 0
        """Rows that had to go."""
        self.garbage: list[Path] = []
        """Files to be removed."""
        self._directory = directory
        self._room = room
        self._entries: deque[Entry] = deque()
        self._held = {False: 0, True: 0}
        self._number = time.time_ns()
        room.spools.append(self)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Of all packets."""
        return self._held[False] + self._held[True]

    @property
    def rows(self) -> int:
        """In all packets."""
        return sum(entry.rows for entry in self._entries)

    def held(self, on_disk: bool) -> int:
        """Bytes in memory, or in the directory."""
        return self._held[on_disk]

    def put(self, packet: Packet) -> None:
        """Add the newest packet."""
        self._entries.append(Entry(packet.rows, len(packet.body), packet.body))
        self._held[False] += len(packet.body)
        self._room.make()

    def first(self) -> Entry | None:
        """The oldest packet."""
        return self._entries[0] if self._entries else None

    def remove(self, entry: Entry) -> bool:
        """It is delivered, or never will be. False: it had to go meanwhile."""
        if entry.gone:
            return False
        self._entries.remove(entry)  # the first, nearly always
        self._forget(entry)
        return True

    def replace(self, entry: Entry, packets: tuple[Packet, ...]) -> None:
        """Others in its place, at the head: it was too large."""
        if self.remove(entry):
            for packet in reversed(packets):
                self._entries.appendleft(Entry(packet.rows, len(packet.body), packet.body))
                self._held[False] += len(packet.body)
            self._room.make()

    def evict(self, on_disk: bool) -> bool:
        """Let the oldest packet there go; False where there is none."""
        entry = next((entry for entry in self._entries if (entry.path is not None) == on_disk), None)
        if entry is None:
            return False
        self.evicted += entry.rows
        self.remove(entry)
        return True

    def _forget(self, entry: Entry) -> None:
        entry.gone = True
        self._held[entry.path is not None] -= entry.bytes
        if entry.path is not None:
            self.garbage.append(entry.path)

    # ---- the directory ----

    def unstored(self) -> Entry | None:
        """The oldest packet that is in memory only; None too where there is no directory."""
        if self._directory is None:
            return None
        return next((entry for entry in self._entries if entry.path is None), None)

    @property
    def unstored_rows(self) -> int:
        """Rows that end with the process."""
        return sum(entry.rows for entry in self._entries if entry.path is None)

    def name(self, entry: Entry) -> Path:
        """The file for a packet: sorted by age, and saying how many rows and bytes it holds."""
        assert self._directory is not None  # noqa: S101 - asked for what `unstored` gives only
        self._number += 1
        return self._directory / f"{self._number:020d}-{entry.rows}-{entry.bytes}.json"

    def stored(self, entry: Entry, path: Path) -> None:
        """Its file is written: the memory is free again."""
        if entry.gone:
            self.garbage.append(path)
            return
        entry.body, entry.path = None, path
        self._held[False] -= entry.bytes
        self._held[True] += entry.bytes
        self._room.make()

    def found(self) -> int:
        """Take over what an earlier analyzer left in the directory; how many rows. Raises OSError."""
        if self._directory is None:
            return 0
        self._directory.mkdir(parents=True, exist_ok=True)
        rows = 0
        for path in sorted(self._directory.iterdir()):
            said = _NAME.fullmatch(path.name)
            if said is None or not 1 <= int(said[2]) <= MOST_ROWS:  # a name says what anyone wrote
                self.garbage.append(path)
                continue
            entry = Entry(int(said[2]), int(said[3]), None, path)
            self._entries.append(entry)
            self._held[True] += entry.bytes
            rows += entry.rows
            self._number = max(self._number, int(said[1]))
        self._room.make()
        return rows

    def collect(self) -> list[Path]:
        """The files to be removed, once."""
        paths, self.garbage = self.garbage, []
        return paths


def discard(paths: list[Path]) -> None:
    """Remove files; one that can't be removed is found and sent once more later, and counts once."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
