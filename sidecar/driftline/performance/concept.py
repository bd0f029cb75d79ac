"""Concept drift: has the error itself changed? Two witnesses must agree, and it must last.

A change detector on the error by prediction-time bucket says *that and when* it changed; a test of a window
against the reference says *how much worse* it is. The order is that of predictions, never that of labels,
which come in batches sorted by whatever made them. Buckets are read once their labels are in, and replayed
from the store, so that late labels restate the answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from driftline.performance.aggregates import ErrorBucket, MeanSums
from driftline.performance.detectors import DETECTORS, Alarm
from driftline.performance.detectors.unit import Units
from driftline.performance.estimate import Estimate, Undefined, interval, undefined
from driftline.performance.intervals import design_effect, ratio_variance, student_quantile
from driftline.performance.rates import Rate, difference
from driftline.spec import Sustain
from driftline.sustain import disjoint
from driftline.tails import student_log_sf

ALPHA = 0.05
"""Of the test of one window; `sustain` asks for several."""

REFERENCE_UNITS = 5000.0
"""So many units of a reference at most begin a replay: a larger one would hold the detector down for ever."""


@dataclass(frozen=True, slots=True)
class Change:
    """A detector's alarm. `at`: the end of the bucket at which it came, unix seconds."""

    at: float
    before: float
    after: float

    @property
    def worse(self) -> bool:
        """The error rose."""
        return self.after > self.before


@dataclass(frozen=True, slots=True)
class Replay:
    """What a detector said of all closed buckets. `reason`: why it can't read these errors."""

    changes: tuple[Change, ...]
    buckets: int
    until: float | None
    reason: Undefined | None = None

    @property
    def raised(self) -> bool:
        """The newest change was for the worse."""
        return bool(self.changes) and self.changes[-1].worse


def replay(
    buckets: Iterable[ErrorBucket],
    watermark: float,
    detector: str = "adwin",
    *,
    reference: MeanSums | None = None,
    scale: float = 1.0,
    bounded: bool = True,
) -> Replay:
    """Run a detector over the buckets that end at or before the watermark, in the order of prediction time.

    `reference`: errors the stream begins with, so that a model that is worse from its first day on is found.
    `scale`: what errors are divided by, for a regression the reference's sd of |e|. `bounded`: errors lie in
    [0, 1] (classification); HDDM-A needs it.
    """
    closed = sorted((of for of in buckets if of.start + of.seconds <= watermark), key=lambda of: of.start)
    until = closed[-1].start + closed[-1].seconds if closed else None
    if detector == "hddm-a" and not bounded:
        return Replay((), len(closed), until, Undefined.NOT_BOUNDED)
    running = DETECTORS[detector]()
    if reference is not None and (begin := Units.of(reference, scale)) is not None:
        share = min(1.0, REFERENCE_UNITS / begin.n)
        running.update(Units(begin.n * share, begin.mean, begin.squares * share))
    changes = []
    for bucket in closed:
        units = Units.of(bucket.errors, scale)
        found = None if units is None else running.update(units)
        if found is not None:
            alarm = Alarm(*found)
            changes.append(Change(bucket.start + bucket.seconds, alarm.before * scale, alarm.after * scale))
    return Replay(tuple(changes), len(closed), until)


@dataclass(frozen=True, slots=True)
class WindowTest:
    """`difference`: the window's mean error less the reference's; `p`: one-sided, of being worse."""

    difference: Estimate
    p: float | None

    @property
    def worse(self) -> bool:
        """Significantly, at `ALPHA`."""
        return self.p is not None and self.p <= ALPHA


def compare_window(window: MeanSums, reference: MeanSums, *, bounded: bool = True) -> WindowTest:
    """Whether a window's mean error is above the reference's; the unit of both is the request.

    Errors of 0 and 1: Newcombe's interval and the pooled score test, each with its design effect. Others:
    Welch's, with variances between requests.
    """
    n = window.rows + reference.rows
    if not window.rows or not reference.rows:
        return WindowTest(
            undefined(Undefined.NO_ROWS if not window.rows else Undefined.NO_REFERENCE, n), None
        )
    return _proportions(window, reference) if bounded else _welch(window, reference)


def _proportions(window: MeanSums, reference: MeanSums) -> WindowTest:
    a, b = (Rate(round(of.total), of.rows, design_effect(of)) for of in (window, reference))
    pooled = (a.hits + b.hits) / (a.n + b.n)
    variance = pooled * (1 - pooled) * (a.effect / a.n + b.effect / b.n)
    apart = difference(a, b)
    if variance <= 0:
        return WindowTest(apart, 1.0)
    return WindowTest(apart, _upper_tail((a.value - b.value) / math.sqrt(variance), 1e9))


def _welch(window: MeanSums, reference: MeanSums) -> WindowTest:
    value = window.total / window.rows - reference.total / reference.rows
    n = window.rows + reference.rows
    variances = ratio_variance(window), ratio_variance(reference)
    if variances[0] is None or variances[1] is None:
        return WindowTest(interval(value, None, n, "welch"), None)
    total = variances[0] + variances[1]
    if total <= 0:
        return WindowTest(interval(value, 0.0, n, "welch"), 0.0 if value > 0 else 1.0)
    df = total**2 / (variances[0] ** 2 / (window.requests - 1) + variances[1] ** 2 / (reference.requests - 1))
    half = student_quantile(max(1, math.floor(df)), 0.95) * math.sqrt(total)
    return WindowTest(interval(value, half, n, "welch"), _upper_tail(value / math.sqrt(total), df))


def _upper_tail(t: float, df: float) -> float:
    return math.exp(student_log_sf(t, df))


class ConceptReason(StrEnum):
    """Why concept drift is, or is not, said."""

    DRIFTED = "Drifted"
    """The detector's newest change is for the worse, and k of the last m windows are worse too."""
    STABLE = "Stable"
    """Neither says so."""
    NOT_SUSTAINED = "NotSustained"
    """The newest window is worse, but too few of the last are."""
    DETECTOR_SILENT = "DetectorSilent"
    """Windows are worse than the reference, but the detector saw no change for the worse."""
    TEST_SILENT = "TestSilent"
    """The detector saw a change for the worse, but windows are as good as the reference."""
    INSUFFICIENT_DATA = "InsufficientData"
    """No window that could be tested: neither drift nor its absence."""


@dataclass(frozen=True, slots=True)
class ComparedWindow:
    """One window's test. `start`, `end`: of the predictions, unix seconds."""

    start: float
    end: float
    test: WindowTest


@dataclass(frozen=True, slots=True)
class ConceptVerdict:
    """`drifted`: None where nothing can be said. `worse` of the `of` last disjoint windows were worse."""

    drifted: bool | None
    reason: ConceptReason
    worse: int
    of: int
    since: float | None
    newest: WindowTest | None


def concept_verdict(windows: Sequence[ComparedWindow], replayed: Replay, sustain: Sustain) -> ConceptVerdict:
    """Both witnesses, and `sustain`. `windows` ascending by end; those that couldn't be tested leave no mark.

    `since`: the change that the detector saw last.
    """
    tested = [window for window in windows if window.test.p is not None]
    if not tested or replayed.reason is not None:
        return ConceptVerdict(None, ConceptReason.INSUFFICIENT_DATA, 0, 0, None, None)
    last = disjoint(tested, sustain.of)
    worse = sum(window.test.worse for window in last)
    reason = _reason(worse, sustain, raised=replayed.raised, newest=tested[-1].test.worse)
    drifted = reason is ConceptReason.DRIFTED
    since = replayed.changes[-1].at if drifted else None
    return ConceptVerdict(drifted, reason, worse, len(last), since, tested[-1].test)


def _reason(worse: int, sustain: Sustain, *, raised: bool, newest: bool) -> ConceptReason:
    if worse >= sustain.windows:
        return ConceptReason.DRIFTED if raised else ConceptReason.DETECTOR_SILENT
    if newest:
        return ConceptReason.NOT_SUSTAINED
    return ConceptReason.TEST_SILENT if raised else ConceptReason.STABLE
