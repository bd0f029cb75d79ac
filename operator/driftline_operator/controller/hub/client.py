"""Requests to the hub: bounded in time and size; what goes wrong is a word, no error."""

from __future__ import annotations

import base64
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import aiohttp
import msgspec
from driftline.performance.report import HubReport
from driftline.shadow.performance import Labelled

from driftline_operator.conditions import HubReason
from driftline_operator.controller.hub.opinions import Away
from driftline_operator.controller.hub.registry import Registration
from driftline_operator.controller.monitors import Key
from driftline_operator.fleet.pull import bounded
from driftline_operator.shadow.course import Course

_log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_TIMEOUT: Final = aiohttp.ClientTimeout(total=20, sock_connect=3)
_MOST_BYTES: Final = 8 << 20
_MOST_PANE_BYTES: Final = 256 << 20
"""Of an answer with a thousand panes."""
_MOST_SAID: Final = 300


class _Monitor(msgspec.Struct):
    namespace: str
    name: str


class _Monitors(msgspec.Struct):
    monitors: list[_Monitor]


class SentPane(NamedTuple):
    """A pane of the fleet: unix seconds, seconds, and what is packed there."""

    start: int
    seconds: int
    body: bytes


class _Pane(msgspec.Struct):
    start: float
    body: bytes


class _Panes(msgspec.Struct):
    panes: list[_Pane]
    next: float | None = None


_PANES: Final = msgspec.json.Decoder(_Panes)
_REPORT: Final = msgspec.json.Decoder(HubReport)
_LABELLED: Final = msgspec.json.Decoder(Labelled)
_MONITORS: Final = msgspec.json.Decoder(_Monitors)


class HubClient:
    """One session. Use it with `async with`. `tls` and `token` are asked each time: both may be renewed."""

    def __init__(
        self, url: str, tls: Callable[[], ssl.SSLContext | None], token: Callable[[], str | None]
    ) -> None:
        self._url, self._tls, self._token = url.rstrip("/"), tls, token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HubClient:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def put(self, key: Key, told: Registration) -> Away | None:
        """Tell the hub of a monitor; None once it has it."""
        content = {
            "document": told.document,
            "profile": base64.b64encode(told.profile).decode(),
            "token": told.token,
        }
        got = await self._ask("PUT", f"/v1/monitors/{key[0]}/{key[1]}", body=msgspec.json.encode(content))
        return got if isinstance(got, Away) else None

    async def remove(self, key: Key) -> Away | None:
        """Take a monitor back: its rows go with the hub's next retention."""
        got = await self._ask("DELETE", f"/v1/monitors/{key[0]}/{key[1]}")
        return got if isinstance(got, Away) and got.reason is not HubReason.NOT_TOLD else None

    async def monitors(self) -> set[Key] | Away:
        """Those that the hub knows."""
        got = await self._read("list of monitors", _MONITORS, "/v1/monitors")
        return got if isinstance(got, Away) else {(each.namespace, each.name) for each in got.monitors}

    async def report(self, key: Key) -> HubReport | Away:
        """What it says of one monitor."""
        return await self._read("report", _REPORT, "/v1/report", {"namespace": key[0], "monitor": key[1]})

    async def labelled(self, key: Key, course: Course, before: float | None) -> Labelled | Away:
        """What labels say of a shadow's pairs; `before`: only of predictions made earlier, unix seconds."""
        clip = None if course.plan is None or course.plan.sort == "class" else course.plan.clip
        asked = {
            "namespace": key[0], "monitor": key[1], "shadow": course.uid, "generation": course.generation,
            "clip": clip, "before": before,
        }  # fmt: skip
        query = {name: str(value) for name, value in asked.items() if value is not None}
        return await self._read("labelled pairs", _LABELLED, "/v1/shadow", query)

    async def put_panes(self, key: Key, profile: str, panes: Sequence[SentPane]) -> Away | None:
        """Give panes of one reference to the hub; None once it has them."""
        content = [{**each._asdict(), "profile": profile} for each in panes]
        body = msgspec.json.encode({"panes": content})
        got = await self._ask("POST", f"/v1/panes/{key[0]}/{key[1]}", body=body)
        return got if isinstance(got, Away) else None

    async def panes(self, key: Key, profile: str, length: int, start: int, end: int) -> list[_Pane] | Away:
        """Panes of that length that begin within [start, end)."""
        found: list[_Pane] = []
        begin: float | None = start
        while begin is not None:
            query = {"profile": profile, "seconds": str(length), "start": str(begin), "end": str(end)}
            path = f"/v1/panes/{key[0]}/{key[1]}"
            page = await self._read("panes", _PANES, path, query, _MOST_PANE_BYTES)
            if isinstance(page, Away):
                return page
            found += page.panes
            begin = page.next
        return found

    async def _read(
        self,
        what: str,
        decoder: msgspec.json.Decoder[_Answer],
        path: str,
        query: Mapping[str, str] | None = None,
        most: int = _MOST_BYTES,
    ) -> _Answer | Away:
        got = await self._ask("GET", path, query=query, most=most)
        if isinstance(got, Away):
            return got
        try:
            return decoder.decode(got)
        except msgspec.DecodeError as error:
            return Away(HubReason.UNREACHABLE, f"the hub's {what} can't be read: {error}")

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
        most: int = _MOST_BYTES,
    ) -> bytes | Away:
        token = self._token()
        if self._session is None or not token:
            return Away(HubReason.UNREACHABLE, "there is no token for the hub yet")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            async with self._session.request(
                method,
                self._url + path,
                params=query,
                data=body,
                headers=headers,
                ssl=self._tls() or True,
                allow_redirects=False,
            ) as answer:
                content = await bounded(answer, most)
                if content is None:
                    return Away(HubReason.UNREACHABLE, f"the hub's answer has more than {most} bytes")
                return content if answer.status < 300 else _away(answer.status, content)
        except TimeoutError:
            return Away(HubReason.UNREACHABLE, f"the hub at {self._url} doesn't answer in time")
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            return Away(
                HubReason.UNREACHABLE, f"the hub at {self._url} can't be reached: {error}"[:_MOST_SAID]
            )


def _away(status: int, content: bytes) -> Away:
    said = content.decode("utf-8", "replace")[:_MOST_SAID]
    if status == 404:
        return Away(HubReason.NOT_TOLD, "the hub doesn't know the monitor yet")
    if status in (401, 403):
        return Away(HubReason.REFUSED, f"the hub doesn't take the controller's token: {said}")
    if status == 400:
        return Away(HubReason.REFUSED, f"the hub refuses the monitor: {said}")
    return Away(HubReason.UNREACHABLE, f"the hub answers {status}: {said}")
