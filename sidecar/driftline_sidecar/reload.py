"""Files that may change while the program runs: the monitor and its reference profile.

Kubernetes replaces a mounted ConfigMap by swapping a symlink, so the path's own inode never
changes and inotify on it says nothing; editors replace files too. Polling what the path resolves
to sees all of it, and one stat a second costs nothing. What the bytes mean is the caller's: a
`Watched` knows only the last bytes that were accepted and why newer ones were not.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from driftline.errors import DataError, DriftlineError

T = TypeVar("T")

MAX_BYTES = 16 * 1024 * 1024
"""No monitor or profile is larger (a ConfigMap holds 1 MiB): what is, is not one of them."""

Signature = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file content that is not in force, and why: the older one stays."""

    path: str
    digest: str
    """SHA-256 of the refused bytes; empty where the file could not be read."""
    reason: str
    at: float
    """When it was refused, unix seconds."""


class Watched(Generic[T]):
    """One file and the value last read from it.

    `decode` turns bytes into the value and raises a DriftlineError for what can't be accepted.
    The first `load` raises; later `poll`s never do. `beside`: files that may hold what follows, each
    changed at a moment of its own; `join` makes one content of those that are there.
    """

    def __init__(
        self,
        path: Path,
        decode: Callable[[bytes], T],
        beside: Sequence[Path] = (),
        join: Callable[[Sequence[bytes]], bytes] = b"".join,
    ) -> None:
        self.path = path
        self._decode = decode
        self._beside, self._join = beside, join
        self._signature: tuple[Signature | None, ...] = ()
        self._seen = ""
        self.digest = ""
        """SHA-256 of the bytes in force."""
        self.refusal: Refusal | None = None
        self.refused = 0
        """How many contents were refused so far."""

    def load(self) -> T:
        """Read and decode the file; raises DriftlineError with the file's name in it."""
        self._signature = self._signatures()
        contents = self._contents()
        value = self._decode(self._join(contents))
        self.digest = self._seen = _digest(contents)
        return value

    def poll(self, now: float) -> T | None:
        """The new value where the file has changed to an acceptable one, else None.

        A vanished or broken file leaves the value in force and is told once, in `refusal`;
        a file that goes back to the bytes in force clears the refusal.
        """
        signature = self._signatures()
        if signature == self._signature:
            return None
        self._signature = signature
        digest = ""
        try:
            contents = self._contents()
            digest = _digest(contents)
            if digest == self._seen:
                return None
            self._seen = digest
            if digest == self.digest:
                self.refusal = None
                return None
            value = self._decode(self._join(contents))
        except DriftlineError as error:
            self._seen = digest
            self.refuse(digest, str(error), now)
            return None
        self.digest = digest
        self.refusal = None
        return value

    def refuse(self, digest: str, reason: str, now: float) -> None:
        """Note that bytes were refused; for a caller that finds only later that a value can't be used."""
        self.refused += 1
        self.refusal = Refusal(str(self.path), digest, reason, now)

    def _signatures(self) -> tuple[Signature | None, ...]:
        return tuple(_signature(each) for each in (self.path, *self._beside))

    def _contents(self) -> list[bytes]:
        return [_read(self.path), *(_read(each) for each in self._beside if each.exists())]


def _signature(path: Path) -> Signature | None:
    """Changes whenever the file behind the path does, symlinks followed; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _read(path: Path) -> bytes:
    try:
        # Opening a pipe that nobody writes to would wait for ever, and with it whoever polls.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DataError(f"{path}: is no regular file")
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    if len(raw) > MAX_BYTES:
        raise DataError(f"{path}: larger than {MAX_BYTES} bytes; neither a monitor nor a profile is")
    return raw


def _digest(contents: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for each in contents:
        digest.update(each)
    return digest.hexdigest()
