"""Judges message heads: how the body that follows is framed, and what else the observer has to know.

llhttp (httptools) parses each head alone, with a parser of its own: given whole messages it would
take the head that follows a HEAD's response for a body, and hide the body of a request that asks for
an upgrade. It gives no offsets, so the boundaries are found in the bytes. Whatever two parsers could
read differently (both lengths given, several lengths, bare line feeds, folded lines) is refused here.

Heads repeat on a kept-alive connection, so what was found is remembered by the head's bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

import httptools

from driftline_sidecar.relay import plain
from driftline_sidecar.settings import CaptureSettings, Route

ID_HEADER: Final = b"x-driftline-id: "

CHUNKED: Final = -1
"""Body length: the transfer coding tells."""
UNTIL_CLOSE: Final = -2
"""Body length: the end of the connection tells (responses only)."""

_REMEMBERED: Final = 512
_REMEMBERED_BYTES: Final = 2048
_ID: Final = re.compile(rb"[!-~]{1,128}")
_BODILESS: Final = (204, 304)
_MAX_LENGTH_DIGITS: Final = 18


class Unparsable(ValueError):
    """A head (or chunk) that parsers may disagree about; the connection becomes opaque."""


class RequestHead:
    """What the observer needs of a request's head."""

    __slots__ = ("identity", "is_head", "length", "raw", "route", "special", "upgrade")

    def __init__(self, raw: bytes, length: int, upgrade: bool, identity: bytes, route: Route | None) -> None:
        self.raw = raw
        self.length = length
        self.upgrade = upgrade
        self.identity = identity
        self.route = route
        self.is_head = raw.startswith(b"HEAD ")
        self.special = upgrade or self.is_head
        """Whether the answer's framing depends on more than its head."""


class ResponseHead:
    """What the observer needs of a response's head; `length` holds for requests other than HEAD."""

    __slots__ = ("length", "line_end", "opening", "raw", "status")

    def __init__(self, raw: bytes, status: int, length: int) -> None:
        self.raw = raw
        self.status = status
        self.length = length
        self.line_end = raw.index(b"\r\n") + 2
        self.opening = raw[: self.line_end] + ID_HEADER
        """What goes before a generated id, which goes after the status line."""


_Head = TypeVar("_Head", RequestHead, ResponseHead)


class Heads:
    """Parses and remembers heads under the capture settings in force; 512 heads a side at most."""

    def __init__(self, capture: CaptureSettings) -> None:
        self._capture = capture
        self.requests: dict[bytes, RequestHead] = {}
        self.responses: dict[bytes, ResponseHead] = {}
        self._routes: dict[bytes, tuple[Route | None, tuple[bytes, ...]]] = {}

    def plain_request(self, raw: bytes) -> RequestHead | None:
        """Judge a request's head if it is plainly written."""
        read = plain.request(raw)
        if read is None:
            return None
        path, length, lowered = read
        route, names = self._route(path)
        identity = _identity(lambda name: plain.values(raw, lowered, name), names)
        return _remember(self.requests, RequestHead(raw, length or 0, False, identity, route))

    def plain_response(self, raw: bytes) -> ResponseHead | None:
        """Judge a final response's head if it is plainly written."""
        read = plain.response(raw)
        if read is None:
            return None
        status, length = int(read[0]), read[1]
        if status in _BODILESS:
            length = 0
        return _remember(self.responses, ResponseHead(raw, status, UNTIL_CLOSE if length is None else length))

    def request(self, raw: bytes) -> RequestHead:
        """Judge a request's head, given up to and including its empty line. Raises Unparsable."""
        headers = _Headers()
        parser = httptools.HttpRequestParser(headers)
        _parse(parser, raw)
        method, target, version = raw[: raw.index(b"\r\n")].split(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise Unparsable("an unknown version")
        length = headers.body_length(0)
        upgrade = parser.should_upgrade() or method == b"CONNECT"
        route, names = self._route(target.partition(b"?")[0])
        identity = _identity(headers.all, names)
        return _remember(self.requests, RequestHead(raw, length, upgrade, identity, route))

    def response(self, raw: bytes) -> ResponseHead:
        """Judge a response's head, given up to and including its empty line. Raises Unparsable."""
        headers = _Headers()
        parser = httptools.HttpResponseParser(headers)
        _parse(parser, raw)
        status = parser.get_status_code()
        length = 0 if status < 200 or status in _BODILESS else headers.body_length(UNTIL_CLOSE)
        return _remember(self.responses, ResponseHead(raw, status, length))

    def _route(self, path: bytes) -> tuple[Route | None, tuple[bytes, ...]]:
        """Whose a path is, and the headers in which its ids may come."""
        found = self._routes.get(path)
        if found is None:
            route = self._capture.route(path.decode("latin-1"))
            found = route, tuple(name.encode("latin-1") for name in route.id_headers) if route else ()
            if len(path) <= _REMEMBERED_BYTES:
                if len(self._routes) >= _REMEMBERED:
                    self._routes.clear()
                self._routes[path] = found
        return found


class _Headers:
    """Takes one head's headers from httptools."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def all(self, name: bytes) -> list[bytes]:
        return [value.strip(b" \t") for field, value in self.fields if field == name]

    def body_length(self, default: int) -> int:
        lengths, codings = self.all(b"content-length"), self.all(b"transfer-encoding")
        if codings:
            if lengths or len(codings) > 1 or codings[0].lower() != b"chunked":
                raise Unparsable("a framing that parsers may disagree about")
            return CHUNKED
        if not lengths:
            return default
        if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > _MAX_LENGTH_DIGITS:
            raise Unparsable("a content length that parsers may disagree about")
        return int(lengths[0])


def _parse(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, raw: bytes) -> None:
    if raw.count(b"\n") != raw.count(b"\r\n") or b"\r\n " in raw or b"\r\n\t" in raw:
        raise Unparsable("line ends that parsers may disagree about")
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        return
    except httptools.HttpParserError as error:
        raise Unparsable(str(error)) from None


def _identity(values: Callable[[bytes], list[bytes]], names: tuple[bytes, ...]) -> bytes:
    for name in names:
        for value in values(name):
            if _ID.fullmatch(value):
                return value
    return b""


def _remember(known: dict[bytes, _Head], head: _Head) -> _Head:
    if len(head.raw) <= _REMEMBERED_BYTES:
        if len(known) >= _REMEMBERED:
            known.clear()
        known[head.raw] = head
    return head
