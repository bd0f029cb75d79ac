from __future__ import annotations

import math

import numpy as np
import pytest
from driftline import detector
from scipy import integrate


def test_the_e_value_has_mean_one_for_a_uniform_p() -> None:
    mean, _ = integrate.quad(lambda p: math.exp(detector.log_e(p)), 0, 1)
    assert mean == pytest.approx(1, abs=1e-6)


def test_the_sum_is_shiryaev_and_roberts() -> None:
    total, log_total = 0.0, -math.inf
    for p in (0.5, 0.01, 0.9, 1e-4, 0.3):
        total = (total + 1) * 0.5 / math.sqrt(p)
        log_total = detector.advance(log_total, p)
        assert math.exp(log_total) == pytest.approx(total)


def test_it_does_not_overflow() -> None:
    total = -math.inf
    for _ in range(5000):
        total = detector.advance(total, 1e-300)
    assert math.isfinite(total)


def test_without_drift_the_average_run_is_at_least_the_threshold() -> None:
    rng = np.random.default_rng(1)
    threshold = 50.0
    runs = []
    for _ in range(300):
        total, count = -math.inf, 0
        while total < math.log(threshold) and count < 5000:
            total = detector.advance(total, float(rng.uniform()))
            count += 1
        runs.append(count)
    assert np.mean(runs) >= threshold


def test_the_threshold_grows_with_evaluations_and_features() -> None:
    day = detector.log_threshold(86400, 0.6, 30)
    assert math.exp(day) == pytest.approx(30 * 30 / 0.6)
    assert detector.log_threshold(3600, 0.6, 30) > day
