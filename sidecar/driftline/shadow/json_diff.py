"""How two JSON answers of free form differ, field by field.

Arrays are compared place by place and reported as `[*]`: the fields of all items together, so that a long
list is one line and not a thousand. What is redacted is neither compared nor shown, wherever it lies: of an
object or array that stands against something else, only the size is shown. Text is compared as it is,
numbers within the tolerance; a number and a text that looks like it are of unlike type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from driftline.jsonpath import of_key
from driftline.redactions import NOTHING, Place, Redactions
from driftline.spec.shadow import Tolerance

MAX_VALUES: Final = 20_000
"""Of both answers together, that are looked at; what lies beyond is not compared."""
MAX_PATH: Final = 256
"""Characters of a path; those that would be longer are cut at a few more, and so are one."""
MAX_SHOWN: Final = 200
"""Characters of a value that are shown."""


EXACT_ENOUGH: Final = Tolerance()
"""The spec's default."""


class Kind(StrEnum):
    """How a field differs."""

    CHANGED = "Changed"
    TYPE = "Type"
    MISSING = "Missing"
    """The live answer has it, the candidate's hasn't."""
    ADDED = "Added"
    """The candidate's answer has it, the live one hasn't."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place. `live` and `candidate`: what is there, in short: JSON, `absent`, or a size."""

    path: str
    kind: Kind
    live: str
    candidate: str


@dataclass(slots=True)
class JsonDiff:
    """`compared`: by path, how many values were; `hidden`: how many were not, for they are redacted.

    `truncated`: there was more than is compared.
    """

    compared: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    hidden: int = 0
    truncated: bool = False

    @property
    def equal(self) -> bool:
        """Whether the answers agree, as far as may be told."""
        return not self.differences and not self.truncated

    @property
    def undecided(self) -> bool:
        """Whether the answers are alike as far as they were compared, and longer than that."""
        return not self.differences and self.truncated


class _Pair:
    """Two values at one place. Not a tuple: it is made for every value."""

    __slots__ = ("candidate", "live", "path", "place")

    def __init__(self, path: str, place: Place | None, live: object, candidate: object) -> None:
        self.path, self.place, self.live, self.candidate = path, place, live, candidate


def json_diff(
    live: object,
    candidate: object,
    tolerance: Tolerance = EXACT_ENOUGH,
    redactions: Redactions = NOTHING,
) -> JsonDiff:
    """Compare two decoded JSON documents. The walk is bounded by `MAX_VALUES`."""
    found = JsonDiff()
    walk = [iter((_Pair("$", redactions.root, live, candidate),))]
    left = MAX_VALUES
    while walk:
        pair = next(walk[-1], None)
        if pair is None:
            walk.pop()
            continue
        if not left:
            found.truncated = True
            return found
        left -= 1
        if pair.place is None:
            found.hidden += 1
        elif type(pair.live) is type(pair.candidate) and isinstance(pair.live, dict | list):
            walk.append(_children(pair, redactions))
        else:
            _leaf(found, pair, tolerance)
    return found


_ABSENT: Final = object()


def _children(pair: _Pair, redactions: Redactions) -> Iterator[_Pair]:
    a, b = pair.live, pair.candidate
    if pair.place is None:
        return
    place = redactions.within(redactions.within(pair.place, a), b)
    if isinstance(a, dict) and isinstance(b, dict):
        for keys in (a, (key for key in b if key not in a)):
            for key in keys:
                path = pair.path if len(pair.path) > MAX_PATH else pair.path + _step(key[: MAX_PATH + 1])
                yield _Pair(path, redactions.step(place, key), a.get(key, _ABSENT), b.get(key, _ABSENT))
    elif isinstance(a, list) and isinstance(b, list):
        path = pair.path if len(pair.path) > MAX_PATH else f"{pair.path}[*]"
        for at in range(max(len(a), len(b))):
            sides = (side[at] if at < len(side) else _ABSENT for side in (a, b))
            yield _Pair(path, redactions.step(place, at), *sides)


@lru_cache(1024)
def _step(key: str) -> str:
    return of_key(key).text[1:]


def _leaf(found: JsonDiff, pair: _Pair, tolerance: Tolerance) -> None:
    found.compared[pair.path] += 1
    kind = _kind(pair.live, pair.candidate, tolerance)
    if kind is not None:
        found.differences.append(Difference(pair.path, kind, _shown(pair.live), _shown(pair.candidate)))


_NAMES: Final = {None: "null", True: "true", False: "false"}


def _shown(value: object) -> str:
    """Nothing of what lies in a container: it may be redacted."""
    if value is _ABSENT:
        return "absent"
    if isinstance(value, dict | list):
        return f"{'object' if isinstance(value, dict) else 'array'} of {len(value)}"
    if isinstance(value, str):
        text = msgspec.json.encode(value[: MAX_SHOWN + 1]).decode()
    else:
        text = _NAMES[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def _kind(a: object, b: object, tolerance: Tolerance) -> Kind | None:
    if a is _ABSENT or b is _ABSENT:
        return Kind.ADDED if a is _ABSENT else Kind.MISSING
    if _is_number(a) and _is_number(b):
        return None if numbers_agree(a, b, tolerance) else Kind.CHANGED  # type: ignore[arg-type]
    if type(a) is not type(b):
        return Kind.TYPE
    return None if a == b else Kind.CHANGED


def numbers_agree(live: float, candidate: float, tolerance: Tolerance) -> bool:
    """Whether two numbers differ by no more than absolute + relative x |live|; equal infinities do.

    An integer beyond the largest float is like itself alone.
    """
    if live == candidate or (live != live and candidate != candidate):
        return True
    try:
        return abs(candidate - live) <= tolerance.absolute + tolerance.relative * abs(live) < float("inf")
    except OverflowError:
        return False


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
