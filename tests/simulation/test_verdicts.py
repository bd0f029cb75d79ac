"""The nulls and shifts of `benchmarks/verdict_simulation.py`, with bounds that can fail.

No null but the flights has shown a false verdict: zero in 2,000 windows are an upper limit of 0.15 %.
"""

from __future__ import annotations

import numpy as np
import pytest
from driftline.verdict import State

from benchmarks import verdict_simulation as simulation
from tests.support import flights, nulls
from tests.support.simulation import shares, upper_limit

pytestmark = pytest.mark.slow

WINDOWS = 2_000
OF_A_NULL = 0.0025
"""Upper 95 % limit of the share of false verdicts: one in 2,000 passes, two don't."""
OF_FLIGHTS = 0.015


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("rows", simulation.SIZES)
@pytest.mark.parametrize("reference", [1_000, 20_000])
@pytest.mark.parametrize("calibrated", [True, False])
def test_independent_rows_give_no_false_verdicts(
    rng: np.random.Generator, rows: int, reference: int, calibrated: bool
) -> None:
    s = shares(simulation.independent(rng, rows, WINDOWS, reference, calibrated=calibrated))
    assert upper_limit(s.false_alarms, s.windows) < OF_A_NULL


@pytest.mark.parametrize("rows", simulation.SIZES)
def test_a_daily_cycle_gives_no_false_verdicts(rng: np.random.Generator, rows: int) -> None:
    s = shares(simulation.daily(rng, rows, WINDOWS))
    assert upper_limit(s.false_alarms, s.windows) < OF_A_NULL


@pytest.mark.parametrize("calibrated", [True, False])
def test_requests_of_many_rows_give_no_false_verdicts(rng: np.random.Generator, calibrated: bool) -> None:
    s = shares(simulation.requests(rng, 1_000, WINDOWS, calibrated=calibrated))
    assert upper_limit(s.false_alarms, s.windows) < OF_A_NULL


def test_ten_requests_are_not_judged(rng: np.random.Generator) -> None:
    judgements = simulation.requests(rng, 200, 100)
    assert {judgement.state for judgement in judgements} == {State.INSUFFICIENT_REQUESTS}


@pytest.mark.parametrize("rows", simulation.SIZES)
def test_flights_in_time_order_give_few_false_verdicts(rows: int) -> None:
    s = shares(simulation.flights_windows(flights.Flights(), rows))
    assert upper_limit(s.false_alarms, s.windows) < OF_FLIGHTS


@pytest.mark.parametrize(
    ("rows", "shift", "least"),
    [(200, 0.55, 0.75), (200, 0.75, 0.98), (1_000, 0.55, 0.8), (1_000, 1.0, 0.99), (10_000, 0.55, 0.95)],
)
def test_shifts_above_the_threshold_are_found(
    rng: np.random.Generator, rows: int, shift: float, least: float
) -> None:
    s = shares(simulation.independent(rng, rows, WINDOWS, 20_000, shift), nulls.SHIFTED)
    assert s.found >= least
    assert upper_limit(s.false_alarms, s.windows) < OF_A_NULL


def test_a_shift_between_the_thresholds_warns_and_does_not_alarm(rng: np.random.Generator) -> None:
    s = shares(simulation.independent(rng, 10_000, WINDOWS, 20_000, 0.35), nulls.SHIFTED)
    assert s.warned > 0.95
    assert s.found < 0.01


def test_a_drift_has_its_verdict_after_three_windows(rng: np.random.Generator) -> None:
    took = simulation.delays(rng, 1_000, 0.75, 30, 20_000)
    assert [count for count in took if count != 3] == []


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("independent rows", "timed"),
        ("independent rows", "none"),
        ("a reference of 1,000 rows", "small"),
        ("a reference of 1,000 rows", "none"),
        ("a daily cycle of .7 sd", "timed"),
        ("a daily cycle of .7 sd", "seasonal"),
        ("20-row requests, ICC .3", "timed"),
        ("20-row requests, ICC .3", "none"),
    ],
)
def test_below_one_page_a_month(rng: np.random.Generator, name: str, reference: str) -> None:
    assert simulation.months(rng, name, 6, reference).page_limit < 1


@pytest.mark.parametrize("rows", [200, 1_000])
def test_below_one_page_a_month_of_flights(rows: int) -> None:
    assert simulation.flights_months(flights.Flights(), rows).page_limit < 1
