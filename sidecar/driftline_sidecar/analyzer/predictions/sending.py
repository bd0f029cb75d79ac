"""One try to hand a packet to the hub, and what its answer means."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import msgspec
from driftline.backoff import retry_after
from driftline.events import Accepted

from driftline_sidecar.token_file import Token

PATH: Final = "/v1/predictions"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0, sock_connect=3.0)
_MOST_ANSWER_BYTES: Final = 64 << 10
_LEVEL: Final = 1
"""Of gzip: a quarter of the bytes for 1.2 microseconds a row; the next levels cost more and save little."""


_GZIP: Final = 31
"""zlib's `wbits` for gzip's own head."""


class Sent(StrEnum):
    """What became of a request to the hub: values of a label."""

    DELIVERED = "delivered"
    TOO_LARGE = "too_large"
    """413: it is sent again in halves."""
    REFUSED = "refused"
    """The hub says that the rows themselves are wrong: they are dropped."""
    BUSY = "busy"
    """429 or 503: later."""
    UNAUTHORIZED = "unauthorized"
    """The hub doesn't know the token, yet or any longer: the rows wait."""
    UNKNOWN_MONITOR = "unknown_monitor"
    """The hub has not been told of the monitor yet: the rows wait."""
    FAILED = "failed"
    """The hub's own error, or an answer that is none of a hub."""
    UNREACHABLE = "unreachable"
    NO_TOKEN = "no_token"  # noqa: S105 - a label's value
    NO_CA = "no_ca"
    """Without the authority its certificate can't be checked."""
    DAMAGED = "damaged"
    """Nothing was sent: the packet's file can't be read any longer."""


class Hub:
    """Where the hub is, and how this sender proves who it is."""

    def __init__(self, url: str, token: Path | None, ca: Path | None) -> None:
        """`token`: read for each request; None: none is sent. `ca`: its authority; None: the system's."""
        self.url = url + PATH
        self.wants_token = token is not None
        self.token = Token(token)
        self._ca = ca if url.startswith("https://") else None
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[int, int, int] | None = None

    def context(self) -> ssl.SSLContext | bool:
        """How to check its certificate: one object while the file stays, for connections are kept by it.

        Raises OSError and ssl.SSLError.
        """
        if self._ca is None:
            return True
        found = self._ca.stat()
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._context is None or seen != self._seen:
            self._context = ssl.create_default_context(cafile=str(self._ca))
            self._seen = seen
        return self._context


class Answer(NamedTuple):
    """The outcome, and for how long the hub asks to be left alone."""

    outcome: Sent
    pause: float = 0.0


def outcome_of(status: int) -> Sent:
    """What a status other than 2xx says. What may be right later is kept, what never will be is not."""
    if status == 413:
        return Sent.TOO_LARGE
    if status in (401, 403):
        return Sent.UNAUTHORIZED
    if status == 404:
        return Sent.UNKNOWN_MONITOR
    if status in (429, 503):
        return Sent.BUSY
    if 400 <= status < 500 and status not in (408, 425):
        return Sent.REFUSED
    return Sent.FAILED


async def send(session: aiohttp.ClientSession, hub: Hub, body: bytes) -> Answer:
    """Try once. Never raises for what the network or the hub do."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    if hub.wants_token:
        token = hub.token.read()
        if not token:
            return Answer(Sent.NO_TOKEN)
        headers["Authorization"] = f"Bearer {token}"
    try:
        context = hub.context()
    except (OSError, ssl.SSLError):
        return Answer(Sent.NO_CA)
    try:
        zipped = await asyncio.to_thread(zlib.compress, body, _LEVEL, _GZIP)
        async with session.post(
            hub.url, data=zipped, headers=headers, ssl=context, timeout=_TIMEOUT, allow_redirects=False
        ) as answer:
            if 200 <= answer.status < 300:
                return Answer(Sent.DELIVERED if _accepts(await _body(answer)) else Sent.FAILED)
            return Answer(outcome_of(answer.status), retry_after(answer.headers.get("Retry-After")))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return Answer(Sent.UNREACHABLE)


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """What an answer says, up to more than any hub's answer has."""
    said = b""
    async for part in answer.content.iter_any():
        said += part
        if len(said) > _MOST_ANSWER_BYTES:
            break
    return said


def _accepts(said: bytes) -> bool:
    """Is it a hub's word that the rows are in its database? Another server's 200 is none."""
    try:
        msgspec.json.decode(said, type=Accepted)
    except msgspec.MsgspecError:
        return False
    return True
