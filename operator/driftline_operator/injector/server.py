"""The webhook's HTTP side: one path, TLS, limits and series. No request to the API server is made here."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from driftline_operator.injection.decide import Decision
from driftline_operator.injector.review import BadReview, Question, answer, read

MOST_BYTES = 3 << 20
"""No API server takes a larger request, and a review holds the pod. A larger one is admitted as it is."""
MOST_BYTES_AT_ONCE = 24 << 20
"""Of all reviews that are being read or answered: the port is open to whoever is in the cluster's network."""
READ_SECONDS = 5.0
"""The API server waits no longer for its answer."""

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)


class Series:
    """What the injector counts, in a registry that is passed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.reviews = Counter(
            "modelmonitor_injector_reviews_total",
            "Pods that the API server asked about, by what became of them.",
            ["result"],
            registry=registry,
        )
        self.seconds = Histogram(
            "modelmonitor_injector_review_seconds",
            "From the whole question to the answer.",
            buckets=_BUCKETS,
            registry=registry,
        )


class Room:
    """Bytes of the bodies that are held at once."""

    def __init__(self, most: int = MOST_BYTES_AT_ONCE, seconds: float = READ_SECONDS) -> None:
        """`seconds`: for one body to come."""
        self._left, self._seconds = most, seconds

    @contextlib.asynccontextmanager
    async def body(self, request: web.Request) -> AsyncIterator[bytes]:
        """A whole body, held for the block's length. Raises the web.HTTPException that says why not."""
        parts: list[bytes] = []
        held = 0
        try:
            async with asyncio.timeout(self._seconds):
                async for part in request.content.iter_any():
                    if held + len(part) > MOST_BYTES:
                        raise web.HTTPRequestEntityTooLarge(MOST_BYTES, held + len(part))
                    if len(part) > self._left:
                        raise web.HTTPServiceUnavailable(text="too many reviews at once\n")
                    self._left -= len(part)
                    held += len(part)
                    parts.append(part)
            yield b"".join(parts)
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        finally:
            self._left += held


_REFUSED: Final = {413: "TooLarge", 503: "Busy", 408: "TooSlow"}


def application(
    decide: Callable[[Question], Decision], series: Series, room: Room | None = None
) -> web.Application:
    """`POST /inject/NAMESPACE/MONITOR/UID/GENERATION`, which entry asks, and behind it `injection.told`'s."""

    room = Room() if room is None else room

    async def inject(request: web.Request) -> web.Response:
        try:
            async with room.body(request) as body:
                return _reviewed(body, request.match_info.get("told", ""), decide, series)
        except web.HTTPException as refused:
            series.reviews.labels(_REFUSED[refused.status]).inc()
            raise

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application(client_max_size=MOST_BYTES)
    path = "/inject/{namespace}/{monitor}/{uid}/{generation}"
    app.router.add_post(path, inject)
    app.router.add_post(path + "/{told:.+}", inject)
    app.router.add_get("/healthz", healthy)
    return app


def _reviewed(body: bytes, told: str, decide: Callable[[Question], Decision], series: Series) -> web.Response:
    began = time.perf_counter()
    try:
        question = read(body, told)
    except BadReview as error:
        series.reviews.labels("BadReview").inc()
        return web.json_response({"error": str(error)}, status=400)
    found = answer(question, decide)
    series.reviews.labels(found.word).inc()
    series.seconds.observe(time.perf_counter() - began)
    return web.Response(body=found.body, content_type="application/json")


async def serve(app: web.Application, host: str, port: int, tls: ssl.SSLContext) -> tuple[web.AppRunner, int]:
    """Listen with TLS, on every interface where the host is empty; the runner to clean up, and the port."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=5.0)
    await runner.setup()
    await web.TCPSite(runner, host or None, port, ssl_context=tls).start()
    return runner, runner.addresses[0][1]
