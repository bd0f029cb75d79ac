"""Where ending pods push their last panes and pairs, as it is said in the sidecar's `pushing`.

`POST /v1/panes`, `POST /v1/pairs`.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from aiohttp import web
from driftline.errors import DataError

from driftline_operator.fleet.pull import read_began, read_page, read_parts

MOST_BYTES: Final = 16 << 20


class Taken(StrEnum):
    """What became of a push."""

    TAKEN = "taken"
    UNKNOWN_MONITOR = "unknown_monitor"
    NOT_LEADING = "not_leading"
    NOT_YET = "not_yet"
    """There is such a monitor, and this controller has only just taken over."""
    UNKNOWN_POD = "unknown_pod"
    """It is none of the monitor's, nor was it a while ago."""
    NOT_KEPT = "not_kept"
    """It counts, and could not be written down: told again it counts once."""
    REFUSED = "refused"
    """Some of it can't be true; the rest is taken."""


_LATER: Final = {
    Taken.NOT_LEADING: "another replica acts",
    Taken.NOT_YET: "that monitor's windows are not read yet",
    Taken.NOT_KEPT: "it could not be written down yet",
}
_REFUSED: Final = {
    Taken.UNKNOWN_MONITOR: (404, "no such monitor"),
    Taken.UNKNOWN_POD: (404, "no such pod of that monitor"),
    Taken.REFUSED: (422, "some of it can't be true, which the controller's log says"),
}


class Push(NamedTuple):
    """One pod's panes of one monitor."""

    namespace: str
    monitor: str
    pod: str
    uid: str
    cursor: str
    began: float
    panes: Sequence[bytes]
    """Encoded."""


class PushedPairs(NamedTuple):
    """One pod's last parts of a shadow's pairs."""

    namespace: str
    monitor: str
    uid: str
    parts: Sequence[bytes]
    """Encoded."""


P = TypeVar("P", Push, PushedPairs)
Take = Callable[[P], Awaitable[Taken]]


async def _push(request: web.Request, namespace: str, monitor: str) -> Push:
    return Push(
        namespace,
        monitor,
        request.query.get("pod", "")[:253],
        request.query["uid"][:64],
        request.query["cursor"][:100],
        read_began(request.headers),
        read_page(await request.read()),
    )


async def _pairs(request: web.Request, namespace: str, monitor: str) -> PushedPairs:
    return PushedPairs(namespace, monitor, request.query["uid"][:64], read_parts(await request.read()))


async def _none(_: PushedPairs) -> Taken:
    return Taken.UNKNOWN_MONITOR


def application(
    token_of: Callable[[str], str | None],
    take: Take[Push],
    take_pairs: Take[PushedPairs] = _none,
) -> web.Application:
    """`token_of` a namespace; `take` and `take_pairs` never raise."""
    app = web.Application(client_max_size=MOST_BYTES)
    app.router.add_post("/v1/panes", _handler(token_of, _push, take))
    app.router.add_post("/v1/pairs", _handler(token_of, _pairs, take_pairs))
    return app


def _handler(
    token_of: Callable[[str], str | None],
    read: Callable[[web.Request, str, str], Awaitable[P]],
    take: Take[P],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        namespace, _, monitor = request.query.get("monitor", "").partition("/")
        token = token_of(namespace)
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if token is None:  # this replica doesn't act, or nobody watches there: another may know
            return _said(503, "no token of that namespace is known here", retry=True)
        if not given or not hmac.compare_digest(given.encode(errors="replace"), token.encode()):
            return _said(401, "Authorization must be Bearer and the namespace's token")
        try:
            push = await read(request, namespace, monitor)
        except web.HTTPRequestEntityTooLarge:
            return _said(413, f"more than {MOST_BYTES} bytes")
        except KeyError as error:
            return _said(400, f"the query lacks {error}")
        except (DataError, ValueError) as error:
            return _said(400, str(error))
        taken = await take(push)
        if taken is Taken.TAKEN:
            return web.Response(status=204)
        if taken in _LATER:
            return _said(503, _LATER[taken], retry=True)
        status, text = _REFUSED[taken]
        return _said(status, f"{text}: {namespace}/{monitor}"[:300])

    return handle


def _said(status: int, text: str, *, retry: bool = False) -> web.Response:
    return web.json_response({"error": text}, status=status, headers={"Retry-After": "1"} if retry else None)
