"""The worker's garbage collector is off: a connection that has ended leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator

import pytest
from driftline_sidecar import counters as slots
from driftline_sidecar.relay.client import Client
from driftline_sidecar.relay.observer import Observer
from driftline_sidecar.relay.upstream import Upstream

from tests.support.relays import Running, free_port, relay_to, reset, through
from tests.support.wire import answer, post

CONNECTIONS = 5000
AT_ONCE = 50


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> Counter[str]:
    kinds = (Client, Upstream, Observer)
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds))


async def one(relay: Running, number: int) -> None:
    """A connection with two requests, ended in one of four ways."""
    reader, writer = await relay.open()
    for part in (post(b"x" * 300), post(b"%d" % number)):
        writer.write(part)
        await reader.readuntil(b"[1]")
    match number % 4:
        case 0:
            reset(writer)
        case 1:
            writer.write(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
        case 2:
            writer.write(b"no HTTP\r\n\r\n")
    writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1 << 16):
        writer.write(answer(b"[1]"))


async def settle(relay: Running, open_connections: int) -> None:
    for _ in range(500):
        if len(relay.relay.clients) == open_connections:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


async def test_ended_connections_leave_no_cycles(uncollected: None) -> None:
    before = alive()
    async with through(echo) as relay:
        held = [await relay.open() for _ in range(3)]
        for first in range(0, CONNECTIONS, AT_ONCE):
            await asyncio.gather(*(one(relay, number) for number in range(first, first + AT_ONCE)))
        await settle(relay, len(held))
        assert relay.counters.block(1)[slots.ACCEPTED] == CONNECTIONS + len(held)
        assert alive() - before == {"Client": 3, "Upstream": 3, "Observer": 3}
        for _, writer in held:
            writer.close()


async def test_refused_connections_leave_no_cycles(uncollected: None) -> None:
    before = alive()
    async with relay_to(free_port()) as relay:
        for _ in range(100):
            reader, writer = await relay.open()
            writer.write(post(b"{}"))
            assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 502 ")
            writer.close()
        await settle(relay, 0)
        assert alive() - before == {}
