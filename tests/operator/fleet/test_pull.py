"""Pods asked over the network, and pods that push: bounds, tokens, and a word for each way it fails."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from driftline import captured
from driftline.captured import Captured
from driftline.shadow.codec import ENVELOPE, encode_part
from driftline.shadow.runtime import MirrorConfig, ShadowId
from driftline_operator.fleet import intake, pull
from driftline_operator.fleet.intake import MOST_BYTES, Push, Taken, application
from driftline_operator.fleet.pull import Missed, Page, Pairs, Puller, Room
from driftline_sidecar.analyzer.mirror.shelf import MOST

from tests.support.fleets import DAY_START, SPEC, counted, encoded, page, reference, rows
from tests.support.shadow_fleet import part
from tests.support.shadows import CLASSES

PROFILE = reference(1000)
PANE = encoded(PROFILE, counted(PROFILE.axes(), rows(np.random.default_rng(1), 30)), DAY_START)
TOKEN = "secret"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def analyzer(answer: Answer, concurrency: int = 4) -> AsyncIterator[Puller]:
    app = web.Application()
    app.router.add_get("/v1/{what}", answer)
    async with serving(app) as port, Puller(concurrency, port) as puller:
        yield puller


async def test_a_page_comes_with_its_cursor_and_the_question_says_which() -> None:
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        headers = {"X-Driftline-Cursor": "boot:abc:7", "X-Driftline-Began": "12.5"}
        return web.Response(body=page(PANE, PANE), headers=headers)

    async with analyzer(answer) as puller:
        found = await puller.panes("127.0.0.1", "ml/census", "boot:abc:3", TOKEN)
    assert found == Page((PANE, PANE), "boot:abc:7", 12.5)
    assert asked[0].query == {"monitor": "ml/census", "since": "boot:abc:3"}
    assert asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("body", "status", "began", "reason"),
    [
        (b"", 401, "0", Missed.REFUSED),
        (b"", 404, "0", Missed.UNKNOWN_MONITOR),
        (b"", 500, "0", Missed.FAILED),
        (b"", 302, "0", Missed.FAILED),
        (page(PANE)[:-3], 200, "0", Missed.UNREADABLE),
        (page(PANE[:-1] + b"?"), 200, "0", Missed.UNREADABLE),
        (b"\x01", 200, "0", Missed.UNREADABLE),
        (page(PANE), 200, "nan", Missed.UNREADABLE),
        (page(PANE), 200, "-5", Missed.UNREADABLE),
    ],
)
async def test_each_failure_has_its_word(body: bytes, status: int, began: str, reason: Missed) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"X-Driftline-Cursor": "b:p:1", "X-Driftline-Began": began, "Location": "/v1/other"}
        return web.Response(body=body, status=status, headers=headers)

    async with analyzer(answer) as puller:
        assert await puller.panes("127.0.0.1", "ml/census", "", TOKEN) is reason


async def test_without_a_token_nobody_is_asked() -> None:
    async def answer(_: web.Request) -> web.Response:
        raise AssertionError("asked")

    async with analyzer(answer) as puller:
        assert await puller.panes("127.0.0.1", "ml/census", "", None) is Missed.NO_TOKEN


async def test_too_much_slow_and_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "MOST_BYTES", 1000)
    monkeypatch.setattr(pull, "TOTAL_SECONDS", 0.3)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query["monitor"] == "ml/slow":
            await asyncio.sleep(5)
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 100)
        return response

    async with analyzer(answer) as puller:
        assert await puller.panes("127.0.0.1", "ml/large", "", TOKEN) is Missed.TOO_LARGE
        assert await puller.panes("127.0.0.1", "ml/slow", "", TOKEN) is Missed.TIMEOUT
    async with Puller(1, 1) as puller:
        assert await puller.panes("127.0.0.1", "ml/census", "", TOKEN) is Missed.UNREACHABLE


async def test_no_more_are_asked_at_a_time_than_allowed() -> None:
    at_once = most = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.02)
        at_once -= 1
        return web.Response(headers={"X-Driftline-Cursor": "b:p:1"})

    async with analyzer(answer, concurrency=3) as puller:
        found = await asyncio.gather(*(puller.panes("127.0.0.1", "m", "", TOKEN) for _ in range(12)))
    assert all(isinstance(each, Page) for each in found)
    assert most == 3


async def test_the_newest_are_asked_for_and_an_analyzer_that_gives_all_is_believed() -> None:
    async def answer(request: web.Request) -> web.Response:
        headers = {"X-Driftline-Cursor": "b:p:1", "X-Driftline-Began": "5"}
        if request.query["monitor"] == "ml/new":
            headers["X-Driftline-From"] = request.query["from"]
        return web.Response(body=page(PANE), headers=headers)

    async with analyzer(answer) as puller:
        assert await puller.newest("127.0.0.1", "ml/new", 1200, TOKEN) == Page((PANE,), "b:p:1", 5.0, 1200)
        assert await puller.newest("127.0.0.1", "ml/old", 1200, TOKEN) == Page((PANE,), "b:p:1", 5.0, 0)


async def test_more_panes_than_an_analyzer_ever_has_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "MOST_PANES", 3)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=page(*[PANE] * int(request.query["since"])))

    async with analyzer(answer) as puller:
        assert isinstance(await puller.panes("127.0.0.1", "ml/census", "3", TOKEN), Page)
        assert await puller.panes("127.0.0.1", "ml/census", "4", TOKEN) is Missed.TOO_MANY


async def test_all_answers_together_are_bounded() -> None:
    room, held, most = Room(10), 0, 0

    async def hold(size: int) -> None:
        nonlocal held, most
        async with room.of(size):
            held += min(size, 10)
            most = max(most, held)
            await asyncio.sleep(0)
            held -= min(size, 10)

    await asyncio.gather(*(hold(size) for size in (4, 4, 4, 10, 25, 1, 9)))
    assert (held, most) == (0, 10)


@pytest.mark.parametrize(("length", "wanted"), [(True, 3), (False, 1000)])
async def test_an_answer_takes_the_room_that_it_says_or_the_most(
    length: bool, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "MOST_BYTES", 1000)
    taken: list[int] = []

    class Noted(Room):
        def of(self, size: int) -> Any:
            taken.append(size)
            return super().of(size)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "3"} if length else {})
        await response.prepare(request)
        await response.write(b"abc")
        return response

    async with analyzer(answer) as puller:
        puller._room = Noted(2000)
        assert await puller.panes("127.0.0.1", "m", "", TOKEN) is Missed.UNREADABLE
    assert taken == [wanted]


async def test_captured_rows_are_counted_first_and_fetched_whole() -> None:
    part = Captured(SPEC.schema.features, rows(np.random.default_rng(2), 40), np.arange(40.0))

    async def answer(request: web.Request) -> web.Response:
        if request.query["monitor"] == "ml/none":
            return web.Response(status=404)
        body = b"" if request.query.get("rows") == "0" else captured.encode(part)
        return web.Response(body=body, headers={"X-Driftline-Rows": "40"})

    async with analyzer(answer) as puller:
        assert await puller.captured_rows("127.0.0.1", "ml/census", "", TOKEN) == 40
        found = await puller.captured("127.0.0.1", "ml/census", "", TOKEN)
        assert isinstance(found, Captured)
        assert found.rows == 40
        assert await puller.captured_rows("127.0.0.1", "ml/none", "", TOKEN) is Missed.UNKNOWN_MONITOR


# ---- pairs ----

CONFIG = MirrorConfig(shadow=ShadowId(uid="u", name="v4"), began=0.0, url="http://x:1", plan=CLASSES)
PART = encode_part(part(CONFIG, "pod", 3))
BALLAST = ENVELOPE.seal(bytes(3 << 20))


def test_as_many_parts_as_an_analyzer_keeps() -> None:
    assert pull.MOST_PARTS == MOST


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (page(PART, PART), Pairs((PART, PART), "c")),
        (page(*[PART] * (pull.MOST_PARTS + 1)), Missed.TOO_MANY),
        (page(PART[:-1]), Missed.UNREADABLE),
        (page(*[BALLAST] * 2), Pairs((BALLAST, BALLAST), "c")),
        (page(*[BALLAST] * 22), Missed.UNREADABLE),
        (page(ENVELOPE.seal(bytes(9 << 20))), Missed.UNREADABLE),
    ],
)
async def test_pairs_within_bounds(body: bytes, found: Pairs | Missed) -> None:
    """What they hold is looked at by who takes them, one at a time; what they inflate to, before."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"X-Driftline-Cursor": "c"})

    async with analyzer(answer) as puller:
        assert await puller.pairs("127.0.0.1", "ml/census", "", TOKEN) == found


# ---- pushes ----

QUERY = {"monitor": "ml/census", "pod": "pod-1", "uid": "u1", "cursor": "boot:abc:9"}


async def push(
    taken: Taken = Taken.TAKEN,
    token: str | None = TOKEN,
    known: str | None = TOKEN,
    body: bytes = page(PANE),
    lacking: str = "",
) -> tuple[int, list[Push], dict[str, str]]:
    """What a push is answered, and what was handed on."""
    handed: list[Push] = []

    async def take(each: Push) -> Taken:
        handed.append(each)
        return taken

    headers = {"X-Driftline-Began": "5.0"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    asked = {key: value for key, value in QUERY.items() if key != lacking}
    app = application(lambda namespace: known if namespace == "ml" else None, take)
    async with serving(app) as port, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/v1/panes"
        async with session.post(url, params=asked, data=io.BytesIO(body), headers=headers) as answer:
            return answer.status, handed, dict(answer.headers)


async def test_a_push_is_handed_on() -> None:
    status, handed, _ = await push()
    assert status == 204
    assert handed == [Push("ml", "census", "pod-1", "u1", "boot:abc:9", 5.0, (PANE,))]


@pytest.mark.parametrize(("token", "known"), [(None, TOKEN), ("", TOKEN), ("wrong", TOKEN), ("", "")])
async def test_a_wrong_token_is_refused(token: str | None, known: str) -> None:
    status, handed, _ = await push(token=token, known=known)
    assert (status, handed) == (401, [])


async def test_a_replica_that_does_not_act_says_try_another() -> None:
    later = [await push(each) for each in (Taken.NOT_LEADING, Taken.NOT_YET, Taken.NOT_KEPT)]
    for status, handed, headers in (await push(known=None), *later):
        assert status == 503
        assert headers["Retry-After"] == "1"
        assert len(handed) < 2


async def test_an_unknown_monitor_an_unknown_pod_and_what_can_not_be_true() -> None:
    statuses = [(await push(each))[0] for each in (Taken.UNKNOWN_MONITOR, Taken.UNKNOWN_POD, Taken.REFUSED)]
    assert statuses == [404, 404, 422]
    assert {*Taken} == {Taken.TAKEN, *intake._LATER, *intake._REFUSED}


@pytest.mark.parametrize("lacking", ["uid", "cursor"])
async def test_a_query_that_lacks_something(lacking: str) -> None:
    status, handed, _ = await push(lacking=lacking)
    assert (status, handed) == (400, [])


@pytest.mark.parametrize("body", [b"\x00", page(PANE)[:-1], page(b"nothing")])
async def test_a_body_that_holds_no_panes(body: bytes) -> None:
    status, handed, _ = await push(body=body)
    assert (status, handed) == (400, [])


async def test_a_body_that_is_too_large() -> None:
    status, handed, _ = await push(body=bytes(MOST_BYTES + 1))
    assert (status, handed) == (413, [])
