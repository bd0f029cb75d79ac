"""Reads plainly written heads without a parser: most are, and many clients' are never the same twice.

Plain is what can be read in one way only: printable ASCII, no folded lines, at most one Content-Length
of digits, no transfer coding and no upgrade. Anything else is left to `heads`, which must come to the
same judgement of a plain head by llhttp; a property test says that it does.
"""

from __future__ import annotations

import re
from typing import Final

MAX_HEAD: Final = 64 * 1024
"""Bytes. Servers refuse heads well below this; a longer one is not observed."""

_FIELDS: Final = rb"(?:[-0-9A-Za-z_]++:[ -~]*+\r\n)*+\r\n"
_TARGET: Final = rb"(/[-0-9A-Za-z/._~%!$&'()*+,;=:@]*+)(?:\?[-0-9A-Za-z/._~%!$&'()*+,;=:@]*+)?"
_REQUEST: Final = re.compile(
    rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE) " + _TARGET + rb" HTTP/1\.[01]\r\n" + _FIELDS
)
_RESPONSE: Final = re.compile(rb"HTTP/1\.[01] ([2-5]\d\d) [ -~]*+\r\n" + _FIELDS)
_LENGTH: Final = b"\r\ncontent-length:"
_SPECIAL: Final = (b"\r\ntransfer-encoding:", b"\r\nupgrade:")
_MAX_DIGITS: Final = 18


def request(raw: bytes) -> tuple[bytes, int | None, bytes] | None:
    """A plain request's path, Content-Length and head in lower case; None: not plain."""
    return _read(_REQUEST, raw)


def response(raw: bytes) -> tuple[bytes, int | None, bytes] | None:
    """A plain final response's status, Content-Length and head in lower case; None: not plain."""
    return _read(_RESPONSE, raw)


def values(raw: bytes, lowered: bytes, name: bytes) -> list[bytes]:
    """All values of a field of a plain head; `name` in lower case."""
    found = []
    field = b"\r\n" + name + b":"
    at = lowered.find(field)
    while at >= 0:
        start = at + len(field)
        at = raw.index(b"\r\n", start)
        found.append(raw[start:at].strip(b" "))
        at = lowered.find(field, at)
    return found


def _read(pattern: re.Pattern[bytes], raw: bytes) -> tuple[bytes, int | None, bytes] | None:
    match = pattern.fullmatch(raw) if len(raw) <= MAX_HEAD else None
    if match is None:
        return None
    lowered = raw.lower()
    if _SPECIAL[0] in lowered or _SPECIAL[1] in lowered:
        return None
    at = lowered.find(_LENGTH)
    if at < 0:
        return match[1], None, lowered
    start = at + len(_LENGTH)
    end = raw.index(b"\r\n", start)
    digits = raw[start:end].strip(b" ")
    if not digits.isdigit() or len(digits) > _MAX_DIGITS or lowered.find(_LENGTH, end) >= 0:
        return None
    return match[1], int(digits), lowered
