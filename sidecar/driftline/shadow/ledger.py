"""The parts of all pods, and what they say together. Any order, any number of times: the same sums."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec

from driftline.shadow.account import Account
from driftline.shadow.codec import Part
from driftline.shadow.measures import Snapshot
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.tally import Tally


class Ledger:
    """Of one shadow, one generation, one plan."""

    def __init__(self, shadow: str, generation: int, plan: ComparisonPlan) -> None:
        """`shadow`: its UID."""
        self._of = shadow, generation, plan
        self._parts: dict[tuple[str, str, int], Part] = {}

    def take(self, part: Part) -> bool:
        """Keep a part, unless a later one of its kind is there or it is of something else. True: news."""
        known = self._parts.get(part.key)
        if (part.shadow, part.generation, part.tally.plan) != self._of:
            return False
        if known is not None and known.sequence >= part.sequence:
            return False
        self._parts[part.key] = part
        return True

    def end(self, pod: str) -> None:
        """That pod has gone for good: what it still held is lost."""
        for key, part in self._parts.items():
            if part.pod == pod and part.account.waiting:
                self._parts[key] = replace(part, account=ended(part.account), sequence=part.sequence + 1)

    def snapshot(self, before: int | None = None) -> Snapshot:
        """All parts together; `before`: only of days below it."""
        chosen = [
            part for part in self._parts.values() if part.day < (math.inf if before is None else before)
        ]
        account = sum((part.account for part in chosen), Account())
        tally = sum((part.tally for part in chosen), Tally.empty(self._of[2]))
        return Snapshot(account, tally)

    @property
    def days(self) -> frozenset[int]:
        """Those of which anything was mirrored."""
        return frozenset(part.day for part in self._parts.values() if part.account.mirrored)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is kept, to store it; `take` reads it back."""
        return tuple(self._parts.values())


def ended(account: Account, eligible: int = 0) -> Account:
    """The account of a life that is over: what waited, or was offered (`eligible` in all) and never
    accounted for, is lost.
    """
    missing = max(0, eligible - account.eligible)
    return msgspec.structs.replace(
        account,
        eligible=account.eligible + missing,
        lost=account.lost + account.waiting + missing,
        waiting=0,
    )
