"""Asks the pods' analyzers for what they counted, within bounds; a pod's failure is a word, no error."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import aiohttp
from driftline import captured
from driftline.captured import Captured
from driftline.errors import DataError
from driftline.pane_codec import verify
from driftline.shadow.codec import ENVELOPE

from driftline_operator import names

CONNECT_SECONDS: Final = 2.0
TOTAL_SECONDS: Final = 8.0
MOST_BYTES: Final = 16 << 20
MOST_PANES: Final = 4096
"""Of one answer: a month of panes, rolled up, is a thousand."""
MOST_PARTS: Final = 64
"""Of one answer: an analyzer keeps as many."""
MOST_INFLATED: Final = 64 << 20
"""Bytes of the parts of one answer."""
MOST_CAPTURED: Final = 64 << 20
MOST_IN_FLIGHT: Final = 64 << 20
"""Bytes of all answers that are being read: what tenants' pods can make the controller hold."""


class Missed(StrEnum):
    """Why a pod's panes couldn't be had: values of a label."""

    NO_TOKEN = "no_token"  # noqa: S105 - a label's value
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """The analyzer has another token."""
    UNKNOWN_MONITOR = "unknown_monitor"
    """Its configuration hasn't come yet, or was refused."""
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    """Panes, or parts, of one answer."""
    UNREADABLE = "unreadable"
    FAILED = "failed"


class Page(NamedTuple):
    """What one analyzer gave."""

    panes: tuple[bytes, ...]
    cursor: str
    began: float
    begin: int = 0
    """Only panes that begin then or later were given (unix seconds)."""


def read_page(
    body: bytes, check: Callable[[bytes], object] = verify, most: int | None = None
) -> tuple[bytes, ...]:
    """Panes, each after its length, still encoded: a day of them unpacked would fill the memory.

    Raises DataError where one is cut off, or `check` finds it damaged or of another version, or there are
    more than `most` (None: MOST_PANES).
    """
    most = MOST_PANES if most is None else most
    panes: list[bytes] = []
    at = 0
    while at < len(body):
        if at + 4 > len(body):
            raise DataError("panes that are cut off")
        (size,) = struct.unpack_from("<I", body, at)
        at += 4
        if at + size > len(body):
            raise DataError("panes that are cut off")
        if len(panes) == most:
            raise TooMany(f"more than {most} of them")
        panes.append(body[at : at + size])
        check(panes[-1])
        at += size
    return tuple(panes)


class TooMany(DataError):
    """More panes than an analyzer ever has."""


def read_began(headers: Mapping[str, str]) -> float:
    """Since when all was counted, unix seconds; 0: nothing is. Raises ValueError."""
    began = float(headers.get("X-Driftline-Began", "0"))
    if not 0 <= began < 1e12:
        raise ValueError("X-Driftline-Began is no time")
    return began


class Pairs(NamedTuple):
    """What one analyzer told of a shadow's pairs."""

    parts: tuple[bytes, ...]
    """Encoded."""
    cursor: str


def read_parts(body: bytes) -> tuple[bytes, ...]:
    """Parts, each after its length, still encoded: whoever takes them unpacks one at a time.

    Raises DataError as `read_page` does, and where they inflate to more than MOST_INFLATED together.
    """
    left = MOST_INFLATED

    def check(part: bytes) -> None:
        nonlocal left
        left -= ENVELOPE.measure(part, left)

    return read_page(body, check, MOST_PARTS)


class Puller:
    """One session for all pods. Use it with `async with`."""

    def __init__(self, concurrency: int, port: int = names.ADMIN_PORT) -> None:
        self._port = port
        self._limit = asyncio.Semaphore(concurrency)
        self._room = Room(MOST_IN_FLIGHT)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Puller:
        timeout = aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS)
        # Pods are many and asked seldom: a kept connection to each would cost more than it saves.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def panes(self, ip: str, monitor: str, cursor: str, token: str | None) -> Page | Missed:
        """The panes since a cursor; empty: all."""
        return await self._panes(ip, {"monitor": monitor, "since": cursor}, token)

    async def newest(self, ip: str, monitor: str, begin: int, token: str | None) -> Page | Missed:
        """The panes that begin at `begin` (unix seconds) or later; all where the analyzer can't choose."""
        return await self._panes(ip, {"monitor": monitor, "since": "", "from": str(begin)}, token)

    async def _panes(self, ip: str, query: dict[str, str], token: str | None) -> Page | Missed:
        got = await self._get(ip, "/v1/panes", query, token, MOST_BYTES)
        if isinstance(got, Missed):
            return got
        body, headers = got
        try:
            begin = int(headers.get("X-Driftline-From", "0")[:12])
            cursor = headers.get("X-Driftline-Cursor", "")[:100]
            return Page(read_page(body), cursor, read_began(headers), begin)
        except TooMany:
            return Missed.TOO_MANY
        except (DataError, ValueError):
            return Missed.UNREADABLE

    async def pairs(self, ip: str, monitor: str, cursor: str, token: str | None) -> Pairs | Missed:
        """The parts of a shadow's pairs that have changed since a cursor."""
        got = await self._get(ip, "/v1/pairs", {"monitor": monitor, "since": cursor}, token, MOST_BYTES)
        if isinstance(got, Missed):
            return got
        body, headers = got
        try:
            return Pairs(read_parts(body), headers.get("X-Driftline-Cursor", "")[:100])
        except TooMany:
            return Missed.TOO_MANY
        except DataError:
            return Missed.UNREADABLE

    async def captured_rows(self, ip: str, monitor: str, capture: str, token: str | None) -> int | Missed:
        """How many rows the pod keeps for that capture (empty: the first)."""
        query = {"monitor": monitor, "rows": "0", "capture": capture}
        got = await self._get(ip, "/v1/captured", query, token, 4096)
        if isinstance(got, Missed):
            return got
        text = got[1].get("X-Driftline-Rows", "")
        return int(text) if text.isascii() and text.isdigit() else Missed.UNREADABLE

    async def captured(self, ip: str, monitor: str, capture: str, token: str | None) -> Captured | Missed:
        """The rows themselves."""
        query = {"monitor": monitor, "capture": capture}
        got = await self._get(ip, "/v1/captured", query, token, MOST_CAPTURED)
        if isinstance(got, Missed):
            return got
        try:
            return captured.decode(got[0])
        except DataError:
            return Missed.UNREADABLE

    async def _get(
        self, ip: str, path: str, query: dict[str, str], token: str | None, most: int
    ) -> tuple[bytes, dict[str, str]] | Missed:
        if token is None or self._session is None:
            return Missed.NO_TOKEN
        host = f"[{ip}]" if ":" in ip else ip
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with (
                self._limit,
                self._session.get(
                    f"http://{host}:{self._port}{path}", params=query, headers=headers, allow_redirects=False
                ) as answer,
            ):
                if answer.status != 200:
                    return _STATUS.get(answer.status, Missed.FAILED)
                if (answer.content_length or 0) > most:
                    return Missed.TOO_LARGE
                async with self._room.of(most if answer.content_length is None else answer.content_length):
                    body = await bounded(answer, most)
                return Missed.TOO_LARGE if body is None else (body, dict(answer.headers))
        except TimeoutError:
            return Missed.TIMEOUT
        except (aiohttp.ClientError, OSError):
            return Missed.UNREACHABLE
        except ValueError:  # no header can carry it
            return Missed.NO_TOKEN


class Room:
    """Bytes that all may hold together; who wants more waits for others to leave."""

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._freed = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Room for so many; what is more than all there is has all of it."""
        wanted = min(size, self._size)
        async with self._freed:
            await self._freed.wait_for(lambda: self._left >= wanted)
            self._left -= wanted
        try:
            yield
        finally:
            self._left += wanted
            async with self._freed:
                self._freed.notify_all()


_STATUS: Final = {401: Missed.REFUSED, 404: Missed.UNKNOWN_MONITOR}


async def bounded(answer: aiohttp.ClientResponse, most: int) -> bytes | None:
    """The body; None where it is larger than `most` bytes."""
    parts, size = [], 0
    async for part in answer.content.iter_chunked(1 << 16):
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)
