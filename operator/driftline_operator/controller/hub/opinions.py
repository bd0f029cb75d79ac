"""What the hub's report means for a monitor's status: conditions, and the figures of the judged window. Pure.

A hub that isn't there, can't be reached, or has not judged for long makes conditions Unknown: what can't be
known is never a pass.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final, NamedTuple

from driftline.performance.report import AtAge, HubReport, Metric
from driftline.spec import MonitorSpec
from driftline.spec.performance import METRICS
from driftline.spec.status import MetricStatus, PerformanceStatus

from driftline_operator.conditions import Aspect, Finding, HubReason, Status

STALE_SECONDS: Final = 900.0
"""A report that is overdue by this says nothing of now. What costs much is due less often."""


class Opinion(NamedTuple):
    """What the status takes from the hub."""

    findings: tuple[Finding, ...] = ()
    performance: PerformanceStatus | None = None


class Away(NamedTuple):
    """There is no report, and why."""

    reason: HubReason
    message: str


NO_HUB: Final = Away(
    HubReason.NO_HUB, "the spec has labels, but Driftline is installed without its hub (hub.enabled)"
)


def aspects(spec: MonitorSpec) -> tuple[Aspect, ...]:
    """The conditions that a monitor asks the hub for."""
    if spec.labels is None:
        return ()
    fairness = () if spec.fairness is None else (Aspect.FAIRNESS,)
    return (Aspect.PERFORMANCE, Aspect.CONCEPT_DRIFT, *fairness)


def opinion(spec: MonitorSpec, report: HubReport | Away, now: float) -> Opinion:
    """`now`: unix seconds."""
    wanted = aspects(spec)
    if not wanted:
        return Opinion()
    if isinstance(report, HubReport) and now > max(report.at, report.due or 0.0) + STALE_SECONDS:
        report = Away(HubReason.STALE, f"the hub judged last {now - report.at:.0f} s ago: see its log")
    if isinstance(report, Away):
        found = [Finding(aspect, Status.UNKNOWN, report.reason, report.message) for aspect in wanted]
        return Opinion(tuple(found))
    return Opinion(tuple(_findings(wanted, report)), _performance(spec, report))


def _findings(wanted: tuple[Aspect, ...], report: HubReport) -> Iterator[Finding]:
    said = {each.aspect: each for each in report.found}
    for aspect in wanted:
        each = said.get(aspect)
        if each is None:
            yield Finding(aspect, Status.UNKNOWN, HubReason.NO_DATA, "the hub has not judged it yet")
        else:
            yield Finding(aspect, Status(each.status), each.reason, each.message)


def _performance(spec: MonitorSpec, report: HubReport) -> PerformanceStatus | None:
    judged = next((each for each in report.ages if each.age == str(spec.performance_age)), None)
    if judged is None or not judged.overall.predictions:
        return None
    return PerformanceStatus(
        window=judged.window,
        age=judged.age,
        until=dt.datetime.fromtimestamp(judged.end, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        predictions=judged.overall.predictions,
        labels=judged.overall.labels,
        coverage=round(judged.coverage.value or 0.0, 4),
        metrics=tuple(_metrics(spec, judged)),
    )


def _metrics(spec: MonitorSpec, judged: AtAge) -> Iterator[MetricStatus]:
    """Those with thresholds first; what has no value isn't there."""
    thresholds = () if spec.performance is None else spec.performance.thresholds
    order = dict.fromkeys([each.metric for each in thresholds] + list(METRICS[spec.model.type]))
    for name in order:
        found = judged.overall.metrics.get(name, Metric())
        if found.value is not None:
            yield MetricStatus(
                metric=name,
                value=rounded(found.value),
                low=None if found.low is None else rounded(found.low),
                high=None if found.high is None else rounded(found.high),
                reference=None if found.reference is None else rounded(found.reference),
            )


def rounded(value: float) -> float:
    """Six significant digits: nobody reads more, and equal figures stay equal text."""
    return float(f"{value:.6g}")
