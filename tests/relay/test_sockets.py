"""The relay over real sockets and uvloop: refusals, endings, streams and slow sides."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from driftline_sidecar import counters as slots

from tests.support.memory import fresh_peak, peak
from tests.support.relays import free_port, relay_to, reset, through
from tests.support.wire import answer, post

GET = b"GET /predict HTTP/1.1\r\nHost: m\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes", [GET, post(b"x" * 300_000), GET * 3, b"HEAD /predict HTTP/1.1\r\nHost: m\r\n\r\n"]
)
async def test_a_model_that_refuses_is_a_502_that_says_so(request_bytes: bytes) -> None:
    port = free_port()
    async with relay_to(port) as relay:
        reader, writer = await relay.open()
        writer.write(request_bytes)
        raw = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await asyncio.sleep(0.05)
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 ")
    assert b"connection: close" in head
    assert b"x-driftline-id: " in head
    if request_bytes.startswith(b"HEAD"):
        assert body == b""
    else:
        assert json.loads(body)["upstream"] == f"127.0.0.1:{port}"
    assert relay.count(slots.STATUS + 402) == 1
    assert relay.count(slots.IN_FLIGHT) == 0
    assert relay.count(slots.SEEN) == relay.count(slots.DROPPED["no_model"]) == 1
    assert relay.count(slots.SAMPLED_OUT) == 0
    assert relay.relay.clients == set()


async def test_once_terminating_a_refusal_closes_the_listener() -> None:
    async with relay_to(free_port()) as relay:
        relay.relay.terminating = True
        reader, writer = await relay.open()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        assert relay.closed == ["terminating"]
        writer.close()


async def test_a_truncated_answer_ends_in_a_reset() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf of")
        await asyncio.sleep(0.05)
        reset(writer)

    async with through(handler) as relay:
        reader, writer = await relay.open()
        writer.write(GET)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        assert relay.count(slots.INTERRUPTED) == 1
        writer.close()


async def test_a_clients_reset_reaches_the_model() -> None:
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            seen.set_result(repr(await reader.read()))
        except ConnectionResetError:
            seen.set_result("reset")

    async with through(handler) as relay:
        _, writer = await relay.open()
        writer.write(GET)
        await asyncio.sleep(0.05)
        reset(writer)
        assert await asyncio.wait_for(seen, 5) == "reset"


async def test_a_client_may_end_its_stream_and_still_read() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await reader.read()
        writer.write(answer(b"%d" % len(body)))

    async with through(handler) as relay:
        reader, writer = await relay.open()
        writer.write(GET)
        writer.write_eof()
        raw = await asyncio.wait_for(reader.read(), 5)
        assert raw.endswith(b"\r\n\r\n%d" % len(GET))
        assert [each.status for each in relay.tee.exchanges] == [200]
        writer.close()


async def test_the_first_event_of_a_stream_is_not_held_back() -> None:
    go_on = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: 1\r\n")
        await go_on.wait()
        writer.write(b"0\r\n\r\n")

    async with through(handler) as relay:
        reader, writer = await relay.open()
        writer.write(GET)
        await asyncio.wait_for(reader.readuntil(b"data: 1\r\n"), 1)
        go_on.set()
        await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 1)
        assert [each.response_body for each in relay.tee.exchanges] == [b"data: 1"]
        writer.close()


async def test_an_upgrade_is_opaque_both_ways() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data)

    async with through(handler) as relay:
        reader, writer = await relay.open()
        writer.write(b"GET / HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 1)
        assert b"x-driftline-id" not in head
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(19), 1) == b"HTTP/1.1 200 OK\r\n\r\n"
        assert relay.count(slots.OPAQUE["upgrade"]) == 1
        writer.close()


async def test_an_early_answer_survives_the_models_closing() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"too large", b"413 Content Too Large"))
        await writer.drain()

    async with through(handler) as relay:
        reader, writer = await relay.open()
        writer.write(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: 50000000\r\n\r\n")
        answered = asyncio.create_task(reader.readuntil(b"too large"))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(b"x" * 100_000)
                await asyncio.wait_for(writer.drain(), 1)
                await asyncio.sleep(0)
        assert (await asyncio.wait_for(answered, 5)).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_a_slow_reader_holds_the_model_back() -> None:
    written = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
        for _ in range(100):
            writer.write(bytes(1 << 20))
            await writer.drain()
            written += 1 << 20

    async with through(handler) as relay:
        reader, writer = await relay.open()
        writer.write(GET)
        await asyncio.sleep(0.5)
        held = written
        assert held < 40 << 20  # what the kernel's four socket buffers take, far below the body
        await asyncio.sleep(0.2)
        assert written == held
        total = 0
        while not total >= 100 << 20:
            total += len(await asyncio.wait_for(reader.read(1 << 20), 5))
        await asyncio.sleep(0.05)
        assert [(e.response_bytes, len(e.response_body)) for e in relay.tee.exchanges] == [
            (100 << 20, 1 << 20)
        ]
        writer.close()


async def test_a_slow_model_holds_the_client_back() -> None:
    read_on = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await read_on.wait()
        left = size
        while left:
            left -= len(await reader.read(1 << 20))
        writer.write(answer(b"done"))

    size = 256 << 20
    async with through(handler) as relay:
        reader, writer = await relay.open()
        writer.write(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n" % size)
        writer.transport.set_write_buffer_limits(1 << 20)
        before = fresh_peak()
        pushed = 0

        async def push() -> None:
            nonlocal pushed
            block = bytes(1 << 20)
            while pushed < size:
                writer.write(block)
                await writer.drain()
                pushed += len(block)

        pushing = asyncio.create_task(push())
        await asyncio.sleep(0.5)
        held = pushed
        assert held < 40 << 20  # what the kernel's four socket buffers take, far below the body
        await asyncio.sleep(0.2)
        assert pushed == held
        read_on.set()
        await pushing
        assert (await asyncio.wait_for(reader.readuntil(b"done"), 10)).startswith(b"HTTP/1.1 200 ")
        assert peak() - before < 32 * 1024
        assert [each.request_bytes for each in relay.tee.exchanges] == [size]
        writer.close()


@pytest.mark.slow
async def test_a_gibibyte_passes_in_flat_memory() -> None:
    size = 1 << 30

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        left = size
        while left:
            left -= len(await reader.read(1 << 20))
        writer.write(answer(b"done"))

    async with through(handler) as relay:
        reader, writer = await relay.open()
        writer.write(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n" % size)
        before = fresh_peak()
        block = bytes(1 << 20)
        for _ in range(1024):
            writer.write(block)
            await writer.drain()
        await asyncio.wait_for(reader.readuntil(b"done"), 10)
        assert peak() - before < 32 * 1024
        assert [e.request_bytes for e in relay.tee.exchanges] == [size]
        writer.close()
