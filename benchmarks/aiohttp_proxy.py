"""What a team would write by hand: a request-response proxy with aiohttp on both sides.

python -m benchmarks.aiohttp_proxy PORT UPSTREAM_PORT
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
SESSION = web.AppKey("session", aiohttp.ClientSession)


def application(upstream: int) -> web.Application:
    """The proxy to the loopback port `upstream`."""

    async def forward(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        url = f"http://127.0.0.1:{upstream}{request.raw_path}"
        async with request.app[SESSION].request(request.method, url, headers=headers, data=body) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

    async def session(app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as app[SESSION]:
            yield

    app = web.Application(client_max_size=1 << 30)
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", forward)
    return app


def main() -> None:
    """Listen until the end."""
    port, upstream = (int(argument) for argument in sys.argv[1:3])
    uvloop.install()
    web.run_app(application(upstream), host="127.0.0.1", port=port, access_log=None, print=None, backlog=1024)


if __name__ == "__main__":
    main()
