"""A metric against a threshold: Pass, Degraded or InsufficientData. No data is never a pass."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from driftline.performance.estimate import Estimate
from driftline.spec import FairnessThresholds, PerformanceThreshold, Sustain
from driftline.sustain import disjoint

LEAST_LABELS = 200
"""Labelled rows below which a window is not judged, where the monitor's `minLabels` doesn't say otherwise."""


class State(StrEnum):
    """What a threshold says of a window."""

    PASS = "Pass"  # noqa: S105  (a verdict, no password)
    DEGRADED = "Degraded"
    INSUFFICIENT_DATA = "InsufficientData"


class Reason(StrEnum):
    """Why; where a metric is undefined, the `Undefined` word stands instead."""

    WITHIN_LIMIT = "WithinLimit"
    """The value keeps the limit."""
    BEYOND_LIMIT = "BeyondLimit"
    """The value and its whole interval lie beyond the limit."""
    UNCERTAIN = "Uncertain"
    """The value is beyond the limit, but its interval reaches across: neither pass nor fail."""
    INSUFFICIENT_LABELS = "InsufficientLabels"
    """Fewer labelled rows than the policy asks for."""
    NO_REFERENCE = "NoReference"
    """The limit is relative to the reference, which has no such metric."""
    NOT_SUSTAINED = "NotSustained"
    """The newest window is beyond the limit, but too few of the last are."""
    SUSTAINED = "Sustained"
    """Enough of the last disjoint windows are beyond the limit."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """What of one metric is too bad: below `minimum` or above `maximum`.

    `drop`, `rise`: so far below or above the reference's value, in the metric's units.
    """

    metric: str
    minimum: float | None = None
    maximum: float | None = None
    drop: float | None = None
    rise: float | None = None

    def __post_init__(self) -> None:
        if {self.minimum, self.maximum, self.drop, self.rise} == {None}:
            raise ValueError(f"{self.metric}: a threshold needs minimum, maximum, drop or rise")

    @classmethod
    def of(cls, given: PerformanceThreshold) -> Threshold:
        """A monitor's; the metric's name as this package has it."""
        return cls(metric_key(given.metric), given.min, given.max, given.max_drop, given.max_rise)

    @property
    def relative(self) -> bool:
        """Whether it needs the reference's value."""
        return self.drop is not None or self.rise is not None

    def limits(self, reference: float | None) -> Limits:
        """The limits in the metric's units; relative ones only where there is a reference."""
        least, most = self.minimum, self.maximum
        if reference is not None and self.drop is not None:
            least = max(reference - self.drop, -math.inf if least is None else least)
        if reference is not None and self.rise is not None:
            most = min(reference + self.rise, math.inf if most is None else most)
        return Limits(least, most)


def metric_key(name: str) -> str:
    """`averagePrecision`, as a monitor writes it, is `average_precision` here."""
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def fairness_thresholds(given: FairnessThresholds) -> tuple[Threshold, ...]:
    """A monitor's: greatest differences and least ratios, of the metrics of `fairness`."""
    found = []
    for name in given.__struct_fields__:
        value = getattr(given, name)
        if value is not None:
            found.append(
                Threshold(name, minimum=value) if name.endswith("_ratio") else Threshold(name, maximum=value)
            )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Limits:
    """The values that are still good: from `least` to `most`; None: any."""

    least: float | None
    most: float | None

    def beyond(self, value: float) -> bool:
        """Strictly worse."""
        below = self.least is not None and value < self.least
        return below or (self.most is not None and value > self.most)

    def wholly_beyond(self, estimate: Estimate) -> bool:
        """All of the interval on one and the same bad side; a value without an interval stands for itself."""
        if estimate.value is None:
            return False
        low = estimate.value if estimate.low is None else estimate.low
        high = estimate.value if estimate.high is None else estimate.high
        below = self.least is not None and high < self.least
        return below or (self.most is not None and low > self.most)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One window against one threshold, with its numbers. `reason`: of `Reason` or of `Undefined`."""

    metric: str
    state: State
    reason: str
    estimate: Estimate
    limits: Limits
    reference: float | None = None


def judge(
    threshold: Threshold,
    estimate: Estimate,
    reference: float | None = None,
    least_labels: int = LEAST_LABELS,
    labels: float | None = None,
) -> Judgement:
    """Of one window. `reference`: the metric's value in the reference.

    `least_labels`: that the window needs; `labels`: that it has, whichever of them the metric rests on (a
    recall only on the positive ones). Default: those that the metric rests on.
    """
    limits = threshold.limits(reference)
    unknown = threshold.relative and reference is None
    enough = (estimate.n if labels is None else labels) >= least_labels
    state, reason = _judged(limits, estimate, enough=enough, unknown=unknown)
    return Judgement(threshold.metric, state, reason, estimate, limits, reference)


def _judged(limits: Limits, estimate: Estimate, *, enough: bool, unknown: bool) -> tuple[State, str]:
    if estimate.value is None:
        return State.INSUFFICIENT_DATA, str(estimate.reason)
    if not enough:
        return State.INSUFFICIENT_DATA, Reason.INSUFFICIENT_LABELS
    if limits.wholly_beyond(estimate):
        return State.DEGRADED, Reason.BEYOND_LIMIT
    if limits.beyond(estimate.value):
        return State.INSUFFICIENT_DATA, Reason.UNCERTAIN
    if unknown:
        return State.INSUFFICIENT_DATA, Reason.NO_REFERENCE
    return State.PASS, Reason.WITHIN_LIMIT


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """`start`, `end`: of the predictions, unix seconds."""

    start: float
    end: float
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Verdict:
    """What lasts. `degraded` of the `of` last disjoint windows that could be judged were beyond the limit."""

    state: State
    reason: str
    degraded: int
    of: int
    newest: Judgement | None


def sustained(windows: Sequence[JudgedWindow], sustain: Sustain) -> Verdict:
    """Over one metric's windows, ascending by end. Those without data leave no mark, and are no pass.

    The newest window's own state shows where nothing lasts; without data in the newest window the verdict
    is InsufficientData, unless the windows before it are degraded already.
    """
    newest = windows[-1].judgement if windows else None
    held = [window for window in windows if window.judgement.state is not State.INSUFFICIENT_DATA]
    last = disjoint(held, sustain.of)
    degraded = sum(window.judgement.state is State.DEGRADED for window in last)
    if degraded >= sustain.windows:
        return Verdict(State.DEGRADED, Reason.SUSTAINED, degraded, len(last), newest)
    if newest is None or newest.state is State.INSUFFICIENT_DATA:
        reason = Reason.INSUFFICIENT_LABELS if newest is None else newest.reason
        return Verdict(State.INSUFFICIENT_DATA, reason, degraded, len(last), newest)
    reason = Reason.NOT_SUSTAINED if newest.state is State.DEGRADED else newest.reason
    return Verdict(State.PASS, reason, degraded, len(last), newest)
