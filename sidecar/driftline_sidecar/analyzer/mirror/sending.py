"""Sends a copy to one side and reads its answer, within a time and a number of bytes."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Final, NamedTuple

import aiohttp
from driftline.shadow.account import Failure
from yarl import URL

from driftline_sidecar.analyzer.mirror.marker import HEADER, Seal, sign
from driftline_sidecar.analyzer.mirror.requests import Copy

MOST_ANSWER_BYTES: Final = 16 << 20
"""Of all answers that are being read at once: many large ones would else fill the memory together."""

_IDLE_SECONDS: Final = 2.0
"""Below what servers keep idle connections for: one that closes on its next use would look like a fault."""

_MOST_HEAD_BYTES: Final = 64 << 10
"""Of a line and of a field: what the relay takes of the live model's head."""
_MOST_FIELDS: Final = 10_000

_ADDED: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class Answer(NamedTuple):
    """A whole answer. `seconds`: from before the request to the answer's end."""

    status: int
    head: bytes
    body: bytes
    seconds: float

    @property
    def fine(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300


class Missed(NamedTuple):
    """No whole answer, and why."""

    failure: Failure
    seconds: float


Reply = Answer | Missed


class Sender:
    """One pool of connections, in the event loop that made it. `most`: bytes of one answer."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held = 0
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_note_reuse)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_ADDED,
            max_line_size=_MOST_HEAD_BYTES,
            max_field_size=_MOST_HEAD_BYTES,
            max_headers=_MOST_FIELDS,
            trace_configs=[tracing],
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def send(self, origin: str, copy: Copy, seal: Seal, patience: float) -> Reply:
        """The answer to a marked copy within `patience` seconds. What the other side does never raises; a
        target that would lead to another address does: ValueError.

        A server may close a connection that it kept just as it is used again: that is no fault of its
        answers, and the copy goes once more, as clients do.
        """
        url = _url(origin, copy.target)
        began = time.monotonic()
        while True:
            used: dict[str, bool] = {}
            try:
                return await self._ask(url, copy, seal, began, patience, used)
            except TimeoutError:
                return Missed(Failure.TIMEOUT, time.monotonic() - began)
            except (aiohttp.ClientConnectorError, aiohttp.InvalidURL):
                return Missed(Failure.REFUSED, time.monotonic() - began)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not used:
                    return Missed(Failure.RESET, time.monotonic() - began)
            except (aiohttp.ClientError, OSError, ValueError):
                return Missed(Failure.RESET, time.monotonic() - began)

    async def _ask(
        self, url: URL, copy: Copy, seal: Seal, began: float, patience: float, used: dict[str, bool]
    ) -> Reply:
        left = patience - (time.monotonic() - began)
        if left <= 0:
            raise TimeoutError
        marker = sign(seal, time.time(), copy.method, copy.target)
        async with self._session.request(
            copy.method,
            url,
            headers=[*copy.headers, (HEADER.decode(), marker.decode())],
            data=copy.body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=left),
            trace_request_ctx=used,
        ) as response:
            found = await self._read(response)
        seconds = time.monotonic() - began
        if isinstance(found, Failure):
            return Missed(found, seconds)
        return Answer(response.status, _head(response), found, seconds)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes | Failure:
        """The body, or why it was not read to its end; the connection is not used again then."""
        parts: list[bytes] = []
        size = 0
        try:
            async for part in response.content.iter_any():
                size += len(part)
                self._held += len(part)
                parts.append(part)
                if size > self.most or self._held > MOST_ANSWER_BYTES:
                    response.close()
                    return Failure.ANSWER_TOO_LARGE if size > self.most else Failure.NO_ROOM
            return b"".join(parts)
        finally:
            self._held -= size


async def _note_reuse(_: object, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx["reused"] = True


def _url(origin: str, target: str) -> URL:
    """Clients choose the target, and must not choose the address."""
    url = URL(origin + target, encoded=True)
    if not target.startswith("/") or url.origin() != URL(origin).origin():
        raise ValueError("the target leads to another address")
    return url


def _head(response: aiohttp.ClientResponse) -> bytes:
    lines = [b"%s: %s" % (name, value) for name, value in response.raw_headers]
    return b"\r\n".join([b"HTTP/1.1 %d" % response.status, *lines, b"", b""])
