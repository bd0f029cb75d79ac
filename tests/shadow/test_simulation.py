"""The errors of `benchmarks/shadow_simulation.py` at full size, with the bounds the design sets.

About forty seconds on one core. Shares are looked at after every single pair; means at each of the first
1,000 pairs and then a thousand times more, 0.46 % apart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from driftline.shadow.values import Values

from benchmarks import shadow_simulation as simulation
from benchmarks.shadow_simulation import CASES, HORIZON, LIMIT, RUNS, Means
from tests.support.memory import fresh_peak, peak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_shares_are_sound_after_every_pair(rng: np.random.Generator) -> None:
    found = simulation.binary(rng, RUNS)
    assert found.runs == 2_000
    assert found.sound, found
    assert found.passed > 0.005 * RUNS, "so sound that it must be looking at nothing"


@pytest.mark.parametrize("share", [0.005, 0.02, 0.04])
def test_what_is_proven_between_two_hits_is_what_every_pair_would_prove(
    rng: np.random.Generator, share: float
) -> None:
    below, above = simulation.boundaries(LIMIT)
    for _ in range(50):
        hits = simulation._hits(rng, share)
        counts = np.zeros(HORIZON, np.int64)
        counts[hits - 1] = 1
        counts = counts.cumsum()
        looks = [np.append(each, True) for each in (counts <= below, counts >= above)]
        assert simulation._proofs(hits, below, above) == tuple(int(each.argmax()) + 1 for each in looks)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_capital_is_what_each_value_s_bet_adds(rng: np.random.Generator, case: Means) -> None:
    ends = simulation.looks_at()
    bets = np.hstack([simulation._rounded_bets(case, sign) for sign in (1, -1)])
    numbers, values = case.draw(rng)
    run = np.zeros(HORIZON)
    run[numbers] = values
    points = Values.empty(1.0, signed=case.signed).points
    exact = simulation._each(points, run, bets).cumsum(axis=0)[ends - 1]
    drawn = replace(case, draw=lambda _: (numbers, values))
    assert simulation._capital(drawn, rng, ends, bets) == pytest.approx(exact, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_means_are_sound(rng: np.random.Generator, case: Means) -> None:
    drawn = np.zeros((20, HORIZON))
    for run in drawn:
        numbers, values = case.draw(rng)
        run[numbers] = values
    assert drawn.mean() == pytest.approx(case.mean, abs=5 * drawn.std() / drawn.size**0.5)
    found = simulation.means(case, rng, RUNS)
    assert found.sound, found
    assert found.passed + found.rejected > 0, "so sound that it must be looking at nothing"


def test_an_auc_that_is_lost_in_few_predictions_is_sound() -> None:
    found = simulation.ranking(RUNS)
    assert found.sound, found
    assert found.passed > 0.005 * RUNS, "so sound that it must be looking at nothing"


def test_hours_of_the_day_are_sound_at_the_ends_of_days(rng: np.random.Generator) -> None:
    assert simulation.rates_of_a_day(HORIZON // 7).mean() == pytest.approx(LIMIT)
    assert simulation.daily(rng, RUNS, whole_days=True).sound
    assert simulation.early(rng, RUNS).sound


def test_hours_of_the_day_are_not_sound_at_any_hour(rng: np.random.Generator) -> None:
    """Why the gate waits for the ends of days, and why a normal interval won't do."""
    assert not simulation.daily(rng, 200, whole_days=False).sound
    assert not simulation.peeking(rng, 200).sound


def test_a_half_of_the_limit_passes_after_about_a_thousand_pairs(rng: np.random.Generator) -> None:
    found = simulation.until("", 0.01, rng, RUNS, below=True)
    assert 900 < found.mean < 1_300
    assert found.never == 0


def test_a_run_takes_less_than_a_gigabyte(rng: np.random.Generator) -> None:
    fresh_peak()
    for case in CASES:
        simulation.means(case, rng, 3)
    simulation.binary(rng, 3)
    assert peak() < 1 << 20
