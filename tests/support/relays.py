"""A relay over real sockets, and models of a few lines to stand behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from driftline_sidecar.counters import Counters
from driftline_sidecar.relay.client import Client
from driftline_sidecar.relay.flight import Recorder
from driftline_sidecar.relay.process import Relay
from driftline_sidecar.settings import CaptureSettings

from tests.support.wire import ROUTE, Notebook

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Running:
    """A relay on a port, and what it counted."""

    def __init__(self, relay: Relay, port: int, tee: Notebook, counters: Counters) -> None:
        self.relay, self.port, self.tee, self.counters = relay, port, tee, counters
        self.closed: list[str] = []

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def count(self, slot: int) -> int:
        return self.counters.block(1)[slot]


@contextlib.asynccontextmanager
async def relay_to(upstream_port: int) -> AsyncIterator[Running]:
    counters, tee = Counters(), Notebook()
    recorder = Recorder(CaptureSettings((ROUTE,)), counters, tee)
    loop = asyncio.get_running_loop()
    closed: list[str] = []
    relay = Relay(loop, recorder, ("127.0.0.1", upstream_port), 2.0, closed.append)
    server = await loop.create_server(partial(Client, relay), "127.0.0.1", 0)
    running = Running(relay, server.sockets[0].getsockname()[1], tee, counters)
    running.closed = closed
    try:
        yield running
    finally:
        server.close()
        for client in list(relay.clients):
            client.reset()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def through(handler: Handler) -> AsyncIterator[Running]:
    """A relay before a model server that answers each connection with `handler`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, relay_to(server.sockets[0].getsockname()[1]) as running:
        yield running


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
