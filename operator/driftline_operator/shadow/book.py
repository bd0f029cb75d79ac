"""The pairs of one shadow over all pods, and what of them a ConfigMap keeps. Pure; times are given.

A part can be taken any number of times (`driftline.shadow.ledger`). Those that can't change any more are
added up, or a week of restarting pods would not fit: their keys are remembered, so that none counts twice.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec
from driftline.errors import DataError
from driftline.shadow.codec import Part, decode_part, encode_part
from driftline.shadow.gate import Judgement, judge, read_days, whole_days
from driftline.shadow.ledger import Ledger
from driftline.shadow.measures import Snapshot
from driftline.shadow.performance import Performance
from driftline.shadow.plan import ComparisonPlan
from driftline.spec.shadow import ShadowSpec

from driftline_operator.shadow.folded import Folded, Group

MOST_BYTES: Final = 620_000
"""A ConfigMap holds 1 MiB: base64 takes a third more, the rest of it 220 kB (112 KiB of texts for people)."""
GONE_SECONDS: Final = 300.0
"""After which a pod that isn't there any more has told all that it will tell."""
MOST_LIVES: Final = 300
"""Parts of one pod that are not added up yet: of each day one for each life of its analyzer."""
_SUM: Final = "sum"


class _Kept(msgspec.Struct, frozen=True):
    folded: list[Group]
    parts: list[bytes]
    days: list[int] = []


class ShadowBook:
    """Of one shadow, one generation, one plan."""

    def __init__(self, shadow: str, generation: int, plan: ComparisonPlan) -> None:
        """`shadow`: its UID."""
        self._of = shadow, generation, plan
        self._ledger = Ledger(*self._of)
        self._folded = Folded()
        self._gone: dict[str, float] = {}
        self._leaving: set[str] = set()
        self._days: frozenset[int] = frozenset()
        self.changes = 0
        """Grows with every part that was news."""

    def take(self, part: Part) -> bool:
        """Keep a part; True: it was news. One that was added up is not."""
        news = part.key not in self._folded and part.pod != "" and self._ledger.take(part)
        self.changes += news
        return news

    def has_room(self, part: Part) -> bool:
        """Whether its pod has told of no more lives than one has."""
        keys = {each.key for each in self._ledger.parts if each.pod == part.pod}
        return part.key in keys or len(keys) < MOST_LIVES

    @property
    def told(self) -> set[str]:
        """The pods, by UID, whose parts are here as they told them."""
        return {part.pod for part in self._ledger.parts} - {""}

    def leaves(self, pod: str) -> None:
        """That pod, by UID, has told its last: it may not be there to be asked again."""
        self._leaving.add(pod)

    def pods(self, alive: Iterable[str], now: float) -> None:
        """These pods, by UID, are there; what others still held is lost once they have been gone for long."""
        present = set(alive)
        self._folded.pods(present, now)
        self._leaving &= self.told
        for pod in self.told:
            if pod in present:
                self._gone.pop(pod, None)
            elif now - self._gone.setdefault(pod, now) >= GONE_SECONDS:
                self._ledger.end(pod)

    def fold(self, days: int, period: int, now: float, *, over: bool = False) -> None:
        """Add up what can't change any more: `days` whole ones, and pods that have gone for long.

        `period`: days that are only ever judged together. `over`: all of it; no pod is asked again, so that
        all has to fit.
        """
        kept: list[Part] = []
        final: list[Part] = []
        for part in self._ledger.parts:
            gone = now - self._gone.get(part.pod, now) >= GONE_SECONDS
            done = over or part.pod == "" or gone or (part.day < days and not part.account.waiting)
            (final if done else kept).append(part)
        if all(part.pod == "" and part.day == _bucket(part, days, period) for part in final):
            return
        self._folded.add(part.key for part in final if part.pod)
        self._days = self.days
        self._replace([*kept, *self._sums(final, days, period)])
        for pod in [pod for pod in self._gone if all(part.pod != pod for part in kept)]:
            del self._gone[pod]

    def _sums(self, parts: Iterable[Part], days: int, period: int) -> list[Part]:
        by_day: dict[int, Part] = {}
        for part in parts:
            day = _bucket(part, days, period)
            plain = replace(part, pod="", boot=_SUM, day=day, sequence=0)
            before = by_day.get(day)
            by_day[day] = plain if before is None else _added(before, plain)
        return list(by_day.values())

    def _replace(self, parts: Iterable[Part]) -> None:
        self._ledger = Ledger(*self._of)
        for part in parts:
            self._ledger.take(part)

    @property
    def days(self) -> frozenset[int]:
        """Those of which anything was mirrored."""
        return self._days | self._ledger.days

    def snapshot(self, before: int | None = None) -> Snapshot:
        """All pairs; `before`: of the days below it."""
        return self._ledger.snapshot(before)

    def encode(self, *, over: bool = False) -> bytes | None:
        """At most MOST_BYTES. What is left out is of pods that live, and is asked of them again; of those
        that leave only where there is no other way. None: the sums and their keys don't fit.

        `over`: no pod is asked again, so that nothing is needed but the sums, which are never left out.
        """
        folded, days = [] if over else self._folded.groups(), sorted(self.days)
        found = sorted(((self._order(part), encode_part(part)) for part in self._ledger.parts), key=_largest)
        encoded, sums = [data for _, data in found], sum(order == 0 for order, _ in found)
        while True:
            data = zlib.compress(msgspec.msgpack.encode(_Kept(folded, encoded, days)), 1)
            if len(data) <= MOST_BYTES or (over and len(encoded) == sums):
                return data
            if len(encoded) == sums:
                return None
            encoded = encoded[: max(sums, len(encoded) // 2)]

    def _order(self, part: Part) -> int:
        """The later, the sooner it is left out."""
        if part.pod == "":
            return 0
        return 1 if part.pod in self._leaving or part.pod in self._gone else 2

    def restore(self, data: bytes) -> None:
        """Go on from there. Raises DataError where it is damaged."""
        try:
            raw = zlib.decompressobj().decompress(data, 64 << 20)
            found = msgspec.msgpack.decode(raw, type=_Kept)
        except (zlib.error, msgspec.DecodeError) as error:
            raise DataError(f"pairs that can't be read: {error}") from error
        parts = [decode_part(each) for each in found.parts]
        self._folded = Folded(found.folded)
        self._days = frozenset(found.days)
        self._replace(parts)
        self.changes += 1


def _largest(found: tuple[int, bytes]) -> tuple[int, int]:
    return found[0], -len(found[1])


def _bucket(part: Part, days: int, period: int) -> int:
    """The first day of what it is added up with: all whole periods, else the days of its own."""
    own = part.day // period * period
    return 0 if own + period <= days else own


def _added(a: Part, b: Part) -> Part:
    return replace(a, account=a.account + b.account, tally=a.tally + b.tally)


class Labels(NamedTuple):
    """What labels said of the pairs: of all, of the days that are read (None: none is), and when."""

    every: Performance = Performance()
    days: Performance | None = None
    at: float = 0.0


def judged(
    book: ShadowBook,
    spec: ShadowSpec,
    elapsed: float,
    labels: Labels = Labels(),  # noqa: B008
    heard: float = 1.0,
) -> Judgement:
    """What the gate says after so many seconds. `heard`: share of the live pods that mirror."""
    read = read_days(spec.gate, days_of(elapsed, spec), book.days)
    now = replace(book.snapshot(), performance=labels.every)
    whole = replace(book.snapshot(before=read), performance=labels.days or Performance()) if read else None
    return judge(spec.gate, spec.min_pairs, elapsed, now, whole, repeats=spec.aa.share > 0, heard=heard)


def days_of(elapsed: float, spec: ShadowSpec) -> int:
    """Whole days after so many seconds."""
    return whole_days(elapsed, spec.traffic.timeout)
