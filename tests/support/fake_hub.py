"""A hub that is strict about what it is sent and can be told to misbehave; what it takes it keeps by key."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
from aiohttp import web
from driftline.events import Accepted, Feedback, Kpi, Label, Prediction, Predictions

TOKEN = "the-hubs-token"

_KINDS: dict[str, type] = {"/v1/labels": Label, "/v1/feedback": Feedback, "/v1/kpis": Kpi}
Key = tuple[str, str, str, int, int]


class FakeHub:
    """In a thread of its own; attributes may be set while it runs."""

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.port = port
        self.status = 0
        """Answered instead of taking anything; 0: take it."""
        self.delay = 0.0
        self.most_rows = 10_000
        self.headers: dict[str, str] = {}
        self.refuse_after = 0
        """Labels after which it answers 503; 0: never."""
        self.bad_label = ""
        self.takes_then_fails = False
        """It has the rows, and its word for it is lost."""
        self.fail_next = 0
        """Requests to be answered by `fail_status`."""
        self.fail_status = 503
        self.predictions: dict[Key, Prediction] = {}
        self.received = 0
        """Rows, repeated ones included."""
        self.events: dict[str, list[Any]] = {path: [] for path in _KINDS}
        self.requests: Counter[str] = Counter()
        self.bodies: list[bytes] = []
        """Unpacked."""
        self.encodings: Counter[str] = Counter()
        self.targets: set[tuple[str, str]] = set()
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        application = web.Application(client_max_size=64 << 20)
        application.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _end(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests[request.path] += 1
        self.bodies.append(body)
        self.encodings[request.headers.get("Content-Encoding", "")] += 1
        await asyncio.sleep(self.delay)
        if self.fail_next:
            self.fail_next -= 1
            return self._error(self.fail_status, "just now")
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._error(401, "no such token")
        if self.status:
            return self._error(self.status, "as the test says")
        if request.method == "GET":
            return web.json_response({"monitor": request.path.removeprefix("/v1/report/")})
        try:
            return self._take(request, body)
        except msgspec.MsgspecError as error:
            return self._error(400, str(error))

    def _take(self, request: web.Request, body: bytes) -> web.StreamResponse:
        if request.path == "/v1/predictions":
            sent = msgspec.json.decode(body, type=Predictions)
            if len(sent.predictions) > self.most_rows:
                return self._error(413, f"more than {self.most_rows} rows")
            before = len(self.predictions)
            for each in sent.predictions:
                self.predictions[sent.namespace, sent.monitor, sent.boot, each.sequence, each.row] = each
            self.received += len(sent.predictions)
            if self.takes_then_fails:
                return self._error(500, "after the commit")
            return self._accepted(len(sent.predictions), len(self.predictions) - before)
        kind = _KINDS.get(request.path)
        if kind is None:
            return self._error(404, "no such path")
        self.targets.add((request.query["namespace"], request.query["monitor"]))
        events: list[Any] = msgspec.json.decode(body, type=list[kind])  # type: ignore[valid-type]
        if len(events) > self.most_rows:
            return self._error(413, f"more than {self.most_rows} rows")
        if self.refuse_after and len(self.events[request.path]) >= self.refuse_after:
            return self._error(503, "enough")
        for index, each in enumerate(events):
            if self.bad_label and each.label == self.bad_label:
                said = {"error": "no such class", "field": f"labels[{index}].label", "value": each.label}
                return web.json_response(said, status=400)
        known = {each.id for each in self.events[request.path]}
        self.events[request.path] += events
        return self._accepted(len(events), len({each.id for each in events} - known))

    def _accepted(self, count: int, new: int) -> web.Response:
        body = msgspec.json.encode(Accepted(accepted=count, new=new))
        return web.Response(body=body, content_type="application/json")

    def _error(self, status: int, said: str) -> web.Response:
        return web.json_response({"error": said}, status=status, headers=self.headers)


@contextlib.contextmanager
def hub(tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[FakeHub]:
    """A running hub."""
    found = FakeHub(tls, port)
    found.start()
    try:
        yield found
    finally:
        found.stop()
