"""One monitor's fleet: panes of all pods merged, windows judged as a sidecar judges its own. Pure.

The clock is an argument. Verdicts follow the traffic by `lag`: a pane is added when it can't change any
longer and every pod was asked since, so that a window is judged once, on all that will be in it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import msgspec
from driftline.errors import DataError
from driftline.evaluation import Evaluator
from driftline.judge import Window
from driftline.pane_codec import PackedPane, inflate
from driftline.profile import Profile
from driftline.report import TransitionReport, WindowReport
from driftline.spec import MonitorSpec
from driftline.windows import LEVELS, step

from driftline_operator.fleet.flat import Flat, pack_pane
from driftline_operator.fleet.layout import Layout
from driftline_operator.fleet.packing import Unpacked
from driftline_operator.fleet.peers import Deviation, Peers
from driftline_operator.fleet.pods import Place, PodBook, Span
from driftline_operator.fleet.store import FlatWindow, FleetStore

LOW_COVERAGE: Final = 0.5
"""Below this share of the pods' time nothing is concluded from a window."""
_MOST_PODS: Final = 20_000
_COMPARED_EVERY: Final = 5
"""Panes from one comparison of pods to the next."""
_MANY: Final = 12
"""Panes of a pod that aren't held until the next step: a day of a thousand pods would fill the memory."""
_CLOCKS_APART: Final = 600.0
"""Seconds by which a pod's clock may be before ours."""


class Seen(NamedTuple):
    """A pod that is there now."""

    name: str
    uid: str
    started: float


class Judged(NamedTuple):
    """A window of the fleet, with the share of the pods' time of which the counts were there."""

    report: WindowReport
    coverage: float


class _Judged(NamedTuple):
    """The same at rest: a report's thirty features are a hundred objects a window."""

    end: int
    report: bytes
    coverage: float
    whole: bool
    """Did it count for what lasts?"""


class Lacking(NamedTuple):
    """What a boot counted before this time (unix seconds) hasn't been asked of its pod yet."""

    boot: str
    before: int


class Told(NamedTuple):
    """What a pod gave: all that `cursor`'s boot counted since `began`; panes encoded."""

    cursor: str
    began: float
    panes: Sequence[bytes]


_report = msgspec.msgpack.Decoder(WindowReport)


class Book:
    """From `began` (unix seconds) on, against one profile."""

    def __init__(
        self, spec: MonitorSpec, profile: Profile, began: float, interval: float, phase: float = 0.0
    ) -> None:
        """`interval`: seconds between two rounds over the pods. `phase`: see `FleetStore`."""
        self.spec, self.profile, self.began = spec, profile, began
        self._layout = Layout({feature.name: feature.axis for feature in profile.features})
        self.pane = int(spec.pane)
        lengths = [int(window) for window in spec.windows]
        self.store = FleetStore(self._layout, self.pane, lengths, phase)
        self.evaluator = Evaluator(spec, profile, _wanted(spec))
        self.peers = Peers(self._layout, spec)
        self.pods: dict[str, PodBook] = {}
        self.lacking: dict[str, Lacking] = {}
        """By pod's UID: pods of which only the newest panes were taken so far."""
        self._late: list[TransitionReport] = []
        self._judged: dict[int, _Judged] = {}
        self.judgements = 0
        """Grows with whatever the status or the series could say otherwise."""
        self.refused: dict[str, int] = {}
        """Panes that were not taken, by the reason."""
        self.outliers: list[Deviation] = []
        """Pods that see something else than the others, as of the last comparison."""
        self.changes = 0
        """Grows with what no pod could give again: verdicts that changed, panes of pods that have gone."""
        self.stepped = began
        self.lag = self.pane + interval
        self._reach = self.store.reach + self.lag
        self._previewed = 0
        self._compared = 0
        self._phase = phase

    def replace_policy(self, spec: MonitorSpec) -> None:
        """Judge by another policy from now on; what is counted stays, what lasted begins anew."""
        self.spec = spec
        self.evaluator = Evaluator(spec, self.profile, _wanted(spec))
        self.peers.replace_policy(spec)
        self.judgements += 1

    # ---- in ----

    def see(self, pods: Iterable[Seen], now: float) -> None:
        """Which pods are there now; the others have left."""
        present = {pod.uid: pod for pod in pods}
        for uid, pod in present.items():
            known = self.pods.get(uid)
            if known is None and len(self.pods) < _MOST_PODS:
                self.pods[uid] = PodBook(pod.name, uid, pod.started)
            elif known is not None:
                known.left = None
        for uid, known in self.pods.items():
            if uid not in present and known.left is None:
                known.left = now
                self.lacking.pop(uid, None)  # gone with what wasn't asked of it

    def cursor(self, uid: str) -> str:
        """Where to go on asking a pod; empty: from its beginning."""
        known = self.pods.get(uid)
        return "" if known is None or not known.boots else next(reversed(known.boots.values())).cursor

    def newest(self, now: float) -> int:
        """From when on panes are asked of a pod that nothing is known of: what the shortest window needs.

        On an edge of every pane that a pod may roll up before the rest is asked of it.
        """
        edge = self.pane * LEVELS[1][0]
        return int(now - self.lag - self.store.windows[0]) // edge * edge

    def take(
        self, pod: Seen, cursor: str, began: float, panes: Sequence[bytes], through: float, after: int = 0
    ) -> int:
        """Encoded panes of a pod: all that its boot counted from `began` until `through`. How many: new.

        `after`: only those that begin then or later were asked for.
        """
        known = self.pods.get(pod.uid)
        if known is None:
            if len(self.pods) >= _MOST_PODS:
                return 0
            known = self.pods[pod.uid] = PodBook(pod.name, pod.uid, pod.started)
        mine: dict[Place, bytes] = {}
        for data in panes:
            reason = self._read(data, through, mine)
            if reason:
                self._refuse(reason)
        boot, profile_hash, _ = (*cursor.split(":"), "", "", "")[:3]
        if profile_hash != self.profile.hash[: len(profile_hash)] or not profile_hash:
            began = 0.0  # it counts against another reference, or none: none of that time is ours
        if 0 < began < after:
            self.lacking[pod.uid] = Lacking(boot, after)
            began = float(after)
            known.passed(boot, after)
        new = known.take(boot, cursor, began, mine, through)
        if new > _MANY:
            self._fold([known], through - self.lag)
        return new

    def _read(self, data: bytes, through: float, into: dict[Place, bytes]) -> str:
        """A pane, packed flat, or why it isn't taken."""
        try:
            pane = inflate(data)
            reason = self._why_not(pane, through)
            if not reason and pane.start + pane.length > through - self._reach:
                into[pane.start, pane.length] = pack_pane(self._layout, pane)
        except DataError:
            return "unreadable"
        return reason

    def recount(self, told: Mapping[str, Told], through: float) -> None:
        """What pods counted before they were first asked, by their UIDs; windows that lacked it are judged.

        Panes of one time are added up before they are packed: each pod's by itself would be packed, and
        unpacked, as often as there are pods.
        """
        settled = through - self.lag
        lists = [self._older(uid, each, through) for uid, each in told.items() if uid in self.lacking]
        every = heapq.merge(*lists, key=lambda each: each[0])
        for place, panes in groupby(every, key=lambda each: self.store.place_of(each[0], settled)):
            counts = Flat(self._layout)
            for _, pane in panes:
                try:
                    counts.add_pane(pane)
                except DataError:
                    self._refuse("unreadable")
            self.store.put(place, counts)
        for uid in told:
            self.lacking.pop(uid, None)
        self.changes += 1
        if not self.lacking:
            self._judge_again()

    def _older(self, uid: str, told: Told, through: float) -> Iterator[tuple[Place, PackedPane]]:
        """The panes that were lacking, in order of time; notes what they cover."""
        lacking, known = self.lacking[uid], self.pods.get(uid)
        boot, profile_hash, _ = (*told.cursor.split(":"), "", "", "")[:3]
        if known is None or boot != lacking.boot or not profile_hash or not told.began:
            return  # begun anew: what it had counted before has gone with it
        if profile_hash != self.profile.hash[: len(profile_hash)]:
            return
        holes: list[Span] = []
        for data in told.panes:
            pane = self._older_pane(data, through, lacking.before, holes)
            if pane is not None:
                yield (pane.start, pane.length), pane
        known.recounted((told.began, float(lacking.before)), holes)

    def _older_pane(self, data: bytes, through: float, before: int, holes: list[Span]) -> PackedPane | None:
        try:
            pane = inflate(data)
        except DataError:
            self._refuse("unreadable")
            return None
        reason = self._why_not(pane, through)
        if reason:
            self._refuse(reason)
            return None
        end = pane.start + pane.length
        if pane.start < before < end:  # a part of it was added by now, and would count twice
            holes.append((float(pane.start), float(before)))
        return pane if through - self._reach < end <= before else None

    def _judge_again(self) -> None:
        """Windows that were judged while something lacked, if they didn't count."""
        for seconds, end in sorted(self.store.judged.items(), key=lambda each: each[::-1]):
            judged = self._judged.get(seconds)
            if judged is None or not judged.whole:
                self._late += self._judge(self.store.window(seconds, end))

    def _refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def _why_not(self, pane: PackedPane, through: float) -> str:
        """Unlike panes never merge; empty: it is one of ours."""
        if pane.profile_hash != self.profile.hash:
            return "other_profile"
        if pane.model_version != self.spec.model.version:
            return "other_version"
        if pane.features.keys() != self._layout.cells.keys():
            return "other_columns"
        if not self.pane <= pane.length <= self.pane * LEVELS[-1][0] or pane.length % self.pane:
            return "other_length"
        if pane.start % pane.length:
            return "other_length"
        if pane.start > through + _CLOCKS_APART:
            return "in_the_future"
        return ""

    # ---- judging ----

    def step(self, now: float) -> tuple[TransitionReport, ...]:
        """Add what is settled, judge the windows that are due; what changed."""
        self.stepped, settled = now, now - self.lag
        self.peers.settle(settled)
        self._fold(self.pods.values(), settled)
        changed, self._late = self._late, []
        for window in self.store.due(settled):
            changed += self._judge(window)
        self.changes += len(changed)
        self._preview(int(settled))
        self.store.settle(settled)
        self._compare(int(settled))
        self._forget(now)
        return tuple(changed)

    def _fold(self, pods: Iterable[PodBook], settled: float) -> None:
        folded = [(pod, place, data) for pod in pods for place, data in pod.fold(settled)]
        self.changes += sum(pod.left is not None for pod, _, _ in folded)

        def compare(number: int, part: Unpacked) -> None:
            pod, place, _ = folded[number]
            self.peers.add(pod.uid, pod.name, place, part)

        self.store.merge([(place, data) for _, place, data in folded], compare)

    def coverage(self, span: Span) -> float:
        """Share of the pods' time in the span of which the counts are there; 0 where there was no pod."""
        expected = sum(pod.expected(span) for pod in self.pods.values())
        return min(1.0, sum(pod.had(span) for pod in self.pods.values()) / expected) if expected else 0.0

    def _compare(self, settled: int) -> None:
        """Pods against each other, once in a few panes."""
        turn = int(settled / (self.pane * _COMPARED_EVERY) + self._phase)
        if turn > self._compared:
            self._compared, self.outliers = turn, self.peers.deviations()
            self.judgements += 1

    def _judge(
        self, found: FlatWindow, *, shown: bool = False, again: bool = False
    ) -> tuple[TransitionReport, ...]:
        """`shown`: only to be looked at; it counts for nothing that lasts. `again`: it did already."""
        counts = found.counts.counts()
        window = Window(found.seconds, found.start, found.end, counts.rows, counts.requests)
        coverage = self.coverage((float(found.start), float(found.end)))
        whole = not shown and found.start >= self._counted_since and coverage >= LOW_COVERAGE
        report, changed = self.evaluator.evaluate(window, counts, whole=whole, again=again)
        self._judged[found.seconds] = _Judged(found.end, msgspec.msgpack.encode(report), coverage, whole)
        self.judgements += 1
        return changed

    @property
    def windows(self) -> dict[int, Judged]:
        """As they were judged last, by length; unpacked for each call."""
        return {
            seconds: Judged(_report.decode(each.report), each.coverage)
            for seconds, each in self._judged.items()
        }

    @property
    def _counted_since(self) -> float:
        """The oldest pod's first covered moment, down to its pane: what pods counted before us counts."""
        first = min((pod.covered[0][0] for pod in self.pods.values() if pod.covered), default=self.began)
        return min(first, self.began) // self.pane * self.pane

    def show_again(self, judged: Mapping[int, int]) -> None:
        """After a restart: windows as they were judged last, by length and end."""
        for seconds, end in judged.items():
            self._judge(self.store.window(seconds, end), again=True)

    def _preview(self, now: int) -> None:
        """Until a window's first step, show it at the end of each pane: nobody waits hours for a look."""
        end = now // self.pane * self.pane
        if end <= self._previewed:
            return
        self._previewed = end
        for seconds in self.store.windows:
            known = self._judged.get(seconds)
            early = end < self._counted_since + step(seconds, self.pane)
            if (known is None or known.end < end) and (known is None or early):
                self._judge(self.store.window(seconds, end), shown=True)

    def _forget(self, now: float) -> None:
        oldest = now - self._reach
        for uid in [uid for uid, pod in self.pods.items() if pod.left is not None and pod.left < oldest]:
            del self.pods[uid]
            self.lacking.pop(uid, None)
        for pod in self.pods.values():
            pod.forget(oldest)


def _wanted(spec: MonitorSpec) -> frozenset[str]:
    """The statistics beside the PSI that a verdict is made of; the pods' own reports have all of them."""
    given = spec.drift.thresholds
    optional = {
        "ks": given.ks,
        "wasserstein_normed": given.wasserstein,
        "jensen_shannon": given.jensen_shannon,
    }
    return frozenset(name for name, threshold in optional.items() if threshold is not None)
