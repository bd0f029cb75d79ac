"""The admin server over HTTP, with a source that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from driftline_sidecar import admin


class Source:
    """Answers from attributes."""

    problems: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ("",)
    ending = False

    def health(self) -> admin.Health:
        return admin.Health(self.problems)

    def metrics(self) -> bytes:
        return b"modelmonitor_rows_total 1\n"

    def config(self) -> object:
        return {"files": []}

    def report(self, monitor: str) -> object:
        if monitor not in ("", "ml/demo"):
            raise admin.UnknownMonitor(monitor)
        return {"monitor": "demo"}

    def history(self, monitor: str) -> object:
        return {"windows": {}}

    def panes(self, monitor: str, cursor: str, begin: int) -> admin.PanesPage:
        if cursor == "bad":
            raise admin.BadCursor("since must be a cursor")
        return admin.PanesPage(b"\x01\x02", "boot:7", 12.5)

    def pairs(self, monitor: str, cursor: str) -> tuple[bytes, str]:
        if cursor == "bad":
            raise admin.BadCursor("since must be a cursor")
        return b"\x03", "boot:9"

    def shadow(self, monitor: str) -> object:
        return {"failures": {"Undecodable": "no_prediction"}}

    def captured(self, monitor: str, identity: str, *, content: bool) -> tuple[int, bytes] | None:
        return None if monitor == "ml/other" or identity else (7, b"rows" if content else b"")

    def refuses(self, authorization: str) -> str:
        return "" if authorization in self.tokens else "wrong token"

    def end_begins(self) -> None:
        self.ending = True


@pytest.fixture
async def served() -> AsyncIterator[tuple[Source, aiohttp.ClientSession]]:
    source = Source()
    runner, port = await admin.serve(admin.application(source), "127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield source, session
    await runner.cleanup()
    await asyncio.sleep(0)


Served = tuple[Source, aiohttp.ClientSession]


async def test_health_is_honest(served: Served) -> None:
    source, session = served
    async with session.get("/healthz") as answer:
        assert answer.status == 200
        assert await answer.json() == {"status": "ok", "problems": []}
    source.problems = ("the event loop was 7.0 s late",)
    async with session.get("/healthz") as answer:
        assert answer.status == 503
        assert (await answer.json())["problems"] == ["the event loop was 7.0 s late"]


async def test_metrics_have_prometheus_content_type(served: Served) -> None:
    async with served[1].get("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert await answer.read() == b"modelmonitor_rows_total 1\n"


async def test_panes_carry_their_cursor(served: Served) -> None:
    async with served[1].get("/v1/panes") as answer:
        assert answer.headers["X-Driftline-Cursor"] == "boot:7"
        assert answer.headers["Content-Type"] == "application/vnd.driftline.panes"
        assert await answer.read() == b"\x01\x02"
    async with served[1].get("/v1/panes?since=bad") as answer:
        assert answer.status == 400
        assert await answer.json() == {"error": "since must be a cursor"}


async def test_pairs_carry_their_cursor(served: Served) -> None:
    async with served[1].get("/v1/pairs") as answer:
        assert answer.headers["X-Driftline-Cursor"] == "boot:9"
        assert answer.headers["Content-Type"] == "application/vnd.driftline.shadow-parts"
        assert await answer.read() == b"\x03"
    async with served[1].get("/v1/pairs?since=bad") as answer:
        assert answer.status == 400


async def test_a_shadow_s_failures_are_told(served: Served) -> None:
    async with served[1].get("/v1/shadow") as answer:
        assert await answer.json() == {"failures": {"Undecodable": "no_prediction"}}


async def test_a_monitor_may_be_chosen(served: Served) -> None:
    async with served[1].get("/v1/report?monitor=ml/demo") as answer:
        assert await answer.json() == {"monitor": "demo"}
    async with served[1].get("/v1/report?monitor=ml/other") as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/metrics"]
    + [f"/v1/{name}" for name in ("report", "config", "panes", "pairs", "shadow", "history")],
)
async def test_it_is_read_only(served: Served, path: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        async with served[1].request(method, path) as answer:
            assert answer.status == 405


async def test_captured_rows_are_counted_and_given(served: Served) -> None:
    async with served[1].get("/v1/captured?rows=0") as answer:
        assert (answer.headers["X-Driftline-Rows"], await answer.read()) == ("7", b"")
    async with served[1].get("/v1/captured") as answer:
        assert await answer.read() == b"rows"
    async with served[1].get("/v1/captured?capture=another") as answer:
        assert answer.status == 404
    async with served[1].get("/v1/captured?monitor=ml/other") as answer:
        assert answer.status == 404


async def test_without_the_token_only_health_series_and_prestop_are_answered(served: Served) -> None:
    source, session = served
    source.tokens = ("Bearer right",)
    for path in (
        "/v1/panes",
        "/v1/pairs",
        "/v1/shadow",
        "/v1/captured",
        "/v1/report",
        "/v1/history",
        "/v1/config",
    ):
        async with session.get(path) as answer:
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), path
        async with session.get(path, headers={"Authorization": "Bearer right"}) as answer:
            assert answer.status == 200, path
    for path in ("/healthz", "/metrics"):
        async with session.get(path) as answer:
            assert answer.status == 200, path
    assert not source.ending
    async with session.get("/prestop") as answer:
        assert answer.status == 200
    assert source.ending
