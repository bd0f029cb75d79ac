"""The tee on real Unix sockets: what is seen is captured, dropped or lost, exactly."""

from __future__ import annotations

import asyncio
import math
import struct
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from driftline_sidecar import counters as slots
from driftline_sidecar.counters import Counters, queued
from driftline_sidecar.exchange import Exchange, header
from driftline_sidecar.frames import FrameError, FrameReader, Hello, encode_ack, encode_exchange, encode_hello
from driftline_sidecar.relay.flight import chosen
from driftline_sidecar.tee import Tee
from hypothesis import given
from hypothesis import strategies as st

HELLO = Hello(boot=(1 << 63) - 1, pid=42, relays=((), ("8080", "http")))


def frame(sequence: int = 1, body: bytes = b"{}") -> bytes:
    return encode_exchange(
        sequence, 9, 2, 1.5e9, 0.25, 0.5, 0.125, 200, 1, True, b"id-1",
        b"POST /p?q=1 HTTP/1.1\r\nContent-Encoding: gzip\r\n\r\n", body, b"HTTP/1.1 200 OK\r\n\r\n", b"[]",
    )  # fmt: skip


@given(st.lists(st.binary(max_size=300), max_size=5), st.lists(st.integers(0, 3000), max_size=8))
def test_frames_come_back_however_they_are_cut(bodies: list[bytes], points: list[int]) -> None:
    stream = encode_hello(HELLO) + b"".join(frame(i, body) for i, body in enumerate(bodies, 1))
    edges = sorted({0, len(stream), *(point % len(stream) for point in points)})
    reader = FrameReader()
    got = [f for a, b in pairwise(edges) for f in reader.feed(stream[a:b])]
    assert got[0] == HELLO
    exchanges = [each for each in got if isinstance(each, Exchange)]
    assert [(e.sequence, e.request_body) for e in exchanges] == list(enumerate(bodies, 1))
    assert reader.received == len(bodies)


def test_an_exchange_keeps_its_fields() -> None:
    reader = FrameReader()
    _, got = reader.feed(encode_hello(HELLO) + frame())
    assert isinstance(got, Exchange)
    assert (got.boot, got.ports, got.id, got.id_generated) == (HELLO.boot, ("8080", "http"), "id-1", True)
    assert (got.started, got.first_byte, got.duration, got.probability) == (1.5e9, 0.25, 0.5, 0.125)
    assert (got.method, got.target, got.path, got.status) == ("POST", "/p?q=1", "/p", 200)
    assert got.request_truncated
    assert not got.response_truncated
    assert header(got.request_head, b"content-encoding") == b"gzip"
    assert header(got.request_head, b"encoding") is None


@pytest.mark.parametrize(
    "stream",
    [frame(), b"\xff" * 5, encode_hello(HELLO) + frame()[:4] + b"\x09" + frame()[5:],
     encode_hello(HELLO).replace(b"\x01\x02", b"\x01\x09", 1), encode_hello(Hello(1, 1)) + frame(),
     encode_hello(HELLO).replace(b"http", b'ht"p', 1),
     *(encode_hello(HELLO) + frame().replace(struct.pack("<d", real), struct.pack("<d", wrong))
       for real, wrong in ((0.125, 0.0), (0.125, math.nan), (1.5e9, math.nan), (1.5e9, -math.inf)))],
)  # fmt: skip
def test_a_damaged_stream_is_refused(stream: bytes) -> None:
    with pytest.raises(FrameError):
        FrameReader().feed(stream)


def test_the_sample_is_the_same_everywhere_and_nested() -> None:
    ids = [b"%d" % i for i in range(20_000)]
    tenth = {each for each in ids if chosen(each, 0.1)}
    half = {each for each in ids if chosen(each, 0.5)}
    assert tenth < half
    assert abs(len(tenth) - 2000) < 200
    assert abs(len(half) - 10_000) < 400
    assert [i for i in range(12) if chosen(b"%d" % i, 0.3)] == GOLDEN
    assert all(chosen(each, 1.0) for each in ids)


GOLDEN = [2, 6]


class Analyzer(asyncio.Protocol):
    """Acknowledges what it reads, unless told to hang."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.reader = FrameReader()
        self.hangs = hangs
        self.exchanges: list[Exchange] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.hangs:
            # uvloop begins to read only after this call
            asyncio.get_running_loop().call_soon(self.transport.pause_reading)

    def data_received(self, data: bytes) -> None:
        self.exchanges += [e for e in self.reader.feed(data) if isinstance(e, Exchange)]
        self.transport.write(encode_ack(self.reader.received))


def send(tee: Tee, block: memoryview[int], frames: int, size: int = 100) -> None:
    for sequence in range(frames):
        block[slots.SEEN] += 1
        tee.put([frame(sequence, bytes(size))], block)


async def until(condition: object) -> None:
    for _ in range(300):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


async def test_without_an_analyzer_all_is_dropped(tmp_path: Path) -> None:
    block = Counters().block(1)
    tee = Tee(str(tmp_path / "tee.sock"), HELLO, 1 << 20)
    tee.start(asyncio.get_running_loop())
    send(tee, block, 5)
    assert block[slots.DROPPED["no_analyzer"]] == 5
    assert queued(block) == 0
    tee.close()


async def test_what_is_acknowledged_is_captured_in_its_block(tmp_path: Path) -> None:
    counters, analyzer = Counters(), Analyzer()
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: analyzer, str(tmp_path / "tee.sock"))
    tee = Tee(str(tmp_path / "tee.sock"), HELLO, 1 << 20)
    tee.start(loop)
    send(tee, counters.block(1), 30)
    send(tee, counters.block(2), 7)
    send(tee, counters.block(1), 3)
    await until(lambda: tee.queued == 0)
    assert [counters.block(i)[slots.CAPTURED] for i in (1, 2)] == [33, 7]
    assert len(analyzer.exchanges) == 40
    tee.close()
    server.close()
    analyzer.transport.close()


async def test_an_exchange_larger_than_the_queue_goes_alone(tmp_path: Path) -> None:
    block, analyzer, path = Counters().block(1), Analyzer(), str(tmp_path / "tee.sock")
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: analyzer, path)
    tee = Tee(path, HELLO, 65_536)
    tee.start(loop)
    send(tee, block, 2, 1_000_000)
    await until(lambda: tee.queued == 0)
    assert (block[slots.CAPTURED], block[slots.DROPPED["queue_full"]]) == (1, 1)
    send(tee, block, 1, 1_000_000)
    await until(lambda: tee.queued == 0)
    assert block[slots.CAPTURED] == len(analyzer.exchanges) == 2
    tee.close()
    server.close()
    analyzer.transport.close()


async def test_a_hung_analyzer_fills_the_queue_and_its_death_loses_the_rest(tmp_path: Path) -> None:
    block, analyzer, path = Counters().block(1), Analyzer(hangs=True), str(tmp_path / "tee.sock")
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: analyzer, path)
    tee = Tee(path, HELLO, 300_000)
    tee.start(loop)
    for _ in range(200):
        send(tee, block, 10, 10_000)
        await asyncio.sleep(0)
    dropped = block[slots.DROPPED["queue_full"]]
    assert dropped > 0
    captured = block[slots.CAPTURED]  # what it read before it hung
    assert block[slots.SEEN] == 2000 == dropped + captured + tee.queued
    analyzer.transport.abort()
    server.close()
    await until(lambda: not tee.connected)
    assert block[slots.LOST] == 2000 - dropped - captured
    assert queued(block) == 0

    analyzer = Analyzer()
    server = await loop.create_unix_server(lambda: analyzer, path)
    await until(lambda: tee.connected)
    send(tee, block, 4)
    await until(lambda: block[slots.CAPTURED] == captured + 4)
    assert queued(block) == 0
    tee.close()
    server.close()
    analyzer.transport.close()
