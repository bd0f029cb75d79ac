"""Differences by field, added up over requests and pods within a bound.

Of more than `KEPT` fields those with the smallest hashes of their paths are kept, whatever they count: the
same ones in every pod and in any order of merging. Keeping the most frequent would depend on both. The
others, and those whose paths are too long to keep, add up under `Fields.others`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from driftline.shadow.json_diff import MAX_PATH, JsonDiff, Kind

KEPT: Final = 256

Tally = tuple[int, int, int, int, int]
"""Compared, and of them changed, of another type, missing, added."""

_KINDS: Final = (Kind.CHANGED, Kind.TYPE, Kind.MISSING, Kind.ADDED)
_NONE: Final[Tally] = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Fields:
    """By path: in how many places it was compared, and how many of them differed, by kind."""

    kept: Mapping[str, Tally] = field(default_factory=dict)
    others: Tally = _NONE

    @classmethod
    def of(cls, diff: JsonDiff) -> Fields:
        """Of one request."""
        tallies = {path: (count, 0, 0, 0, 0) for path, count in diff.compared.items()}
        for difference in diff.differences:
            place = 1 + _KINDS.index(difference.kind)
            tally = list(tallies[difference.path])
            tally[place] += 1
            tallies[difference.path] = (tally[0], tally[1], tally[2], tally[3], tally[4])
        return _bounded(tallies, _NONE)

    def __add__(self, other: Fields) -> Fields:
        """Both together."""
        tallies = dict(self.kept)
        for path, tally in other.kept.items():
            tallies[path] = _plus(tallies.get(path, _NONE), tally)
        return _bounded(tallies, _plus(self.others, other.others))


def _bounded(tallies: Mapping[str, Tally], others: Tally) -> Fields:
    short = [path for path in tallies if len(path) <= MAX_PATH]
    kept = sorted(short, key=lambda path: blake2b(path.encode(), digest_size=8).digest())[:KEPT]
    left = set(kept)
    for path, tally in tallies.items():
        if path not in left:
            others = _plus(others, tally)
    return Fields({path: tallies[path] for path in sorted(kept)}, others)


def _plus(a: Tally, b: Tally) -> Tally:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4])
