"""What handlers take from a request: its body, the monitor it names, times and numbers of its query."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from math import isfinite
from typing import Final

from aiohttp import web

from driftline_operator.hub.hub import Hub
from driftline_operator.hub.refusal import Refusal
from driftline_operator.hub.registry import Known
from driftline_operator.hub.tokens import Grant, Scope
from driftline_operator.hub.unpacking import unpacking

LAST: Final = 253_402_300_799.0
"""The end of the year 9999, unix seconds."""


async def read_body(hub: Hub, request: web.Request, most: int) -> bytes:
    """All of it, unpacked; `give_back` ends that it counts. Raises Refusal (400, 408, 413, 415, 503)."""
    if (request.content_length or 0) > most:
        raise _too_long(request, most)
    try:
        async with asyncio.timeout(hub.limits.seconds):
            return b"".join([part async for part in _parts(hub, request, most)])
    except TimeoutError as error:
        raise Refusal(408, f"the body took more than {hub.limits.seconds:g} s to come", retry=1.0) from error


async def _parts(hub: Hub, request: web.Request, most: int) -> AsyncIterator[bytes]:
    size, came, packed = 0, False, unpacking(request.headers.get("Content-Encoding", ""))
    async for data in request.content.iter_any():
        came = came or bool(data)
        for part in packed.take(data):
            size += len(part)
            if size > most:
                raise _too_long(request, most)
            hub.room.take(request, len(part))
            yield part
    if came:
        packed.end()


def give_back(hub: Hub, request: web.Request) -> None:
    """The request is answered: its body counts no longer."""
    hub.room.give(request)


def _too_long(request: web.Request, most: int) -> Refusal:
    return Refusal(413, f"at most {most} bytes in a request", field="body", value=request.content_length)


def check_query(request: web.Request, names: frozenset[str]) -> None:
    """Raises Refusal (400) for a parameter that there isn't: what it should do would not be done."""
    for name in request.query:
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise Refusal(400, f"there is no such parameter (there are: {known})", field=name)


async def monitor_of(hub: Hub, request: web.Request, grant: Grant, scope: Scope) -> Known:
    """The monitor that the path or the query names. Raises Refusal (400, 403, 404)."""
    namespace, name = (_name(request, part) for part in ("namespace", "monitor"))
    grant.check(scope, namespace)
    return await hub.known(namespace, name)


def _name(request: web.Request, part: str) -> str:
    value = request.match_info.get(part) or request.query.get(part, "")
    if not 1 <= len(value) <= 253:
        raise Refusal(400, "the query must name it with 1 to 253 characters", field=part, value=value)
    return value


def number(request: web.Request, name: str, least: float, most: float = LAST) -> float | None:
    """Of the query; None where it isn't there. Raises Refusal (400)."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or not least <= value <= most:
        raise Refusal(400, f"must be a number from {least:g} to {most:.0f}", field=name, value=text)
    return value


def flag(request: web.Request, name: str) -> bool:
    """`true` or `false` of the query; else false. Raises Refusal."""
    given = request.query.get(name, "false")
    if given not in ("true", "false"):
        raise Refusal(400, "must be true or false", field=name, value=given)
    return given == "true"
