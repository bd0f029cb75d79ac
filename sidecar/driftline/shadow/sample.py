"""The largest disagreements, for a person to look at: a bounded sample that merges the same in any order."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Annotated, Final

import msgspec
from msgspec import Meta

KEPT: Final = 50
MAX_TEXT: Final = 500
"""Characters of an answer that are kept."""
MAX_REQUEST: Final = 200
"""Characters of a request's id."""
MOST_BYTES: Final = 64 << 10
"""Of the sample as people read it."""


class Disagreement(msgspec.Struct, frozen=True, array_like=True):
    """One request on which the sides differ. `size`: the mean over its rows, of |delta| or of disagreement.

    `live` and `candidate` are the answers in short, redacted before they come here.
    """

    size: Annotated[float, Meta(ge=0, le=1e308)]
    request: Annotated[str, Meta(max_length=MAX_REQUEST)]
    live: Annotated[str, Meta(max_length=MAX_TEXT)]
    candidate: Annotated[str, Meta(max_length=MAX_TEXT)]


def largest(entries: Iterable[Disagreement]) -> tuple[Disagreement, ...]:
    """The `KEPT` largest; among equals a hash of the request's id decides, so none is favoured by its pod."""
    unique = {entry.request: entry for entry in sorted(entries, key=_rank, reverse=True)}
    return tuple(sorted(unique.values(), key=_rank)[:KEPT])


def shortened(text: str) -> str:
    """An answer cut to what is kept."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def listed(entries: Iterable[Disagreement], most: int = MOST_BYTES) -> str:
    """The largest as a JSON list of objects, as many as `most` bytes hold."""
    found = "[]"
    kept: list[dict[str, object]] = []
    for entry in sorted(entries, key=_rank):
        kept.append({name: getattr(entry, name) for name in Disagreement.__struct_fields__})
        longer = msgspec.json.encode(kept).decode()
        if len(longer.encode()) > most:
            break
        found = longer
    return found


def _rank(entry: Disagreement) -> tuple[float, bytes, str, str]:
    return (
        -entry.size,
        blake2b(entry.request.encode(), digest_size=8).digest(),
        entry.live,
        entry.candidate,
    )
