"""Tallies: what is counted of a pair, and that it merges in any order and any cut."""

from __future__ import annotations

import json

import numpy as np
import pytest
from driftline.errors import DataError, IncompatiblePanes
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.rows import class_rows, deltas, number_rows
from driftline.shadow.sample import KEPT, Disagreement, largest, listed
from driftline.shadow.tally import Tally, error_counts
from driftline.shadow.values import MAGNITUDES, Values
from driftline.spec.shadow import Tolerance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.support import shadows
from tests.support.shadows import CLASSES, NUMBERS, requests, same

SPREAD = arrays(np.float64, st.integers(0, 80), elements=st.floats(-3, 3))


@settings(max_examples=100, deadline=None)
@given(SPREAD, st.sampled_from([0.5, 2.0]))
def test_values_keep_their_mean_and_their_number(values: np.ndarray, limit: float) -> None:
    counted = Values.of(values, limit, signed=True)
    clipped = np.clip(values, -limit, limit)
    assert counted.count == len(values)
    assert counted.weights.sum() == pytest.approx(len(values))
    assert counted.points @ counted.weights == pytest.approx(clipped.sum(), abs=1e-9)
    assert counted.clipped == (np.abs(values) > limit).sum()
    assert (counted.weights >= 0).all()


@settings(max_examples=100, deadline=None)
@given(SPREAD, st.sampled_from([0.5, 4.0]), st.sampled_from([0.05, 0.5, 0.95, 1.0]))
def test_a_quantile_lies_in_the_cell_of_the_true_one(values: np.ndarray, limit: float, p: float) -> None:
    if not len(values):
        with pytest.raises(ValueError, match="no values"):
            Values.of(values, limit, signed=True).quantile(p)
        return
    clipped = np.clip(values, -limit, limit)
    true = float(np.quantile(clipped, p, method="inverted_cdf"))
    found = Values.of(values, limit, signed=True).quantile(p)
    assert abs(found - true) <= 0.1221 * max(abs(found), abs(true)) + 1e-6 * limit
    sizes = np.abs(clipped)
    found = Values.of(sizes, limit, signed=False).quantile(p)
    assert found == pytest.approx(np.quantile(sizes, p, method="inverted_cdf"), rel=0.1221, abs=1e-6 * limit)


@settings(max_examples=50, deadline=None)
@given(SPREAD, SPREAD)
def test_values_merge_to_what_was_counted_at_once(a: np.ndarray, b: np.ndarray) -> None:
    one, other = Values.of(a, 2.0, signed=True), Values.of(b, 2.0, signed=True)
    both = Values.of(np.concatenate([a, b]), 2.0, signed=True)
    for merged in (one + other, other + one):
        assert (merged.counts == both.counts).all()
        assert merged.sums == pytest.approx(both.sums, abs=1e-12)
        assert merged.clipped == both.clipped
    with pytest.raises(IncompatiblePanes, match="unlike limits"):
        one + Values.of(b, 1.0, signed=True)


def test_a_value_on_an_edge_belongs_to_the_cell_below() -> None:
    counted = Values.of(MAGNITUDES.copy(), 1.0, signed=False)
    assert counted.counts.tolist() == [1] * len(MAGNITUDES)
    assert counted.weights == pytest.approx(np.ones(len(MAGNITUDES)))


def test_a_pair_is_counted_once_whatever_its_rows() -> None:
    rows = class_rows(
        CLASSES,
        requests([3, 1]),
        ["yes", "no", "no", "yes"],
        ["yes", "yes", "maybe", "yes"],
        (np.array([0.9, 0.1, 0.2, 0.8]), np.array([0.9, 0.6, 0.2, 0.7])),
        {"sex": np.array([0, 0, 1, 2])},
    )
    tally = Tally.empty(CLASSES).with_rows(rows)
    assert (tally.all.requests, tally.all.several) == (2, 1)
    differ = tally.all.differ
    assert differ.points @ differ.weights == pytest.approx(2 / 3)
    assert tally.confusion.tolist() == [[0, 1, 1], [0, 2, 0], [0, 0, 0]]
    delta = tally.all.delta
    assert delta is not None
    assert delta.points @ delta.weights == pytest.approx(0.5 / 3 - 0.1)
    assert [v.points @ v.weights for v in tally.shifts] == pytest.approx([-2 / 3, 1 / 3, 1 / 3])
    assert sorted(tally.segments) == [("sex", 0), ("sex", 1), ("sex", 2)]
    assert tally.segments["sex", 0].requests == 1
    assert tally.segments["sex", 0].several == 1


def test_unlike_classes_that_nobody_knows_still_disagree() -> None:
    rows = class_rows(CLASSES, np.arange(2), ["a", "a"], ["b", "a"])
    assert rows.differ.tolist() == [1.0, 0.0]
    assert rows.live is not None
    assert rows.live.tolist() == [2, 2]


def test_numbers_agree_within_the_tolerance() -> None:
    plan = ComparisonPlan(sort="number", clip=10.0, tolerance=Tolerance(absolute=0.1, relative=0.01))
    live = np.array([0.0, 100.0, 100.0, np.nan, np.nan, np.inf, np.inf, 1.0])
    candidate = np.array([0.09, 101.0, 101.2, np.nan, 1.0, np.inf, -np.inf, np.inf])
    rows = number_rows(plan, np.arange(8), live, candidate)
    assert rows.differ.tolist() == [0, 0, 1, 0, 1, 0, 1, 1]
    assert rows.delta is not None
    assert rows.delta.tolist() == pytest.approx([0.09, 1, 1.2, 0, 10, 0, -10, 10])


def test_a_candidate_that_is_no_number_is_never_close() -> None:
    assert deltas(np.array([1.0]), np.array([np.nan]), 3.0).tolist() == [3.0]


def test_errors_by_side() -> None:
    live = np.array([False, False, True, True, False])
    candidate = np.array([False, True, False, True, True])
    assert error_counts(live, candidate).tolist() == [[1, 2], [1, 1]]


def tallies(seed: int) -> list[Tally]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(3):
        tally = shadows.classes(rng, 40, 0.2, rows=number + 1)
        tally = shadows.with_latency(shadows.with_errors(tally, 30, number, 1), rng, 40)
        entries = [shadows.disagreement(int(rng.integers(0, 60)), 1.0) for _ in range(40)]
        found.append(tally.with_sample(entries))
    return found


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_merging_is_associative_commutative_and_has_a_zero(seed: int) -> None:
    a, b, c = tallies(seed)
    assert same((a + b) + c, a + (b + c))
    assert same(a + b, b + a)
    assert same(a + Tally.empty(CLASSES), a)
    assert not same(a, a + b)


def test_pairs_in_pieces_are_the_pairs_at_once() -> None:
    rng = np.random.default_rng(11)
    live, candidate = rng.normal(size=300), rng.normal(size=300)
    whole = Tally.empty(NUMBERS).with_rows(number_rows(NUMBERS, np.arange(300), live, candidate))
    pieces = Tally.empty(NUMBERS)
    for start in range(0, 300, 70):
        part = slice(start, min(start + 70, 300))
        rows = number_rows(NUMBERS, np.arange(part.stop - start), live[part], candidate[part])
        pieces = pieces.with_rows(rows)
    assert same(whole, pieces)


def test_unlike_plans_do_not_merge() -> None:
    with pytest.raises(IncompatiblePanes, match="unlike plans"):
        Tally.empty(CLASSES) + Tally.empty(NUMBERS)


def test_a_plan_is_checked() -> None:
    for bad in ({"clip": 0.0}, {"edges": (1.0, 1.0)}, {"classes": tuple(map(str, range(65)))}):
        with pytest.raises(DataError):
            ComparisonPlan(sort="number", **bad)
    with pytest.raises(DataError, match="segment"):
        ComparisonPlan(sort="class", segments=(("a", tuple(map(str, range(51)))),))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from([0.5, 1.0, 1.0])), max_size=200),
    st.integers(0, 200),
)
def test_the_sample_does_not_depend_on_who_saw_what(entries: list[tuple[int, float]], cut: int) -> None:
    given_ones = [shadows.disagreement(number, size) for number, size in entries]
    whole = largest(given_ones)
    assert largest([*largest(given_ones[cut:]), *largest(given_ones[:cut])]) == whole
    assert len(whole) <= KEPT
    assert [e.size for e in whole] == sorted((e.size for e in whole), reverse=True)
    if len(whole) == KEPT:
        assert (
            min(e.size for e in whole)
            >= sorted(
                {
                    e.request: max(g.size for g in given_ones if g.request == e.request) for e in given_ones
                }.values()
            )[-KEPT]
        )


def test_the_sample_as_people_read_it_is_bounded_in_bytes() -> None:
    entries = [Disagreement(float(size), f"id-{size}", "é" * 500, "no") for size in range(KEPT)]
    told = listed(entries, most=10_000)
    assert len(told.encode()) <= 10_000
    sizes = [each["size"] for each in json.loads(told)]
    assert sizes == [float(size) for size in range(KEPT - 1, KEPT - 1 - len(sizes), -1)], "the largest"
    assert len(sizes) == (10_000 - 2) // (len(listed(entries[-1:]).encode()) - 1)
    assert listed([]) == "[]"
