"""The webhook's HTTP side: one path, TLS, limits and series. No request to the API server is made here."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from driftline_operator.injection.decide import Decision
from driftline_operator.injector.review import BadReview, Question, answer, read

MOST_BYTES = 4 << 20
"""A review holds the pod: 1.5 MiB at most in etcd, more as JSON. A larger one is admitted as it is."""

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


def application(decide: Callable[[Question], Decision], series: Series) -> web.Application:
    """`POST /inject/NAMESPACE/MONITOR/UID/GENERATION`, which entry asks, and behind it `injection.told`'s."""

    async def inject(request: web.Request) -> web.Response:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            series.reviews.labels("TooLarge").inc()
            raise
        began = time.perf_counter()
        try:
            question = read(body, request.match_info.get("told", ""))
        except BadReview as error:
            series.reviews.labels("BadReview").inc()
            return web.json_response({"error": str(error)}, status=400)
        found = answer(question, decide)
        series.reviews.labels(found.word).inc()
        series.seconds.observe(time.perf_counter() - began)
        return web.Response(body=found.body, content_type="application/json")

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application(client_max_size=MOST_BYTES)
    path = "/inject/{namespace}/{monitor}/{uid}/{generation}"
    app.router.add_post(path, inject)
    app.router.add_post(path + "/{told:.+}", inject)
    app.router.add_get("/healthz", healthy)
    return app


async def serve(app: web.Application, host: str, port: int, tls: ssl.SSLContext) -> tuple[web.AppRunner, int]:
    """Listen with TLS, on every interface where the host is empty; the runner to clean up, and the port."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=5.0)
    await runner.setup()
    await web.TCPSite(runner, host or None, port, ssl_context=tls).start()
    return runner, runner.addresses[0][1]
