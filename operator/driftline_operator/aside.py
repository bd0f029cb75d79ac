"""Health and series beside what a program is there for: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


async def serve_aside(
    address: tuple[str, int],
    registry: CollectorRegistry,
    waiting_for: Callable[[], list[str]],
    *,
    healthy: Callable[[], bool] = lambda: True,
    more: Iterable[web.RouteDef] = (),
) -> web.AppRunner:
    """Listen, on every interface where the host is empty; the runner to clean up.

    `waiting_for` names what is lacking: ready is who lacks nothing. `more`: further routes.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": _TEXT})

    async def healthz(_: web.Request) -> web.Response:
        if healthy():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="stuck\n")

    async def readyz(_: web.Request) -> web.Response:
        lacking = waiting_for()
        if not lacking:
            return web.Response(text="ok\n")
        return web.Response(status=503, text=f"waiting for {', '.join(lacking)}\n")

    app = web.Application(client_max_size=4096)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_routes(more)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    host, port = address
    await web.TCPSite(runner, host or None, port).start()
    return runner
