"""How two JSON answers of free form differ, field by field.

Arrays are compared place by place and reported as `[*]`: the fields of all items together, so that a long
list is one line and not a thousand. What is redacted is neither compared nor shown. Text is compared as it
is, numbers within the tolerance; a number and a text that looks like it are of unlike type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from driftline.jsonpath import JsonPath, Segment, of_key
from driftline.spec.shadow import Tolerance

Steps = tuple[str | int, ...]
Hidden = Callable[[Steps], bool]

MAX_VALUES: Final = 20_000
"""Of one answer; what lies beyond is not compared, and the answers count as different."""
MAX_DEPTH: Final = 64


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
    """One place. `live` and `candidate` are decoded JSON; None where that side has nothing."""

    path: str
    kind: Kind
    live: object
    candidate: object


@dataclass(slots=True)
class JsonDiff:
    """`compared`: by path, how many values were; `hidden`: how many were not, for they are redacted."""

    compared: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    hidden: int = 0
    truncated: bool = False

    @property
    def equal(self) -> bool:
        """Whether the answers agree, as far as may be told."""
        return not self.differences and not self.truncated


def nothing_hidden(steps: Steps) -> bool:
    """Where no field is redacted."""
    return False


def hidden_by(paths: Sequence[JsonPath]) -> Hidden:
    """Places that a monitor's redactions cover, seen from the body and from every value within it."""

    def hidden(steps: Steps) -> bool:
        return any(
            path.covers(JsonPath("", _segments(steps[at:]))) for path in paths for at in range(len(steps))
        )

    return hidden


def json_diff(
    live: object,
    candidate: object,
    tolerance: Tolerance = EXACT_ENOUGH,
    hidden: Hidden = nothing_hidden,
) -> JsonDiff:
    """Compare two decoded JSON documents. The walk is bounded by `MAX_VALUES` and `MAX_DEPTH`."""
    found = JsonDiff()
    waiting: list[tuple[Steps, object, object]] = [((), live, candidate)]
    for _ in range(MAX_VALUES):
        if not waiting:
            return found
        steps, a, b = waiting.pop()
        if steps and hidden(steps):
            found.hidden += 1
        elif type(a) is type(b) and isinstance(a, dict | list) and len(steps) < MAX_DEPTH:
            waiting += reversed([*_children(found, steps, a, b)])
        else:
            _leaf(found, steps, a, b, tolerance)
    found.truncated = bool(waiting)
    return found


_ABSENT: Final = object()


def _children(found: JsonDiff, steps: Steps, a: object, b: object) -> Iterator[tuple[Steps, object, object]]:
    first, second = _items(a), _items(b)
    for key in [*first, *(key for key in second if key not in first)]:
        yield (*steps, key), first.get(key, _ABSENT), second.get(key, _ABSENT)


def _items(value: object) -> dict[str | int, object]:
    if isinstance(value, dict):
        return dict(value)
    return dict(enumerate(value)) if isinstance(value, list) else {}


def _leaf(found: JsonDiff, steps: Steps, a: object, b: object, tolerance: Tolerance) -> None:
    path = path_text(steps)
    found.compared[path] += 1
    kind = _kind(a, b, tolerance)
    if kind is not None:
        live, candidate = (None if side is _ABSENT else side for side in (a, b))
        found.differences.append(Difference(path, kind, live, candidate))


def _kind(a: object, b: object, tolerance: Tolerance) -> Kind | None:
    if a is _ABSENT or b is _ABSENT:
        return Kind.ADDED if a is _ABSENT else Kind.MISSING
    if _is_number(a) and _is_number(b):
        return None if numbers_agree(a, b, tolerance) else Kind.CHANGED  # type: ignore[arg-type]
    if type(a) is not type(b):
        return Kind.TYPE
    return None if a == b else Kind.CHANGED


def numbers_agree(live: float, candidate: float, tolerance: Tolerance) -> bool:
    """Whether two numbers differ by no more than absolute + relative x |live|; equal infinities do."""
    if live == candidate or (live != live and candidate != candidate):
        return True
    return abs(candidate - live) <= tolerance.absolute + tolerance.relative * abs(live) < float("inf")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def path_text(steps: Steps) -> str:
    """A place as people read it: `$.items[*].name`."""
    return "$" + "".join("[*]" if isinstance(step, int) else of_key(step).text[1:] for step in steps)


def _segments(steps: Steps) -> tuple[Segment, ...]:
    return tuple(Segment(step) for step in steps)
