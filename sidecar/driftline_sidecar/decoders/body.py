"""A body's bytes: content codings taken off within bounds, JSON parsed."""

from __future__ import annotations

import json
import zlib
from typing import Final

import msgspec

from driftline_sidecar.decoders.failure import DecodeError, Failure
from driftline_sidecar.exchange import header

MAX_INFLATED: Final = 16 << 20
"""Bytes. A body may inflate to sixteen times the largest that is captured by default, and no further:
a kilobyte of gzip can hold a megabyte of zeros."""

_PLAIN: Final = (0x7B, 0x5B, 0x20, 0x0A, 0x0D, 0x09)
"""First bytes of JSON as models speak it; no gzip or zlib stream begins with one of them."""
_IDENTITY: Final = (b"", b"identity")
_ANY_FRAMING: Final = zlib.MAX_WBITS | 32
_decode = msgspec.json.Decoder().decode


def content(head: bytes, body: bytes) -> bytes:
    """The body without its content coding. Raises DecodeError.

    A body that begins like JSON is taken as it is: looking for a header costs more than that look.
    """
    if body[0] in _PLAIN:
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
    while body:  # a gzip file may consist of several members
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
    return b"".join(parts)


def parse(body: bytes) -> object:
    """The JSON document of a body. Raises DecodeError.

    Some servers write NaN and Infinity, which are not JSON: Python's parser takes them.
    """
    try:
        return _decode(body)
    except msgspec.DecodeError:
        pass
    except RecursionError:  # nested deeper than any parser goes
        raise DecodeError(Failure.INVALID_JSON) from None
    if b"NaN" not in body and b"Infinity" not in body:
        raise DecodeError(Failure.INVALID_JSON)
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        raise DecodeError(Failure.INVALID_JSON) from None
    return document
