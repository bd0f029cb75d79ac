"""Random pipelines: requests, the answers to them, and where the bytes are cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st

from tests.support.wire import chunked

ID_LINE = re.compile(rb"x-driftline-id: [0-9a-f]{24}\r\n")


@dataclass(frozen=True)
class Turn:
    """One exchange as sent, and what is to be captured of it."""

    request: bytes
    response: bytes
    request_body: bytes
    response_body: bytes
    status: int
    has_id: bool
    last: bool
    upgrade: bool
    interim: bytes


bodies = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"0\r\n\r\n"]),
)


@st.composite
def framed(draw: st.DrawFn, *, close: bool) -> tuple[bytes, bytes, bool]:
    """Header lines and body bytes on the wire, the body itself is the second of `draw`n; close-delimited?"""
    kinds = ["length", "chunked", "close"] if close else ["length", "chunked"]
    kind, body = draw(st.sampled_from(kinds)), draw(bodies)
    if kind == "length":
        return b"Content-Length: %d\r\n\r\n%s" % (len(body), body), body, False
    if kind == "close":
        return b"\r\n" + body, body, True
    cut = draw(st.integers(0, len(body)))
    trailers = draw(st.sampled_from([b"", b"Checksum: abc\r\n", b"A: 1\r\nB: 2\r\n"]))
    extension = draw(st.sampled_from([b"", b";x=1"]))
    raw = chunked(body[:cut], body[cut:], trailers=trailers, extension=extension)
    return b"Transfer-Encoding: chunked\r\n\r\n" + raw, body, False


@st.composite
def turn(draw: st.DrawFn) -> Turn:
    kind = draw(st.sampled_from(["GET", "HEAD", "POST", "POST", "UPGRADE"]))
    identity = draw(st.sampled_from([b"", b"", b"X-Request-Id: abc-1\r\n"]))
    request_body = b""
    lines = b"Host: m\r\n" + identity
    if kind == "POST":
        wire, request_body, _ = draw(framed(close=False))
        expect = draw(st.sampled_from([b"", b"Expect: 100-continue\r\n"]))
        request = b"POST /predict HTTP/1.1\r\n" + lines + expect + wire
    elif kind == "UPGRADE":
        wire, request_body, _ = draw(framed(close=False))
        asks = draw(st.sampled_from([b"h2c", b"websocket"]))
        head = b"POST /predict HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: " + asks + b"\r\n"
        request = head + lines + wire
    else:
        request = kind.encode() + b" /predict HTTP/1.1\r\n" + lines + b"\r\n"
    interim = draw(
        st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nA: b\r\n\r\n"])
    )
    status = draw(st.sampled_from([200, 200, 404, 500, 204, 304]))
    last = False
    if status in (204, 304):
        rest, response_body = draw(st.sampled_from([b"\r\n", b"ETag: a\r\n\r\n"])), b""
    else:
        rest, response_body, last = draw(framed(close=kind != "HEAD"))
        if kind == "HEAD":
            rest, response_body, last = rest[: rest.index(b"\r\n\r\n") + 4], b"", False
    response = b"HTTP/1.1 %d Some reason\r\nServer: s\r\n%s" % (status, rest)
    return Turn(
        request,
        response,
        request_body,
        response_body,
        status,
        bool(identity),
        last,
        kind == "UPGRADE",
        interim,
    )


def cut(data: bytes, points: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(point % (len(data) + 1) for point in points)})
    return [data[a:b] for a, b in pairwise(edges)]


def until_last(turns: list[Turn]) -> list[Turn]:
    """A close-delimited response ends the pipeline."""
    for index, each in enumerate(turns):
        if each.last:
            return turns[: index + 1]
    return turns


def without_ids(data: bytes) -> bytes:
    return ID_LINE.sub(b"", data)


points = st.lists(st.integers(0, 4000), max_size=12)
