"""The Unix socket on which proxy workers deliver exchanges.

Any number of workers in sequence or side by side (a successor connects before its forerunner's
socket is gone). What was read is acknowledged at once and waits in one queue, bounded by bytes: a full
queue stops reading, the worker's own queue fills, and what doesn't fit there is dropped and counted
by the worker. So nothing is dropped here, and there is one place that says what was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import cast

from driftline_sidecar.courtesy import give_way
from driftline_sidecar.decoders.body import PLAIN
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.frames import FrameError, FrameReader, Hello, encode_ack
from driftline_sidecar.logs import event

LIMIT_BYTES = 8 << 20
"""Bytes of exchanges that may wait; reading stops above it and goes on below half of it."""

OVERHEAD_BYTES = 700
"""What an exchange costs beside its heads and bodies, measured with `sys.getsizeof` of its parts."""

INFLATION = 16
"""How much larger a body with a content coding may be than it came, for the size of a batch."""

SOCKET_MODE = 0o660


class Intake:
    """A queue of exchanges with a server in front of it."""

    def __init__(
        self,
        limit_bytes: int = LIMIT_BYTES,
        sieve: Callable[[list[Exchange]], list[Exchange]] | None = None,
    ) -> None:
        """`sieve`: sees exchanges as they arrive, and gives back those that shall wait to be taken."""
        self.backlog_bytes = 0
        self.received = 0
        """Exchanges acknowledged since the analyzer began."""
        self.damaged = 0
        """Connections closed because they didn't speak the protocol."""
        self.connections: set[_Connection] = set()
        self._limit = limit_bytes
        self._sieve = sieve
        self._queue: deque[Exchange] = deque()
        self._arrived = asyncio.Event()
        self._wanted = 1
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    @property
    def listening(self) -> bool:
        """Whether workers can connect."""
        return self._server is not None and self._server.is_serving()

    async def listen(self, path: Path) -> None:
        """Open the socket; one that a dead analyzer left behind is replaced. Raises OSError."""
        _remove_stale(path)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Connection(self), path=str(path))
        os.chmod(path, SOCKET_MODE)  # noqa: PTH101  a local system call, once
        self._path = path

    async def close(self) -> None:
        """Stop listening and drop the connections; what was acknowledged can still be taken."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self.connections):
            connection.end()
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    async def wait(self, seconds: float, count: int = 1) -> bool:
        """Wait until `count` exchanges are there, or reading has stopped; False where time was up first."""
        if self._has(count):
            return True
        self._wanted = count
        self._arrived.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    def _has(self, count: int) -> bool:
        return len(self._queue) >= count or self.backlog_bytes > self._limit

    def __len__(self) -> int:
        return len(self._queue)

    def take(self, count: int, most_bytes: int) -> list[Exchange]:
        """The oldest exchanges: at most `count`, and no more once `most_bytes` are reached.

        A body with a content coding weighs what it may be once inflated.
        """
        queue, size, weight = self._queue, 0, 0
        taken: list[Exchange] = []
        while queue and len(taken) < count and weight < most_bytes:
            exchange = queue.popleft()
            cost = _cost(exchange)
            size += cost
            weight += cost + INFLATION * coded_bytes(exchange)
            taken.append(exchange)
        self.backlog_bytes -= size
        if self.backlog_bytes < self._limit // 2:
            for connection in self.connections:
                connection.resume()
        return taken

    def put(self, exchanges: list[Exchange]) -> None:
        """Take over what a connection has read."""
        self.received += len(exchanges)
        if exchanges and self._sieve is not None:
            exchanges = self._sieve(exchanges)
        if not exchanges:
            return
        self._queue.extend(exchanges)
        self.backlog_bytes += sum(map(_cost, exchanges))
        if self._has(self._wanted):
            self._arrived.set()
        if self.backlog_bytes > self._limit:
            for connection in self.connections:
                connection.pause()


class _Connection(asyncio.Protocol):
    """One worker's connection: frames in, acknowledgements out."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transports don't inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._intake.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._intake.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._reader.feed(data)
        except FrameError as error:
            self._intake.damaged += 1
            event(logging.WARNING, "tee_damaged", f"closed a tee connection: {error}")
            self.end()
            return
        give_way()
        self._intake.put([frame for frame in frames if type(frame) is Exchange])
        for frame in frames:
            if type(frame) is Hello:
                event(logging.INFO, "worker_connected", "a worker has connected", worker=frame.pid)
        if self._transport is not None:
            self._transport.write(encode_ack(self._reader.received))

    def pause(self) -> None:
        """Read no more until `resume`."""
        if self._transport is not None and not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def end(self) -> None:
        """Close; what was read stays in the queue."""
        if self._transport is not None:
            self._transport.close()


def coded_bytes(exchange: Exchange) -> int:
    """Of its bodies, the bytes of those that don't begin as JSON does."""
    return sum(
        len(body) for body in (exchange.request_body, exchange.response_body) if body and body[0] not in PLAIN
    )


def _cost(exchange: Exchange) -> int:
    return (
        len(exchange.request_body)
        + len(exchange.response_body)
        + len(exchange.request_head)
        + len(exchange.response_head)
        + OVERHEAD_BYTES
    )


def _remove_stale(path: Path) -> None:
    """Unlink a socket nobody listens on; one that answers belongs to another analyzer: OSError."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise OSError(f"{path}: another analyzer listens there")
