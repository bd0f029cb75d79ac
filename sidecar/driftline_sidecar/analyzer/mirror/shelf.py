"""The parts of one monitor that can be fetched, and their copy on disk, which survives a kill.

Whatever is told to anyone is on disk before. So what a successor makes of its forerunner's parts (what
waited, or was never written, is lost) takes the place of everything that was fetched.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from driftline.errors import DataError
from driftline.shadow.codec import Part, encode_part, read_part
from driftline.shadow.ledger import ended

from driftline_sidecar.logs import event

MOST: Final = 64
"""Parts that are kept; the oldest go first. Each day and each life has one."""

_COUNTER: Final = struct.Struct("<16sQ")
_LENGTH: Final = struct.Struct("<I")
_PARTS, _ELIGIBLE = "parts", "eligible"

Key = tuple[str, str, int]


class Counter:
    """How many requests were eligible in a life, in a mapped file: a kill doesn't take it back."""

    def __init__(self, path: Path | None, boot: str) -> None:
        self._boot = boot.encode()
        self._map: mmap.mmap | None = None
        if path is not None:
            with contextlib.suppress(OSError), path.open("w+b") as file:
                file.write(_COUNTER.pack(self._boot, 0))
                file.flush()
                self._map = mmap.mmap(file.fileno(), _COUNTER.size)

    def set(self, eligible: int) -> None:
        """From now on so many."""
        if self._map is not None:
            _COUNTER.pack_into(self._map, 0, self._boot, eligible)

    def close(self) -> None:
        """No more is counted."""
        if self._map is not None:
            self._map.close()
            self._map = None


class Shelf:
    """Parts by (pod, boot, day), each with the revision at which it last changed."""

    def __init__(self, folder: Path | None, monitor: str) -> None:
        """`folder` None: nothing survives. Ends what a forerunner has left."""
        self._files = None if folder is None else folder / f"shadow-{monitor.replace('/', '.')}"
        self._lock = threading.Lock()
        self._kept: dict[Key, tuple[int, bytes]] = {}
        self.revision = 0
        self.unsaved = False
        """Whether the last attempt to write failed."""
        left = [*self._read()]
        if left:
            self.put(_finished(left, self._left_over()))

    def put(self, parts: Iterable[Part]) -> None:
        """Keep parts in the place of earlier ones of their kind, and write all to disk."""
        with self._lock:
            changed = False
            for part in parts:
                changed = True
                self.revision += 1
                self._kept.pop(part.key, None)  # so that the order is that of the last change
                self._kept[part.key] = (self.revision, encode_part(part))
            while len(self._kept) > MOST:
                del self._kept[next(iter(self._kept))]
            if changed:
                self._write()

    def since(self, revision: int) -> tuple[bytes, int]:
        """Parts that have changed after it, each after its length, and the revision now."""
        with self._lock:
            found = [data for at, data in self._kept.values() if at > revision]
            return _packed(found), self.revision

    def counter(self, boot: str) -> Counter:
        """For a life that begins."""
        path = self._file(_ELIGIBLE)
        if path is not None:
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
        return Counter(path, boot)

    def forget_others(self, life: tuple[str, int, float]) -> None:
        """Parts of any other comparison than that (`Part.life`)."""
        with self._lock:
            for key in [key for key, (_, data) in self._kept.items() if read_part(data).life != life]:
                del self._kept[key]

    def _file(self, suffix: str) -> Path | None:
        return None if self._files is None else self._files.with_name(f"{self._files.name}.{suffix}")

    def _write(self) -> None:
        path = self._file(_PARTS)
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(path.name + ".new")
            beside.write_bytes(_packed([data for _, data in self._kept.values()]))
            beside.replace(path)
            self.unsaved = False
        except OSError as error:
            if not self.unsaved:
                event(logging.WARNING, "shadow_not_saved", f"parts are in memory only: {error.strerror}")
            self.unsaved = True

    def _read(self) -> Iterator[Part]:
        path = self._file(_PARTS)
        try:
            raw = b"" if path is None else path.read_bytes()
        except OSError:
            return
        try:
            yield from map(read_part, unpacked(raw))
        except DataError as error:
            event(
                logging.WARNING, "shadow_state_damaged", "an earlier life's parts are left out", error=error
            )

    def _left_over(self) -> tuple[str, int]:
        path = self._file(_ELIGIBLE)
        try:
            raw = b"" if path is None else path.read_bytes()
        except OSError:
            return "", 0
        if len(raw) != _COUNTER.size:
            return "", 0
        boot, eligible = _COUNTER.unpack(raw)
        return boot.decode("ascii", "replace"), eligible


def unpacked(raw: bytes) -> Iterator[bytes]:
    """The parts of bytes that `since` gave. Raises DataError where they are cut off."""
    at = 0
    while at < len(raw):
        if at + _LENGTH.size > len(raw):
            raise DataError("shadow parts are cut off: fetch them again")
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if at + length > len(raw):
            raise DataError("shadow parts are cut off: fetch them again")
        yield raw[at : at + length]
        at += length


def _packed(parts: Iterable[bytes]) -> bytes:
    return b"".join(_LENGTH.pack(len(data)) + data for data in parts)


def _finished(parts: list[Part], left: tuple[str, int]) -> Iterator[Part]:
    """Ended: the life that the counter is of lost what it had not written, in its last day."""
    boot, eligible = left
    of_boot = [part for part in parts if part.boot == boot]
    missing = eligible - sum(part.account.eligible for part in of_boot)
    last = max((part.day for part in of_boot), default=-1)
    for part in parts:
        extra = missing if part.boot == boot and part.day == last else 0
        account = ended(part.account, part.account.eligible + max(0, extra))
        changed = account != part.account
        yield replace(part, account=account, sequence=part.sequence + 1) if changed else part
