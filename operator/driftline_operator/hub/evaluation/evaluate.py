"""Gathered sums in, a report with verdicts out. Pure; `now` in unix seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from typing import Final

from driftline.labels import Labels
from driftline.performance.aggregates import MeanSums, PredictionCounts
from driftline.performance.binary import Metrics
from driftline.performance.concept import ComparedWindow, Replay, compare_window, concept_verdict, replay
from driftline.performance.estimated import estimate_error
from driftline.performance.fairness import Fairness
from driftline.performance.fairness import fairness as compared_groups
from driftline.performance.intervals import mean_estimate
from driftline.performance.judgement import fairness_thresholds
from driftline.performance.reference import reference_errors, reference_metrics
from driftline.performance.report import (
    AtAge,
    ConceptChange,
    Estimated,
    Found,
    GroupFigures,
    HubReport,
    Metric,
    SegmentFairness,
    State,
    metrics,
    spec_name,
)
from driftline.profile import Profile
from driftline.quantity import Duration
from driftline.spec import ModelMonitor
from driftline.spec import Performance as PerformanceSpec

from driftline_operator.hub.evaluation import figures, verdicts
from driftline_operator.hub.evaluation.asked import Asked
from driftline_operator.hub.evaluation.sums import AgedWindow, Gathered, Part
from driftline_operator.hub.evaluation.verdicts import Compared, Past

Estimator = Callable[[PredictionCounts], Metrics]

MOST_LEFT_OUT: Final = 50
"""Groups that are too small to be compared and yet named, of a segment."""
MOST_VALUES: Final = 50
"""Of a segment, in a report: the most frequent ones."""


def evaluate(
    monitor: ModelMonitor, asked: Asked, known: figures.Reference | None, gathered: Gathered, now: float
) -> HubReport:
    """All that is said of one monitor."""
    spec = monitor.spec
    profile = None if known is None else known.profile
    labels = _labels(asked, profile)
    reference = {} if labels is None else reference_metrics(labels, gathered.latest.predicted)
    judged = gathered.ages[float(asked.judged_age)]
    past = [
        Past(each.start, each.end, each.overall.sums, each.unknown) for each in _windows(judged, gathered)
    ]
    performance = spec.performance or PerformanceSpec()
    concept, concept_found = _concept(asked, labels, past, gathered)
    fairness, fairness_found = _fairness(asked, _windows(judged, gathered))
    found = [verdicts.performance(performance, past, judged, reference), concept_found]
    return HubReport(
        namespace=monitor.metadata.namespace,
        monitor=monitor.metadata.name,
        model=spec.model.name,
        at=now,
        window=str(asked.window),
        ages=[_at_age(age, asked, gathered.ages[float(age)], reference) for age in asked.ages],
        estimated=_estimated(asked, known, gathered.latest, judged),
        concept=concept,
        fairness=fairness,
        kpis={
            name: figures.kpi_figures(variants, float(asked.window))
            for name, variants in gathered.kpis.items()
        },
        feedback=figures.feedback_figures(gathered.feedback),
        found=found if fairness_found is None else [*found, fairness_found],
    )


def _labels(asked: Asked, profile: Profile | None) -> Labels | None:
    """The reference's; sums of rows say nothing of lists."""
    return None if profile is None or asked.spec.model.type == "ranking" else profile.labels


def _windows(judged: AgedWindow, gathered: Gathered) -> list[AgedWindow]:
    """The disjoint windows at the judged age, oldest first."""
    return [*reversed(gathered.before), judged]


def _at_age(age: Duration, asked: Asked, window: AgedWindow, reference: Mapping[str, float]) -> AtAge:
    overall = window.overall
    calibration, reliability = figures.calibrated(overall.sums)
    return AtAge(
        age=str(age),
        window=str(asked.window),
        start=window.start,
        end=window.end,
        state=_state(asked, window),
        overall=figures.sliced(overall, reference),
        versions={name: figures.sliced(part) for name, part in window.versions.items() if name},
        segments={
            segment: {value: figures.sliced(part) for value, part in _largest(parts)}
            for segment, parts in window.segments.items()
        },
        coverage=figures.covered(overall),
        lag_median=_finite(window.lags.quantile(0.5)),
        lag_p95=_finite(window.lags.quantile(0.95)),
        calibration=calibration,
        calibration_noise=figures.noise(overall.sums),
        reliability=reliability,
        missing=figures.missing(window),
        unknown_labels=window.unknown.labels,
        unknown_predictions=window.unknown.predictions,
    )


def _largest(parts: Mapping[str, Part]) -> list[tuple[str, Part]]:
    """The most frequent values of a segment: clients choose them."""
    return sorted(parts.items(), key=lambda item: -item[1].predictions)[:MOST_VALUES]


def _finite(seconds: float | None) -> float | None:
    return None if seconds is None or seconds == float("inf") else seconds


def _state(asked: Asked, window: AgedWindow) -> State:
    least = (asked.spec.performance or PerformanceSpec()).min_labels
    if not window.overall.predictions:
        return State.NO_DATA
    if not window.overall.labels:
        return State.NO_LABELS
    if window.overall.labels - window.unknown.labels >= least:
        return State.JUDGED
    return State.UNKNOWN_CLASS if window.unknown.labels else State.INSUFFICIENT_LABELS


def _estimated(
    asked: Asked, known: figures.Reference | None, latest: AgedWindow, judged: AgedWindow
) -> Estimated:
    window, start, end = str(asked.window), latest.start, latest.end
    if asked.spec.model.type == "ranking":
        said = "how good a ranking is can't be told without labels"
        return Estimated(window, start, end, State.UNSUPPORTED, said)
    if known is None or known.profile.labels is None:
        said = "an estimate needs a reference profile with labels"
        return Estimated(window, start, end, State.NO_REFERENCE, said)
    found = {} if latest.predicted is None else known.estimate(latest.predicted)
    rows = 0 if latest.predicted is None else round(latest.predicted.counts.sum().item())
    state, said = _estimate_state(found, rows)
    compared, within = _compared(known.estimate, judged)
    until = judged.end if compared else None
    return Estimated(window, start, end, state, said, rows, metrics(found), compared, within, until)


def _estimate_state(found: Metrics, rows: int) -> tuple[State, str]:
    if not rows:
        return State.NO_DATA, "no predictions in the window"
    if not any(each.value is not None for each in found.values()):
        why = next(
            (str(each.reason) for each in found.values()), "the reference's labels are of another kind"
        )
        return State.UNSUPPORTED, f"nothing can be estimated: {why}"
    return (
        State.JUDGED,
        "blind to changes of P(y | x): it neither ends nor holds back a verdict on performance",
    )


def _compared(
    estimate: Estimator, judged: AgedWindow
) -> tuple[dict[str, tuple[float, float]], dict[str, bool]]:
    """Of the labelled rows of the judged window: what is estimated of them and what came true; and whether
    that lies in the estimate's interval.
    """
    if judged.answered is None or judged.overall.sums is None:
        return {}, {}
    realised = figures.measured(judged.overall.sums)
    pairs: dict[str, tuple[float, float]] = {}
    within: dict[str, bool] = {}
    for name, each in estimate(judged.answered).items():
        true = realised.get(name)
        if true is None or each.value is None or true.value is None:
            continue
        pairs[spec_name(name)] = each.value, true.value
        if (inside := estimate_error(each, true).within) is not None:
            within[spec_name(name)] = inside
    return pairs, within


def _concept(
    asked: Asked, labels: Labels | None, past: Sequence[Past], gathered: Gathered
) -> tuple[ConceptChange, Found]:
    if asked.spec.performance is None:
        not_asked = verdicts.not_asked()
        return ConceptChange(State.NOT_ASKED, message=not_asked.message), not_asked
    performance = asked.spec.performance
    reference = None if labels is None else reference_errors(labels, gathered.latest.predicted)
    replayed = _replay(asked, reference, gathered, performance.concept.detector)
    bounded = asked.bounded
    least = performance.min_labels
    windows = [
        ComparedWindow(each.start, each.end, compare_window(errors, reference or MeanSums(), bounded=bounded))
        for each in past
        if (errors := verdicts.errors_of(each.sums)).rows >= least
    ]
    verdict = None
    if reference is not None:
        verdict = concept_verdict(windows, replayed or Replay((), 0, None), performance.sustain)
    found = verdicts.concept(verdict, replayed, windows)
    newest = windows[-1].test.difference if windows and reference is not None else None
    changes = () if replayed is None else replayed.changes
    change = ConceptChange(
        State.NO_REFERENCE
        if verdict is None
        else State.INSUFFICIENT_LABELS
        if verdict.drifted is None
        else State.JUDGED,
        bool(verdict is not None and verdict.drifted),
        found.message,
        performance.concept.detector,
        changes[-1].at if changes else None,
        gathered.watermark,
        Metric.of(mean_estimate(verdicts.errors_of(past[-1].sums))),
        Metric() if newest is None else Metric.of(newest),
    )
    return change, found


def _replay(asked: Asked, reference: MeanSums | None, gathered: Gathered, detector: str) -> Replay | None:
    if gathered.watermark is None:
        return None
    scale = 1.0
    if not asked.bounded and reference is not None and reference.rows:
        mean = reference.total / reference.rows
        scale = max(reference.squares / reference.rows - mean * mean, 0.0) ** 0.5 or 1.0
    return replay(
        gathered.errors,
        gathered.watermark,
        detector,
        reference=reference,
        scale=scale,
        bounded=asked.bounded,
    )


def _fairness(asked: Asked, windows: Sequence[AgedWindow]) -> tuple[dict[str, SegmentFairness], Found | None]:
    """`windows`: disjoint, ascending by end; the newest is what the figures are of."""
    wanted = asked.spec.fairness
    if wanted is None:
        return {}, None
    segments = asked.spec.schema.segments
    together = max(1, len(segments) * len(fairness_thresholds(wanted.thresholds)))
    past = [
        Compared(
            each.start,
            each.end,
            {
                name: compared_groups(
                    verdicts.groups(each, name), verdicts.everyone(each), wanted.min_group, together
                )
                for name in segments
            },
        )
        for each in windows
    ]
    said = {segment: _segment(each) for segment, each in past[-1].segments.items()}
    return said, verdicts.fairness(wanted, past)


def _segment(found: Fairness) -> SegmentFairness:
    rates = {
        value: GroupFigures(
            group.rows,
            Metric.of(group.metrics["selection_rate"]),
            Metric.of(group.metrics["recall"]),
            _false_positive_rate(group.metrics),
        )
        for value, group in found.groups.items()
    }
    state = State.JUDGED if len(rates) > 1 else State.TOO_FEW_GROUPS
    if not found.groups and not found.left_out:
        state = State.NO_DATA
    small = dict(nlargest(MOST_LEFT_OUT, found.left_out.items(), key=lambda each: each[1]))
    return SegmentFairness(state, rates, small, len(found.left_out), metrics(found.metrics))


def _false_positive_rate(of: Metrics) -> Metric:
    specificity = of["specificity"]
    if specificity.value is None:
        return Metric.of(specificity)
    low = None if specificity.high is None else 1 - specificity.high
    high = None if specificity.low is None else 1 - specificity.low
    return Metric(1 - specificity.value, low, high, round(specificity.n), "", specificity.method)
