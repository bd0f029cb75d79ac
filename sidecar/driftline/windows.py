"""Panes over time, rolled up with age, and the windows that runs of them make.

Time is cut at UTC multiples. A window steps by about a twelfth of its length, so its edges lie on
multiples of that step, and panes may be merged with age as far as no window needs a finer edge:
with 1-minute panes, minutes for an hour, five minutes for six, hours beyond. The clock is an argument.
Closed panes are kept as `pane_codec` packs them; only those still counting are unpacked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from driftline.pane import Axes, Pane, PaneCounts
from driftline.pane_codec import decode_pane, encode_pane

LEVELS: Final = ((1, 0), (5, 60), (60, 360))
"""Roll-up: panes of so many base panes from an age of so many base panes on."""

_STEPS: Final = 12


def step(window: int, pane: int) -> int:
    """By how many seconds a window of that length moves: a twelfth, in whole panes that divide it."""
    most = max(pane, window // _STEPS // pane * pane)
    return next(size for size in range(most, 0, -pane) if window % size == 0)


def ends_due(
    steps: Mapping[int, int], judged: dict[int, int], now: float, delays: Mapping[int, float] | None = None
) -> list[tuple[int, int]]:
    """Ends and lengths of the windows to be judged now, in the order of their ends; notes them in `judged`.

    `steps`: by length. `judged`: by length, the end that was judged last. `delays`: by length, seconds by
    which a window is judged later than it ends.
    """
    ends: list[tuple[int, int]] = []
    for window, pace in steps.items():
        delay = 0.0 if delays is None else delays[window]
        last = int(now - delay) // pace * pace
        first = max(judged.get(window, last - pace) + pace, last - window + pace)
        ends += [(end, window) for end in range(first, last + 1, pace)]
        judged[window] = max(last, judged.get(window, last))
    return sorted(ends)


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """What a window holds: from `start` to `end` (unix seconds), `counts` None where nothing came."""

    seconds: int
    start: int
    end: int
    counts: PaneCounts | None


class PaneStore:
    """The panes of one profile and model version. Bounded: `most_panes` of them at most."""

    def __init__(self, axes: Axes, pane: int, windows: Sequence[int], model_version: str = "") -> None:
        """`pane` and `windows` in seconds; every window a multiple of the pane. Raises ValueError."""
        if pane < 1 or not windows or any(window < pane or window % pane for window in windows):
            raise ValueError(f"windows {list(windows)} must be multiples of the pane of {pane} s")
        self.windows = tuple(sorted(windows))
        self._axes = axes
        self._base = pane
        self._version = model_version
        self._steps = {window: step(window, pane) for window in self.windows}
        self._open: dict[int, Pane] = {}
        self._packed: dict[tuple[int, int], bytes] = {}
        """By start and length."""
        self._changed: dict[tuple[int, int], int] = {}
        self._sequence = 0
        self._judged: dict[int, int] = {}

    # ---- in ----

    def add(self, counts: PaneCounts, at: float) -> None:
        """Count rows of the moment `at`; late ones go into the pane that covers it by now."""
        if not counts.rows:
            return
        place = self._covering(int(at))
        if place is None or place[1] == self._base:
            start = int(at) // self._base * self._base
            place = (start, self._base)
            pane = self._open.get(start) or self._unpack(place) or self._empty(*place)
            self._open[start] = self._with(pane, counts)
        else:
            rolled = self._unpack(place)
            if rolled is not None:
                self._packed[place] = encode_pane(self._with(rolled, counts))
        self._note(place)

    def _with(self, pane: Pane, counts: PaneCounts) -> Pane:
        return Pane(
            start=pane.start,
            length=pane.length,
            profile_hash=pane.profile_hash,
            model_version=pane.model_version,
            counts=pane.counts + counts,
        )

    def _empty(self, start: int, length: int) -> Pane:
        return Pane(
            start=start,
            length=length,
            profile_hash=self._axes.profile_hash,
            model_version=self._version,
            counts=PaneCounts.empty(self._axes),
        )

    def _covering(self, at: int) -> tuple[int, int] | None:
        for factor, _ in LEVELS:
            length = self._base * factor
            place = (at // length * length, length)
            if place in self._packed or (factor == 1 and place[0] in self._open):
                return place
        return None

    # ---- windows ----

    def due(self, now: float) -> Iterator[WindowCounts]:
        """Every window that has ended a step since it was last asked for, in the order of their ends.

        The first call begins with the step that has ended last. After a gap longer than the window
        only its newest steps are given, as many as it has.
        """
        for end, window in ends_due(self._steps, self._judged, now):
            yield self.window(window, end)

    def window(self, seconds: int, end: int) -> WindowCounts:
        """The rows of the `seconds` before `end`, which lies on a multiple of the window's step."""
        start = end - seconds
        inside = [place for place in self._places() if start <= place[0] and place[0] + place[1] <= end]
        counts: PaneCounts | None = None
        for place in inside:
            pane = self._get(place)
            counts = pane.counts if counts is None else counts + pane.counts
        return WindowCounts(seconds, start, end, counts)

    # ---- age ----

    def settle(self, now: float) -> None:
        """Pack panes that have closed, roll up what is old enough, forget what no window needs."""
        for start in [start for start in self._open if start + self._base <= int(now) - self._base]:
            self._packed[start, self._base] = encode_pane(self._open.pop(start))
        for factor, _ in LEVELS[1:]:
            self._roll_up(self._base * factor, int(now))
        oldest = int(now) - self.windows[-1] - self._steps[self.windows[-1]]
        for place in [place for place in self._packed if place[0] + place[1] <= oldest]:
            del self._packed[place]
            self._changed.pop(place, None)

    def _roll_up(self, length: int, now: int) -> None:
        groups: dict[int, list[tuple[int, int]]] = {}
        for place in self._packed:
            if place[1] < length:
                groups.setdefault(place[0] // length * length, []).append(place)
        for start, places in groups.items():
            if not self._may_roll(length, now - (start + length)):
                continue
            merged = self._empty(start, length)
            for place in sorted(places):
                merged = merged + decode_pane(self._packed.pop(place))
                self._changed.pop(place, None)
            self._packed[start, length] = encode_pane(merged)
            self._note((start, length))

    def _may_roll(self, length: int, age: int) -> bool:
        """Old enough, and no window that still reaches back so far has a finer edge."""
        least = next(after for factor, after in LEVELS if factor * self._base == length)
        return age >= least * self._base and all(
            self._steps[window] % length == 0 and window % length == 0
            for window in self.windows
            if window + self._steps[window] > age
        )

    # ---- out ----

    def since(self, sequence: int, now: float, begin: int = 0) -> tuple[list[Pane], int]:
        """Closed panes that changed after `sequence`, oldest first, and the sequence to ask with next.

        A rolled-up pane takes the place of those within it: a reader drops what it covers. With `now`
        infinite those still counting are given as well. Only those that begin at `begin` or later are given.
        """
        found = sorted(
            place for place, changed in self._changed.items() if changed > sequence and sum(place) <= now
        )
        open_ = [changed for place, changed in self._changed.items() if sum(place) > now]
        last = min(open_, default=self._sequence + 1) - 1
        return [self._get(place) for place in found if place[0] >= begin], max(sequence, last)

    @property
    def panes(self) -> int:
        """How many panes are held."""
        return len(self._packed) + len(self._open)

    @property
    def most_panes(self) -> int:
        """How many panes there can be at most, however long the store runs."""
        total, reach = 0, self.windows[-1] + self._steps[self.windows[-1]]
        length, age = self._base, 0
        while age <= reach:
            for factor, _ in LEVELS:
                if self._may_roll(self._base * factor, age):
                    length = max(length, self._base * factor)
            total, age = total + 1, age + length
        waiting = 2 * length // self._base  # base panes until their coarse one is whole and old enough
        return total + waiting + 2

    @property
    def packed_bytes(self) -> int:
        """Bytes that closed panes take; open ones take their arrays, about 10 kB a numeric column."""
        return sum(map(len, self._packed.values()))

    def _places(self) -> Iterable[tuple[int, int]]:
        return sorted({*self._packed, *((start, self._base) for start in self._open)})

    def _get(self, place: tuple[int, int]) -> Pane:
        if place[1] == self._base and place[0] in self._open:
            return self._open[place[0]]
        return decode_pane(self._packed[place])

    def _unpack(self, place: tuple[int, int]) -> Pane | None:
        """The packed pane of that place, taken out where it will be open again."""
        data = self._packed.pop(place, None)
        return None if data is None else decode_pane(data)

    def _note(self, place: tuple[int, int]) -> None:
        self._sequence += 1
        self._changed[place] = self._sequence
