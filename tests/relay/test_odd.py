"""What parsers disagree about, and what goes wrong in the observer: the bytes arrive all the same."""

from __future__ import annotations

import asyncio
from typing import Any, Never

import pytest
from driftline_sidecar import counters as slots
from driftline_sidecar.relay.flight import Recorder

from tests.support.pipelines import without_ids
from tests.support.relays import through
from tests.support.wire import answer, chunked, post

ANSWER = answer(b"[1]")
HEAD = b"POST /predict HTTP/1.1\r\nHost: m\r\n"

ODD = {
    "a length and chunks": (
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc"),
        "request_unparsable",
    ),
    "two lengths": (HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "request_unparsable"),
    "a bare line feed": (HEAD + b"A: b\nContent-Length: 3\r\n\r\nabc", "request_unparsable"),
    "a folded line": (HEAD + b"A: b\r\n c\r\nContent-Length: 3\r\n\r\nabc", "request_unparsable"),
    "only line feeds": (b"GET / HTTP/1.1\nHost: m\n\n", "unsolicited_response"),
    "a huge head": (HEAD + b"A: " + b"b" * (70 << 10) + b"\r\n\r\n", "head_too_large"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "http2"),
}


@pytest.mark.parametrize(("sent", "reason"), ODD.values(), ids=ODD)
async def test_odd_requests_pass_unchanged_and_unobserved(sent: bytes, reason: str) -> None:
    arrived, came, relay = await _talk(sent, sent)
    assert arrived == sent * 2
    assert came == ANSWER * 2
    assert {name for name, slot in slots.OPAQUE.items() if relay.count(slot)} == {reason}
    assert relay.count(slots.OPAQUE[reason]) == 1
    assert relay.tee.exchanges == []


async def test_an_upgrade_that_is_not_taken_up_stays_observed() -> None:
    sent = post(b"[[1, 2]]", Connection=b"Upgrade, HTTP2-Settings", Upgrade=b"h2c", HTTP2_Settings=b"AAMA")
    arrived, came, relay = await _talk(sent, post(b"[[3]]"))
    assert arrived == sent + post(b"[[3]]")
    assert without_ids(came) == ANSWER * 2
    assert [(e.status, e.request_body) for e in relay.tee.exchanges] == [(200, b"[[1, 2]]"), (200, b"[[3]]")]
    assert not sum(relay.count(slot) for slot in slots.OPAQUE.values())


@pytest.mark.parametrize("broken", ["begin", "begin_whole", "end_whole", "finish", "hold"])
async def test_an_error_of_the_observer_ends_observation_only(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> Never:
        raise ZeroDivisionError

    monkeypatch.setattr(Recorder, broken, fail)
    requests = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"abc"), post(b"[[3]]")
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"[1]")
    if broken.endswith("whole"):
        requests, reply = requests[::-1], ANSWER
    arrived, came, relay = await _talk(*requests, reply=reply)
    assert arrived == b"".join(requests)
    assert without_ids(came) == reply * 2
    assert relay.count(slots.OPAQUE["observer_error"]) == 1


async def _talk(*requests: bytes, reply: bytes = ANSWER) -> tuple[bytes, bytes, Any]:
    """What came to the model, what came back, and the relay, once each request has had an answer."""
    arrived = b""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        for each in requests:
            arrived += await reader.readexactly(len(each))
            writer.write(reply)

    async with through(handler) as relay:
        reader, writer = await relay.open()
        came = b""
        for count, each in enumerate(requests, 1):
            writer.write(each)
            while came.count(b"[1]") < count:
                came += await asyncio.wait_for(reader.read(1 << 16), 5)
        came += await asyncio.wait_for(reader.read(), 5)
        writer.close()
    return arrived, came, relay
