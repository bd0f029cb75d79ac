"""The header that says of a request that a mirror sent it, and that nobody else can make.

    x-driftline-shadow: VERSION TIME NONCE SHADOW SIDE MAC

TIME in unix seconds, NONCE of one sending only, SHADOW the uid, percent-coded, SIDE `live` or `candidate`:
who is asked; MAC: HMAC-SHA256 in hex over all of these, method and target, each on a line. It is believed of
requests that began within a minute of it, once, and for that method and target only. Nothing of the client's
headers is in it.

A candidate could hide requests of its own behind what it is sent, so the pods that mirror to it analyse those
(`OWN`). They mirror them no further: where a candidate's Service leads back to them a request would go round
for ever. Any other pod believes them: it may be a candidate that is monitored, and mirrored itself.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Container
from enum import StrEnum
from hashlib import sha256
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, unquote

from driftline_sidecar.exchange import header

HEADER: Final = b"x-driftline-shadow"
MOST_AGE: Final = 60.0
"""Seconds, either way: clocks of nodes differ."""

_VERSION: Final = "1"
_FIELDS: Final = 6
_PURPOSE: Final = b"driftline shadow marker 1"
_MOST_BYTES: Final = 2048
_MOST_LASTING: Final = 720.0
"""Seconds from a request's begin to its analysis: `traffic.timeout` is at most ten minutes."""
_MEMORY: Final = _MOST_LASTING + 2 * MOST_AGE
"""Seconds from a marker's first use to the last in which it could be used again."""
_MOST_SEEN: Final = 50_000
"""Markers that are remembered; `_MEMORY` of 60 a second, a minute of 800."""

Side = Literal["live", "candidate"]


class Mark(StrEnum):
    """What a captured request's marker is worth: values of a label."""

    NONE = "none"
    VALID = "valid"
    """A copy: neither analysed nor mirrored."""
    OWN = "own"
    """What a candidate of these pods was sent: analysed, not mirrored."""
    INVALID = "invalid"
    """As if there were none."""


class Seal(NamedTuple):
    """Who sends, for which shadow (its uid), and who is asked."""

    key: bytes
    shadow: str
    side: Side


def key_of_token(token: str) -> bytes:
    """The key that all sidecars with that token share."""
    return hmac.digest(token.encode(), _PURPOSE, "sha256")


def sign(seal: Seal, now: float, method: str, target: str) -> bytes:
    """The header's value."""
    said = (_VERSION, str(int(now)), secrets.token_hex(8), quote(seal.shadow, safe=""), seal.side)
    return " ".join((*said, _mac(seal.key, *said, method, target))).encode("ascii")


class Reader:
    """Believes each marker once."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def __call__(
        self, key: bytes, head: bytes, started: float, now: float, mirrored: Container[str] = ()
    ) -> Mark:
        """What the marker is worth in the head of a request that began at `started` and is looked at now.

        `mirrored`: uids of the shadows that mirror from here.
        """
        found = read(key, head, started, mirrored)
        if found is not Mark.VALID:
            return found
        if now - started > _MOST_LASTING:
            return Mark.INVALID
        while self._seen and (
            len(self._seen) >= _MOST_SEEN or now - next(iter(self._seen.values())) > _MEMORY
        ):
            self._seen.popitem(last=False)
        value = header(head, HEADER) or b""
        if value in self._seen:
            return Mark.INVALID
        self._seen[value] = now
        return found


def read(key: bytes, head: bytes, started: float, mirrored: Container[str] = ()) -> Mark:
    """What the marker says in the head of a request that began then. `mirrored`: as `Reader` has it."""
    value = header(head, HEADER)
    if value is None:
        return Mark.NONE
    fields = value[:_MOST_BYTES].decode("latin-1").split(" ")
    line = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if not key or len(fields) != _FIELDS or len(line) != 3 or fields[0] != _VERSION:
        return Mark.INVALID
    *said, mac = fields
    expected = _mac(key, *said, line[0], line[1])
    if not hmac.compare_digest(mac.encode("latin-1"), expected.encode()):
        return Mark.INVALID
    _, at, _, shadow, side = said
    if side == "candidate" and unquote(shadow) in mirrored:
        return Mark.OWN
    return Mark.VALID if abs(started - int(at)) <= MOST_AGE else Mark.INVALID


def _mac(key: bytes, *said: str) -> str:
    return hmac.new(key, "\n".join(said).encode("latin-1", "replace"), sha256).hexdigest()
