"""Where every eligible request went, so that nothing that was not compared goes unsaid.

    eligible = mirrored + dropped by reason + lost + waiting        mirrored = paired + failed by reason

`waiting` is what a running mirror holds at that moment; of one that has ended there is none. `lost` is what a
killed one left: its successor counts it, from the counter of eligible requests that outlives it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

R = TypeVar("R", "Drop", "Failure", int)

SLOT_SECONDS: Final = 600.0
"""Failures are counted by so long: an event that is shorter fills two slots at most."""


class Drop(StrEnum):
    """Why an eligible request was not sent to the candidate."""

    QUEUE_FULL = "QueueFull"
    BUDGET = "Budget"
    BODY_TOO_LARGE = "BodyTooLarge"
    INCOMPLETE = "Incomplete"
    """The request's end was not seen: its client had gone, or capture had dropped a part."""
    NO_PATH = "NoPath"
    """The request asks for no path of a server (`CONNECT`, `OPTIONS *`): it has nowhere to go."""
    UNREDACTABLE = "Unredactable"
    """What must be hidden can't be found in the body, so it is not sent on at all."""
    NOT_READY = "NotReady"
    """The candidate was not ready."""
    STARTING = "Starting"
    """The mirror was not ready: the monitor's features aren't known yet, or it reads otherwise than it did
    when the comparison began; or it is about to end."""
    BREAKER_OPEN = "BreakerOpen"
    """The candidate failed so often that the mirror let it rest."""


class Failure(StrEnum):
    """Why a mirrored request made no pair."""

    REFUSED = "Refused"
    TIMEOUT = "Timeout"
    RESET = "Reset"
    """The candidate ended the connection before its answer was whole."""
    ERROR_RESPONSE = "ErrorResponse"
    """The candidate answered with a status other than 2xx."""
    ANSWER_TOO_LARGE = "AnswerTooLarge"
    """The candidate's answer is longer than `capture.maxBodyBytes`, and the live one is not. That is its
    failure, as one that can't be read is: a monitor that it got past would see nothing of it.
    """
    NO_ROOM = "NoRoom"
    """All answers together were longer than the mirror may hold: its own failure, not the candidate's."""
    WITHHELD = "Withheld"
    """The candidate refused (4xx) a request of which something was hidden: credentials, or values."""
    LIVE_FAILED = "LiveFailed"
    """The live model gave no whole answer: there is nothing to compare with."""
    UNDECODABLE = "Undecodable"
    UNALIGNED = "Unaligned"
    """The sides answered with unlike numbers of rows."""
    TOO_MANY_VALUES = "TooManyValues"
    """Answers of free form that are alike as far as they are compared (20,000 values), and go on."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of requests since the shadow began, of one pod or of many."""

    eligible: int = 0
    mirrored: int = 0
    paired: int = 0
    lost: int = 0
    waiting: int = 0
    dropped: dict[Drop, int] = {}
    failed: dict[Failure, int] = {}
    first: float | None = None
    last: float | None = None
    """Unix seconds at which the first of the mirrored came back, and the last; None without any."""
    failures: dict[int, int] = {}
    """Requests on which only the candidate failed, by ten minutes of the clock (`slot_of`)."""

    def __add__(self, other: Account) -> Account:
        """Two pods', or two lives' of one pod."""
        return Account(
            eligible=self.eligible + other.eligible,
            mirrored=self.mirrored + other.mirrored,
            paired=self.paired + other.paired,
            lost=self.lost + other.lost,
            waiting=self.waiting + other.waiting,
            dropped=_together(self.dropped, other.dropped),
            failed=_together(self.failed, other.failed),
            first=min((at for at in (self.first, other.first) if at is not None), default=None),
            last=max((at for at in (self.last, other.last) if at is not None), default=None),
            failures=_together(self.failures, other.failures),
        )

    @property
    def coverage(self) -> float:
        """Share of the eligible requests that were paired: what a promotion rests on. 0 without any."""
        return self.paired / self.settled if self.settled > 0 else 0.0

    @property
    def attempted(self) -> float:
        """Share of them that were mirrored, or were not because the candidate failed, was away or too slow.

        What a rejection rests on: such a candidate would otherwise hide behind the breaker, its restarts, or
        its queue.
        """
        return self.tried / self.settled if self.settled > 0 else 0.0

    @property
    def tried(self) -> int:
        """How many those are."""
        return self.mirrored + self.unserved + self.dropped.get(Drop.QUEUE_FULL, 0)

    @property
    def span(self) -> float:
        """Seconds from the first that was mirrored to the last: of one event it is short, however many."""
        return 0.0 if self.first is None or self.last is None else self.last - self.first

    @property
    def worst(self) -> int:
        """The candidate's failures in its worst ten minutes, at most: of two slots, as it begins in one."""
        return max((n + self.failures.get(slot + 1, 0) for slot, n in self.failures.items()), default=0)

    @property
    def unserved(self) -> int:
        """Requests that the candidate was spared because it was not there, or kept failing."""
        return self.dropped.get(Drop.BREAKER_OPEN, 0) + self.dropped.get(Drop.NOT_READY, 0)

    @property
    def settled(self) -> int:
        """Eligible requests of which the end is known."""
        return self.eligible - self.waiting

    def problems(self) -> Iterator[str]:
        """What doesn't add up, in words; nothing where all does."""
        dropped, failed = sum(self.dropped.values()), sum(self.failed.values())
        for name, value in self.counts():
            if value < 0:
                yield f"{name} is negative ({value})"
        if self.eligible != self.mirrored + dropped + self.lost + self.waiting:
            yield (
                f"eligible {self.eligible} is not mirrored {self.mirrored} + dropped {dropped} + lost "
                f"{self.lost} + waiting {self.waiting}"
            )
        if self.mirrored != self.paired + failed:
            yield f"mirrored {self.mirrored} is not paired {self.paired} + failed {failed}"

    def counts(self) -> Iterator[tuple[str, int]]:
        """All there are, by name."""
        for name in ("eligible", "mirrored", "paired", "lost", "waiting"):
            yield name, getattr(self, name)
        for kind in (self.dropped, self.failed):
            yield from kind.items()


def slot_of(now: float) -> int:
    """Which ten minutes a time is in, in unix seconds."""
    return int(now // SLOT_SECONDS)


def _together(first: Mapping[R, int], second: Mapping[R, int]) -> dict[R, int]:
    total = Counter(first)
    total.update(second)
    return {reason: total[reason] for reason in sorted(total) if total[reason]}
