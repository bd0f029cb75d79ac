"""Bodies as they were packed: unpacked in pieces of bounded size, and never taken where they are cut off."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

from driftline_operator.hub.refusal import Refusal

_PIECE: Final = 1 << 18
_FORMATS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Unpacking(Protocol):
    """Of one body."""

    def take(self, data: bytes) -> Iterator[bytes]:
        """What further bytes unpack to. Raises Refusal (400)."""

    def end(self) -> None:
        """There are no more bytes. Raises Refusal (400) where more were needed."""


def unpacking(encoding: str) -> Unpacking:
    """For a Content-Encoding. Raises Refusal (415)."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Plain()
    if name not in _FORMATS:
        raise Refusal(415, "must be gzip, deflate or none", field="Content-Encoding", value=encoding)
    return _Packed(name)


class _Plain:
    def take(self, data: bytes) -> Iterator[bytes]:
        yield data

    def end(self) -> None:
        pass


class _Packed:
    def __init__(self, name: str) -> None:
        self._name = name
        self._stream = zlib.decompressobj(_FORMATS[name])

    def take(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._stream.eof:  # gzip may have several parts
                self._stream = zlib.decompressobj(_FORMATS[self._name])
            try:
                yield self._stream.decompress(data, _PIECE)
            except zlib.error as error:
                raise self._refused(str(error)) from error
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail

    def end(self) -> None:
        if not self._stream.eof:
            raise self._refused("it is cut off")

    def _refused(self, what: str) -> Refusal:
        return Refusal(
            400, f"the body is not {self._name}: {what}", field="Content-Encoding", value=self._name
        )
