"""The analyzer's HTTP side: health, series, panes, report and configuration. Read-only.

What is answered holds figures and names from the monitor and its profile; never a part of a request.
The handlers format; everything they tell comes from a `Source`, so that they know nothing of
intake or statistics.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import msgspec
from aiohttp import web

from driftline_sidecar.exposition import CONTENT_TYPE

CURSOR_HEADER = "X-Driftline-Cursor"
FROM_HEADER = "X-Driftline-From"
"""Panes that begin earlier were left out, as it was asked."""
BEGAN_HEADER = "X-Driftline-Began"
"""Since when everything was counted, unix seconds."""
ROWS_HEADER = "X-Driftline-Rows"
PANES_CONTENT_TYPE = "application/vnd.driftline.panes"
PAIRS_CONTENT_TYPE = "application/vnd.driftline.shadow-parts"

_MAX_REQUEST_BYTES = 4096


class BadCursor(ValueError):
    """A cursor that this program can't have given."""


class UnknownMonitor(LookupError):
    """A monitor that isn't watched here."""


class PanesPage(NamedTuple):
    """Encoded panes, each after its length (uint32, little-endian), and the cursor for the next ones."""

    body: bytes
    cursor: str
    began: float = 0.0
    """Since when everything was counted, unix seconds; 0: nothing is counted yet."""


class Health(NamedTuple):
    """`problems` is empty where all is well; each problem says what isn't and by how much."""

    problems: tuple[str, ...]


class Source(Protocol):
    """What the analyzer tells about itself. All of it is quick: it runs on the event loop."""

    def health(self) -> Health:
        """Whether exchanges are being taken and analysed now."""

    def metrics(self) -> bytes:
        """All series, in the text format."""

    def config(self) -> object:
        """What is in force, and what was refused and why."""

    def report(self, monitor: str) -> object:
        """Windows and verdicts of a monitor, `NAMESPACE/NAME` (empty: the first); raises UnknownMonitor."""

    def history(self, monitor: str) -> object:
        """How its windows and traffic went lately."""

    def panes(self, monitor: str, cursor: str, begin: int) -> PanesPage:
        """Its panes that changed since the cursor (empty: all that are held); raises BadCursor too.

        Only those that begin at `begin` (unix seconds) or later.
        """

    def pairs(self, monitor: str, cursor: str) -> tuple[bytes, str]:
        """Its shadow's parts, each after its length, that changed since the cursor, and the next cursor."""

    def shadow(self, monitor: str) -> object:
        """How its mirrored requests failed lately, a line a reason."""

    def captured(self, monitor: str, identity: str, *, content: bool) -> tuple[int, bytes] | None:
        """How many rows are kept for a reference, and if asked for, they; None: none are being kept."""

    def refuses(self, authorization: str) -> str:
        """Why a request for /v1/* with that header isn't answered; empty: it is."""

    def end_begins(self) -> None:
        """The pod is terminating."""


def application(source: Source) -> web.Application:
    """The routes over one source."""
    routes = {
        "/healthz": _health,
        "/metrics": _metrics,
        "/v1/report": _report,
        "/v1/history": _history,
        "/v1/config": _config,
        "/v1/panes": _panes,
        "/v1/captured": _captured,
        "/v1/pairs": _pairs,
        "/v1/shadow": _shadow,
        "/prestop": _prestop,
    }
    app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
    for path, answer in routes.items():
        app.router.add_get(path, _handler(answer, source))
    return app


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Listen; returns the runner to clean up and the port (of use where 0 was asked for)."""
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, keepalive_timeout=30.0, shutdown_timeout=1.0
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, runner.addresses[0][1]


Answer = Callable[[Source, web.Request], web.Response]


def _handler(answer: Answer, source: Source) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            refused = request.path.startswith("/v1/") and source.refuses(
                request.headers.get("Authorization", "")
            )
            if refused:
                response = _json({"error": refused}, status=401)
                response.headers["WWW-Authenticate"] = "Bearer"
            else:
                response = answer(source, request)
        except BadCursor as error:
            response = _json({"error": str(error)}, status=400)
        except UnknownMonitor as error:
            response = _json({"error": f"no such monitor: {error}"}, status=404)
        response.headers["Cache-Control"] = "no-store"
        return response

    return handle


def _health(source: Source, request: web.Request) -> web.Response:
    problems = source.health().problems
    body = {"status": "unhealthy" if problems else "ok", "problems": problems}
    return _json(body, status=503 if problems else 200)


def _metrics(source: Source, request: web.Request) -> web.Response:
    return web.Response(body=source.metrics(), headers={"Content-Type": CONTENT_TYPE})


def _report(source: Source, request: web.Request) -> web.Response:
    return _json(source.report(_monitor(request)))


def _history(source: Source, request: web.Request) -> web.Response:
    return _json(source.history(_monitor(request)))


def _config(source: Source, request: web.Request) -> web.Response:
    return _json(source.config())


def _panes(source: Source, request: web.Request) -> web.Response:
    """`?from=TIME`: only panes that begin then or later."""
    text = request.query.get("from", "")
    begin = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
    page = source.panes(_monitor(request), request.query.get("since", ""), begin)
    headers = {CURSOR_HEADER: page.cursor, BEGAN_HEADER: repr(page.began), FROM_HEADER: str(begin)}
    return web.Response(body=page.body, content_type=PANES_CONTENT_TYPE, headers=headers)


def _pairs(source: Source, request: web.Request) -> web.Response:
    body, cursor = source.pairs(_monitor(request), request.query.get("since", ""))
    return web.Response(body=body, content_type=PAIRS_CONTENT_TYPE, headers={CURSOR_HEADER: cursor})


def _shadow(source: Source, request: web.Request) -> web.Response:
    return _json(source.shadow(_monitor(request)))


def _captured(source: Source, request: web.Request) -> web.Response:
    """`?rows=0`: only how many there are. `?capture=ID`: of that capture, not of the first."""
    identity = request.query.get("capture", "")
    found = source.captured(_monitor(request), identity, content=request.query.get("rows") != "0")
    if found is None:
        return _json({"error": "no rows are kept for a reference"}, status=404)
    headers = {ROWS_HEADER: str(found[0])}
    return web.Response(body=found[1], content_type="application/octet-stream", headers=headers)


def _prestop(source: Source, request: web.Request) -> web.Response:
    source.end_begins()
    return web.Response(text="ok\n")


def _monitor(request: web.Request) -> str:
    return request.query.get("monitor", "")


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
