"""A body's bytes: content codings taken off within bounds, JSON parsed."""

from __future__ import annotations

import json
import re
import zlib
from typing import Final

import msgspec

from driftline_sidecar.decoders.failure import DecodeError, Failure
from driftline_sidecar.exchange import header

MAX_INFLATED: Final = 16 << 20
"""Bytes. A body may inflate to sixteen times the largest that is captured by default, and no further:
a kilobyte of gzip can hold a megabyte of zeros."""

MOST_PARSED: Final = 128 << 20
"""Bytes that a large body may take once parsed, by its brackets and commas: 16 KB of gzip can hold five
million empty arrays, which take half a gigabyte."""
_LARGE: Final = 2 << 20
_CONTAINER_BYTES: Final = 100
_VALUE_BYTES: Final = 40

_MOST_MEMBERS: Final = 1000
"""Gzip members in a body: each costs a copy of what follows it. Block gzip has 64 KB in each."""

PLAIN: Final = (0x7B, 0x5B, 0x20, 0x0A, 0x0D, 0x09)
"""First bytes of JSON as models speak it; no gzip or zlib stream begins with one of them."""
_IDENTITY: Final = (b"", b"identity")
_ANY_FRAMING: Final = zlib.MAX_WBITS | 32
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_decode = msgspec.json.Decoder().decode


def content(head: bytes, body: bytes) -> bytes:
    """The body without its content coding. Raises DecodeError."""
    plain = _plain(head, body)
    if len(plain) > _LARGE:
        containers = plain.count(b"[") + plain.count(b"{")
        if containers * _CONTAINER_BYTES + plain.count(b",") * _VALUE_BYTES > MOST_PARSED:
            raise DecodeError(Failure.TOO_LARGE)
    return plain


def _plain(head: bytes, body: bytes) -> bytes:
    """A body that begins like JSON is taken as it is: looking for a header costs more than that look."""
    if body[0] in PLAIN:
        return body
    coding = (header(head, b"content-encoding") or b"").lower()
    if coding in _IDENTITY:
        return body
    if coding in (b"gzip", b"x-gzip"):
        return _inflate(body, _ANY_FRAMING)
    if coding == b"deflate":  # RFC 9110 means zlib's framing; many send the raw stream
        try:
            return _inflate(body, zlib.MAX_WBITS)
        except DecodeError as error:
            if error.failure is not Failure.DAMAGED_ENCODING:
                raise
            return _inflate(body, -zlib.MAX_WBITS)
    raise DecodeError(Failure.UNSUPPORTED_ENCODING)


def _inflate(body: bytes, framing: int) -> bytes:
    parts: list[bytes] = []
    room = MAX_INFLATED
    for _ in range(_MOST_MEMBERS):  # a gzip file may consist of several members
        if not body:
            break
        stream = zlib.decompressobj(framing)
        try:
            parts.append(stream.decompress(body, room + 1))
        except zlib.error:
            raise DecodeError(Failure.DAMAGED_ENCODING) from None
        room -= len(parts[-1])
        if room < 0:
            raise DecodeError(Failure.TOO_LARGE)
        if not stream.eof:
            raise DecodeError(Failure.DAMAGED_ENCODING)
        body = stream.unused_data
    if body:
        raise DecodeError(Failure.TOO_LARGE)
    return b"".join(parts)


def parse(body: bytes) -> object:
    """The JSON document of a body. Raises DecodeError.

    Some servers write NaN and Infinity, which are not JSON: Python's parser takes them. It takes half a
    surrogate pair too, which no codec writes: such text would fail far from here, in a pane or a report.
    """
    try:
        return _decode(body)
    except msgspec.DecodeError:
        pass
    except (RecursionError, UnicodeDecodeError):  # nested deeper than any parser goes; not UTF-8
        raise DecodeError(Failure.INVALID_JSON) from None
    if b"NaN" not in body and b"Infinity" not in body:
        raise DecodeError(Failure.INVALID_JSON)
    try:
        document: object = json.loads(body.decode())
        if _SURROGATE.search(body):
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise DecodeError(Failure.INVALID_JSON) from None
    return document
