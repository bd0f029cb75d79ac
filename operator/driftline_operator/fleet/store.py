"""The fleet's panes over time, flat and packed, and the windows that runs of them make. Pure.

As a sidecar's store (`driftline.windows`), with two differences that a thousand pods ask for: panes are
merged flat (`flat`), and rolled up as soon as no window needs finer edges: nobody reads them but windows.
With windows of 5m, 1h and 24h: minutes for six minutes, five of them for an hour, two hours beyond. Panes
of any length may come: one that a pod rolled up counts in every window that holds all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from driftline.windows import ends_due, step

from driftline_operator.fleet.flat import Flat
from driftline_operator.fleet.layout import Layout
from driftline_operator.fleet.packing import TIGHT, Unpacked, unpack

_FACTORS: Final = (5, 30, 120)
_MOST_DELAY: Final = 30
"""Panes, but less than a step, by which a window is judged later, by `phase`: not all monitors at once.

A quarter of the step that a day's window has."""

Place = tuple[int, int]
"""Start and length, seconds."""


class FlatWindow(NamedTuple):
    """What a window holds, from `start` to `end` (unix seconds)."""

    seconds: int
    start: int
    end: int
    counts: Flat


class FleetStore:
    """The panes of one monitor's fleet, against one profile."""

    def __init__(self, layout: Layout, pane: int, windows: Sequence[int], phase: float = 0.0) -> None:
        """`pane`, `windows`: seconds. `phase`, in [0, 1): when in its turn this monitor is judged."""
        self.windows = tuple(sorted(windows))
        self._layout = layout
        self._base = pane
        self._steps = {window: step(window, pane) for window in self.windows}
        self._delays = {
            window: int(phase * min(pace // pane, _MOST_DELAY + 1)) * pane
            for window, pace in self._steps.items()
        }
        self._packed: dict[Place, bytes] = {}
        self._judged: dict[int, int] = {}
        self.sequence = 0
        """Grows with every change."""

    @property
    def reach(self) -> int:
        """Seconds back from now that any window can still hold."""
        return max(self._needs(window) for window in self.windows)

    @property
    def panes(self) -> int:
        """How many are held."""
        return len(self._packed)

    @property
    def packed_bytes(self) -> int:
        """What they take."""
        return sum(map(len, self._packed.values()))

    # ---- in ----

    def merge(
        self,
        panes: Iterable[tuple[Place, bytes]],
        seen: Callable[[int, Unpacked], None] = lambda _, __: None,
    ) -> None:
        """Add packed panes of pods, of any age; those of one place are unpacked and packed once.

        `seen` is told of each, by its number: to unpack it is half of the work.
        """
        groups: dict[Place, list[tuple[int, bytes]]] = {}
        for number, (place, data) in enumerate(panes):
            groups.setdefault(self._covering(place), []).append((number, data))
        for place, parts in groups.items():
            whole = Flat(self._layout)
            for number, data in parts:
                part = unpack(self._layout, data)
                seen(number, part)
                whole.add(part)
            if len(parts) > 1 or place in self._packed:
                self.put(place, whole)
            else:
                self._packed[place] = parts[0][1]
                self.sequence += 1

    def place_of(self, place: Place, now: float) -> Place:
        """Where a pane of that age belongs: the longest one that it would be rolled up into by now."""
        for factor in reversed(_FACTORS):
            length = self._base * factor
            start = place[0] // length * length
            whole = place[1] < length and sum(place) <= start + length
            if whole and self._may_roll(length, int(now) - (start + length)):
                return start, length
        return place

    def put(self, place: Place, counts: Flat) -> None:
        """Add counts of that time; they are taken over."""
        present = self._packed.get(place)
        if present is not None:
            counts.add_bytes(present)
        self._packed[place] = counts.pack(1 if place[1] == self._base else TIGHT)
        self.sequence += 1

    def _covering(self, place: Place) -> Place:
        """The pane that holds that time by now; itself where there is none."""
        for length in self._lengths(place[1]):
            start = place[0] // length * length
            if (start, length) in self._packed and sum(place) <= start + length:
                return start, length
        return place

    def _lengths(self, least: int) -> Iterator[int]:
        yield from (self._base * factor for factor in (1, *_FACTORS) if self._base * factor >= least)

    def _put(self, place: Place, parts: list[bytes]) -> None:
        present = self._packed.get(place)
        every = parts if present is None else [present, *parts]
        if len(every) == 1:
            self._packed[place] = every[0]
        else:
            whole = Flat(self._layout)
            for part in every:
                whole.add_bytes(part)
            self._packed[place] = whole.pack(1 if place[1] == self._base else TIGHT)
        self.sequence += 1

    # ---- windows ----

    def due(self, now: float) -> Iterator[FlatWindow]:
        """Every window that has ended a step since it was last asked for, in the order of their ends.

        The first call begins with the step that has ended last. After a gap longer than the window
        only its newest steps are given, as many as it has.
        """
        for end, window in ends_due(self._steps, self._judged, now, self._delays):
            yield self.window(window, end)

    def window(self, seconds: int, end: int) -> FlatWindow:
        """The rows of the `seconds` before `end`, which lies on a multiple of the window's step."""
        start = end - seconds
        counts = Flat(self._layout)
        for (begin, length), data in self._packed.items():
            if start <= begin and begin + length <= end:
                counts.add_bytes(data)
        return FlatWindow(seconds, start, end, counts)

    # ---- age ----

    def settle(self, now: float) -> None:
        """Roll up what no window needs finer, forget what none needs at all. `now`: as `due` was given."""
        oldest = int(now) - self.reach
        for place in [place for place in self._packed if sum(place) <= oldest]:
            del self._packed[place]
        for factor in _FACTORS:
            self._roll_up(self._base * factor, int(now))

    def _roll_up(self, length: int, now: int) -> None:
        groups: dict[int, list[Place]] = {}
        for place in self._packed:
            start = place[0] // length * length
            if place[1] < length and sum(place) <= start + length:
                groups.setdefault(start, []).append(place)
        for start, places in groups.items():
            if self._may_roll(length, now - (start + length)):
                self._put((start, length), [self._packed.pop(place) for place in places])

    def _may_roll(self, length: int, age: int) -> bool:
        """No window that still reaches back so far has a finer edge."""
        return age >= 0 and all(
            self._steps[window] % length == 0 for window in self.windows if self._needs(window) > age
        )

    def _needs(self, window: int) -> int:
        """How far back a window looks at most, by the time it is judged."""
        return window + self._steps[window] + self._delays[window] + self._base

    # ---- over a failover ----

    @property
    def judged(self) -> dict[int, int]:
        """By window the end up to which it was judged."""
        return dict(self._judged)

    def rolled_up(self) -> list[tuple[int, int, bytes]]:
        """The panes that are longer than the base one: what lasts."""
        return [(*place, data) for place, data in sorted(self._packed.items()) if place[1] > self._base]

    def dump(self) -> tuple[list[tuple[int, int, bytes]], dict[int, int]]:
        """All panes in the order of time, and how far each window was judged: what `restore` takes."""
        return [(*place, self._packed[place]) for place in sorted(self._packed)], dict(self._judged)

    def restore(self, panes: Iterable[tuple[int, int, bytes]], judged: dict[int, int]) -> None:
        """Go on from a dump. Raises DataError, and has changed nothing then."""
        found = {(start, length): data for start, length, data in panes}
        for data in found.values():
            Flat(self._layout).add_bytes(data)
        before, self._packed = self._packed, found
        self.merge(before.items())
        self._judged = {window: end for window, end in judged.items() if window in self._steps}
