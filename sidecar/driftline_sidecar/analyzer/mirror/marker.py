"""The header that says of a request that a mirror sent it, and that nobody else can make.

    x-driftline-shadow: VERSION TIME ID MAC

TIME in unix seconds, ID percent-coded, of one sending only; MAC: HMAC-SHA256 in hex over version, time, id,
method and target, each on a line. It is believed for a minute, once, and for that method and target only.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from enum import StrEnum
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from driftline_sidecar.exchange import header

HEADER: Final = b"x-driftline-shadow"
MOST_AGE: Final = 60.0
"""Seconds, either way: clocks of nodes differ."""

_VERSION: Final = "1"
_PURPOSE: Final = b"driftline shadow marker 1"
_MOST_BYTES: Final = 2048
_MOST_SEEN: Final = 50_000
"""Markers that are remembered; a minute of 800 a second."""


class Mark(StrEnum):
    """What a captured request's marker is worth: values of a label."""

    NONE = "none"
    VALID = "valid"
    INVALID = "invalid"


def key_of_token(token: str) -> bytes:
    """The key that all sidecars with that token share."""
    return hmac.digest(token.encode(), _PURPOSE, "sha256")


def sign(key: bytes, identity: str, now: float, method: str, target: str) -> bytes:
    """The header's value."""
    at, name = str(int(now)), f"{quote(identity, safe='')}.{secrets.token_hex(6)}"
    return f"{_VERSION} {at} {name} {_mac(key, at, name, method, target)}".encode("ascii")


class Reader:
    """Believes each marker once: who has seen one (a candidate) can't hide requests of its own behind it."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def __call__(self, key: bytes, head: bytes, now: float) -> Mark:
        """What the marker in a request's head is worth at that time."""
        found = read(key, head, now)
        if found is not Mark.VALID:
            return found
        while self._seen and (
            len(self._seen) >= _MOST_SEEN or now - next(iter(self._seen.values())) > 2 * MOST_AGE
        ):
            self._seen.popitem(last=False)
        value = header(head, HEADER) or b""
        if value in self._seen:
            return Mark.INVALID
        self._seen[value] = now
        return found


def read(key: bytes, head: bytes, now: float) -> Mark:
    """What the marker in a request's head says at that time."""
    value = header(head, HEADER)
    if value is None:
        return Mark.NONE
    fields = value[:_MOST_BYTES].decode("latin-1").split(" ")
    line = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if not key or len(fields) != 4 or len(line) != 3 or fields[0] != _VERSION:
        return Mark.INVALID
    _, at, name, mac = fields
    expected = _mac(key, at, name, line[0], line[1])
    if not hmac.compare_digest(mac.encode("latin-1"), expected.encode()):
        return Mark.INVALID
    fresh = at.isascii() and at.isdigit() and abs(now - int(at)) <= MOST_AGE
    return Mark.VALID if fresh else Mark.INVALID


def _mac(key: bytes, at: str, name: str, method: str, target: str) -> str:
    said = f"{_VERSION}\n{at}\n{name}\n{method}\n{target}"
    return hmac.new(key, said.encode("latin-1", "replace"), sha256).hexdigest()
