"""Takes redacted values out of an exchange before anything is kept of it or sent on.

Columns need no redaction: a feature whose path is redacted is refused by the spec. What is left are
bodies and heads, for whatever mirrors or logs an exchange.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from driftline.jsonpath import JsonPath, Segment, parse_path
from driftline.spec import Capture

from driftline_sidecar.decoders.body import content, parse
from driftline_sidecar.decoders.failure import DecodeError
from driftline_sidecar.exchange import Exchange

REDACTED = "[redacted]"

_CODED = (b"content-encoding", b"content-length")


class Redactor:
    """Redacts exchanges as a monitor's `capture` says."""

    def __init__(self, capture: Capture) -> None:
        self._paths = tuple(parse_path(path) for path in capture.redact)
        self._headers = frozenset(name.lower().encode("latin-1") for name in capture.redact_headers)

    def __call__(self, exchange: Exchange) -> Exchange:
        """A copy without the redacted values.

        A body that can't be parsed may hold them anywhere, so it is left out whole; so is one that is
        there in part only. The lengths still tell how much came.
        """
        request, request_plain = self._body(
            exchange.request_head, exchange.request_body, exchange.request_truncated
        )
        response, response_plain = self._body(
            exchange.response_head, exchange.response_body, exchange.response_truncated
        )
        return msgspec.structs.replace(
            exchange,
            request_head=self._head(exchange.request_head, request_plain),
            request_body=request,
            response_head=self._head(exchange.response_head, response_plain),
            response_body=response,
        )

    def _body(self, head: bytes, body: bytes, truncated: bool) -> tuple[bytes, bool]:
        """The body, and whether it was written anew (without content coding, of another length)."""
        if not self._paths or not body:
            return body, False
        if truncated:
            return b"", True
        try:
            document = parse(content(head, body))
        except (DecodeError, RecursionError):
            return b"", True
        for path in self._paths:
            document = redact(document, path)
        return msgspec.json.encode(document), True

    def _head(self, head: bytes, anew: bool) -> bytes:
        gone = self._headers.union(_CODED) if anew else self._headers
        first, *fields = head.split(b"\r\n")
        kept = [field for field in fields if field.partition(b":")[0].strip().lower() not in gone]
        return b"\r\n".join([first, *kept])


def redact(document: object, path: JsonPath) -> object:
    """The document with every value that the path names replaced. What it holds is changed in place."""
    return _redact(document, path.segments)


def _redact(value: object, segments: Sequence[Segment]) -> object:
    if not segments:
        return REDACTED
    head, rest = segments[0], segments[1:]
    children: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    for key, child in children:
        new = child
        if head.deep:
            new = _redact(new, segments)
        if head.key is None or head.key == key:
            new = _redact(new, rest)
        value[key] = new  # type: ignore[index]  # it has children, so it is a dict or a list
    return value
