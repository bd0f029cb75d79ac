"""The request that a candidate gets: the client's, less what is the connection's or must stay hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from driftline_sidecar.analyzer.mirror.marker import HEADER
from driftline_sidecar.exchange import Exchange

_HOP: Final = frozenset(
    (
        b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding",
        b"upgrade", b"expect", b"content-length", b"host", HEADER,
    )
)  # fmt: skip
"""Of the connection (RFC 9110, 7.6.1), or written anew."""
_AS_ASCII: Final = "".join(map(chr, range(33, 127)))

Header = tuple[str, str]


class Copy(NamedTuple):
    """A request as it is to be sent. `target` begins with a slash; `headers` without Host, Content-Length and
    marker.
    """

    method: str
    target: str
    headers: tuple[Header, ...]
    body: bytes


def copy_of(exchange: Exchange) -> Copy:
    """From an exchange whose body is whole, redacted where it has to be. Raises ValueError without a path."""
    target = path_of(exchange)
    if target is None:
        raise ValueError("the request has no path")
    headers = [*_headers(exchange.request_head)]
    named = {
        name.strip().lower() for key, value in headers if key.lower() == "connection"
        for name in value.split(",")
    }  # fmt: skip
    kept = tuple(
        (name, value)
        for name, value in headers
        if name.lower().encode("latin-1") not in _HOP and name.lower() not in named
    )
    return Copy(exchange.method, target, kept, exchange.request_body)


def path_of(exchange: Exchange) -> str | None:
    """Path and query as sent, in ASCII; of a target in absolute form, what follows the host.

    None: the request asks for none (`CONNECT`, `OPTIONS *`: RFC 9112, 3.2), or for none that can be told.
    After an address, what doesn't begin with a slash may lead to another one (`http://candidate@elsewhere`).
    """
    target = exchange.target
    if exchange.method == "CONNECT":
        return None
    if not target.startswith("/"):
        try:
            found = urlsplit(target)
        except ValueError:
            return None
        if not found.netloc:
            return None
        target = (found.path or "/") + (f"?{found.query}" if found.query else "")
    return quote(target.encode("latin-1", "replace"), safe=_AS_ASCII)


def _headers(head: bytes) -> Iterator[Header]:
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            yield name.strip().decode("latin-1"), value.strip(b" \t").decode("utf-8", "replace")
