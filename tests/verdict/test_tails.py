from __future__ import annotations

import numpy as np
import pytest
from driftline.tails import chi2_log_sf, student_log_sf
from scipy import stats


@pytest.mark.parametrize("df", [1.0, 1.7, 4.0, 9.0, 29.0, 500.0])
@pytest.mark.parametrize("t", [-3.0, 0.0, 0.01, 0.7, 2.0, 5.0, 40.0, 1e4])
def test_student_agrees_with_scipy(t: float, df: float) -> None:
    expected = stats.t.logsf(t, df)
    if np.isinf(expected):  # SciPy takes the log of what has underflowed
        assert student_log_sf(t, df) < -700
    else:
        assert student_log_sf(t, df) == pytest.approx(expected, abs=1e-9, rel=1e-9)


@pytest.mark.parametrize("df", [1, 2, 9, 60, 400])
@pytest.mark.parametrize("x", [0.0, 0.01, 1.0, 9.0, 60.0, 500.0])
def test_chi_squared_agrees_with_scipy(x: float, df: float) -> None:
    assert chi2_log_sf(x, df) == pytest.approx(stats.chi2.logsf(x, df), abs=1e-9, rel=1e-9)


def test_chi_squared_does_not_underflow() -> None:
    far = chi2_log_sf(20_000.0, 9)
    assert np.isfinite(far)
    assert far < -9_900
