"""What was gathered of a monitor: sums, and nothing of a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import TypeVar

from driftline.performance.aggregates import (
    CoverageCounts,
    ErrorBucket,
    FeedbackCounts,
    KpiSums,
    PredictionCounts,
)
from driftline.performance.lag import LagCounts

from driftline_operator.hub.aggregates.measure import Sums
from driftline_operator.hub.aggregates.outcomes import NONE_UNKNOWN, Unknown

_S = TypeVar("_S")


@dataclass(frozen=True)
class Part:
    """Some of a window's predictions: all, of one version, or with one segment's value."""

    sums: Sums | None = None
    """Of those with a label; None: there are none."""
    coverage: CoverageCounts | None = None
    """Of all; None: there are none."""

    @property
    def predictions(self) -> int:
        """How many."""
        return self.labels + (0 if self.coverage is None else int(self.coverage.unlabelled.sum()))

    @property
    def labels(self) -> int:
        """Those of them with a label."""
        return 0 if self.coverage is None else int(self.coverage.labelled.sum())


@dataclass(frozen=True)
class AgedWindow:
    """One window of predictions, with the labels that came within an age of each."""

    start: float
    end: float
    overall: Part = Part()
    versions: Mapping[str, Part] = field(default_factory=dict)
    segments: Mapping[str, Mapping[str, Part]] = field(default_factory=dict)
    lags: LagCounts = field(default_factory=LagCounts)
    predicted: PredictionCounts | None = None
    answered: PredictionCounts | None = None
    """Of `predicted` those that have a label: what an estimate is compared by."""
    said: Mapping[str, Mapping[str, PredictionCounts]] = field(default_factory=dict)
    """Of each segment, by its value: `predicted`, where fairness is asked for."""
    unknown: Unknown = NONE_UNKNOWN


@dataclass(frozen=True)
class Gathered:
    """All that a report is made of."""

    ages: Mapping[float, AgedWindow]
    """By label age, seconds: the newest window of that age."""
    before: tuple[AgedWindow, ...]
    """At the judged age: the disjoint windows before the newest, newest first, with what is judged."""
    latest: AgedWindow
    """The newest window whatever the labels: what estimates, feedback and KPIs are about."""
    errors: tuple[ErrorBucket, ...] = ()
    """By time of prediction, oldest first, closed ones only."""
    watermark: float | None = None
    kpis: Mapping[str, Mapping[str, KpiSums]] = field(default_factory=dict)
    """By name, by variant."""
    feedback: Mapping[str, FeedbackCounts] = field(default_factory=dict)
    """By variant."""


def total(parts: Iterable[_S]) -> _S | None:
    """All together; None where there is none."""
    found = list(parts)
    return reduce(add, found) if found else None
