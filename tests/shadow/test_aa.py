"""Noise and difference: what requests that go twice tell, and what subtracting would not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from driftline.shadow.aa import Twice, twice_alike, twice_classes, twice_numbers
from driftline.shadow.values import Values
from driftline.spec.shadow import Tolerance

N = 4_000
REQUEST = np.arange(N)
NEAR = Tolerance()


def coin(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 2, N)


def test_a_constant_beside_a_coin_is_a_difference() -> None:
    """The A/B disagreement is a half, and so is the live model's own: nothing would be left of it."""
    rng = np.random.default_rng(12)
    ones = np.ones(N, np.int64)
    found = twice_classes(REQUEST, (coin(rng), ones), (coin(rng), ones))
    live, candidate = found.noise()
    assert live == pytest.approx(0.5, abs=0.03)
    assert candidate == 0
    bound = found.systematic()
    assert bound.value == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert bound.lower > 0.6


def test_a_coin_beside_another_coin_is_none() -> None:
    rng = np.random.default_rng(13)
    found = twice_classes(REQUEST, (coin(rng), coin(rng)), (coin(rng), coin(rng)))
    bound = found.systematic()
    assert bound.lower == 0
    assert bound.value is not None
    assert bound.value < 0.2
    assert 0 < bound.upper < 0.45


def test_deterministic_models_give_their_disagreement() -> None:
    rng = np.random.default_rng(14)
    live = coin(rng)
    candidate = np.where(rng.random(N) < 0.1, 1 - live, live)
    found = twice_classes(REQUEST, (live, candidate), (live, candidate))
    assert found.noise() == (0.0, 0.0)
    value, lower, upper = found.systematic()
    assert value == pytest.approx(np.sqrt(2 * (live != candidate).mean()))
    assert lower < np.sqrt(0.2) < upper


def test_values_with_noise() -> None:
    rng = np.random.default_rng(15)
    base = rng.normal(size=N)

    def answers(shift: float) -> tuple[np.ndarray, np.ndarray]:
        return base + rng.normal(size=N), base + shift + rng.normal(size=N)

    same = twice_numbers(REQUEST, answers(0.0), answers(0.0), 20.0, NEAR).systematic()
    shifted = twice_numbers(REQUEST, answers(2.0), answers(2.0), 20.0, NEAR).systematic()
    assert same.lower == 0
    assert shifted.value == pytest.approx(2.0, abs=0.1)
    assert 1 < shifted.lower < 2 < shifted.upper


def test_rows_of_one_request_count_once() -> None:
    request = np.repeat([0, 1], [3, 1])
    a, b = np.array([0, 0, 0, 0]), np.array([1, 1, 0, 0])
    found = twice_classes(request, (a, b), (a, b))
    assert found.products.count == 2
    assert found.products.points @ found.products.weights == pytest.approx(2 * 2 / 3)


def test_without_requests_nothing_is_known() -> None:
    assert Twice.empty(None).systematic().value is None
    assert Twice.empty(None).noise() == (None, None)
    assert Twice.empty(3.0, of_values=True).systematic().upper == pytest.approx(3.0)


def test_pods_add_up() -> None:
    rng = np.random.default_rng(16)
    parts = [twice_classes(REQUEST, (coin(rng), coin(rng)), (coin(rng), coin(rng))) for _ in range(2)]
    assert (parts[0] + parts[1]).products.count == 2 * N


def test_answers_of_which_is_only_known_which_are_alike() -> None:
    """With equality of classes it is their product; of equal noise nothing is left, whatever "alike" is."""
    rng = np.random.default_rng(16)
    a1, b1, a2, b2 = (coin(rng) for _ in range(4))
    alike = np.array([a1 == a2, a1 == b2, b1 == a2, b1 == b2])
    by_names = twice_classes(REQUEST, (a1, b1), (a2, b2))
    found = twice_alike(REQUEST, alike)
    assert found.products.counts.tolist() == by_names.products.counts.tolist()
    assert found.noise() == by_names.noise()
    live, candidate = rng.normal(size=(2, N)), rng.normal(size=(2, N))
    near = np.abs(np.array([live[0] - live[1], live[0] - candidate[1], candidate[0] - live[1]])) < 0.5
    noisy = twice_alike(REQUEST, np.array([*near, np.abs(candidate[0] - candidate[1]) < 0.5]))
    assert noisy.systematic().lower == 0
    apart = twice_alike(REQUEST, np.array([[True], [False], [False], [True]]).repeat(N, axis=1))
    assert apart.systematic().value == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize(
    ("of_values", "deltas", "alike", "said"),
    [
        (False, 9, 9, set()),
        (False, 11, 9, {"p95Delta"}),
        (False, 9, 11, {"agreement"}),
        (False, 9, 12, {"agreement"}),
        (False, None, 12, {"agreement"}),
        (True, 9, 9, set()),
        (True, 11, 9, set()),
        (True, 12, 9, {"p95Delta"}),
        (True, 9, 11, {"agreement"}),
        (True, 9, 12, {"agreement", "p95Delta"}),
        (True, None, 12, {"agreement", "p95Delta"}),
    ],
)
def test_a_rule_that_two_proofs_can_break_halves_its_alpha(
    of_values: bool, deltas: int | None, alike: int, said: set[str]
) -> None:
    """Requests that all differ by the most there is: 8 prove it at .05, 11 at .01, 12 at .005."""

    def all_differ(requests: int) -> Values:
        return Values.of(np.full(requests, 2.0), 2.0, signed=True)

    found = replace(Twice.empty(None), alike=all_differ(alike), of_values=of_values)
    if deltas is not None:
        found = replace(found, deltas=all_differ(deltas))
    assert found.unexplained(0.01) == said
