"""Random pipelines in random chunkings through the real protocol classes.

Whatever was sent arrives: the same bytes to the model, the same bytes to the client but for the id's
header, once per final response whose request brought no id; and what is captured is what was sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import pytest
from driftline_sidecar import counters as slots
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire import Pair, answer, chunked

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


@settings(max_examples=1500, deadline=None)
@given(st.lists(turn(), min_size=1, max_size=6).map(until_last), points, points, st.booleans())
def test_a_pipeline_arrives_as_it_was_sent(
    turns: list[Turn], request_cuts: list[int], response_cuts: list[int], at_once: bool
) -> None:
    pair = Pair().connect()
    groups = [turns] if at_once else [[each] for each in turns]
    sent, came = b"", b""
    for group in groups:
        for piece in cut(b"".join(each.request for each in group), request_cuts):
            pair.request(piece)
            sent += piece
        for piece in cut(b"".join(each.interim + each.response for each in group), response_cuts):
            pair.response(piece)
            came += piece
    assert pair.upstream is not None
    pair.upstream.eof_received()

    assert pair.model.sent == sent
    assert without_ids(pair.client.sent) == came
    assert len(ID_LINE.findall(pair.client.sent)) == sum(not each.has_id for each in turns)
    got = [(e.status, e.request_body, e.response_body, e.id_generated) for e in pair.exchanges]
    assert got == [(t.status, t.request_body, t.response_body, not t.has_id) for t in turns]
    assert all(e.request_head + e.request_body for e in pair.exchanges)
    assert not sum(pair.count(slot) for slot in slots.OPAQUE.values())
    assert pair.count(slots.IN_FLIGHT) == 0


@settings(max_examples=500, deadline=None)
@given(
    st.lists(turn().filter(lambda each: not each.upgrade), min_size=1, max_size=4).map(until_last),
    points,
    points,
    st.integers(0, 4000),
)
def test_a_cut_pipeline_is_passed_on_as_far_as_it_came(
    turns: list[Turn], request_cuts: list[int], response_cuts: list[int], reset_at: int
) -> None:
    pair = Pair().connect()
    for piece in cut(b"".join(each.request for each in turns), request_cuts):
        pair.request(piece)
    whole = b"".join(each.interim + each.response for each in turns)
    came = whole[: reset_at % len(whole)]
    for piece in cut(came, response_cuts):
        pair.response(piece)
    assert pair.upstream is not None
    pair.upstream.connection_lost(ConnectionResetError())
    pair.downstream.connection_lost(None)

    assert came.startswith(without_ids(pair.client.sent))
    assert pair.client.ended == "reset"
    finished = len(pair.exchanges)
    assert finished < len(turns)
    assert pair.count(slots.INTERRUPTED) == len(turns) - finished
    assert pair.count(slots.IN_FLIGHT) == 0


@settings(max_examples=500, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8), st.lists(st.binary(max_size=60), max_size=8))
def test_bytes_that_are_no_http_arrive_too(requests: list[bytes], responses: list[bytes]) -> None:
    pair = Pair().connect()
    for piece in requests:
        pair.request(piece)
    for piece in responses:
        pair.response(piece)
    assert pair.upstream is not None
    pair.upstream.eof_received()
    assert pair.model.sent == b"".join(requests)
    assert pair.client.sent == b"".join(responses)


FOLDED_AFTER_UPGRADE = (
    b"POST /predict HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\n1"
    b"GET /a HTTP/1.1\r\nFolded: a\r\n b\r\n\r\n"
)


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        (b"CONNECT m:1 HTTP/1.1\r\nHost: m\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
        (
            FOLDED_AFTER_UPGRADE,
            answer(b"ok"),
        ),
    ],
    ids=["connect", "refused upgrade, then no HTTP"],
)
def test_a_response_that_ends_observation_is_sent_once(request_: bytes, response: bytes) -> None:
    pair = Pair().connect()
    pair.request(request_)
    pair.response(response)
    assert without_ids(pair.client.sent) == response
