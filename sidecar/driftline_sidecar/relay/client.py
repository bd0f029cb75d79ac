"""The client's side of a connection: what it sends goes to the model as it came.

The attributes stand in groups: of the process, of the connection, of its ending. Reference cycles
between the two sides and their transports are cut by hand when either is lost: the worker runs
without a garbage collector.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from driftline_sidecar import counters as slots
from driftline_sidecar.relay.ends import bad_gateway, reset
from driftline_sidecar.relay.observer import Observer
from driftline_sidecar.relay.process import Relay
from driftline_sidecar.relay.upstream import Upstream

WRITE_HIGH: Final = 64 * 1024
"""Bytes that may wait for a slow reader before the other side is no longer read."""
LINGER_SECONDS: Final = 30.0
"""How long a refused client may go on sending before it is cut off (it may read only afterwards)."""


class Client(asyncio.Protocol):
    """One client connection, with one connection to the model."""

    def __init__(self, relay: Relay) -> None:
        # of the process
        self.relay = relay
        # of the connection
        self.observer = Observer(relay.recorder)
        self._block = relay.block
        self.transport: asyncio.Transport | None = None
        self.upstream: Upstream | None = None
        self._send: Callable[[bytes], None] | None = None
        """Writes to the model, once connected."""
        self._held: list[bytes] = []
        """What came before the model was connected: one read, then reading pauses."""
        # of its ending
        self.ended = False
        """Whether the client has sent its last byte."""
        self._connecting = False
        self._refused = ""
        """Why there is no model; set once the client is to be told."""
        self._timer: asyncio.TimerHandle | None = None

    # ---- transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to the model at once, as the client did: some servers speak first."""
        transport = cast("asyncio.Transport", transport)  # uvloop's classes are not asyncio's
        self.transport = transport
        transport.set_write_buffer_limits(WRITE_HIGH)
        relay = self.relay
        relay.clients.add(self)
        self._block[slots.CONNECTIONS] += 1
        self._block[slots.ACCEPTED] += 1
        self._connect()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._block[slots.RECEIVED_BYTES] += len(data)
        send = self._send
        if send is not None:
            send(data)
            self.observer.request(data)
        elif not self._refused:
            self._hold(data)
        elif self.observer.pending or not self.observer.opaque:
            self.observer.request(data)
            self._answer()

    def eof_received(self) -> bool:
        """The client has sent its last byte; the model may still answer."""
        self.ended = True
        upstream = self.upstream
        if upstream is not None:
            upstream.end_stream()
        elif not self._connecting and self.transport is not None:
            self.transport.close()
        return True

    def pause_writing(self) -> None:
        """The client reads slowly: stop reading the model."""
        if self.upstream is not None:
            self.upstream.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self.upstream is not None:
            self.upstream.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone. Its reset is the model's too."""
        relay = self.relay
        relay.clients.discard(self)
        self._block[slots.CONNECTIONS] -= 1
        self.observer.close()
        self.cancel_timer()
        upstream, self.upstream = self.upstream, None
        self.transport = self._send = None
        self._held.clear()
        if upstream is not None:
            upstream.client_lost(broken=exc is not None)
        relay.client_gone()

    # ---- the model's side ----

    def _connect(self) -> None:
        self._connecting = True
        self.relay.spawn(self._connect_upstream())

    async def _connect_upstream(self) -> None:
        relay = self.relay
        try:
            async with asyncio.timeout(relay.connect_seconds):
                await relay.loop.create_connection(lambda: Upstream(self), *relay.upstream)
        except TimeoutError:
            self._unreachable("timeout")
        except ConnectionRefusedError:
            self._unreachable("refused")
        except OSError:
            self._unreachable("unreachable")

    def connected(self, upstream: Upstream, transport: asyncio.Transport) -> None:
        """The model accepted; what was held goes on."""
        self._connecting = False
        if self.transport is None:
            transport.abort()
            return
        self.upstream = upstream
        self._send = transport.write
        if self._held:
            for data in self._held:
                transport.write(data)
                self.observer.request(data)
            self._held.clear()
            self.resume()
        if self.ended:
            upstream.end_stream()

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self.pause()
        if not self._connecting:  # an earlier attempt failed before the client asked for anything
            self._connect()

    def _unreachable(self, why: str) -> None:
        self._connecting = False
        relay = self.relay
        relay.block[slots.UPSTREAM[why]] += 1
        if relay.terminating:
            relay.stop_listening("terminating")
            self.reset()
        elif self.transport is None:
            return
        elif self.ended and not self._held:
            self.transport.close()
        elif self._held:
            self._refused = why
            for data in self._held:
                self.observer.request(data)
            self._held.clear()
            self._timer = relay.loop.call_later(LINGER_SECONDS, self.reset)
            self.resume()
            self._answer()

    def _answer(self) -> None:
        """Answer the first request once its head is whole; what follows it is read and dropped."""
        flight = self.observer.refuse()
        transport = self.transport
        if transport is None:
            return
        if flight is not None:
            host, port = self.relay.upstream
            identity = flight.identity if flight.generated else b""
            transport.write(
                bad_gateway(f"{host}:{port}", self._refused, identity, head_only=flight.head.is_head)
            )
            transport.write_eof()
            if self.ended:
                transport.close()
        elif self.observer.opaque or self.ended:  # not HTTP/1, or never a whole request
            self.reset()

    # ---- flow and endings, called by the model's side ----

    def pause(self) -> None:
        """Stop reading the client."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read the client again."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def reset(self) -> None:
        """Cut the client off, visibly."""
        if self.transport is not None:
            reset(self.transport)

    def close(self) -> None:
        """Close once everything written has gone."""
        if self.transport is not None:
            self.transport.close()

    def close_after(self, seconds: float) -> None:
        """Close unless the client does so first."""
        self.cancel_timer()
        self._timer = self.relay.loop.call_later(seconds, self.close)

    def cancel_timer(self) -> None:
        """Forget what was planned."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
