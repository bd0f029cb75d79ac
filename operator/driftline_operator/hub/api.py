"""The hub's HTTP side: routes, who may ask, refusals as JSON, series about it."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Final

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from driftline_operator.hub.hub import Hub
from driftline_operator.hub.openapi import document
from driftline_operator.hub.refusal import Refusal
from driftline_operator.hub.requests import check_query, give_back
from driftline_operator.hub.routes import ROUTES, Route

_log = logging.getLogger(__name__)
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ANYTHING: Final = {"/v1/predictions/{id}": "/v1/predictions/{id:.+}", "/v1/ids/{id}": "/v1/ids/{id:.+}"}
"""An id may hold slashes: the further rows of a request are `ID/ROW`."""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Series:
    """What the hub counts of itself, in a registry that is passed in.

    modelmonitor_hub_requests_total{operation,code}      requests, by what became of them
    modelmonitor_hub_request_seconds{operation}          from the head to the answer
    modelmonitor_hub_events_total{operation,result}      events taken: `new`, or `known` already
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "modelmonitor_hub_requests_total",
            "Requests to the hub, by what became of them.",
            ["operation", "code"],
            registry=registry,
        )
        self.seconds = Histogram(
            "modelmonitor_hub_request_seconds",
            "From a request's head to its answer.",
            ["operation"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.events = Counter(
            "modelmonitor_hub_events_total",
            "Events that were taken: new ones, and those that were known already.",
            ["operation", "result"],
            registry=registry,
        )


def application(hub: Hub, registry: CollectorRegistry) -> web.Application:
    """The routes over one hub."""
    series = Series(registry)
    app = web.Application(middlewares=[_unknown], handler_args={"auto_decompress": False})
    for route in ROUTES:
        path = _ANYTHING.get(route.path, route.path)
        app.router.add_route(route.method, path, _answering(hub, route, series))
    app.router.add_get("/openapi.json", _openapi)
    app.router.add_get("/healthz", _healthy)
    app.router.add_get("/readyz", _ready(hub))
    return app


def _answering(hub: Hub, route: Route, series: Series) -> Answer:
    operation = route.handler.__name__
    names = frozenset(each.name for each in route.query)

    async def answer(request: web.Request) -> web.Response:
        began = time.perf_counter()
        try:
            grant = await hub.grant(request.headers.get("Authorization", ""))
            check_query(request, names)
            found = await route.handler(hub, request, grant)
            response = _json(found)
            new = getattr(found, "new", None)
            if new is not None:
                series.events.labels(operation, "new").inc(new)
                series.events.labels(operation, "known").inc(found.accepted - new)  # type: ignore[attr-defined]
        except Refusal as refusal:
            response = refused(refusal)
        except Exception:  # noqa: BLE001 - the client gets an answer, the log the rest
            _log.exception("%s %s failed", route.method, route.path)
            response = refused(Refusal(500, "this is a fault of the hub; its log says more"))
        finally:
            give_back(hub, request)
        series.requests.labels(operation, str(response.status)).inc()
        series.seconds.labels(operation).observe(time.perf_counter() - began)
        return response

    return answer


def refused(refusal: Refusal) -> web.Response:
    """`{error, field, value}`."""
    response = _json(refusal.body(), refusal.status)
    if refusal.retry is not None:
        response.headers["Retry-After"] = str(ceil(refusal.retry))
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


@web.middleware
async def _unknown(request: web.Request, handler: Answer) -> web.StreamResponse:
    """Paths and methods that there aren't, in the form of all refusals."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        response = refused(Refusal(405, f"{request.method} is not possible here"))
        response.headers["Allow"] = error.headers["Allow"]
        return response
    except web.HTTPNotFound:
        return refused(Refusal(404, "there is no such path: /openapi.json has them all"))


async def _openapi(_: web.Request) -> web.Response:
    return _json(document())


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _ready(hub: Hub) -> Answer:
    async def ready(_: web.Request) -> web.Response:
        if hub.problem:
            return web.Response(status=503, text=f"waiting for {hub.problem}\n")
        return web.Response(text="ok\n")

    return ready


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
