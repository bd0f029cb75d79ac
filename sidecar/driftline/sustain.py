"""What lasts: verdicts over the windows of one length, from the judgements of single windows.

A feature has drifted when k of its last m disjoint windows were large, and the e-detector has gathered
evidence enough that they are unusual to keep the month's false pages below their bound. The evidence is
corrected for the number of features and adds up over windows: where few blocks make each window's p-value
too coarse to pass on its own (`docs/design/2026-11-23-few-blocks.md`), several in a row still do.
Windows that couldn't be judged are neither pass nor fail: they leave no mark.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol, TypeVar

from driftline import detector
from driftline.spec import Drift
from driftline.verdict import Effect, FeatureJudgement, Reason, WindowJudgement


class Mark(NamedTuple):
    """What one judged window said of one feature."""

    start: float
    end: float
    effect: Effect
    unusual: bool


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of a feature's reason to or from `Warning` and `Drifted`. `at`: the window's end, unix s."""

    at: float
    seconds: int
    feature: str
    role: str
    before: Reason
    after: Reason
    psi: float | None
    p: float | None


@dataclass(slots=True)
class FeatureCourse:
    """What is remembered of one feature between windows. `since`: when it was found to have drifted."""

    marks: bytes = b""
    """One `_MARK` for each window, oldest first: as objects they would be a megabyte a monitor."""
    log_evidence: float = -math.inf
    evidence_end: float = -math.inf
    reason: Reason = Reason.STABLE
    since: float | None = None
    last: FeatureJudgement | None = None


_MARK: Final = struct.Struct("<dB")
"""A window's end, and effect and unusual in one byte; its start is its length before."""
_EFFECTS: Final = tuple(Effect)


def pack_mark(end: float, effect: Effect, *, unusual: bool) -> bytes:
    """What `newest_first` reads."""
    return _MARK.pack(end, 2 * _EFFECTS.index(effect) + unusual)


def newest_first(marks: bytes, seconds: int) -> Iterator[Mark]:
    """Packed marks of windows of that length, from the last one on."""
    for at in range(len(marks) - _MARK.size, -1, -_MARK.size):
        end, code = _MARK.unpack_from(marks, at)
        yield Mark(end - seconds, end, _EFFECTS[code >> 1], unusual=bool(code & 1))


def _since(marks: bytes, oldest: float) -> bytes:
    """Those that end after `oldest`."""
    at = 0
    while at < len(marks) and _MARK.unpack_from(marks, at)[0] <= oldest:
        at += _MARK.size
    return marks[at:]


class Spanned(Protocol):
    """Anything that says of which time it is, unix seconds."""

    @property
    def start(self) -> float:
        """From when on."""
        ...

    @property
    def end(self) -> float:
        """Until when."""
        ...


Span = TypeVar("Span", bound=Spanned)


def disjoint(marks: Sequence[Span], of: int) -> list[Span]:
    """The last `of` marks that don't overlap, newest first: of sliding windows each row counts once."""
    return first_disjoint(reversed(marks), of)


def first_disjoint(marks: Iterable[Span], of: int) -> list[Span]:
    """The same of marks that are given newest first."""
    chosen: list[Span] = []
    for mark in marks:
        if len(chosen) == of:
            break
        if not chosen or mark.end <= chosen[-1].start:
            chosen.append(mark)
    return chosen


class WindowCourse:
    """The verdicts of one window length. Give it every judgement, in order of the windows' ends.

    `false_pages`: how many false episodes a month this window may cause.
    """

    def __init__(self, seconds: int, policy: Drift, false_pages: float) -> None:
        self.seconds = seconds
        self._policy = policy
        self._false_pages = false_pages
        self._features: dict[str, FeatureCourse] = {}

    @property
    def drifted(self) -> dict[str, FeatureCourse]:
        """The features that have drifted now, by name."""
        return {name: course for name, course in self._features.items() if course.reason is Reason.DRIFTED}

    @property
    def features(self) -> dict[str, FeatureCourse]:
        """Every feature that was ever judged, by name."""
        return self._features

    def observe(self, judgement: WindowJudgement) -> tuple[Transition, ...]:
        """Take in one window; the features that changed to or from a warning or drift."""
        if not judgement.state.judged:
            return ()
        threshold = detector.log_threshold(self.seconds, self._false_pages, len(judgement.features))
        found = (self._observe(judgement, feature, threshold) for feature in judgement.features)
        return tuple(transition for transition in found if transition is not None)

    def settle(self, judgement: WindowJudgement) -> WindowJudgement:
        """The same window with the reasons that its predecessors give it: `Drifted`, `NotSustained`, …"""
        if not judgement.state.judged:
            return judgement
        settled = []
        for feature in judgement.features:
            course = self._features.get(feature.name)
            reason = course.reason if course is not None and feature.p is not None else feature.reason
            settled.append(replace(feature, reason=reason))
        return replace(judgement, features=tuple(settled))

    def _observe(
        self, window: WindowJudgement, feature: FeatureJudgement, threshold: float
    ) -> Transition | None:
        if feature.p is None:
            return None
        course = self._features.setdefault(feature.name, FeatureCourse())
        self._remember(course, window, feature, threshold)
        before, course.reason, course.last = course.reason, self._reason(course, feature, threshold), feature
        if before is course.reason or not {before, course.reason} & {Reason.WARNING, Reason.DRIFTED}:
            return None
        if course.reason is Reason.DRIFTED:
            course.since = window.end
        elif before is Reason.DRIFTED:
            course.since, course.log_evidence = None, -math.inf
        return Transition(
            at=window.end,
            seconds=self.seconds,
            feature=feature.name,
            role=feature.role,
            before=before,
            after=course.reason,
            psi=feature.psi,
            p=feature.p,
        )

    def _remember(
        self, course: FeatureCourse, window: WindowJudgement, feature: FeatureJudgement, threshold: float
    ) -> None:
        # Twice the span that k of m needs, so that windows without data don't hide what came before them.
        oldest = window.end - 2 * self._policy.sustain.of * self.seconds
        mark = pack_mark(window.end, feature.effect, unusual=feature.unusual)
        course.marks = _since(course.marks, oldest) + mark
        if feature.p is not None and window.start >= course.evidence_end:
            grown = detector.advance(course.log_evidence, feature.p)
            course.log_evidence = min(grown, threshold + detector.HEADROOM)
            course.evidence_end = window.end

    def _reason(self, course: FeatureCourse, feature: FeatureJudgement, threshold: float) -> Reason:
        enough = self._policy.sustain.windows
        last = first_disjoint(newest_first(course.marks, self.seconds), self._policy.sustain.of)
        large = [mark for mark in last if mark.effect is Effect.LARGE]
        moderate = [mark for mark in last if mark.effect is not Effect.SMALL]
        # Drift once found stays found until its evidence is used up: no flapping at the threshold.
        proven = course.log_evidence >= (0.0 if course.reason is Reason.DRIFTED else threshold)
        if proven and len(large) >= enough:
            return Reason.DRIFTED
        if sum(mark.unusual for mark in moderate) >= enough or (proven and len(moderate) >= enough):
            lasting = sum(mark.unusual for mark in large) >= enough
            return Reason.INSUFFICIENT_EVIDENCE if lasting else Reason.WARNING
        return feature.reason
