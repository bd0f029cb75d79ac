"""Concept drift: both witnesses, and what lasts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from driftline.columns import Floats
from driftline.performance.aggregates import ErrorBucket, MeanSums
from driftline.performance.concept import (
    ComparedWindow,
    ConceptReason,
    ConceptVerdict,
    compare_window,
    concept_verdict,
    replay,
)
from driftline.performance.estimate import Undefined
from driftline.performance.from_rows import mean_sums
from driftline.spec import Sustain
from scipy import stats

HOUR = 3600.0
SUSTAIN = Sustain(windows=3, of=4)


def hours(rates: Floats, rows: int = 60, seed: int = 1) -> list[ErrorBucket]:
    rng = np.random.default_rng(seed)
    return [
        ErrorBucket(place * HOUR, HOUR, mean_sums((rng.random(rows) < rate).astype(float)))
        for place, rate in enumerate(rates)
    ]


def reference(rate: float = 0.1, rows: int = 10_000) -> MeanSums:
    return mean_sums((np.arange(rows) < rate * rows).astype(float))


def verdict(
    buckets: list[ErrorBucket], detector: str = "adwin", of: MeanSums | None = None
) -> ConceptVerdict:
    """Of windows of six hours, one after the other."""
    against = of or reference()
    windows = []
    for start in range(0, len(buckets) - 5, 6):
        parts = buckets[start : start + 6]
        errors = sum((part.errors for part in parts[1:]), parts[0].errors)
        test = compare_window(errors, against)
        windows.append(ComparedWindow(parts[0].start, parts[-1].start + HOUR, test))
    return concept_verdict(windows, replay(buckets, 1e12, detector), SUSTAIN)


DETECTORS = pytest.mark.parametrize("detector", ["adwin", "hddm-a"])


@DETECTORS
def test_an_error_that_doubles_is_drift_and_says_since_when(detector: str) -> None:
    found = verdict(hours(np.repeat([0.1, 0.25], [72, 36])), detector)
    assert found.drifted is True
    assert found.reason is ConceptReason.DRIFTED
    assert found.since is not None
    assert 72 * HOUR < found.since <= 82 * HOUR
    assert found.newest is not None
    assert found.newest.difference.value == pytest.approx(0.15, abs=0.06)


@DETECTORS
def test_a_stable_error_is_stable(detector: str) -> None:
    drifted = [verdict(hours(np.full(120, 0.1), seed=seed), detector).drifted for seed in range(30)]
    assert drifted == [False] * 30


@DETECTORS
def test_a_daily_cycle_of_the_error_is_no_drift(detector: str) -> None:
    rates = 0.1 + 0.06 * np.sin(np.arange(24 * 14) / 24 * 2 * np.pi)
    drifted = [verdict(hours(rates, seed=seed), detector).drifted for seed in range(10)]
    assert drifted == [False] * 10


def test_one_witness_is_not_enough() -> None:
    always_worse = verdict(hours(np.full(60, 0.2)))
    assert always_worse.reason is ConceptReason.DETECTOR_SILENT
    assert always_worse.drifted is False
    better_before = verdict(hours(np.repeat([0.02, 0.1], [72, 36])))
    assert better_before.reason is ConceptReason.TEST_SILENT
    just_now = verdict(hours(np.repeat([0.1, 0.4], [72, 6])))
    assert just_now.reason is ConceptReason.NOT_SUSTAINED
    assert just_now.worse == 1


def test_a_replay_that_begins_with_the_reference_finds_a_model_worse_from_its_first_day() -> None:
    buckets = hours(np.full(24, 0.2))
    assert not replay(buckets, 1e12).raised
    assert replay(buckets, 1e12, reference=reference()).raised


def test_a_recovery_ends_it() -> None:
    found = verdict(hours(np.repeat([0.1, 0.3, 0.1], [72, 36, 36])))
    assert found.drifted is False
    assert found.since is None


def test_open_buckets_are_not_read_and_order_does_not_matter() -> None:
    buckets = hours(np.repeat([0.1, 0.5], [72, 36]))
    early = replay(buckets, 72 * HOUR)
    assert (early.changes, early.buckets, early.until) == ((), 72, 72 * HOUR)
    assert replay(buckets[::-1], 1e12) == replay(buckets, 1e12)
    assert replay([], 1e12).until is None


def test_hddm_refuses_errors_that_have_no_bound() -> None:
    refused = replay(hours(np.full(9, 0.1)), 1e12, "hddm-a", bounded=False)
    assert refused.reason is Undefined.NOT_BOUNDED
    assert concept_verdict([], refused, SUSTAIN).drifted is None


def test_nothing_to_test_is_neither_drift_nor_its_absence() -> None:
    empty = compare_window(MeanSums(), reference())
    assert empty.difference.reason is Undefined.NO_ROWS
    assert compare_window(reference(), MeanSums()).difference.reason is Undefined.NO_REFERENCE
    found = concept_verdict([ComparedWindow(0, 1, empty)], replay([], 1.0), SUSTAIN)
    assert (found.drifted, found.reason) == (None, ConceptReason.INSUFFICIENT_DATA)


def test_a_regressions_windows_are_compared_by_welch() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.exponential(1.3, 200), rng.exponential(1.0, 900)
    found = compare_window(mean_sums(a), mean_sums(b), bounded=False)
    oracle = stats.ttest_ind(a, b, equal_var=False, alternative="greater")
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-6)
    both = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx((both.low, both.high), abs=1e-3)


def test_a_classifiers_windows_are_compared_by_the_pooled_score_test() -> None:
    table = [[30, 170], [90, 810]]
    window, against = (mean_sums(np.repeat([1.0, 0.0], counts)) for counts in table)
    found = compare_window(window, against)
    oracle = stats.chi2_contingency(table, correction=False)
    assert found.p == pytest.approx(oracle.pvalue / 2, rel=1e-6)


@pytest.mark.parametrize("draw", [lambda rng, n: rng.random(n) < 0.1, lambda rng, n: rng.exponential(1, n)])
def test_the_test_keeps_its_level_on_requests_of_many_rows(
    draw: Callable[[np.random.Generator, int], Floats],
) -> None:
    rng = np.random.default_rng(6)
    request = np.repeat(np.arange(150), 20)
    worse = 0
    for _ in range(400):
        # All rows of a request share one error: 3,000 rows, 150 observations.
        sums = [mean_sums(draw(rng, 150)[request].astype(float), request) for _ in range(2)]
        bounded = bool(np.asarray(draw(rng, 1)).dtype == bool)
        worse += compare_window(sums[0], sums[1], bounded=bounded).worse
    # 5 % of 400 is 20; its standard deviation 4.4.
    assert 5 <= worse <= 34


def test_page_hinkley_reads_a_regressions_errors_in_units() -> None:
    rng = np.random.default_rng(4)
    buckets = [
        ErrorBucket(k * HOUR, HOUR, mean_sums(rng.exponential(20.0 if k < 50 else 60.0, 40)))
        for k in range(80)
    ]
    found = replay(buckets, 1e12, "page-hinkley", scale=20.0, bounded=False)
    assert found.raised
    # Its threshold is in summed error and knows no variance: alarms without a change are its known weakness.
    assert any(change.worse and 50 * HOUR < change.at <= 56 * HOUR for change in found.changes)
    adwin = replay(buckets, 1e12, "adwin", scale=20.0, bounded=False)
    assert adwin.raised
    assert adwin.changes[0].after == pytest.approx(60, rel=0.35)
