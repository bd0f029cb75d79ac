"""Differences of AUCs: DeLong's variance against its definition, and the blocks' sums."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.shadow.sequences.blocks import EVENTS, Blocks, block, blocks_bound


def drawn(rng: np.random.Generator, n: int, live: float, candidate: float) -> tuple[np.ndarray, ...]:
    positive = rng.random(n) < 0.4
    shared = rng.normal(size=n)
    return (
        positive,
        np.round(live * positive + shared + 0.3 * rng.normal(size=n), 1),
        np.round(candidate * positive + shared + 0.3 * rng.normal(size=n), 1),
    )


def kernel(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    ones, zeros = scores[positive][:, None], scores[~positive][None, :]
    return np.asarray((ones > zeros) + 0.5 * (ones == zeros))


def test_a_block_is_delong_s() -> None:
    positive, live, candidate = drawn(np.random.default_rng(8), 1_000, 1.0, 1.5)
    found = block(positive, live, candidate)
    assert found is not None
    psi = kernel(positive, candidate) - kernel(positive, live)
    ones, zeros = psi.shape
    assert found.total == pytest.approx(psi.mean())
    expected = psi.mean(axis=1).var(ddof=1) / ones + psi.mean(axis=0).var(ddof=1) / zeros
    assert found.variance == pytest.approx(expected)


def test_too_few_events_are_no_block() -> None:
    positive = np.arange(1_000) < EVENTS - 1
    assert block(positive, np.zeros(1_000), np.zeros(1_000)) is None
    assert blocks_bound(Blocks()) == (None, -1.0, 1.0)
    assert blocks_bound(Blocks(1, 0.1, 1e-4)) == (0.1, -1.0, 1.0)


def test_bounds_are_seldom_wrong_and_close_in() -> None:
    """200 runs of 10 blocks, a look after each; the true difference is 0."""
    rng = np.random.default_rng(9)
    missed = np.zeros(2)
    for _ in range(200):
        total, wrong = Blocks(), np.zeros(2, bool)
        for _ in range(10):
            one = block(*drawn(rng, 1_200, 1.0, 1.0))
            assert one is not None
            total = total.plus(one)
            bound = blocks_bound(total)
            wrong |= [bound.upper < 0, bound.lower > 0]
        missed += wrong
    assert (missed / 200 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)).all()
    assert bound.upper - bound.lower < 0.05


def test_a_better_candidate_is_found() -> None:
    rng = np.random.default_rng(10)
    total = Blocks()
    for _ in range(5):
        one = block(*drawn(rng, 1_200, 0.8, 1.4))
        assert one is not None
        total = total.plus(one)
    assert blocks_bound(total).lower > 0.03
