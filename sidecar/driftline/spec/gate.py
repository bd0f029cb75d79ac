"""The gate of a ShadowDeployment: rules with thresholds, and what must be there before they are read.

Every rule is optional but the one on errors, for a candidate that doesn't answer must not pass by silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from driftline.errors import Problem
from driftline.quantity import Duration
from driftline.spec.part import Part, Rule

_DAY = 24 * 3600

Limit = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(gt=0, lt=1)]


class LatencyRatio(Part, frozen=True, kw_only=True):
    """The candidate's latency over the live model's, both through the mirror: at most so much."""

    p50: Annotated[Limit | None, Meta(description="Of the medians. Default: no rule.")] = None
    p95: Annotated[Limit | None, Meta(description="Of the 95th percentiles. Default: no rule.")] = None
    p99: Annotated[Limit | None, Meta(description="Of the 99th percentiles. Default: no rule.")] = None


class PerformanceDifference(Part, frozen=True, kw_only=True):
    """How much worse the candidate may be on the labels that came by the monitor's `performance.age`."""

    accuracy: Annotated[
        Share | None, Meta(description="Largest loss of accuracy, such as 0.01. Default: no rule.")
    ] = None
    auc: Annotated[
        Share | None,
        Meta(description="Largest loss of AUC. Its interval is approximate. Default: no rule."),
    ] = None
    mae: Annotated[
        Limit | None,
        Meta(description="Largest rise of the mean absolute error, in the output's unit. Default: no rule."),
    ] = None


class Gate(Part, frozen=True, kw_only=True):
    """What the candidate must show: all rules for `Promotable`, none refuted."""

    agreement: Annotated[
        Share | None,
        Meta(
            description="Least share of a request's answers that agree (same class, values within the "
            "tolerance, equal bodies), such as 0.98. Default: no rule."
        ),
    ] = None
    mean_delta: Annotated[
        Limit | None,
        Meta(
            description="Largest mean of candidate less live, either way: of the score, else of the value. "
            "Default: no rule."
        ),
    ] = None
    p95_delta: Annotated[
        Limit | None,
        Meta(description="Largest 95th percentile of |candidate - live| over requests. Default: no rule."),
    ] = None
    latency_ratio: Annotated[
        LatencyRatio,
        Meta(
            description="The candidate's latency over the live model's, both through the mirror: the "
            "live model's is timed where requests go twice, so without `aa.share` this stays Inconclusive."
        ),
    ] = LatencyRatio()
    error_rate: Annotated[
        Share,
        Meta(
            description="Largest rise of the share of requests that fail: the candidate's share less the "
            "live model's, whichever requests they are. Always a rule: default 0.01. A candidate that is "
            "refused, times out or answers no 2xx fails; to pass, what it was spared while it was not ready "
            "or kept failing counts as failed too."
        ),
    ] = 0.01
    output_drift: Annotated[
        Share | None,
        Meta(
            description="Largest shift of the share of any answer (a class, or a tenth of the values), "
            "either way; needs declared classes or a reference. Default: no rule; it is reported always."
        ),
    ] = None
    systematic_difference: Annotated[
        Limit | None,
        Meta(
            description="Largest root of the mean squared difference that noise doesn't explain; needs "
            "`aa.share`. Classes count as vectors of 0 and 1. Default: no rule."
        ),
    ] = None
    performance: Annotated[
        PerformanceDifference,
        Meta(
            description="How much worse it may be on the labels that came by the monitor's "
            "`performance.age`, of predictions that are that old; without any there is no verdict."
        ),
    ] = PerformanceDifference()
    coverage: Annotated[
        Annotated[float, Meta(gt=0, le=1)],
        Meta(
            description="Least share of the eligible requests that were compared; below there is no verdict. "
            "Default 0.9."
        ),
    ] = 0.9
    min_time: Annotated[
        Duration,
        Meta(
            description="Time without which nothing is promoted: disagreement has hours of the day and days "
            "of the week. Verdicts are read at the ends of whole periods of it, in days; before, only what "
            "is beyond three times a limit rejects. Default 168h."
        ),
    ] = Duration(7 * _DAY)
    allow_under_a_day: Annotated[
        bool,
        Meta(
            description="Whether `minTime` may be less than a day. Verdicts are then read at any time and "
            "are about the hours seen, no others. Default false."
        ),
    ] = False

    RULES: ClassVar = (
        Rule(
            "has(self.agreement) || has(self.meanDelta) || has(self.p95Delta) || has(self.outputDrift) "
            "|| has(self.systematicDifference) || (has(self.performance) && (has(self.performance.accuracy) "
            "|| has(self.performance.auc) || has(self.performance.mae)))",
            "must have a rule about the answers: agreement, meanDelta, p95Delta, outputDrift, "
            "systematicDifference or performance",
        ),
        Rule(
            "duration(has(self.minTime) ? self.minTime : '168h') >= duration('24h') "
            "|| (has(self.allowUnderADay) && self.allowUnderADay)",
            "minTime below 24h needs allowUnderADay",
        ),
    )

    @property
    def is_hurried(self) -> bool:
        """Is it read at any time, not at the ends of days?"""
        return self.min_time < _DAY

    @property
    def whole_time(self) -> Duration:
        """`min_time` as it is read: in whole days, rounded up, unless it is less than one."""
        days = math.ceil(self.min_time / _DAY)
        return self.min_time if self.is_hurried else Duration(days * _DAY)

    def _check_answers(self) -> Iterator[Problem]:
        performance = self.performance
        rules = (
            self.agreement, self.mean_delta, self.p95_delta, self.output_drift, self.systematic_difference,
            performance.accuracy, performance.auc, performance.mae,
        )  # fmt: skip
        if not any(rule is not None for rule in rules):
            yield Problem(
                "",
                "must have a rule about the answers: agreement, meanDelta, p95Delta, outputDrift, "
                "systematicDifference or performance",
            )

    def _check_min_time(self) -> Iterator[Problem]:
        if self.min_time < _DAY and not self.allow_under_a_day:
            yield Problem("minTime", f"below 24h needs allowUnderADay: true ({self.min_time})")
