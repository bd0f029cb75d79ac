from __future__ import annotations

import numpy as np
import pytest
from driftline.detectability import Column, detectability, shift_of, shifts_by_rows
from driftline.spec import Drift

from tests.support.verdicts import HOUR, calibration_of

CALM = (np.random.default_rng(1).chisquare(9, 60) / 1000).tolist()
DAY = 86400


def columns(*names: str) -> list[Column]:
    return [Column(name, 10, 100_000) for name in names]


def test_a_shift_is_told_in_standard_deviations() -> None:
    assert shift_of(0.25) == pytest.approx(0.51, abs=0.03)
    assert shift_of(0.1) < shift_of(0.25) < shift_of(1.0)


def test_a_calm_feature_is_found_at_the_threshold() -> None:
    found = detectability(columns("calm"), calibration_of({"calm": CALM}), Drift(), [DAY], 50_000)
    assert found[0].psi == pytest.approx(0.25)
    assert found[0].days == 3


def test_a_restless_feature_hides_more() -> None:
    restless = [value * 100 for value in CALM]
    calibration = calibration_of({"calm": CALM, "restless": restless})
    found = detectability(columns("calm", "restless"), calibration, Drift(), [DAY], 50_000)[0]
    assert found.worst == "restless"
    calm = detectability(columns("calm"), calibration, Drift(), [DAY], 50_000)[0]
    assert found.worst_shift is not None
    assert calm.shift is not None
    assert found.worst_shift > 2 * calm.shift


def test_what_nothing_can_be_seen_in_is_said_with_what_is_needed() -> None:
    found = detectability(columns("calm"), None, Drift(), [HOUR, DAY], 5_000)
    hour, day = found
    assert (hour.reason, hour.shift, hour.rows_per_day) == ("InsufficientData", None, 24_000)
    assert day.shift is not None


def test_more_rows_find_smaller_shifts_until_the_threshold() -> None:
    small = Column("calm", 10, 4_000)
    found = shifts_by_rows([small] * 30, None, Drift(min_rows=200), [100, 200, 400, 4_000])
    assert found[100] is None
    assert found[200] is not None
    assert found[4_000] is not None
    assert found[4_000] <= found[200]


def test_segments_have_fewer_rows() -> None:
    found = detectability(columns("calm"), None, Drift(), [DAY], 5_000, {"sex=f": 0.1})
    assert [(line.segment, line.reason) for line in found] == [("", ""), ("sex=f", "InsufficientData")]
