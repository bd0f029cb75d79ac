"""The model's side of a connection: what it sends goes to the client, with the id where one is owed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from driftline_sidecar import counters as slots
from driftline_sidecar.relay.ends import reset, salvage

if TYPE_CHECKING:
    from driftline_sidecar.relay.client import Client

WRITE_HIGH: Final = 64 * 1024
"""Bytes that may wait for a slow model before the client is no longer read."""
ENDED_SECONDS: Final = 60.0
"""How long a client may keep a connection that the model has ended; Linux keeps its half as long."""


class Upstream(asyncio.Protocol):
    """The connection to the model that belongs to one client."""

    def __init__(self, client: Client) -> None:
        self._client: Client | None = client
        self._observer = client.observer
        self._relay = client.relay
        self._block = client.relay.block
        self._transport: asyncio.Transport | None = None
        self._ended = False

    # ---- transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The model accepted."""
        transport = cast("asyncio.Transport", transport)  # uvloop's classes are not asyncio's
        self._transport = transport
        transport.set_write_buffer_limits(WRITE_HIGH)
        if self._client is not None:
            self._client.connected(self, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes from the model."""
        client = self._client
        data = self._observer.response(data)
        if data and client is not None and client.transport is not None:
            self._block[slots.SENT_BYTES] += len(data)
            client.transport.write(data)
        if self._relay.draining and not self._observer.pending and not self._observer.opaque:
            self._close_both()

    def eof_received(self) -> bool:
        """The model has sent its last byte."""
        self._ended = True
        self._pass(self._observer.response_end())
        client = self._client
        if client is None or client.transport is None:
            return False
        if client.ended:
            self._close_both()
        else:
            if not client.transport.is_closing():
                client.transport.write_eof()
            client.close_after(ENDED_SECONDS)
        return True

    def pause_writing(self) -> None:
        """The model reads slowly: stop reading the client."""
        if self._client is not None:
            self._client.pause()

    def resume_writing(self) -> None:
        """The model has caught up."""
        if self._client is not None:
            self._client.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone. A reset is the client's too, unless the answer had come whole."""
        client, transport = self._client, self._transport
        self._client = self._transport = None
        if client is None:
            return
        client.upstream = None
        if exc is None:
            client.close()
            return
        self._relay.block[slots.UPSTREAM["reset"]] += 1
        answered = bool(client.observer.pending) and not client.observer.opaque
        if transport is not None and (late := salvage(transport)):
            self._client = client
            self._pass(self._observer.response(late))
            self._client = None
        first = client.observer.pending[0] if client.observer.pending else None
        whole = answered and (first is None or client.observer.answered(first))
        if whole:
            client.close()
        else:
            client.reset()

    # ---- called by the client's side ----

    def end_stream(self) -> None:
        """The client has sent its last byte."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._ended:
            self._close_both()
        else:
            transport.write_eof()

    def pause(self) -> None:
        """Stop reading the model."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read the model again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def client_lost(self, *, broken: bool) -> None:
        """The client is gone; `broken`: not by our own closing."""
        self._client = None
        transport = self._transport
        if transport is None:
            return
        if broken:
            reset(transport)
        else:
            transport.close()

    def _pass(self, data: bytes) -> None:
        client = self._client
        if data and client is not None and client.transport is not None:
            self._block[slots.SENT_BYTES] += len(data)
            client.transport.write(data)

    def _close_both(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._transport is not None:
            self._transport.close()
