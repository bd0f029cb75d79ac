"""What handlers take from a request: its body, the monitor it names, times and numbers of its query."""

from __future__ import annotations

from math import isfinite
from typing import Final

from aiohttp import web

from driftline_operator.hub.hub import Hub
from driftline_operator.hub.refusal import Refusal
from driftline_operator.hub.registry import Known
from driftline_operator.hub.tokens import Grant, Scope

LAST: Final = 253_402_300_799.0
"""The end of the year 9999, unix seconds."""


async def read_body(request: web.Request, most: int) -> bytes:
    """All of it, unpacked. Raises Refusal (413)."""
    too_long = Refusal(413, f"at most {most} bytes in a request", field="body", value=request.content_length)
    if (request.content_length or 0) > most:
        raise too_long
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > most:
            raise too_long
        parts.append(part)
    return b"".join(parts)


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
