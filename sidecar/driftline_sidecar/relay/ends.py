"""How connections end and what a client is told when there is no model."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import Final

import msgspec

_LINGER_ZERO: Final = struct.pack("ii", 1, 0)
_SALVAGE_BYTES: Final = 1 << 20


def reset(transport: asyncio.Transport) -> None:
    """End a connection so that the other side sees a reset: a mere close looks like a whole answer."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):  # it is gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


def salvage(transport: asyncio.BaseTransport) -> bytes:
    """What a broken connection had still received.

    A model that answers early and closes breaks the request's next write before its answer is read.
    """
    parts: list[bytes] = []
    owned = transport.get_extra_info("socket")
    if owned is None:
        return b""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(owned.fileno())) as sock:
        sock.setblocking(False)
        while sum(map(len, parts)) < _SALVAGE_BYTES and (part := sock.recv(64 * 1024)):
            parts.append(part)
    return b"".join(parts)


def bad_gateway(upstream: str, why: str, identity: bytes, *, head_only: bool) -> bytes:
    """The 502 in the model's place. It closes the connection."""
    message = f"the model at {upstream} can't be reached: {why}"
    body = msgspec.json.encode({"error": "upstream_" + why, "message": message, "upstream": upstream}) + b"\n"
    given = b"x-driftline-id: " + identity + b"\r\n" if identity else b""
    head = (
        b"HTTP/1.1 502 Bad Gateway\r\n%scontent-type: application/json\r\ncontent-length: %d\r\n"
        b"connection: close\r\n\r\n" % (given, len(body))
    )
    return head if head_only else head + body
