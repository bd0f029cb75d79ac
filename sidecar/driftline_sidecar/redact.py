"""Takes redacted values out of an exchange before anything is kept of it or sent on.

Columns need no redaction: the spec refuses to watch what is redacted, and the decoder makes no column of
a redacted feature that a profile or the traffic brings. What is left are bodies and heads: the two
programs keep neither, and whatever sends them on (a mirror to a candidate) takes them from here.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from driftline.jsonpath import JsonPath, Segment, parse_path
from driftline.spec import Capture
from driftline.spec.policy import CREDENTIAL_HEADERS

from driftline_sidecar.decoders.body import content, parse
from driftline_sidecar.decoders.failure import DecodeError
from driftline_sidecar.exchange import Exchange

REDACTED = "[redacted]"
"""What stands in a redacted value's place."""

_CODED = (b"content-encoding", b"content-length")


class Redactor:
    """Redacts exchanges as a monitor's `capture` says. Credentials are hidden whatever it says."""

    def __init__(self, capture: Capture, features: Sequence[str] = ()) -> None:
        """`features`: their names in the order in which arrays list them."""
        self._hidden = tuple(
            place for place, name in enumerate(features) if any(_hides(path, name) for path in capture.redact)
        )
        self._width = len(features)
        self._paths = tuple(parse_path(path) for path in capture.redact)
        hidden = (*capture.redact_headers, *CREDENTIAL_HEADERS)
        self._headers = frozenset(name.lower().encode("latin-1") for name in hidden)

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
        if self._hidden:
            self._redact_arrays(document)
        return msgspec.json.encode(document), True

    def _redact_arrays(self, value: object) -> None:
        """Rows that are arrays in the schema's order."""
        if isinstance(value, list) and len(value) == self._width:
            for place in self._hidden:
                if not isinstance(value[place], dict | list):
                    value[place] = REDACTED
        for _, child in _children(value):
            self._redact_arrays(child)

    def _head(self, head: bytes, anew: bool) -> bytes:
        gone = self._headers.union(_CODED) if anew else self._headers
        first, *fields = head.split(b"\r\n")
        kept = [field for field in fields if field.partition(b":")[0].strip().lower() not in gone]
        return b"\r\n".join([first, *kept])


def _hides(path: str, name: str) -> bool:
    segments = parse_path(path).segments
    return bool(segments) and segments[-1].key == name


def redact(document: object, path: JsonPath) -> object:
    """The document with every value that the path names replaced. What it holds is changed in place.

    The path is followed from the body and from every value within it: a monitor's `$.ssn` means the
    field of a record, wherever the protocol has its records. A path of one key hides the tensor of that
    name and the column of a split data frame too.
    """
    key = path.segments[-1].key if len(path.segments) == 1 else None
    if isinstance(key, str):
        _redact_columns(document, key)
    for _, child in _children(document):
        if isinstance(child, dict | list):
            redact(child, path)
    return _redact(document, path.segments)


def _children(value: object) -> list[tuple[str | int, object]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _redact(value: object, segments: Sequence[Segment]) -> object:
    if not segments:
        return REDACTED
    head, rest = segments[0], segments[1:]
    for key, child in _children(value):
        new = _redact(child, segments) if head.deep else child
        if head.key is None or head.key == key:
            new = _redact(new, rest)
        value[key] = new  # type: ignore[index]  # it has children, so it is a dict or a list
    return value


def _redact_columns(value: object, name: str) -> None:
    """Values that stand apart from their name: tensors, split data frames."""
    if not isinstance(value, dict) or "data" not in value:
        return
    columns, data = value.get("columns"), value["data"]
    if value.get("name") == name:
        value["data"] = REDACTED
    elif isinstance(columns, list) and name in columns and isinstance(data, list):
        place = columns.index(name)
        for row in data:
            if isinstance(row, list) and place < len(row):
                row[place] = REDACTED
