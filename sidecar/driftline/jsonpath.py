"""A small JSON path: where a value lies in a body, and what must be redacted.

The subset of RFC 9535 that names places and nothing more: `$`, `.name`, `['any name']`, `[0]`,
`[*]`, `.*` and, for redaction, the recursive `..name`. No filters, slices or scripts, so a path
from a monitor can't cost more than one walk over the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_SEGMENTS = 32
"""A path deeper than any body worth monitoring is refused."""

_NAME = r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\-\u0080-\U0010ffff]*"
_SEGMENT = re.compile(
    rf"\.(?P<deep>\.)?(?P<name>{_NAME}|\*)"
    r"|\[(?P<index>[0-9]{1,9})\]"
    r"|\[(?P<star>\*)\]"
    r"|\['(?P<single>(?:[^'\\]|\\.)*)'\]"
    r'|\["(?P<double>(?:[^"\\]|\\.)*)"\]'
)

_FIRST = r"[^\x00-@\[-\^`\{-\x7f]"
_NEXT = r"[^\x00-,.\/:-@\[-\^`\{-\x7f]"
PATTERN: Final = (
    rf"^\$(\.\.?({_FIRST}{_NEXT}*|\*)|\[([0-9]{{1,9}}|\*|'([^'\\]|\\.)*'|\"([^\"\\]|\\.)*\")\])*$"
)
"""What a schema accepts (RE2 and ECMAScript alike); `parse_path` says better what is wrong."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One step: a key of an object (str), an index of an array (int), or each of either (None).

    `deep`: at any depth below instead of just one.
    """

    key: str | int | None
    deep: bool = False


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A parsed path; `text` is what was written."""

    text: str
    segments: tuple[Segment, ...]

    @property
    def single(self) -> bool:
        """True when it can select one value at most."""
        return all(segment.key is not None and not segment.deep for segment in self.segments)

    @property
    def keys(self) -> tuple[str, ...] | None:
        """The keys, where it consists of nothing but keys of objects (`$.a.b`); else None."""
        keys = tuple(s.key for s in self.segments if isinstance(s.key, str) and not s.deep)
        return keys if len(keys) == len(self.segments) else None

    def select(self, document: object) -> Iterator[object]:
        """Every value of a decoded JSON document that the path names, in document order."""
        yield from _select(document, self.segments)

    def covers(self, other: JsonPath) -> bool:
        """True when whatever `other` names is, or lies within, something that this path names."""
        return _covers(self.segments, other.segments)

    def __str__(self) -> str:
        return self.text


ROOT: Final = JsonPath("$", ())


def parse_path(text: str) -> JsonPath:
    """The path that `text` writes. Raises ValueError that says what is wrong and where."""
    if not text.startswith("$"):
        raise ValueError(f"must be a JSON path that begins with $, such as $.{_example(text)}, not {text!r}")
    segments: list[Segment] = []
    position = 1
    while position < len(text):
        match = _SEGMENT.match(text, position)
        if match is None:
            raise ValueError(
                f"is no JSON path at character {position + 1} of {text!r} "
                "($.a.b, $.a[0], $.a[*].b, $['x y'] and $..name are understood)"
            )
        segments.append(Segment(_key(match), bool(match["deep"])))
        position = match.end()
        if len(segments) > MAX_SEGMENTS:
            raise ValueError(f"has more than {MAX_SEGMENTS} steps")
    if sum(segment.deep for segment in segments) > 1:
        raise ValueError("has more than one recursive step (..): a body could make that walk long")
    return JsonPath(text, tuple(segments))


def of_key(key: str) -> JsonPath:
    """The path of one key of an object, whatever characters it has."""
    quoted = key.replace("\\", "\\\\").replace("'", "\\'")
    plain = re.fullmatch(_NAME, key)
    return JsonPath(f"$.{key}" if plain else f"$['{quoted}']", (Segment(key),))


def _key(match: re.Match[str]) -> str | int | None:
    if match["name"] is not None:
        return None if match["name"] == "*" else match["name"]
    if match["index"] is not None:
        return int(match["index"])
    if match["star"] is not None:
        return None
    quoted = match["single"] if match["single"] is not None else match["double"]
    return re.sub(r"\\(.)", r"\1", quoted)


def _example(text: str) -> str:
    return text if re.fullmatch(_NAME, text) else "a.b"


def _children(value: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _select(value: object, segments: tuple[Segment, ...]) -> Iterator[object]:
    if not segments:
        yield value
        return
    head, rest = segments[0], segments[1:]
    for key, child in _children(value):
        if head.key is None or head.key == key:
            yield from _select(child, rest)
        if head.deep:
            yield from _select(child, segments)


def _covers(mine: tuple[Segment, ...], other: tuple[Segment, ...]) -> bool:
    """Does `mine` match a prefix of `other`? A deep step of `other` may hide anything, so it is met
    only by a deep step that asks for the same key.
    """
    if not mine:
        return True
    if not other:
        return False
    head, target = mine[0], other[0]
    matches = head.key is None or head.key == target.key
    if matches and (head.deep or not target.deep) and _covers(mine[1:], other[1:]):
        return True
    return head.deep and _covers(mine, other[1:])
