"""The beta-binomial mixture: against SciPy, against its own inversion, and as a supermartingale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driftline.shadow.sequences.binary import (
    least_above,
    log_evidence_above,
    log_evidence_below,
    most_below,
    share_bound,
)
from driftline.shadow.sequences.bound import Levels
from driftline.tails import beta_log_cdf, log_beta
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from benchmarks.shadow_simulation import boundaries

WANTED = -math.log(0.05)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.5, 900.5), (20.5, 1e4), (3e5, 1.2e6), (1e4, 0.5)])
@pytest.mark.parametrize("x", [1e-9, 0.02, 0.2, 0.5, 0.98, 1 - 1e-9])
def test_the_beta_distribution_agrees_with_scipy(a: float, b: float, x: float) -> None:
    expected = float(special.betainc(a, b, x))
    if expected < 1e-290:  # SciPy takes it as it is, not its log
        assert beta_log_cdf(x, a, b) < -660
    else:
        assert beta_log_cdf(x, a, b) == pytest.approx(math.log(expected), rel=1e-7, abs=1e-9)
    assert log_beta(a, b) == pytest.approx(float(special.betaln(a, b)), rel=1e-12, abs=1e-9)


def test_the_beta_distribution_far_below_its_mean_does_not_underflow() -> None:
    a, x = 5_000.5, 0.02
    front = a * math.log(x) + a * math.log1p(-x) - math.log(a) - float(special.betaln(a, a))
    # Abramowitz and Stegun 26.5.4, summed here: SciPy's hyp2f1 is off by e^160 at these arguments.
    terms = np.cumprod([x * (2 * a + i) / (a + 1 + i) for i in range(60)])
    assert beta_log_cdf(x, a, a) == pytest.approx(front + math.log1p(terms.sum()), abs=1e-7)
    assert front < -12_000


@pytest.mark.parametrize(("n", "k", "limit"), [(1, 0, 0.02), (50, 3, 0.1), (400, 4, 0.02), (300, 90, 0.25)])
def test_the_evidence_is_the_mixture_of_likelihood_ratios(n: int, k: int, limit: float) -> None:
    def ratio(angle: float) -> float:  # theta = sin^2: the prior's ends are smooth then
        theta = math.sin(angle) ** 2
        return math.exp(k * math.log(theta / limit) + (n - k) * math.log((1 - theta) / (1 - limit)))

    end = math.asin(math.sqrt(limit))
    mixed, _ = integrate.quad(ratio, 0, end, epsabs=0, epsrel=1e-10)
    assert log_evidence_below(n, k, limit) == pytest.approx(math.log(mixed / end), abs=1e-8)
    assert log_evidence_above(n, n - k, 1 - limit) == pytest.approx(math.log(mixed / end), abs=1e-8)


@pytest.mark.parametrize("theta", [0.02, 0.03, 0.2])
@pytest.mark.parametrize("n", [1, 30, 200])
def test_the_mean_evidence_under_the_null_is_at_most_one(theta: float, n: int) -> None:
    choose = [math.comb(n, k) * theta**k * (1 - theta) ** (n - k) for k in range(n + 1)]
    mean = sum(p * math.exp(log_evidence_below(n, k, 0.02)) for k, p in enumerate(choose))
    assert mean <= 1 + 1e-9
    if theta == 0.02:
        assert mean == pytest.approx(1)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 5_000), st.floats(0, 1), st.sampled_from([0.05, 0.004]))
def test_bounds_are_where_the_evidence_turns(n: int, share: float, alpha: float) -> None:
    k = round(n * share)
    bound = share_bound(n, k, Levels(alpha, alpha))
    if n == 0:
        assert bound == (None, 0.0, 1.0)
        return
    assert bound.lower <= k / n <= bound.upper
    wanted = -math.log(alpha)
    if bound.upper < 1:
        assert log_evidence_below(n, k, bound.upper) >= wanted - 1e-6
        assert log_evidence_below(n, k, bound.upper - 1e-6) < wanted
    if bound.lower > 1e-6:
        assert log_evidence_above(n, k, bound.lower) >= wanted - 1e-6
        assert log_evidence_above(n, k, bound.lower + 1e-6) < wanted


@pytest.mark.parametrize("limit", [0.02, 0.3, 0.95])
def test_ranks_are_the_last_that_prove(limit: float) -> None:
    for n in (0, 1, 57, 1_000, 20_000):
        most, least = most_below(n, limit, 0.05), least_above(n, limit, 0.05)
        assert most < n * limit < least or n == 0
        assert most < 0 or log_evidence_below(n, most, limit) >= WANTED
        assert log_evidence_below(n, most + 1, limit) < WANTED
        assert least > n or log_evidence_above(n, least, limit) >= WANTED
        assert least == 0 or log_evidence_above(n, least - 1, limit) < WANTED


def test_the_simulation_s_boundaries_are_the_ranks() -> None:
    below, above = boundaries(0.02, 3_000)
    for n in (1, 2, 154, 155, 999, 2_718, 3_000):
        assert (below[n - 1], above[n - 1]) == (most_below(n, 0.02, 0.05), least_above(n, 0.02, 0.05))


def test_many_counts_take_no_time_and_keep_their_precision() -> None:
    bound = share_bound(100_000_000, 1_000_000)
    assert bound.lower == pytest.approx(0.01, abs=6e-5)
    assert bound.upper == pytest.approx(0.01, abs=6e-5)
    assert bound.lower < 0.01 < bound.upper


def test_a_candidate_that_never_disagrees_passes_two_percent_after_so_many_pairs() -> None:
    first = int(np.flatnonzero(boundaries(0.02, 1_000)[0] >= 0)[0]) + 1
    assert share_bound(first, 0).upper <= 0.02 < share_bound(first - 1, 0).upper
    assert first < 250
