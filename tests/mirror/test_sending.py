"""What the mirror takes of a server: as much as the relay, which the live model's clients go through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from driftline.shadow.account import Failure
from driftline_sidecar.analyzer.mirror.marker import Seal
from driftline_sidecar.analyzer.mirror.requests import Copy
from driftline_sidecar.analyzer.mirror.sending import Answer, Missed, Reply, Sender

from tests.support.mirrors import KEY, candidate

COPY = Copy("POST", "/predict", (("content-type", "application/json"),), b"{}")
SEAL = Seal(KEY, "uid", "candidate")


async def sent(url: str, *, times: int = 1, pause: float = 0.0) -> list[Reply]:
    sender, found = Sender(1 << 20), []
    try:
        for _ in range(times):
            found.append(await sender.send(url, COPY, SEAL, 5.0))
            await asyncio.sleep(pause)
    finally:
        await sender.close()
    return found


@pytest.mark.parametrize(
    "headers",
    [{"X-Big": "b" * 60_000}, {f"X-Many-{n}": "m" for n in range(400)}, {"Set-Cookie": "c=" + "c" * 9_000}],
    ids=["one large", "many", "a cookie"],
)
async def test_heads_that_the_relay_takes_are_no_fault(headers: dict[str, str]) -> None:
    async def answers(request: web.Request, body: bytes) -> web.StreamResponse:
        return web.json_response({"label": "no"}, headers=headers)

    async with candidate(answers) as other:
        (reply,) = await sent(other.url)
    assert isinstance(reply, Answer)
    assert reply.body == b'{"label": "no"}'


@asynccontextmanager
async def closing(after: int) -> AsyncIterator[tuple[str, list[int]]]:
    """A server that promises to keep connections and closes each, when used again after so many answers."""
    seen: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(after + 1):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            seen.append(len(head))
            if number == after:
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()


async def test_a_connection_that_was_closed_while_it_was_kept_is_no_fault() -> None:
    async with closing(after=1) as (url, seen):
        replies = await sent(url, times=4)
    assert [isinstance(reply, Answer) and reply.body for reply in replies] == [b"{}"] * 4
    assert len(seen) == 7, "all but the first went twice"


async def test_a_server_that_closes_every_time_has_failed() -> None:
    async with closing(after=0) as (url, seen):
        replies = await sent(url, times=2)
    assert [isinstance(reply, Missed) and reply.failure for reply in replies] == [Failure.RESET] * 2
    assert len(seen) == 2


@pytest.mark.parametrize("target", ["@{other}/x", "@{other}", "http://{other}/x", "*", ".x/", ""])
async def test_a_target_that_leads_to_another_address_is_asked_of_nobody(target: str) -> None:
    async def answers(request: web.Request, body: bytes) -> web.StreamResponse:
        return web.json_response({})

    async with candidate(answers) as other, candidate(answers) as elsewhere:
        copy = COPY._replace(target=target.format(other=elsewhere.url.removeprefix("http://")))
        sender = Sender(1 << 20)
        try:
            with pytest.raises(ValueError, match="another address"):
                await sender.send(other.url, copy, SEAL, 5.0)
        finally:
            await sender.close()
    assert other.asked == elsewhere.asked == []
