"""Builders of HTTP/1 bytes, and the relay's protocol classes on transports that only write down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from driftline_sidecar.counters import Counters
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.frames import FrameReader, Hello, encode_hello
from driftline_sidecar.relay.client import Client
from driftline_sidecar.relay.flight import Recorder
from driftline_sidecar.relay.process import Relay
from driftline_sidecar.relay.upstream import Upstream
from driftline_sidecar.settings import CaptureSettings, Route
from driftline_sidecar.tee import Tee

ROUTE = Route(1, "ml", "census", "census")


class Notebook(Tee):
    """A tee that keeps its frames."""

    def __init__(self) -> None:
        super().__init__("/nowhere", Hello(7, 1), 1 << 30)
        self.connected = True
        self.reader = FrameReader()
        self.reader.feed(encode_hello(Hello(7, 1)))
        self.exchanges: list[Exchange] = []

    def put(self, parts: Sequence[bytes], block: memoryview[int]) -> None:
        self.exchanges += [each for each in self.reader.feed(b"".join(parts)) if isinstance(each, Exchange)]


@dataclass
class Wire:
    """A transport: what was written, and how it ended."""

    sent: bytes = b""
    eof: bool = False
    ended: str = ""
    reading: bool = True
    extra: dict[str, Any] = field(default_factory=dict)

    def write(self, data: bytes) -> None:
        assert not self.eof, "written after the end"
        assert not self.ended, "written after closing"
        self.sent += data

    def write_eof(self) -> None:
        self.eof = True

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "reset"

    def is_closing(self) -> bool:
        return bool(self.ended)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str) -> None:
        return None

    @property
    def transport(self) -> asyncio.Transport:
        return cast("asyncio.Transport", self)


class Pair:
    """One connection through the relay: `client` and `model` are what is written to either."""

    def __init__(self, *routes: Route) -> None:
        self.counters = Counters()
        self.tee = Notebook()
        self.recorder = Recorder(CaptureSettings(routes or (ROUTE,)), self.counters, self.tee)
        self.relay = _Offline(self.recorder)
        self.client, self.model = Wire(), Wire()
        self.downstream = Client(self.relay)
        self.downstream.connection_made(self.client.transport)
        self.upstream: Upstream | None = None

    def connect(self) -> Pair:
        self.upstream = Upstream(self.downstream)
        self.upstream.connection_made(self.model.transport)
        return self

    def request(self, data: bytes) -> None:
        self.downstream.data_received(data)

    def response(self, data: bytes) -> None:
        assert self.upstream is not None
        self.upstream.data_received(data)

    @property
    def exchanges(self) -> list[Exchange]:
        return self.tee.exchanges

    def count(self, slot: int, block: int = 1) -> int:
        return self.counters.block(block)[slot]


class _Offline(Relay):
    """A relay that never connects by itself."""

    def __init__(self, recorder: Recorder) -> None:
        loop = cast("asyncio.AbstractEventLoop", _NoLoop())
        super().__init__(loop, recorder, ("model", 8080), 1.0, lambda reason: None)

    def spawn(self, work: Any) -> None:
        work.close()


class _NoLoop:
    def call_later(self, seconds: float, call: Any) -> _Timer:
        return _Timer()


class _Timer:
    def cancel(self) -> None:
        pass


def chunked(*parts: bytes, trailers: bytes = b"", extension: bytes = b"") -> bytes:
    """A chunked body."""
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts if part)
    return body + b"0\r\n" + trailers + b"\r\n"


def post(body: bytes, path: bytes = b"/predict", **headers: bytes) -> bytes:
    """A POST with a Content-Length; header names with underscores for hyphens."""
    more = b"".join(b"%s: %s\r\n" % (k.replace("_", "-").encode(), v) for k, v in headers.items())
    return b"POST %s HTTP/1.1\r\nHost: m\r\n%sContent-Length: %d\r\n\r\n%s" % (path, more, len(body), body)


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    """A response with a Content-Length."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
