"""What one life of a mirror has counted, day by day: the account and the tally. Pure but for its lock.

The analysis offers requests and the mirror settles them, each in a thread of its own.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from driftline.shadow.account import Account, Drop, Failure, slot_of
from driftline.shadow.codec import WARMING, Part
from driftline.shadow.runtime import MirrorConfig
from driftline.shadow.tally import Tally

from driftline_sidecar.analyzer.mirror.counting import tally_of
from driftline_sidecar.analyzer.mirror.reading import Outcome

LOST: Final = "lost"
Result = Outcome | Drop | Literal["lost"] | None
"""What came of a request that was taken to be sent. None: nobody says."""


@dataclass(slots=True)
class _Day:
    tally: Tally
    eligible: int = 0
    waiting: int = 0
    lost: int = 0
    mirrored: int = 0
    """Of those that came back: by their number, not by what is known of them, so that one can be missed."""
    paired: int = 0
    dropped: Counter[Drop] = field(default_factory=Counter)
    failed: Counter[Failure] = field(default_factory=Counter)
    first: float | None = None
    last: float | None = None
    failures: Counter[int] = field(default_factory=Counter)
    sequence: int = 0
    told: bool = False
    """Whether a part has been made of all that is counted."""

    @property
    def account(self) -> Account:
        return Account(
            eligible=self.eligible,
            mirrored=self.mirrored,
            paired=self.paired,
            lost=self.lost,
            waiting=self.waiting,
            dropped=dict(self.dropped),
            failed=dict(self.failed),
            first=self.first,
            last=self.last,
            failures=dict(self.failures),
        )


class Book:
    """Of one configuration's life in one run of the analyzer. `boot` names it for good."""

    FIRST = 0
    """The day of which there is a part from the beginning."""

    def __init__(self, config: MirrorConfig, pod: str, boot: str) -> None:
        self._shadow = config.shadow
        self._began = config.began
        self._plan = config.plan
        self._pod = pod
        self.boot = boot
        self.eligible = 0
        """Of all days."""
        self._days: dict[int, _Day] = {}
        self._lock = threading.Lock()
        with self._lock:
            self._day(self.FIRST)  # what is counted survives a kill from the first moment on

    def offer(self, day: int, dropped: Drop | None) -> None:
        """An eligible request: it waits, or was dropped at once."""
        with self._lock:
            self.eligible += 1
            found = self._day(day)
            found.eligible += 1
            if dropped is None:
                found.waiting += 1
            else:
                found.dropped[dropped] += 1

    def drop(self, day: int, reason: Drop) -> None:
        """One that waited is not sent."""
        with self._lock:
            found = self._day(day)
            found.waiting -= 1
            found.dropped[reason] += 1

    def lose(self, days: Iterable[int]) -> None:
        """Those that waited are lost."""
        with self._lock:
            for day in days:
                found = self._day(day)
                found.waiting -= 1
                found.lost += 1

    def settle(self, day: int, results: Sequence[Result], now: float) -> None:
        """Those that were taken to be sent and have come back, by `now` (unix seconds). One of which nothing
        is said was mirrored, and is neither paired nor failed: the account no longer adds up.
        """
        outcomes = [result for result in results if isinstance(result, Outcome)]
        tally = tally_of(self._plan, outcomes)
        with self._lock:
            found = self._day(day)
            found.tally += tally
            found.waiting -= len(results)
            found.dropped.update(result for result in results if isinstance(result, Drop))
            lost = sum(result == LOST for result in results)
            found.lost += lost
            mirrored = len(results) - lost - sum(isinstance(result, Drop) for result in results)
            found.mirrored += mirrored
            if mirrored:
                found.first = now if found.first is None else min(found.first, now)
                found.last = now if found.last is None else max(found.last, now)  # clocks are set back, too
            if failures := sum(bool(each.candidate_failed) and not each.live_failed for each in outcomes):
                found.failures[slot_of(now)] += failures
            found.failed.update(outcome.failure for outcome in outcomes if outcome.failure is not None)
            found.paired += sum(outcome.failure is None for outcome in outcomes)

    def parts(self) -> list[Part]:
        """Of each day in which something has changed since the last call."""
        with self._lock:
            changed = [(day, found) for day, found in self._days.items() if not found.told]
            return [self._part(day, found) for day, found in changed]

    def total(self) -> tuple[Account, int]:
        """The account of all days, and how many pairs disagree."""
        with self._lock:
            account = sum((found.account for found in self._days.values()), Account())
            apart = sum(
                found.tally.all.requests - int(found.tally.all.differ.counts[0])
                for found in self._days.values()
            )
        return account, apart

    def _part(self, day: int, found: _Day) -> Part:
        found.told = True
        found.sequence += 1
        shadow = self._shadow
        return Part(
            shadow.uid,
            shadow.generation,
            self._began,
            self._pod,
            self.boot,
            day,
            found.sequence,
            found.account,
            found.tally,
        )

    def _day(self, day: int) -> _Day:
        found = self._days.get(day)
        if found is None:
            found = self._days[day] = _Day(Tally.empty(self._plan))
        found.told = False
        return found


class WarmingBook(Book):
    """Of a mirror that only warms a candidate up. It counts nothing, and tells that it runs: by an empty part
    of the day before the first.
    """

    FIRST = WARMING

    def offer(self, day: int, dropped: Drop | None) -> None:
        """Not eligible."""

    def drop(self, day: int, reason: Drop) -> None:
        """It never counted."""

    def lose(self, days: Iterable[int]) -> None:
        """Nor did these."""

    def settle(self, day: int, results: Sequence[Result], now: float) -> None:
        """Whatever the candidate answered."""


def book_of(config: MirrorConfig, pod: str, boot: str) -> Book:
    """What that life is counted in."""
    return (WarmingBook if config.warming else Book)(config, pod, boot)
