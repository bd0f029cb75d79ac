"""Performance, ConceptDrift and Fairness as conditions with reasons. Pure.

What can't be judged is Unknown with its reason: no data, no labels, too few of them, or an interval that
reaches across the threshold are neither a pass nor a fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from driftline.performance.aggregates import BinarySums, MeanSums, RankingSums, RegressionSums
from driftline.performance.concept import ComparedWindow, ConceptReason, ConceptVerdict, Replay
from driftline.performance.estimate import Estimate, Undefined, undefined
from driftline.performance.fairness import Fairness, GroupSums
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
from driftline.spec import Fairness as FairnessSpec
from driftline.spec import Performance

from driftline_operator.conditions import Aspect, HubReason, Status
from driftline_operator.hub.aggregates import Sums
from driftline_operator.hub.aggregates.outcomes import NONE_UNKNOWN, Unknown
from driftline_operator.hub.evaluation.figures import measured
from driftline_operator.hub.evaluation.sums import AgedWindow

_WHY: Final = {
    Reason.INSUFFICIENT_LABELS: HubReason.INSUFFICIENT_LABELS,
    Reason.NO_REFERENCE: HubReason.NO_REFERENCE,
    Reason.UNCERTAIN: HubReason.UNCERTAIN,
    Undefined.UNKNOWN_CLASS: HubReason.UNKNOWN_CLASS,
    Undefined.TOO_FEW_GROUPS: HubReason.TOO_FEW_GROUPS,
}


class Past(NamedTuple):
    """One disjoint window at the judged age. `start`, `end`: of prediction time, unix seconds."""

    start: float
    end: float
    sums: Sums | None
    unknown: Unknown = NONE_UNKNOWN
    """Names of classes that nobody knows, among its labels and predictions."""

    @property
    def labels(self) -> float:
        """Rows with a label that can be used, or ranked lists; as they count by their weights."""
        sums = self.sums
        if sums is None:
            return 0
        if isinstance(sums, BinarySums):
            return sums.rows
        if isinstance(sums, RankingSums):
            return sums.ndcg.rows + sums.without_relevant
        return errors_of(sums).rows

    def estimate(self, metric: str) -> Estimate:
        """A metric of it; a window that lacks the metric is undefined, and not passed over."""
        found = measured(self.sums).get(metric) or undefined(Undefined.NO_ROWS)
        if found.value is None and self.unknown:
            return undefined(Undefined.UNKNOWN_CLASS, found.n)
        return found


class Compared(NamedTuple):
    """The groups of one disjoint window, by segment. `start`, `end`: of prediction time, unix seconds."""

    start: float
    end: float
    segments: Mapping[str, Fairness]


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
    if newest.unknown.labels and not past[-1].labels:
        said = f"no label can be used{_strange(newest.unknown)}"
        return _unknown(Aspect.PERFORMANCE, HubReason.UNKNOWN_CLASS, said)
    if not wanted:
        said = f"{newest.overall.labels:,} labels; performance.thresholds sets no limit"
        return _unknown(Aspect.PERFORMANCE, HubReason.NO_THRESHOLDS, said)
    verdicts = [_verdict(asked, threshold, past, reference) for threshold in wanted]
    bad = [each for each in verdicts if each.state is State.DEGRADED]
    if bad:
        said = "; ".join(map(_lasting, bad))
        return Found(Aspect.PERFORMANCE, Status.FALSE, HubReason.THRESHOLD_CROSSED, said)
    open_ = [each for each in verdicts if each.state is State.INSUFFICIENT_DATA]
    if open_:
        said = "; ".join(map(_open, open_)) + _strange(newest.unknown)
        return _unknown(Aspect.PERFORMANCE, _why(open_[0]), said)
    said = "; ".join(_number(each.newest) for each in verdicts if each.newest is not None)
    return Found(Aspect.PERFORMANCE, Status.TRUE, HubReason.WITHIN_THRESHOLDS, said)


def _verdict(
    asked: Performance,
    threshold: Threshold,
    past: Sequence[Past],
    reference: Mapping[str, float],
) -> Verdict:
    metric, known = threshold.metric, reference.get(threshold.metric)
    windows = [
        JudgedWindow(
            window.start,
            window.end,
            judge(threshold, window.estimate(metric), known, asked.min_labels, window.labels),
        )
        for window in past
    ]
    return sustained(windows, asked.sustain)


def _strange(unknown: Unknown) -> str:
    if not unknown:
        return ""
    return (
        f"; {unknown.labels:,} labels and {unknown.predictions:,} predictions name a class that the monitor "
        f"doesn't know, such as {unknown.example[:40]!r}: see schema.prediction.positive and classes"
    )


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


def fairness(asked: FairnessSpec, past: Sequence[Compared]) -> Found:
    """`past`: disjoint windows, ascending by end. A difference counts with its whole interval beyond the
    threshold, and where it lasts.
    """
    wanted = fairness_thresholds(asked.thresholds)
    newest = past[-1].segments
    if not wanted:
        return _unknown(Aspect.FAIRNESS, HubReason.NO_THRESHOLDS, "fairness.thresholds sets no limit")
    judged = [(name, _lasting_difference(asked, each, past, name)) for name in newest for each in wanted]
    small = _left_out(newest)
    bad = [each for each in judged if each[1].state is State.DEGRADED]
    if bad:
        said = "; ".join(f"{segment}: {_lasting(each)}" for segment, each in bad)
        return Found(Aspect.FAIRNESS, Status.FALSE, HubReason.THRESHOLD_CROSSED, said + small)
    open_ = [each for each in judged if each[1].state is State.INSUFFICIENT_DATA]
    if open_:
        said = "; ".join(f"{segment}: {_open(each)}" for segment, each in open_)
        return _unknown(Aspect.FAIRNESS, _why_open([each for _, each in open_]), said + small)
    said = "; ".join(f"{segment}: {_number(each.newest)}" for segment, each in judged if each.newest)
    return Found(Aspect.FAIRNESS, Status.TRUE, HubReason.WITHIN_THRESHOLDS, said + small)


def _lasting_difference(
    asked: FairnessSpec, threshold: Threshold, past: Sequence[Compared], segment: str
) -> Verdict:
    windows = [
        JudgedWindow(
            each.start,
            each.end,
            judge(threshold, each.segments[segment].metrics[threshold.metric], least_labels=asked.min_group),
        )
        for each in past
    ]
    return sustained(windows, asked.sustain)


def _why_open(verdicts: Sequence[Verdict]) -> HubReason:
    """The gravest: a segment of which there are no rows at all says least."""
    reasons = {str(each.reason) for each in verdicts}
    if Undefined.NO_ROWS.value in reasons:
        return HubReason.NO_DATA
    return _why(verdicts[0])


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


def groups(window: AgedWindow, segment: str) -> dict[str, GroupSums]:
    """The groups of a segment, those without labels too."""
    parts, said = window.segments.get(segment, {}), window.said.get(segment, {})
    return {
        value: GroupSums(_binary(parts[value].sums if value in parts else None), said.get(value))
        for value in sorted({*parts, *said})
    }


def everyone(window: AgedWindow) -> GroupSums | None:
    """All rows of a window; None without any."""
    labelled = _binary(window.overall.sums)
    return None if labelled is None and window.predicted is None else GroupSums(labelled, window.predicted)


def _binary(sums: Sums | None) -> BinarySums | None:
    return sums if isinstance(sums, BinarySums) else None
