"""Random pipelines in random chunkings through the real protocol classes.

Whatever was sent arrives: the same bytes to the model, the same bytes to the client but for the id's
header, once per final response whose request brought no id; and what is captured is what was sent.
"""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from driftline_sidecar import counters as slots
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.pipelines import ID_LINE, Turn, cut, points, turn, until_last, without_ids
from tests.support.relays import through
from tests.support.wire import Pair, answer


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


@settings(max_examples=30, deadline=None)
@given(st.lists(turn(), min_size=1, max_size=6).map(until_last), points, points)
def test_a_pipeline_over_sockets(
    turns: list[Turn], request_cuts: list[int], response_cuts: list[int]
) -> None:
    uvloop.run(_over_sockets(turns, request_cuts, response_cuts))


async def _over_sockets(turns: list[Turn], request_cuts: list[int], response_cuts: list[int]) -> None:
    arrived = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for each in turns:
            arrived.append(await reader.readexactly(len(each.request)))
            for piece in cut(each.interim + each.response, response_cuts):
                writer.write(piece)
                await asyncio.sleep(0)

    async with through(handler) as relay:
        reader, writer = await relay.open()
        for piece in cut(b"".join(each.request for each in turns), request_cuts):
            writer.write(piece)
            await asyncio.sleep(0)
        came = await asyncio.wait_for(reader.read(), 5)
        writer.close()

        assert arrived == [each.request for each in turns]
        assert without_ids(came) == b"".join(each.interim + each.response for each in turns)
        got = [(e.status, e.request_body, e.response_body, e.id_generated) for e in relay.tee.exchanges]
        assert got == [(t.status, t.request_body, t.response_body, not t.has_id) for t in turns]
        assert not sum(relay.count(slot) for slot in slots.OPAQUE.values())
