"""The tee's wire format, both directions of one Unix stream socket.

    frame     = length (uint32, bytes that follow) | kind (uint8) | content          all little-endian
    HELLO     = version | pid | boot | relays as JSON              worker -> analyzer, first on a connection
    EXCHANGE  = fixed fields | id | request head | request body | response head | response body
    ACK       = exchanges received on this connection so far       analyzer -> worker

A frame is sent whole or not at all. What the analyzer has acknowledged is captured; what had been
written to a connection that ends before its acknowledgement is lost (`tee`).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import msgspec

from driftline_sidecar.exchange import Exchange

VERSION: Final = 2

HELLO: Final = 1
EXCHANGE: Final = 2
ACK: Final = 3

MAX_FRAME: Final = 64 << 20
"""Bytes. Two bodies of the largest cap and their heads fit; more is a damaged stream."""

_PREFIX: Final = Struct("<IB")
_HELLO: Final = Struct("<BIQ")
_ACK: Final = Struct("<Q")
# sequence, request bytes, response bytes, started, first byte, duration, probability,
# lengths of request head, request body, response head, response body, status, relay, id length, generated
_FIXED: Final = Struct("<QQQddddIIIIHHBB")
_LEAD: Final = Struct("<IBQQQddddIIIIHHBB")
_FIXED_SIZE: Final = _FIXED.size
_LEAD_PACK: Final = _LEAD.pack
_AFTER_LENGTH: Final = 1 + _FIXED_SIZE

_RELAYS: Final = msgspec.json.Decoder(tuple[tuple[str, ...], ...])

_FAR: Final = 1e12
"""Seconds; no clock says more."""

MAX_ID: Final = 255
"""Bytes of an id."""


class FrameError(ValueError):
    """The stream does not hold frames of this version; the connection has to be closed."""


class Hello(msgspec.Struct, frozen=True):
    """What the worker says first."""

    boot: int
    pid: int
    relays: tuple[tuple[str, ...], ...] = ((),)
    """By relay: the port before which it stands, as monitors may name it (number, name); (): any."""


class Ack(msgspec.Struct, frozen=True):
    """What the analyzer says after each read."""

    received: int
    """Exchange frames since the connection began."""


def encode_hello(hello: Hello) -> bytes:
    """The frame with which the worker begins."""
    content = _HELLO.pack(VERSION, hello.pid, hello.boot) + msgspec.json.encode(hello.relays)
    return _PREFIX.pack(1 + len(content), HELLO) + content


def encode_ack(received: int) -> bytes:
    """The frame with which the analyzer acknowledges all exchanges up to that count."""
    return _PREFIX.pack(1 + _ACK.size, ACK) + _ACK.pack(received)


def exchange_lead(
    sequence: int,
    request_bytes: int,
    response_bytes: int,
    started: float,
    first_byte: float,
    duration: float,
    probability: float,
    status: int,
    relay: int,
    generated: bool,
    idents: int,
    request_heads: int,
    requests: int,
    response_heads: int,
    responses: int,
) -> bytes:
    """What goes before an exchange's id, heads and kept bodies, whose lengths the last five are.

    Positional on purpose: this runs once per request on the relay's path, and so the parts are joined
    only where they are written.
    """
    return _LEAD_PACK(
        _AFTER_LENGTH + idents + request_heads + requests + response_heads + responses,
        EXCHANGE,
        sequence,
        request_bytes,
        response_bytes,
        started,
        first_byte,
        duration,
        probability,
        request_heads,
        requests,
        response_heads,
        responses,
        status,
        relay,
        idents,
        generated,
    )


def encode_exchange(
    sequence: int,
    request_bytes: int,
    response_bytes: int,
    started: float,
    first_byte: float,
    duration: float,
    probability: float,
    status: int,
    relay: int,
    generated: bool,
    ident: bytes,
    request_head: bytes,
    request_body: bytes,
    response_head: bytes,
    response_body: bytes,
) -> bytes:
    """One exchange as a frame; the fields as in `Exchange`, `ident` at most 255 bytes of ASCII."""
    parts = (ident, request_head, request_body, response_head, response_body)
    lead = exchange_lead(
        sequence,
        request_bytes,
        response_bytes,
        started,
        first_byte,
        duration,
        probability,
        status,
        relay,
        generated,
        *map(len, parts),
    )
    return b"".join((lead, *parts))


class FrameReader:
    """Puts frames together from what a socket gives, for either side."""

    def __init__(self) -> None:
        self.hello: Hello | None = None
        """The worker's greeting, once it came."""
        self.received = 0
        """Exchanges read so far: what to acknowledge."""
        self._rest = b""

    def feed(self, data: bytes) -> list[Exchange | Hello | Ack]:
        """The frames that these bytes complete, in order. Raises FrameError on a damaged stream."""
        if self._rest:
            data = self._rest + data
        frames: list[Exchange | Hello | Ack] = []
        position, end = 0, len(data)
        while end - position >= _PREFIX.size:
            length, kind = _PREFIX.unpack_from(data, position)
            if not 1 <= length <= MAX_FRAME:
                raise FrameError(f"a frame of {length} bytes")
            if end - position - 4 < length:
                break
            frames.append(self._decode(kind, data, position + _PREFIX.size, position + 4 + length))
            position += 4 + length
        self._rest = data[position:]
        return frames

    def _decode(self, kind: int, data: bytes, start: int, end: int) -> Exchange | Hello | Ack:
        if kind == EXCHANGE:
            return self._exchange(data, start, end)
        if kind == ACK and end - start == _ACK.size:
            return Ack(_ACK.unpack_from(data, start)[0])
        if kind == HELLO and end - start > _HELLO.size:
            return self._greeting(data, start, end)
        raise FrameError(f"a frame of unknown kind {kind} or wrong length {end - start}")

    def _greeting(self, data: bytes, start: int, end: int) -> Hello:
        version, pid, boot = _HELLO.unpack_from(data, start)
        if version != VERSION:
            raise FrameError(f"frames of version {version}, this program reads {VERSION}")
        try:
            relays = _RELAYS.decode(data[start + _HELLO.size : end])
        except msgspec.DecodeError as error:
            raise FrameError(f"a greeting whose relays can't be read: {error}") from error
        self.hello = Hello(boot, pid, relays)
        return self.hello

    def _exchange(self, data: bytes, start: int, end: int) -> Exchange:
        if self.hello is None:
            raise FrameError("an exchange before the greeting")
        if end - start < _FIXED_SIZE:
            raise FrameError(f"an exchange of {end - start} bytes")
        fields = _FIXED.unpack_from(data, start)
        ident_at = start + _FIXED_SIZE
        request_head = ident_at + fields[13]
        request_body = request_head + fields[7]
        response_head = request_body + fields[8]
        response_body = response_head + fields[9]
        if response_body + fields[10] != end:
            raise FrameError("an exchange whose parts do not add up to its length")
        # NaN and infinities fail these comparisons too.
        if not (0.0 < fields[6] <= 1.0 and all(-_FAR < seconds < _FAR for seconds in fields[3:6])):
            raise FrameError("an exchange with an impossible time or probability")
        if fields[12] >= len(self.hello.relays):
            raise FrameError(f"an exchange of relay {fields[12]}, of which the greeting said nothing")
        self.received += 1
        return Exchange(
            boot=self.hello.boot,
            sequence=fields[0],
            id=data[ident_at:request_head].decode("latin-1"),
            id_generated=bool(fields[14]),
            ports=self.hello.relays[fields[12]],
            request_head=data[request_head:request_body],
            request_body=data[request_body:response_head],
            request_bytes=fields[1],
            response_head=data[response_head:response_body],
            response_body=data[response_body:end],
            response_bytes=fields[2],
            status=fields[11],
            started=fields[3],
            first_byte=fields[4],
            duration=fields[5],
            probability=fields[6],
        )
