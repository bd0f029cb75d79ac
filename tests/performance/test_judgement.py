"""Thresholds: absolute, relative, uncertain, without data, and what lasts."""

from __future__ import annotations

import pytest
from driftline.performance.estimate import Estimate, Undefined, undefined
from driftline.performance.judgement import JudgedWindow, Reason, State, Threshold, Verdict, judge, sustained
from driftline.spec import Sustain


def estimate(value: float, half: float = 0.01, n: int = 1000) -> Estimate:
    return Estimate(value, value - half, value + half, n)


@pytest.mark.parametrize(
    ("threshold", "found", "state", "reason"),
    [
        (Threshold("auc", limit=0.8), estimate(0.85), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("auc", limit=0.8), estimate(0.8), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("auc", limit=0.8), estimate(0.75), State.DEGRADED, Reason.BEYOND_LIMIT),
        (Threshold("auc", limit=0.8), estimate(0.795), State.INSUFFICIENT_DATA, Reason.UNCERTAIN),
        (Threshold("auc", drop=0.05), estimate(0.83), State.DEGRADED, Reason.BEYOND_LIMIT),
        (Threshold("auc", drop=0.05), estimate(0.86), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("auc", share=0.1), estimate(0.85), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("auc", share=0.1), estimate(0.79), State.DEGRADED, Reason.BEYOND_LIMIT),
        (Threshold("mae", limit=3.0), estimate(2.5), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("mae", limit=3.0), estimate(3.5), State.DEGRADED, Reason.BEYOND_LIMIT),
        (Threshold("mae", share=0.5), estimate(1.2), State.PASS, Reason.WITHIN_LIMIT),
        (Threshold("mae", share=0.5), estimate(1.4), State.DEGRADED, Reason.BEYOND_LIMIT),
        (Threshold("mean_error", limit=1.0), estimate(-1.5), State.DEGRADED, Reason.BEYOND_LIMIT),
        (Threshold("mean_error", limit=1.0), estimate(-0.5), State.PASS, Reason.WITHIN_LIMIT),
        (
            Threshold("mean_error", limit=1.0),
            estimate(1.5, half=4),
            State.INSUFFICIENT_DATA,
            Reason.UNCERTAIN,
        ),
        (Threshold("auc", limit=0.8), estimate(0.5, n=99), State.INSUFFICIENT_DATA, Reason.TOO_FEW_ROWS),
        (
            Threshold("auc", limit=0.8),
            undefined(Undefined.ONE_CLASS, 5000),
            State.INSUFFICIENT_DATA,
            "OneClass",
        ),
        (Threshold("auc", limit=0.8), undefined(Undefined.NO_ROWS), State.INSUFFICIENT_DATA, "NoRows"),
        (
            Threshold("max_error", limit=9.0),
            Estimate(10.0, n=500, reason=Undefined.EXTREME),
            State.DEGRADED,
            Reason.BEYOND_LIMIT,
        ),
    ],
)
def test_a_window_is_judged(threshold: Threshold, found: Estimate, state: State, reason: str) -> None:
    judged = judge(threshold, found, reference=0.9)
    assert (judged.state, judged.reason) == (state, reason)


def test_a_relative_limit_needs_a_reference() -> None:
    judged = judge(Threshold("auc", drop=0.05), estimate(0.5))
    assert (judged.state, judged.reason, judged.limit) == (
        State.INSUFFICIENT_DATA,
        Reason.NO_REFERENCE,
        None,
    )


def test_a_threshold_is_one_of_three() -> None:
    with pytest.raises(ValueError, match="auc: give one of"):
        Threshold("auc")
    with pytest.raises(ValueError, match="give one of"):
        Threshold("auc", limit=0.8, drop=0.1)


def over(values: list[float | None], sustain: Sustain | None = None) -> Verdict:
    """Hourly windows of these accuracies; None: without rows."""
    windows = [
        JudgedWindow(
            place * 3600.0,
            (place + 1) * 3600.0,
            judge(
                Threshold("accuracy", limit=0.8),
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
        ([], State.INSUFFICIENT_DATA, Reason.TOO_FEW_ROWS),
    ],
)
def test_what_lasts(values: list[float | None], state: State, reason: str) -> None:
    found = over(values)
    assert (found.state, found.reason) == (state, reason)


def test_sliding_windows_count_once() -> None:
    judged = judge(Threshold("accuracy", limit=0.8), estimate(0.7))
    sliding = [JudgedWindow(k * 300.0, k * 300.0 + 3600.0, judged) for k in range(12)]
    assert sustained(sliding, Sustain(windows=2, of=2)).degraded == 1
