"""Proxy and analyzer on one admin address, as `driftline run --admin` serves them.

`/metrics` is both programs' series as one exposition; `/readyz` is the proxy's; `/healthz` is ok when
both are; all under `/v1/` is the analyzer's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import aiohttp
from aiohttp import web
from driftline_sidecar.exposition import CONTENT_TYPE, join

_TIMEOUT = aiohttp.ClientTimeout(total=5.0)
_FORWARDED = ("Content-Type", "X-Driftline-Cursor", "X-Driftline-More")


class Gateway:
    """Forwards to the two base URLs. Use as an async context manager."""

    def __init__(self, proxy: str, analyzer: str) -> None:
        self.proxy = proxy
        self.analyzer = analyzer
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def serve(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError where the address can't be had."""
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False, auto_decompress=False)
        app = web.Application(client_max_size=4096)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/v1/{rest:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, shutdown_timeout=1.0).start()
        found: int = self._runner.addresses[0][1]
        return found

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and the headers to hand on; raises aiohttp.ClientError, OSError or TimeoutError."""
        assert self._session is not None, "serving"  # noqa: S101
        async with self._session.get(url) as answer:
            headers = {name: answer.headers[name] for name in _FORWARDED if name in answer.headers}
            return answer.status, await answer.read(), headers

    async def _try(self, url: str) -> tuple[int, bytes, dict[str, str]]:
        try:
            return await self.get(url)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            message = f"{type(error).__name__}: {url} does not answer\n".encode()
            return 503, message, {"Content-Type": "text/plain; charset=utf-8", "Retry-After": "1"}

    async def _both(self, path: str) -> Iterable[tuple[int, bytes, dict[str, str]]]:
        return await asyncio.gather(self._try(self.proxy + path), self._try(self.analyzer + path))

    async def _metrics(self, request: web.Request) -> web.Response:
        parts = [body.decode() for status, body, _ in await self._both("/metrics") if status == 200]
        if not parts:
            return web.Response(status=503, text="neither proxy nor analyzer answers\n")
        return web.Response(body=join(parts).encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _health(self, request: web.Request) -> web.Response:
        answers = await self._both("/healthz")
        worst = max(answers, key=lambda answer: answer[0])
        return _response(worst)

    async def _ready(self, request: web.Request) -> web.Response:
        return _response(await self._try(self.proxy + "/readyz"))

    async def _forward(self, request: web.Request) -> web.Response:
        return _response(await self._try(self.analyzer + request.path_qs))


def _response(answer: tuple[int, bytes, dict[str, str]]) -> web.Response:
    status, body, headers = answer
    return web.Response(status=status, body=body, headers=headers)
