"""What many requests add up to: the same, however they are cut into batches."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np
import pytest
from driftline.shadow.account import Failure
from driftline.shadow.json_diff import json_diff
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.tally import Tally
from driftline.spec.shadow import Tolerance
from driftline_sidecar.analyzer.mirror.counting import tally_of
from driftline_sidecar.analyzer.mirror.reading import Outcome, Pair, Repeat, Side
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.mirrors import PLAN
from tests.support.shadows import same

NUMBERS = ComparisonPlan(sort="number", edges=(0.0, 1.0), clip=2.0, segments=PLAN.segments)
PLANS = (
    PLAN, ComparisonPlan(sort="class", classes=("no",)), NUMBERS,
    ComparisonPlan(sort="number"), ComparisonPlan(sort="body"),
)  # fmt: skip

SCORE = st.floats(0, 1) | st.just(math.nan)
VALUE = st.floats(-3, 3) | st.just(math.nan)
SECONDS = st.none() | st.floats(1e-5, 100)


@st.composite
def sides(draw: st.DrawFn, plan: ComparisonPlan, rows: int) -> Side:
    if plan.sort == "body":
        return Side(1)
    if plan.sort == "number":
        return Side(rows, values=np.array(draw(st.lists(VALUE, min_size=rows, max_size=rows))))
    names = tuple(draw(st.lists(st.sampled_from(["no", "yes", "else"]), min_size=rows, max_size=rows)))
    scores = draw(st.none() | st.lists(SCORE, min_size=rows, max_size=rows))
    return Side(rows, names, scores=None if scores is None else np.array(scores))


@st.composite
def outcomes(draw: st.DrawFn, plan: ComparisonPlan, number: int) -> Outcome:
    return replace(draw(kinds(plan, number)), live_seconds=draw(SECONDS), candidate_seconds=draw(SECONDS))


@st.composite
def kinds(draw: st.DrawFn, plan: ComparisonPlan, number: int) -> Outcome:
    if draw(st.integers(0, 3)) == 0:
        failed = draw(st.sampled_from([True, False, None]))
        return Outcome(draw(st.booleans()), failed, draw(st.sampled_from(Failure)))
    rows = 1 if plan.sort == "body" else draw(st.integers(1, 3))
    live, candidate = draw(sides(plan, rows)), draw(sides(plan, rows))
    alike = (True, draw(st.booleans()), False, True) if plan.sort == "body" else ()
    repeat = Repeat((live, candidate), (live, candidate), alike) if draw(st.booleans()) else None
    codes = {name: draw(st.lists(st.integers(0, len(values)), min_size=rows, max_size=rows))
             for name, values in plan.segments}  # fmt: skip
    body = st.fixed_dictionaries({"a": st.integers(0, 1), "b": st.sampled_from(["x", "y"])})
    diff = json_diff(draw(body), draw(body), Tolerance()) if plan.sort == "body" else None
    return Outcome(False, False, pair=Pair(f"id-{number}", live, candidate, codes, diff), repeat=repeat)


@st.composite
def batches(draw: st.DrawFn) -> tuple[ComparisonPlan, list[list[Outcome]]]:
    plan = draw(st.sampled_from(PLANS))
    sizes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    numbers = iter(range(100))
    return plan, [[draw(outcomes(plan, next(numbers))) for _ in range(size)] for size in sizes]


@settings(max_examples=80, deadline=None)
@given(batches())
def test_a_batch_is_the_sum_of_its_parts(given_: tuple[ComparisonPlan, list[list[Outcome]]]) -> None:
    plan, parts = given_
    whole = tally_of(plan, [each for part in parts for each in part])
    apart = reduce(add, (tally_of(plan, part) for part in parts), Tally.empty(plan))
    assert same(whole, apart)


def pair(number: int, live: float | None, candidate: float | None) -> Outcome:
    side = Side(1, ("no",))
    both = [replace(side, scores=None if score is None else np.array([score])) for score in (live, candidate)]
    return Outcome(False, False, pair=Pair(str(number), both[0], both[1], {"sex": [0]}))


@pytest.mark.parametrize("none", [None, math.nan])
def test_a_score_that_one_side_lacks_is_the_largest_difference_and_only_its_own(none: float | None) -> None:
    tally = tally_of(PLAN, [pair(0, 0.1, 0.4), pair(1, 0.1, none), pair(2, none, 0.1), pair(3, none, none)])
    delta, size = tally.all.delta, tally.all.size
    assert delta is not None
    assert size is not None
    assert (tally.all.requests, delta.count, size.count) == (4, 3, 3)
    assert delta.points @ delta.weights == pytest.approx(0.3 + 1 + 1)
    assert {entry.request: entry.size for entry in tally.sample} == pytest.approx({"0": 0.3, "1": 1, "2": 1})


def test_rows_without_a_score_on_either_side_take_nothing_from_the_others() -> None:
    live, candidate = np.array([0.1, math.nan]), np.array([0.5, math.nan])
    one, other = (Side(2, ("no", "no"), scores=scores) for scores in (live, candidate))
    found = Pair("a", one, other, {"sex": [0, 1]})
    tally = tally_of(PLAN, [Outcome(False, False, pair=found)])
    delta = tally.all.delta
    assert delta is not None
    assert delta.count == 1
    assert delta.points @ delta.weights == pytest.approx(0.4)
    men, women = (tally.segments["sex", code].delta for code in (1, 0))
    assert men is not None
    assert women is not None
    assert (women.count, men.count) == (1, 0)


def test_what_the_mirror_itself_could_not_hold_is_in_no_count_of_errors() -> None:
    found = tally_of(PLAN, [Outcome(False, None, Failure.NO_ROOM), Outcome(False, True, Failure.TIMEOUT)])
    assert found.errors.tolist() == [[0, 1], [0, 0]]


def twice(live: str, candidate: str, rows: int = 1) -> Outcome:
    """A request on which each side answers both times alike."""
    both = Side(rows, (live,) * rows), Side(rows, (candidate,) * rows)
    found = pair(0, None, None).pair
    assert found is not None
    codes = {"sex": [0] * rows}
    return Outcome(
        False,
        False,
        pair=replace(found, live=both[0], candidate=both[1], segments=codes),
        repeat=Repeat(both, both),
    )


@pytest.mark.parametrize(("live", "candidate"), [("yes", "yes\0"), ("", "\0"), ("a", "b")])
def test_what_differs_once_differs_twice(live: str, candidate: str) -> None:
    found = tally_of(PLAN, [twice(live, candidate)]).twice.alike
    assert found.points @ found.weights == 2
    same_ = tally_of(PLAN, [twice(live, live)]).twice.alike
    assert same_.points @ same_.weights == 0


def test_a_long_name_among_many_rows_takes_no_memory_of_its_own() -> None:
    """A model that answers with an error's text."""
    tracemalloc.start()
    try:
        tally_of(PLAN, [twice("no", "x" * 50_000, rows=200)])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 5_000_000
