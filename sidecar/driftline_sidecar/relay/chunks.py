"""Finds the end of a chunked body in the bytes, and the data within (RFC 9112, 7.1)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Protocol

from driftline_sidecar.relay.heads import Unparsable

MAX_LINE: Final = 16 * 1024
"""Bytes of a chunk-size line or a trailer line."""

_MAX_SIZE_DIGITS: Final = 15
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


class Sink(Protocol):
    """Takes the body's data: `data[start:end]`."""

    def __call__(self, data: bytes, start: int, end: int) -> None:
        """Called with empty spans too."""


class _Part(IntEnum):
    SIZE = 0
    DATA = 1
    DATA_END = 2
    TRAILER = 3


class Chunks:
    """One chunked body. Feed it bytes until it says that the body has ended."""

    __slots__ = ("_left", "_line", "_part", "done")

    def __init__(self) -> None:
        self.done = False
        self._part = _Part.SIZE
        self._left = 0
        self._line = b""

    def feed(self, data: bytes, position: int, sink: Sink) -> int:
        """Consume from `position`; the position after what belongs to the body. Raises Unparsable."""
        end = len(data)
        while position < end and not self.done:
            if self._part is _Part.DATA:
                stop = min(end, position + self._left)
                sink(data, position, stop)
                self._left -= stop - position
                position = stop
                if not self._left:
                    self._part = _Part.DATA_END
            else:
                position = self._take_line(data, position)
        return position

    def _take_line(self, data: bytes, position: int) -> int:
        stop = data.find(b"\n", position)
        if stop < 0:
            self._line += data[position:]
            if len(self._line) > MAX_LINE:
                raise Unparsable("a chunk line that is too long")
            return len(data)
        line = self._line + data[position : stop + 1]
        self._line = b""
        if not line.endswith(b"\r\n"):
            raise Unparsable("a bare line feed among the chunks")
        self._end_line(line[:-2])
        return stop + 1

    def _end_line(self, line: bytes) -> None:
        if self._part is _Part.SIZE:
            digits = line.partition(b";")[0].rstrip(b" \t")
            if not 0 < len(digits) <= _MAX_SIZE_DIGITS or not _HEX.issuperset(digits):
                raise Unparsable("a chunk size that is no number")
            self._left = int(digits, 16)
            self._part = _Part.DATA if self._left else _Part.TRAILER
        elif self._part is _Part.DATA_END:
            if line:
                raise Unparsable("a chunk that is longer than it says")
            self._part = _Part.SIZE
        elif not line:
            self.done = True
