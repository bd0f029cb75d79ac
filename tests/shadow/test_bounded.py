"""Bets on bounded means: never ruined, never wrong by rounding, and the same from one pod or ten."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driftline.shadow.sequences.bound import Levels
from driftline.shadow.sequences.bounded import (
    FRACTIONS,
    log_bets_below,
    log_evidence_below,
    log_mixture,
    mean_bound,
    size_bound,
)
from driftline.shadow.values import Values
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

signed = arrays(np.float64, st.integers(1, 60), elements=st.floats(-1, 1))


def bound(values: np.ndarray, levels: Levels = Levels()) -> tuple[float | None, float, float]:  # noqa: B008
    counted = Values.of(values, 1.0, signed=True)
    return mean_bound(counted.points, counted.weights, 1.0, levels)


@settings(max_examples=100, deadline=None)
@given(signed, st.floats(-0.999, 0.999))
def test_rounding_never_adds_evidence(values: np.ndarray, mean: float) -> None:
    counted = Values.of(values, 1.0, signed=True)
    exact = float(log_mixture(log_bets_below(values, mean, 1.0).sum(axis=0)))
    assert log_evidence_below(counted.points, counted.weights, mean, 1.0) <= exact + 1e-9


@settings(max_examples=60, deadline=None)
@given(signed)
def test_evidence_grows_with_the_mean_that_is_doubted(values: np.ndarray) -> None:
    counted = Values.of(values, 1.0, signed=True)
    evidence = [
        log_evidence_below(counted.points, counted.weights, mean, 1.0) for mean in np.linspace(-1, 0.99, 40)
    ]
    assert (np.diff(evidence) >= -1e-9).all()


@settings(max_examples=60, deadline=None)
@given(signed)
def test_bounds_turn_with_the_values(values: np.ndarray) -> None:
    value, lower, upper = bound(values)
    assert value == pytest.approx(values.mean(), abs=1e-12)
    assert -1 <= lower <= values.mean() + 1e-12
    assert values.mean() - 1e-12 <= upper <= 1
    other_value, other_lower, other_upper = bound(-values)
    assert other_value == pytest.approx(-values.mean(), abs=1e-12)
    assert (other_lower, other_upper) == pytest.approx((-upper, -lower), abs=1e-9)


@pytest.mark.parametrize("values", [(0.0, 1.0), (-1.0, 0.0, 1.0), (-1.0, -0.2, 0.9)])
def test_every_bet_is_fair_at_the_doubted_mean_and_loses_where_the_mean_is_higher(
    values: tuple[float, ...],
) -> None:
    points = np.array(values)
    gains = [
        np.exp(log_bets_below(points, float(points.mean()) - less, 1.0)).mean(axis=0) for less in (0.0, 0.05)
    ]
    assert gains[0] == pytest.approx(1)
    assert (gains[1] < 1).all()


def test_varying_means_lose_on_average_as_long_as_their_average_is_not_below() -> None:
    """What whole days rest on: constant bets multiply to at most 1, whatever the order of the hours."""
    rates = np.array([0.001, 0.01, 0.05, 0.019])
    stakes = FRACTIONS / (1 - 0.02)
    product = np.prod([1 - stakes * (rate - 0.02) for rate in rates], axis=0)
    assert rates.mean() == pytest.approx(0.02)
    assert (product <= 1).all()


def test_no_values_bound_nothing() -> None:
    assert bound(np.array([])) == (None, -1.0, 1.0)
    none = Values.empty(1.0, signed=True)
    assert size_bound(none.points, none.weights, 1.0) == (None, 0.0, 1.0)


def test_values_that_never_differ_are_bounded_sooner_than_values_that_do() -> None:
    zeros = bound(np.zeros(2_000))
    wide = bound(np.random.default_rng(1).choice([-1.0, 1.0], 2_000))
    assert zeros[2] < 0.004
    assert zeros[1] > -0.004
    assert wide[2] > 0.05


def test_a_size_is_small_only_where_both_sides_are() -> None:
    rng = np.random.default_rng(2)
    counted = Values.of(rng.uniform(-0.1, 0.1, 20_000) - 0.05, 1.0, signed=True)
    value, lower, upper = size_bound(counted.points, counted.weights, 1.0)
    assert value == pytest.approx(0.05, abs=0.002)
    assert 0.045 < lower < 0.05 < upper < 0.055
    centred = Values.of(rng.uniform(-0.1, 0.1, 20_000), 1.0, signed=True)
    assert size_bound(centred.points, centred.weights, 1.0).lower == 0.0


def test_a_size_gives_each_side_half_of_the_rejecting_error_and_all_of_the_passing() -> None:
    """Passing needs both sides to hold, rejecting either."""
    counted = Values.of(np.random.default_rng(4).uniform(0.0, 0.1, 2_000), 1.0, signed=True)
    found = size_bound(counted.points, counted.weights, 1.0, Levels(0.04, 0.02))
    one_sided = mean_bound(counted.points, counted.weights, 1.0, Levels(0.04, 0.01))
    assert (found.lower, found.upper) == (one_sided.lower, one_sided.upper)


def test_a_smaller_error_needs_wider_bounds() -> None:
    values = np.random.default_rng(3).normal(0, 0.1, 500)
    _, lower, upper = bound(values, Levels(0.05, 0.001))
    _, usual_lower, usual_upper = bound(values)
    assert lower < usual_lower
    assert upper == usual_upper


def test_ten_million_values_are_still_bounded() -> None:
    points = np.array([-1.0, 0.0, 1.0])
    found = mean_bound(points, np.array([1e4, 1e7 - 3e4, 2e4]), 1.0)
    assert found.value == pytest.approx(1e-3)
    assert found.lower == pytest.approx(1e-3, abs=1e-4)
    assert found.upper == pytest.approx(1e-3, abs=1e-4)
    assert math.isfinite(found.upper)
