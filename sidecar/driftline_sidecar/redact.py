"""Takes redacted values out of an exchange before anything is kept of it or sent on.

Columns need no redaction: the spec refuses to watch what is redacted, and the decoder makes no column of
a redacted feature that a profile or the traffic brings. What is left are bodies and heads: the two
programs keep neither, and whatever sends them on (a mirror to a candidate) takes them from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from driftline.jsonpath import parse_path
from driftline.redactions import Redactions
from driftline.spec import Capture
from driftline.spec.policy import CREDENTIAL_HEADERS

from driftline_sidecar.decoders.body import content, parse
from driftline_sidecar.decoders.failure import DecodeError
from driftline_sidecar.exchange import Exchange

REDACTED = "[redacted]"
"""What stands in a redacted value's place."""

_CODED: Final = (b"content-encoding", b"content-length")


def redactions_of(capture: Capture, features: Sequence[str] = ()) -> Redactions:
    """What a monitor hides. `features`: their names in the order in which arrays list them."""
    return Redactions([parse_path(path) for path in capture.redact], features)


class Redactor:
    """Redacts exchanges as a monitor's `capture` says. Credentials are hidden whatever it says."""

    def __init__(self, capture: Capture, features: Sequence[str] = ()) -> None:
        """`features`: as `redactions_of` has them."""
        self._paths = capture.redact
        self._redactions = redactions_of(capture, features)
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
            document = self._redactions.redact(parse(content(head, body)), REDACTED)
            return msgspec.json.encode(document), True
        except (DecodeError, RecursionError, OverflowError):
            return b"", True

    def _head(self, head: bytes, anew: bool) -> bytes:
        gone = self._headers.union(_CODED) if anew else self._headers
        first, *fields = head.split(b"\r\n")
        kept = [field for field in fields if field.partition(b":")[0].strip().lower() not in gone]
        return b"\r\n".join([first, *kept])
