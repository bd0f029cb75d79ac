"""Performance, ConceptDrift and Fairness as conditions with reasons. Pure.

What can't be judged is Unknown with its reason: no data, no labels, too few of them, or an interval that
reaches across the threshold are neither a pass nor a fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from driftline.performance.aggregates import BinarySums, MeanSums, RegressionSums
from driftline.performance.binary import Metrics
from driftline.performance.concept import ComparedWindow, ConceptReason, ConceptVerdict, Replay
from driftline.performance.fairness import Fairness
from driftline.performance.judgement import (
    JudgedWindow,
    Judgement,
    Reason,
    State,
    Threshold,
    Verdict,
    fairness_thresholds,
    judge,
    sustained,
)
from driftline.performance.report import Found, spec_name
from driftline.spec import FairnessThresholds, Performance

from driftline_operator.conditions import Aspect, HubReason, Status
from driftline_operator.hub.aggregates import Sums
from driftline_operator.hub.evaluation.figures import measured
from driftline_operator.hub.evaluation.sums import AgedWindow

_WHY: Final = {
    Reason.INSUFFICIENT_LABELS: HubReason.INSUFFICIENT_LABELS,
    Reason.NO_REFERENCE: HubReason.NO_REFERENCE,
    Reason.UNCERTAIN: HubReason.UNCERTAIN,
}


class Past(NamedTuple):
    """One disjoint window at the judged age. `start`, `end`: of prediction time, unix seconds."""

    start: float
    end: float
    sums: Sums | None


def performance(
    asked: Performance, past: Sequence[Past], newest: AgedWindow, reference: Mapping[str, float]
) -> Found:
    """`past`: disjoint windows, the newest among them, ascending by end."""
    if not newest.overall.predictions:
        return _unknown(Aspect.PERFORMANCE, HubReason.NO_DATA, "no predictions in the window")
    if not newest.overall.labels:
        said = f"not one of {newest.overall.predictions:,} predictions has its label"
        return _unknown(Aspect.PERFORMANCE, HubReason.NO_LABELS, said)
    wanted = [Threshold.of(each) for each in asked.thresholds]
    if not wanted:
        said = f"{newest.overall.labels:,} labels; performance.thresholds sets no limit"
        return _unknown(Aspect.PERFORMANCE, HubReason.NO_THRESHOLDS, said)
    figures = [(each, measured(each.sums)) for each in past]
    verdicts = [_verdict(asked, threshold, figures, reference) for threshold in wanted]
    bad = [each for each in verdicts if each.state is State.DEGRADED]
    if bad:
        said = "; ".join(map(_lasting, bad))
        return Found(Aspect.PERFORMANCE, Status.FALSE, HubReason.THRESHOLD_CROSSED, said)
    open_ = [each for each in verdicts if each.state is State.INSUFFICIENT_DATA]
    if open_:
        return _unknown(Aspect.PERFORMANCE, _why(open_[0]), "; ".join(map(_open, open_)))
    said = "; ".join(_number(each.newest) for each in verdicts if each.newest is not None)
    return Found(Aspect.PERFORMANCE, Status.TRUE, HubReason.WITHIN_THRESHOLDS, said)


def _verdict(
    asked: Performance,
    threshold: Threshold,
    figures: Sequence[tuple[Past, Metrics]],
    reference: Mapping[str, float],
) -> Verdict:
    known = reference.get(threshold.metric)
    windows = [
        JudgedWindow(
            window.start,
            window.end,
            judge(threshold, found[threshold.metric], known, asked.min_labels),
        )
        for window, found in figures
        if threshold.metric in found
    ]
    return sustained(windows, asked.sustain)


def _why(verdict: Verdict) -> HubReason:
    known = {reason.value: word for reason, word in _WHY.items()}
    return known.get(str(verdict.reason), HubReason.UNDEFINED)


def _lasting(verdict: Verdict) -> str:
    number = "" if verdict.newest is None else _number(verdict.newest)
    return f"{number} ({verdict.degraded} of the last {verdict.of} windows)"


def _open(verdict: Verdict) -> str:
    number = "no window" if verdict.newest is None else _number(verdict.newest)
    return f"{number}: {verdict.reason}"


def _number(judged: Judgement) -> str:
    estimate = judged.estimate
    if estimate.value is None:
        return f"{spec_name(judged.metric)} has no value"
    said = f"{spec_name(judged.metric)} {estimate.value:.4g}"
    if estimate.low is not None and estimate.high is not None:
        said += f" [{estimate.low:.4g}, {estimate.high:.4g}]"
    limits = judged.limits
    said += "" if limits.least is None else f", at least {limits.least:.4g} wanted"
    said += "" if limits.most is None else f", at most {limits.most:.4g} wanted"
    if judged.reference is not None:
        said += f" (reference {judged.reference:.4g})"
    return said


def errors_of(sums: Sums | None) -> MeanSums:
    """The error of each row: wrong or not, of a regression |e|."""
    if sums is None:
        return MeanSums()
    return sums.absolute if isinstance(sums, RegressionSums) else sums.errors


def concept(
    verdict: ConceptVerdict | None, replayed: Replay | None, windows: Sequence[ComparedWindow]
) -> Found:
    """`verdict` None: there is no reference to test windows against."""
    if verdict is None:
        said = "the test of a window needs a reference profile with labels (driftline profile build --label)"
        return _unknown(Aspect.CONCEPT_DRIFT, HubReason.NO_REFERENCE, said)
    if verdict.drifted is None:
        said = "no window has labels enough to be tested"
        if replayed is not None and replayed.reason is not None:
            said = f"the detector can't read these errors: {replayed.reason}"
        return _unknown(Aspect.CONCEPT_DRIFT, HubReason.INSUFFICIENT_LABELS, said)
    said = f"{verdict.reason}: {verdict.worse} of the last {verdict.of} windows are worse than the reference"
    newest = windows[-1].test.difference if windows else None
    if newest is not None and newest.value is not None:
        said += f"; error {newest.value:+.4g}"
        if newest.low is not None and newest.high is not None:
            said += f" [{newest.low:+.4g}, {newest.high:+.4g}]"
    if verdict.reason is ConceptReason.DRIFTED:
        return Found(Aspect.CONCEPT_DRIFT, Status.TRUE, HubReason.CONCEPT_CHANGED, said)
    return Found(Aspect.CONCEPT_DRIFT, Status.FALSE, HubReason.NO_CHANGE, said)


def not_asked() -> Found:
    """Of a monitor without `performance`."""
    return _unknown(Aspect.CONCEPT_DRIFT, HubReason.NOT_ASKED, "the spec has no performance to be judged")


def fairness(asked: FairnessThresholds, segments: Mapping[str, Fairness], least: int) -> Found:
    """Over all segments; a difference counts with its whole interval beyond the threshold."""
    wanted = fairness_thresholds(asked)
    if not wanted:
        return _unknown(Aspect.FAIRNESS, HubReason.NO_THRESHOLDS, "fairness.thresholds sets no limit")
    judged = [
        (segment, judge(threshold, found.metrics[threshold.metric], least_labels=least))
        for segment, found in segments.items()
        for threshold in wanted
    ]
    bad = [each for each in judged if each[1].state is State.DEGRADED]
    if bad:
        said = "; ".join(f"{segment}: {_number(each)}" for segment, each in bad)
        return Found(Aspect.FAIRNESS, Status.FALSE, HubReason.THRESHOLD_CROSSED, said + _left_out(segments))
    open_ = [each for each in judged if each[1].state is State.INSUFFICIENT_DATA]
    if open_ or not judged:
        said = "; ".join(f"{segment}: {spec_name(each.metric)}: {each.reason}" for segment, each in open_)
        few = any(each.reason == "TooFewGroups" for _, each in open_) or not judged
        reason = HubReason.TOO_FEW_GROUPS if few else HubReason.UNCERTAIN
        return _unknown(Aspect.FAIRNESS, reason, (said or "no group has labels") + _left_out(segments))
    said = "; ".join(f"{segment}: {_number(each)}" for segment, each in judged)
    return Found(Aspect.FAIRNESS, Status.TRUE, HubReason.WITHIN_THRESHOLDS, said + _left_out(segments))


def _left_out(segments: Mapping[str, Fairness]) -> str:
    small = [
        f"{segment}={value} ({rows})" for segment, f in segments.items() for value, rows in f.left_out.items()
    ]
    if not small:
        return ""
    more = f" and {len(small) - 5} more" if len(small) > 5 else ""
    return f"; too small to be compared: {', '.join(small[:5])}{more}"


def _unknown(aspect: Aspect, reason: HubReason, message: str) -> Found:
    return Found(aspect, Status.UNKNOWN, reason, message)


def groups(parts: Mapping[str, Sums | None]) -> dict[str, BinarySums]:
    """Those that are a binary classifier's."""
    return {name: sums for name, sums in parts.items() if isinstance(sums, BinarySums)}
