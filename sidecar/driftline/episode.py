"""One monitor's verdict over all its windows: roles, the episode, the worst features."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from driftline.judge import OUTPUTS
from driftline.policy import FALSE_PAGES
from driftline.report import DatasetReport, TransitionReport, VerdictReport, WorstFeature
from driftline.spec import Drift
from driftline.sustain import FeatureCourse, Transition, WindowCourse
from driftline.verdict import FeatureJudgement, Reason, State, WindowJudgement

_WORST = 5


class WindowRole(StrEnum):
    """What a window is for."""

    OPERATIONS = "operations"
    """Latency, errors and data quality; its drift is shown, but neither warns nor pages."""
    WARNING = "warning"
    PAGE = "page"


_SHARES = {WindowRole.OPERATIONS: 0.1, WindowRole.WARNING: 0.3, WindowRole.PAGE: 0.6}
"""Of the month's false episodes."""


def roles(windows: Sequence[int]) -> dict[int, WindowRole]:
    """The role of each window length (s): the longest pages, the shortest of three or more is for
    operations, those between warn. By default 5m, 1h and 24h in that order.
    """
    lengths = sorted(set(windows))
    found = dict.fromkeys(lengths, WindowRole.WARNING)
    found[lengths[-1]] = WindowRole.PAGE
    if len(lengths) > 2:
        found[lengths[0]] = WindowRole.OPERATIONS
    return found


def shares(windows: Sequence[int]) -> dict[int, float]:
    """How many false episodes a month each window may cause: .1/.3/.6 by role, `FALSE_PAGES` in all."""
    by_length = roles(windows)
    holders = list(by_length.values())
    whole = sum(_SHARES[role] for role in set(holders))
    return {
        length: FALSE_PAGES * _SHARES[role] / whole / holders.count(role)
        for length, role in by_length.items()
    }


class VerdictsState(msgspec.Struct, frozen=True):
    """All that `Verdicts` remembers between windows."""

    courses: dict[int, dict[str, FeatureCourse]] = {}
    latest: dict[int, WindowJudgement] = {}
    since: float | None = None


class Verdicts:
    """Give it every window's judgement, in order of time; ask it for the monitor's verdict.

    One episode spans all windows: it begins when a warning or page window drifts and ends when none does,
    so what several windows see is one event for the people who are told.
    """

    def __init__(self, windows: Sequence[int], policy: Drift) -> None:
        self.roles = roles(windows)
        allowed = shares(windows)
        self._courses = {length: WindowCourse(length, policy, allowed[length]) for length in self.roles}
        self._latest: dict[int, WindowJudgement] = {}
        self._since: float | None = None

    def observe(self, judgement: WindowJudgement) -> tuple[WindowJudgement, tuple[Transition, ...]]:
        """The window with the reasons its predecessors give it, and the features that changed."""
        course = self._courses[judgement.seconds]
        transitions = course.observe(judgement)
        settled = course.settle(judgement)
        self._latest[judgement.seconds] = settled
        if not self._drifted():
            self._since = None
        elif self._since is None:
            self._since = judgement.end
        return settled, transitions

    def settled(self, judgement: WindowJudgement) -> WindowJudgement:
        """A window that was observed before, once more: nothing is remembered of it twice."""
        return self._courses[judgement.seconds].settle(judgement)

    def state(self) -> VerdictsState:
        """What is remembered, for another process to go on with."""
        courses = {length: course.features for length, course in self._courses.items()}
        return VerdictsState(courses, dict(self._latest), self._since)

    def restore(self, state: VerdictsState) -> None:
        """Go on from there; windows that the monitor no longer has are left out."""
        for length, features in state.courses.items():
            if length in self._courses:
                self._courses[length].features.update(features)
        self._latest = {length: each for length, each in state.latest.items() if length in self._courses}
        self._since = state.since

    def verdict(self) -> VerdictReport:
        """What to tell people now."""
        drifted = self._drifted()
        severity = max((role for role, _ in drifted), key=list(WindowRole).index, default=None)
        found = {f.name: f for _, f in drifted}
        outputs = any(f.role in OUTPUTS for f in found.values())
        return VerdictReport(
            drifted=bool(drifted),
            severity="none" if severity is None else severity.value,
            since=self._since,
            features=tuple(name for name, f in found.items() if f.role not in OUTPUTS),
            prediction_drifted=outputs,
            worst=self._worst(),
            reason=self._reason(bool(drifted)),
        )

    def _drifted(self) -> list[tuple[WindowRole, FeatureJudgement]]:
        """Features in drift, in the windows that warn or page."""
        return [
            (self.roles[length], course.last)
            for length, window in self._courses.items()
            if self.roles[length] is not WindowRole.OPERATIONS
            for course in window.drifted.values()
            if course.last is not None
        ]

    def _worst(self) -> tuple[WorstFeature, ...]:
        """Drifted ones first, then by PSI; each feature once, in its longest judged window."""
        seen: dict[str, tuple[int, FeatureJudgement]] = {}
        for length, window in sorted(self._latest.items()):
            seen |= {f.name: (length, f) for f in window.features if f.p is not None}
        ranked = sorted(seen.values(), key=lambda e: (e[1].reason is not Reason.DRIFTED, -(e[1].psi or 0.0)))
        return tuple(
            WorstFeature(feature=f.name, window=label(length), psi=f.psi or 0.0, p=f.p, reason=f.reason)
            for length, f in ranked[:_WORST]
        )

    def _reason(self, drifted: bool) -> str:
        """`Drifted`, `Warning` or `Stable`; where no window could be judged, what the longest one lacks."""
        judged = [window for window in self._latest.values() if window.state.judged]
        if drifted:
            return Reason.DRIFTED.value
        if not judged:
            latest = max(self._latest.values(), key=lambda window: window.seconds, default=None)
            return State.INSUFFICIENT_DATA.value if latest is None else latest.state.value
        warned = any(
            f.reason is Reason.WARNING
            for window in judged
            if self.roles[window.seconds] is not WindowRole.OPERATIONS
            for f in window.features
        )
        return Reason.WARNING.value if warned else Reason.STABLE.value


def dataset(judgement: WindowJudgement, policy: Drift) -> DatasetReport | None:
    """The share of drifted features of a settled window; None where none could be judged.

    Outputs aren't features, nor is the multivariate column, which is made of all of them.
    """
    judged = [f for f in judgement.features if f.p is not None and f.role == "feature"]
    if not judged:
        return None
    share = sum(f.reason is Reason.DRIFTED for f in judged) / len(judged)
    return DatasetReport(drifted=share >= policy.dataset_share, share=share, threshold=policy.dataset_share)


def transition_report(transition: Transition) -> TransitionReport:
    """The wire form of a transition."""
    return TransitionReport(
        at=transition.at,
        window=label(transition.seconds),
        feature=transition.feature,
        role=transition.role,
        before=transition.before,
        after=transition.after,
        psi=transition.psi,
        p=transition.p,
    )


def label(seconds: int) -> str:
    """`5m`, `1h`, `24h`: as windows are written in a monitor."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
