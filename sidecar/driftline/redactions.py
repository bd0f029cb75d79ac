"""What a monitor redacts, followed along a document: a step costs the same however deep it is.

A path is followed from the body and from every value within it: a monitor's `$.ssn` means the field of a
record, wherever the protocol has its records. All paths are followed at once, each place in a path being one
bit of a number (R. Baeza-Yates and G. H. Gonnet, "A new approach to text searching", CACM 35(10), 1992).

A path of one key hides the tensor of that name and the column of a split data frame too, and features that
are redacted hide their places in rows that are arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from driftline.jsonpath import JsonPath

Key = str | int


class Place(NamedTuple):
    """How far the paths have come at a value. `near`: what values around it hide, as the keys that lead there
    (None: any).
    """

    reached: int
    near: tuple[tuple[Key | None, ...], ...] = ()


class Redactions:
    """Of one monitor: its paths, and the features in the order in which arrays list them."""

    def __init__(self, paths: Sequence[JsonPath] = (), features: Sequence[str] = ()) -> None:
        self._starts = self._ends = self._any = self._deep = 0
        bits: dict[Key, int] = {}
        bit = 1
        for path in paths:
            self._starts |= bit
            for segment in path.segments:
                if segment.key is None:
                    self._any |= bit
                else:
                    bits[segment.key] = bits.get(segment.key, 0) | bit
                self._deep |= bit if segment.deep else 0
                bit <<= 1
            self._ends |= bit
            bit <<= 1
        self._by_key = {key: found | self._any for key, found in bits.items()}
        last = {path.segments[-1].key for path in paths if path.segments}
        self._names = {path.segments[0].key for path in paths if len(path.segments) == 1} - {None}
        self._width = len(features)
        self._places = tuple(place for place, name in enumerate(features) if name in last)

    @property
    def root(self) -> Place | None:
        """At the body itself; None: it is hidden whole."""
        return None if self._starts & self._ends else Place(0)

    def within(self, place: Place, value: object) -> Place:
        """The same place, with what this value there says of those within it."""
        near = [*self._columns(value), *self._cells(value)] if self._starts else []
        return Place(place.reached, (*place.near, *near)) if near else place

    def step(self, place: Place, key: Key) -> Place | None:
        """At the value of a key, or at an index; None: it is hidden."""
        reached = place.reached | self._starts
        moved = ((reached & self._by_key.get(key, self._any)) << 1) | (reached & self._deep)
        if moved & self._ends:
            return None
        if not place.near:
            return Place(moved)
        near = [keys for first, *keys in place.near if first is None or first == key]
        return None if [] in near else Place(moved, tuple(map(tuple, near)))

    def redact(self, document: object, mark: object) -> object:
        """The document with `mark` for every value that is hidden. What it holds is changed in place."""
        if self.root is None:
            return mark
        waiting = [(self.root, document)]
        while waiting:
            place, value = waiting.pop()
            place = self.within(place, value)
            for key, child in children(value):
                found = self.step(place, key)
                if found is None:
                    value[key] = mark  # type: ignore[index]  # it has children, so it is a dict or a list
                elif isinstance(child, dict | list):
                    waiting.append((found, child))
        return document

    def _columns(self, value: object) -> Iterator[tuple[Key | None, ...]]:
        """Values that stand apart from their name: tensors, split data frames."""
        if not isinstance(value, dict) or "data" not in value:
            return
        name, columns = value.get("name"), value.get("columns")
        if isinstance(name, str) and name in self._names:
            yield ("data",)
        for place, column in enumerate(columns if isinstance(columns, list) else ()):
            if isinstance(column, str) and column in self._names:
                yield "data", None, place

    def _cells(self, value: object) -> Iterator[tuple[Key | None, ...]]:
        """Rows that are arrays in the schema's order."""
        if self._places and isinstance(value, list) and len(value) == self._width:
            yield from ((place,) for place in self._places if not isinstance(value[place], dict | list))


def children(value: object) -> list[tuple[Key, object]]:
    """The values in an object or an array, each with its key or index; of anything else none."""
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


NOTHING: Final = Redactions()
"""Where no field is redacted."""
