"""Labelled pairs: blocks of an AUC that stay as they are, and the form in which the hub tells them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from driftline.errors import DataError
from driftline.shadow.performance import Counted, Labelled, Performance, of_classes, of_numbers, of_scores
from driftline.shadow.rules import asks_for_labels
from driftline.shadow.sequences.blocks import EVENTS, Blocks, block
from driftline.shadow.values import Values
from driftline.spec.gate import Gate, PerformanceDifference

RNG = np.random.default_rng(3)
POSITIVE = RNG.random(3_000) < 0.3
LIVE, CANDIDATE = POSITIVE + RNG.normal(0, 1.0, 3_000), POSITIVE + RNG.normal(0, 1.5, 3_000)


def test_blocks_are_those_of_their_parts_and_stay_when_labels_come() -> None:
    whole = of_scores(POSITIVE, LIVE, CANDIDATE).auc
    assert whole.blocks == int(POSITIVE.sum()) // EVENTS, "the rarer class decides"
    found, began = Blocks(), 0
    for end in range(1, len(POSITIVE) + 1):
        made = block(POSITIVE[began:end], LIVE[began:end], CANDIDATE[began:end])
        if made is not None:
            found, began = found.plus(made), end
    assert tuple(whole) == pytest.approx(tuple(found))
    sooner = of_scores(POSITIVE[:2_000], LIVE[:2_000], CANDIDATE[:2_000]).auc
    assert 0 < sooner.blocks < whole.blocks
    assert sooner.total != whole.total


def test_numbers_that_one_side_leaves_out_are_as_wrong_as_can_be() -> None:
    nothing, label = np.full(6, np.nan), np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])
    request = np.array([0, 0, 1, 1, 3, 3])
    found = of_numbers(request, label, label + 0.5, nothing, 2.0).error
    assert found is not None
    assert found.count == 3
    assert float(found.points @ found.weights) == pytest.approx(6.0)
    turned = of_numbers(request, label, nothing, label + 0.5, 2.0).error
    assert turned is not None
    assert float(turned.points @ turned.weights) == pytest.approx(-6.0)
    neither = of_numbers(request, label, nothing, nothing, 2.0).error
    assert neither is not None
    assert neither.count == 0
    # The mean of a request is that of the rows that tell something.
    some = np.array([1.5, np.nan, 2.0, np.nan, 3.0, 3.0])
    mixed = of_numbers(request, label, np.array([1.5, np.nan, 2.0, 2.0, 3.0, 3.0]), some, 2.0).error
    assert mixed is not None
    assert mixed.counts.tolist() == Values.of(np.array([0.0, 1.0, 0.0]), 2.0, signed=True).counts.tolist()


def test_a_candidate_gains_nothing_by_the_scores_that_it_leaves_out() -> None:
    """Without its hard rows it would look better than the live model, of which it is the copy."""
    hard = np.abs(LIVE - POSITIVE) > 1.0
    left = np.where(hard, np.nan, LIVE)
    better = of_scores(POSITIVE[~hard], RNG.permutation(LIVE)[~hard], LIVE[~hard]).auc
    assert better.blocks > 0
    found = of_scores(POSITIVE, LIVE, left).auc
    assert found.blocks == of_scores(POSITIVE, LIVE, LIVE).auc.blocks
    assert found.total / found.blocks < -0.05
    turned = of_scores(POSITIVE, left, LIVE).auc
    assert turned.total == pytest.approx(-found.total)
    both = of_scores(POSITIVE, left, left).auc
    assert (both.blocks, both.total) == (of_scores(POSITIVE[~hard], LIVE[~hard], LIVE[~hard]).auc.blocks, 0.0)


@pytest.mark.parametrize("number", [0, 1, 2 * EVENTS - 1])
def test_too_few_labels_make_no_block(number: int) -> None:
    of_one_class = np.ones(number, bool)
    assert of_scores(of_one_class, LIVE[:number], CANDIDATE[:number]).auc == Blocks()


def test_what_is_told_is_what_was_found() -> None:
    request = np.arange(3_000) // 3
    found = of_classes(request, POSITIVE, LIVE > 0.5) + of_scores(POSITIVE, LIVE, CANDIDATE)
    found += of_numbers(request, LIVE, LIVE + 0.5, CANDIDATE, 2.0)
    sent = msgspec.json.encode(Labelled.of(3_000, found))
    again = msgspec.json.decode(sent, type=Labelled).performance()
    for name in ("accuracy", "error"):
        first, second = getattr(found, name), getattr(again, name)
        assert (first.limit, first.clipped) == (second.limit, second.clipped)
        assert first.counts.tolist() == second.counts.tolist()
        assert first.sums.tolist() == second.sums.tolist()
    assert again.auc == found.auc
    assert Labelled.of(0, Performance()).performance().accuracy.count == 0


def test_another_grid_is_refused() -> None:
    with pytest.raises(DataError, match="one release"):
        Labelled(rows=1, accuracy=Counted(limit=1.0, counts=[1], sums=[0.0])).performance()


def test_only_performance_asks_for_labels() -> None:
    assert not asks_for_labels(Gate(agreement=0.9))
    assert asks_for_labels(Gate(performance=PerformanceDifference(auc=0.01)))
