"""Proxy and analyzer on one admin address, as `driftline run --admin` serves them.

`/metrics` is both programs' series as one exposition; `/readyz` is the proxy's; `/healthz` is ok when
both are; all under `/v1/` is the analyzer's, with one thing added: what was not captured, which only the
proxy knows, stands in the report's `capture`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import aiohttp
import msgspec
from aiohttp import web
from driftline.report import CaptureReport, Report
from driftline_sidecar.exposition import CONTENT_TYPE, join
from driftline_sidecar.metrics import PREFIX
from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT = aiohttp.ClientTimeout(total=5.0)
_FORWARDED = ("Content-Type", "X-Driftline-Cursor", "X-Driftline-More")


class Gateway:
    """Forwards to the two base URLs. Use as an async context manager."""

    def __init__(self, proxy: str, analyzer: str) -> None:
        self.proxy = proxy
        self.analyzer = analyzer
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._captured: dict[tuple[str, str], CaptureReport] = {}
        self._unwatched = 0
        """By namespace and monitor, what the proxy said last."""

    async def serve(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError where the address can't be had."""
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False, auto_decompress=False)
        app = web.Application(client_max_size=4096)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/v1/report", self._report)
        app.router.add_get("/v1/{rest:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
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

    async def report(self, query: str = "") -> tuple[int, bytes, dict[str, str]]:
        """The analyzer's report, with the proxy's account of what was captured."""
        (status, body, headers), (counted, series, _) = await asyncio.gather(
            self._try(self.analyzer + "/v1/report" + query), self._try(self.proxy + "/metrics")
        )
        if status != 200:
            return status, body, headers
        report = msgspec.json.decode(body, type=Report)
        key = (report.namespace, report.monitor)
        if counted == 200:
            self._captured[key] = capture = captured(series.decode(), *key)
            self._unwatched = unwatched(series.decode())
        else:
            capture = ended(report.capture, self._captured.get(key, CaptureReport()))
        changed = msgspec.structs.replace(report, capture=capture, unwatched_requests=self._unwatched)
        return status, msgspec.json.encode(changed), headers

    async def _report(self, request: web.Request) -> web.Response:
        return _response(await self.report("?" + request.query_string))

    async def _forward(self, request: web.Request) -> web.Response:
        return _response(await self._try(self.analyzer + request.path_qs))


def captured(exposition: str, namespace: str, monitor: str) -> CaptureReport:
    """What the proxy's series say of a monitor's exchanges."""
    totals: dict[str, int] = {}
    dropped: dict[str, int] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if (sample.labels.get("namespace"), sample.labels.get("monitor")) != (namespace, monitor):
                continue
            name = sample.name.removeprefix(PREFIX)
            if name == "capture_dropped_total":
                dropped[sample.labels["reason"]] = int(sample.value)
            else:
                totals[name] = int(sample.value)
    return CaptureReport(
        seen=totals.get("capture_seen_total", 0),
        captured=totals.get("capture_captured_total", 0),
        lost=totals.get("capture_lost_total", 0),
        dropped=dropped,
    )


def unwatched(exposition: str) -> int:
    """Requests that were no monitor's, by the proxy's series."""
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == f"{PREFIX}requests_total" and not sample.labels.get("monitor")
    )


def ended(analysed: CaptureReport, last: CaptureReport) -> CaptureReport:
    """The account once the proxy has gone: what the analyzer has, and what the proxy last said was missed."""
    missed = last.lost + sum(last.dropped.values())
    return CaptureReport(
        seen=analysed.captured + missed, captured=analysed.captured, lost=last.lost, dropped=last.dropped
    )


def _response(answer: tuple[int, bytes, dict[str, str]]) -> web.Response:
    status, body, headers = answer
    return web.Response(status=status, body=body, headers=headers)
