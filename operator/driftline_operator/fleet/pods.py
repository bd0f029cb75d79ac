"""What was taken of one pod. Pure: times are unix seconds, and given.

A pod's analyzer gives panes that have closed; late rows may still change one for a pane's length. So a pane
is held as it last came until then (`fresh`), and only then added to the fleet's, once: it is known by the
analyzer's boot and its time. What a boot rolled up later covers only what was added before, and is dropped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

_MOST_INTERVALS: Final = 50
_MOST_BOOTS: Final = 20

Span = tuple[float, float]
Place = tuple[int, int]
"""A pane's start and length."""


class Boot(msgspec.Struct):
    """One run of a pod's analyzer."""

    cursor: str = ""
    folded: int = 0
    """All panes that end by then have been added."""
    fresh: dict[Place, bytes] = {}
    """Packed: what may still change."""


class PodBook(msgspec.Struct):
    """One pod, as long as any window can hold something of it."""

    name: str
    uid: str
    started: float
    left: float | None = None
    """When it was last seen, once it has gone."""
    boots: dict[str, Boot] = {}
    covered: list[Span] = []
    """The time of which all counts were taken, in order, disjoint."""

    def take(self, boot: str, cursor: str, began: float, panes: Mapping[Place, bytes], through: float) -> int:
        """Hold what a boot gave: all that it counted from `began` until `through`. How many panes are new."""
        run = self.boots.setdefault(boot, Boot())
        run.cursor = cursor
        new = 0
        every = sorted({*run.fresh, *panes})
        for place in sorted(panes):
            if sum(place) > run.folded:
                # What was rolled up over panes that are still held takes their place.
                for inside in _within(every, place):
                    run.fresh.pop(inside, None)
                run.fresh[place] = panes[place]
                new += 1
        if began:
            self.covered = joined([*self.covered, (began, through)])
        while len(self.boots) > _MOST_BOOTS:
            self.boots.pop(next(iter(self.boots)))
        return new

    def fold(self, until: float) -> Iterator[tuple[Place, bytes]]:
        """The panes that can't change any longer, each once."""
        for run in self.boots.values():
            for place in sorted(p for p in run.fresh if sum(p) <= until):
                data = run.fresh.pop(place)
                if place[0] >= run.folded:
                    yield place, data
                else:  # an earlier part of it was added already, and would count twice
                    self.covered = without(self.covered, (float(run.folded), float(sum(place))))
                run.folded = max(run.folded, sum(place))

    def passed(self, boot: str, until: int) -> None:
        """What that boot counted before comes another way (`recounted`), and isn't taken here."""
        run = self.boots.setdefault(boot, Boot())
        run.folded = max(run.folded, until)

    def recounted(self, span: Span, holes: Iterable[Span]) -> None:
        """What it counted before it was first asked has been added, but for the holes."""
        found = [span]
        for hole in holes:
            found = without(found, hole)
        self.covered = joined([*self.covered, *found])

    def expected(self, span: Span) -> float:
        """Seconds of the span in which the pod was there."""
        start = max(span[0], self.started)
        end = span[1] if self.left is None else min(span[1], self.left)
        return max(0.0, end - start)

    def had(self, span: Span) -> float:
        """Seconds of those of which the counts were taken."""
        start = max(span[0], self.started)
        end = span[1] if self.left is None else min(span[1], self.left)
        return sum(max(0.0, min(b, end) - max(a, start)) for a, b in self.covered)

    def forget(self, before: float) -> None:
        """Drop covered time that no window reaches back to."""
        self.covered = [span for span in self.covered if span[1] > before][-_MOST_INTERVALS:]


def _within(every: Sequence[Place], place: Place) -> Iterator[Place]:
    """Those that begin and end within a place. `every`: sorted."""
    for at in range(bisect_left(every, (place[0], 0)), len(every)):
        if every[at][0] >= sum(place):
            return
        if sum(every[at]) <= sum(place):
            yield every[at]


def joined(spans: Iterable[Span]) -> list[Span]:
    """In order, overlapping and touching ones as one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        elif end > start:
            found.append((start, end))
    return found


def without(spans: Iterable[Span], hole: Span) -> list[Span]:
    """The same less a hole."""
    parts = [part for a, b in spans for part in ((a, min(b, hole[0])), (max(a, hole[1]), b))]
    return joined(part for part in parts if part[0] < part[1])
