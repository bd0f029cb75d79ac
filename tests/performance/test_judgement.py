"""Thresholds: absolute, relative, uncertain, without data, and what lasts."""

from __future__ import annotations

from typing import get_args

import pytest
from driftline.performance.aggregates import BinarySums, RegressionSums
from driftline.performance.binary import binary_performance
from driftline.performance.bins import ScoreBins
from driftline.performance.detectors import DETECTORS
from driftline.performance.estimate import Estimate, Undefined, undefined
from driftline.performance.fairness import fairness
from driftline.performance.judgement import (
    JudgedWindow,
    Limits,
    Reason,
    State,
    Threshold,
    Verdict,
    fairness_thresholds,
    judge,
    metric_key,
    sustained,
)
from driftline.performance.regression import regression_metrics
from driftline.spec import FairnessThresholds, PerformanceThreshold, Sustain
from driftline.spec.performance import METRICS, DetectorName


def estimate(value: float, half: float = 0.01, n: int = 1000) -> Estimate:
    return Estimate(value, value - half, value + half, n)


@pytest.mark.parametrize(
    ("threshold", "found", "state", "reason"),
    [
        (Threshold("auc", minimum=0.8), estimate(0.85), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("auc", minimum=0.8), estimate(0.8), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("auc", minimum=0.8), estimate(0.75), State.DEGRADED, Reason.BEYOND_LIMIT),
        (Threshold("auc", minimum=0.8), estimate(0.795), State.INSUFFICIENT_DATA, Reason.UNCERTAIN),
        (Threshold("auc", drop=0.05), estimate(0.83), State.DEGRADED, Reason.BEYOND_LIMIT),
        (Threshold("auc", drop=0.05), estimate(0.86), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("auc", 0.7, drop=0.1), estimate(0.85), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("auc", 0.7, drop=0.1), estimate(0.78), State.DEGRADED, Reason.BEYOND_LIMIT),
        (Threshold("mae", maximum=3.0), estimate(2.5), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("mae", maximum=3.0), estimate(3.5), State.DEGRADED, Reason.BEYOND_LIMIT),
        (Threshold("mae", rise=0.5), estimate(1.2), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("mae", rise=0.5), estimate(1.5), State.DEGRADED, Reason.BEYOND_LIMIT),
        (
            Threshold("mean_error", minimum=-1.0, maximum=1.0),
            estimate(-1.5),
            State.DEGRADED,
            Reason.BEYOND_LIMIT,
        ),
        (Threshold("mean_error", minimum=-1.0, maximum=1.0), estimate(-0.5), State.PASS, Reason.WITHIN_LIMIT),
        (
            Threshold("mean_error", minimum=-1.0, maximum=1.0),
            estimate(1.5, half=4),
            State.INSUFFICIENT_DATA,
            Reason.UNCERTAIN,
        ),
        (
            Threshold("auc", minimum=0.8),
            estimate(0.5, n=199),
            State.INSUFFICIENT_DATA,
            Reason.INSUFFICIENT_LABELS,
        ),
        (
            Threshold("auc", minimum=0.8),
            undefined(Undefined.ONE_CLASS, 5000),
            State.INSUFFICIENT_DATA,
            "OneClass",
        ),
        (Threshold("auc", minimum=0.8), undefined(Undefined.NO_ROWS), State.INSUFFICIENT_DATA, "NoRows"),
        (
            Threshold("max_error", maximum=9.0),
            Estimate(10.0, n=500, reason=Undefined.EXTREME),
            State.DEGRADED,
            Reason.BEYOND_LIMIT,
        ),
    ],
)
def test_a_window_is_judged(threshold: Threshold, found: Estimate, state: State, reason: str) -> None:
    judged = judge(threshold, found, reference=0.9)
    assert (judged.state, judged.reason) == (state, reason)


def test_a_window_needs_labels_not_each_of_its_metrics() -> None:
    """3,000 labels of which 150 are positive, not one of them found."""
    recall = Estimate(0.0, 0.0, 0.023, n=150)
    judged = judge(Threshold("recall", minimum=0.5), recall, least_labels=200, labels=3000)
    assert (judged.state, judged.reason) == (State.DEGRADED, Reason.BEYOND_LIMIT)
    few = judge(Threshold("recall", minimum=0.5), recall, least_labels=200, labels=199)
    assert (few.state, few.reason) == (State.INSUFFICIENT_DATA, Reason.INSUFFICIENT_LABELS)


def test_a_relative_limit_needs_a_reference() -> None:
    relative = judge(Threshold("auc", drop=0.05), estimate(0.5))
    assert (relative.state, relative.reason) == (State.INSUFFICIENT_DATA, Reason.NO_REFERENCE)
    assert relative.limits == Limits(None, None)
    both = Threshold("auc", minimum=0.7, drop=0.05)
    assert judge(both, estimate(0.5)).state is State.DEGRADED
    assert judge(both, estimate(0.8)).reason is Reason.NO_REFERENCE
    assert judge(both, estimate(0.8), reference=0.82).limits == Limits(0.82 - 0.05, None)


def test_a_threshold_has_a_limit() -> None:
    with pytest.raises(ValueError, match="auc: a threshold needs"):
        Threshold("auc")


def test_a_monitors_thresholds_are_understood() -> None:
    given = PerformanceThreshold(metric="averagePrecision", min=0.4, max_drop=0.1)
    assert Threshold.of(given) == Threshold("average_precision", minimum=0.4, drop=0.1)
    asked = FairnessThresholds(demographic_parity_ratio=0.8, equalized_odds_difference=0.1)
    assert fairness_thresholds(asked) == (
        Threshold("demographic_parity_ratio", minimum=0.8),
        Threshold("equalized_odds_difference", maximum=0.1),
    )


def test_every_metric_that_a_monitor_can_name_is_measured() -> None:
    bins = ScoreBins.default()
    binary = binary_performance(BinarySums.empty(bins)).metrics
    assert {metric_key(name) for name in METRICS["classification"]} <= set(binary)
    assert {metric_key(name) for name in METRICS["regression"]} == set(regression_metrics(RegressionSums()))
    assert set(FairnessThresholds.__struct_fields__) <= set(fairness({}).metrics)
    assert set(DETECTORS) == set(get_args(DetectorName))


def over(values: list[float | None], sustain: Sustain | None = None) -> Verdict:
    """Hourly windows of these accuracies; None: without rows."""
    windows = [
        JudgedWindow(
            place * 3600.0,
            (place + 1) * 3600.0,
            judge(
                Threshold("accuracy", minimum=0.8),
                undefined(Undefined.NO_ROWS) if value is None else estimate(value),
            ),
        )
        for place, value in enumerate(values)
    ]
    return sustained(windows, sustain or Sustain(windows=3, of=4))


@pytest.mark.parametrize(
    ("values", "state", "reason"),
    [
        ([0.9, 0.9, 0.9], State.PASS, Reason.WITHIN_LIMIT),
        ([0.9, 0.7, 0.7], State.PASS, Reason.NOT_SUSTAINED),
        ([0.9, 0.7, 0.7, 0.7], State.DEGRADED, Reason.SUSTAINED),
        ([0.7, 0.7, 0.9, 0.7], State.DEGRADED, Reason.SUSTAINED),
        ([0.7, 0.7, 0.7, 0.9, 0.9], State.PASS, Reason.WITHIN_LIMIT),
        ([0.7, 0.7, None, 0.7], State.DEGRADED, Reason.SUSTAINED),
        ([0.7, 0.7, 0.7, None], State.DEGRADED, Reason.SUSTAINED),
        ([0.9, 0.9, None], State.INSUFFICIENT_DATA, "NoRows"),
        ([], State.INSUFFICIENT_DATA, Reason.INSUFFICIENT_LABELS),
    ],
)
def test_what_lasts(values: list[float | None], state: State, reason: str) -> None:
    found = over(values)
    assert (found.state, found.reason) == (state, reason)


def test_sliding_windows_count_once() -> None:
    judged = judge(Threshold("accuracy", minimum=0.8), estimate(0.7))
    sliding = [JudgedWindow(k * 300.0, k * 300.0 + 3600.0, judged) for k in range(12)]
    assert sustained(sliding, Sustain(windows=2, of=2)).degraded == 1
