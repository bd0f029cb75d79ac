"""Encoded profiles, kept in files of the controller's own: they are read when something is to be written, and
as bytes those of 300 monitors would be a tenth of its memory.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

MOST_BYTES: Final = 48 << 20
"""Of all files; the chart gives the controller's /tmp 64 MiB, and what is beyond is evicted with its pod."""


class Shelved:
    """What was kept; its file goes with it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes:
        """The content. Raises OSError where somebody else has removed it."""
        return self._path.read_bytes()


class Shelf:
    """One folder."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._folder: Path | None = None
        self._left = most
        self._number = 0

    def keep(self, content: bytes) -> Shelved | bytes:
        """The content in a file; itself where there is no room for one."""
        if not content or len(content) > self._left:
            return content
        try:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="driftline-"))
                weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            self._number += 1
            path = self._folder / str(self._number)
            path.write_bytes(content)
        except OSError as error:
            _log.warning("a profile stays in memory: %s", error)
            return content
        self._left -= len(content)
        kept = Shelved(path)
        weakref.finalize(kept, self._remove, path, len(content))
        return kept

    def _remove(self, path: Path, size: int) -> None:
        path.unlink(missing_ok=True)
        self._left += size
