"""Labelled pairs: blocks of an AUC that stay as they are, and the form in which the hub tells them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from driftline.errors import DataError
from driftline.shadow.performance import Counted, Labelled, Performance, of_classes, of_numbers, of_scores
from driftline.shadow.rules import asks_for_labels
from driftline.shadow.sequences.blocks import EVENTS, Blocks, block
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
