"""How predictions and classes are named, so that what the sidecar logs is what labels are sent for.

Whoever makes an id of several fields (`spec.labels.key`) or names a class must come to the same text:
the sidecar from a request, the client and the command line from a data file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

LONGEST_ID: Final = 512
"""Characters, as `driftline.events.EventId` says."""
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")


def text_of(value: object) -> str | None:
    """A scalar as text, numbers and booleans as JSON writes them (2.0 as `2`); None where it is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value) if isinstance(value, int | float) else None


def key_of(values: Iterable[object]) -> str | None:
    """The id that several fields make: `UA1545/2013-01-01`. None where one is missing or no scalar.

    `/` and `%` within a field are written `%2F` and `%25`, so that no two keys make one id.
    """
    parts: list[str] = []
    for value in values:
        part = text_of(value)
        if not part or part == "nan":
            return None
        parts.append(part.replace("%", "%25").replace("/", "%2F"))
    return "/".join(parts)


def row_id(request: str, row: int) -> str:
    """The id of a row of a request: the request's own, from the second row on with the row's number."""
    return f"{request}/{row}" if row else request


def id_problem(found: str | None) -> str | None:
    """Why that can't be an id; None: it can."""
    if not found:
        return "is empty"
    if len(found) > LONGEST_ID:
        return f"has more than {LONGEST_ID} characters"
    # No database and no log should have to hold them; PostgreSQL's text can't hold NUL at all.
    return "holds control characters" if _CONTROL.search(found) else None
