"""Bytes that say what they are: a mark, a version, a checksum, and compressed MessagePack of bounded size.

mark, version (1 byte), CRC-32 of the rest (4 bytes, big-endian), zlib stream
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

from driftline.errors import DataError

_PIECE: Final = 1 << 16


class Envelope(NamedTuple):
    """One kind of content: `noun` names it in messages, `most` bounds what it inflates to, in bytes."""

    mark: bytes
    version: int
    noun: str
    most: int

    def seal(self, packed: bytes) -> bytes:
        """The content as bytes."""
        body = zlib.compress(packed, 1)
        return b"%s%c%s%s" % (self.mark, self.version, zlib.crc32(body).to_bytes(4, "big"), body)

    def verify(self, data: bytes) -> bytes:
        """What follows the head, read no further. Raises DataError: mark, version, checksum."""
        head = len(self.mark) + 1 + 4
        if not data.startswith(self.mark):
            raise DataError(f"these bytes are no {self.noun}: they don't begin with its mark")
        if len(data) < head:
            raise DataError(f"a {self.noun} is cut off: fetch it again")
        version = data[len(self.mark)]
        if version != self.version:
            raise DataError(
                f"a {self.noun} has format version {version}, this program reads {self.version}: "
                "use programs of one release"
            )
        body = data[head:]
        if zlib.crc32(body).to_bytes(4, "big") != data[len(self.mark) + 1 : head]:
            raise DataError(f"a {self.noun} is damaged: its checksum is another; fetch it again")
        return body

    def open(self, data: bytes) -> bytes:
        """The content. Raises DataError as `verify` does, and for what is longer than `most`."""
        stream = zlib.decompressobj()
        body = self.verify(data)
        try:
            packed = stream.decompress(body, self.most)
        except zlib.error as error:
            raise self.damaged(error) from error
        if stream.unconsumed_tail:
            raise DataError(f"a {self.noun} inflates to more than {self.most} bytes: it is refused")
        return packed

    def measure(self, data: bytes, most: int) -> int:
        """How many bytes the content has; it is kept nowhere. Raises DataError as `open` does, and for more
        than `most`.
        """
        stream, size = zlib.decompressobj(), 0
        rest = self.verify(data)
        try:
            while rest and not stream.eof:
                size += len(stream.decompress(rest, _PIECE))
                if size > min(most, self.most):
                    raise DataError(
                        f"a {self.noun} inflates to more than {min(most, self.most)} bytes: it is refused"
                    )
                rest = stream.unconsumed_tail
        except zlib.error as error:
            raise self.damaged(error) from error
        return size

    def damaged(self, error: Exception) -> DataError:
        """The error for content that can't be read."""
        return DataError(f"a {self.noun} is damaged: {error}; fetch it again")
