"""How a shadow comes to its beginning: a warm-up with copies that don't count, over again if need be."""

from __future__ import annotations

import pytest
from driftline.quantity import Duration
from driftline.shadow.plan import ComparisonPlan
from driftline.spec.candidate import Candidate, Patch
from driftline.spec.gate import Gate
from driftline.spec.shadow import MonitorRef, ShadowSpec
from driftline_operator.shadow.course import Course, Seen, advanced, decode, encode

PLAN = ComparisonPlan(sort="class")
NEW = Course(uid="u", generation=1)
READY = Seen(ready=True, live="l", plan=PLAN, judgement=None)
WARMED = READY._replace(warms=True)
AWAY = READY._replace(ready=False)


def spec(warm_up: float = 120) -> ShadowSpec:
    candidate = Candidate(patch=Patch(image="x"), warm_up=Duration(warm_up))
    return ShadowSpec(monitor_ref=MonitorRef(name="m"), candidate=candidate, gate=Gate(agreement=0.9))


def course(*steps: tuple[float, Seen], warm_up: float = 120) -> Course:
    """After these, each kept and read again: another controller may make the next."""
    found = NEW
    for now, seen in steps:
        found = advanced(decode(encode(found), "u", 1), spec(warm_up), seen, now)
    return found


def test_without_warm_up_it_begins_when_the_candidate_is_ready() -> None:
    assert course((5, AWAY), warm_up=0) == NEW
    found = course((5, AWAY), (6, READY), (9, READY), warm_up=0)
    assert (found.began, found.plan, found.live, found.ready_since) == (6, PLAN, "l", None)
    assert found.is_mirroring()


def test_warm_up_lasts_from_the_first_copies_on_and_is_mirrored() -> None:
    assert not course((0, AWAY)).is_mirroring()
    steps = [(0.0, READY), (50.0, READY), (60.0, WARMED), (179.0, READY), (180.0, READY), (999.0, READY)]
    found = [course(*steps[: n + 1]) for n in range(len(steps))]
    assert [each.began for each in found] == [None, None, None, None, 180, 180]
    assert [each.warm_since for each in found[:4]] == [None, None, 60, 60]
    assert all(each.is_mirroring() for each in found)
    assert [each.elapsed(200) for each in found[3:5]] == [0, 20]


def test_while_nobody_sends_it_copies_nothing_gets_warm() -> None:
    assert course((0, READY), (1e6, READY)).began is None


@pytest.mark.parametrize("seen", [AWAY, WARMED._replace(plan=None), WARMED._replace(live="")])
def test_readiness_that_is_lost_starts_it_over(seen: Seen) -> None:
    lost = course((0, WARMED), (1, WARMED), (110, seen))
    assert lost == NEW
    again = [(0.0, WARMED), (1.0, WARMED), (110.0, seen), (115.0, WARMED), (116.0, WARMED)]
    assert course(*again, (235, WARMED)).began is None
    assert course(*again, (236, WARMED)).began == 236


def test_another_live_workload_starts_it_over() -> None:
    """Before the beginning; after it, that ends the comparison."""
    other = WARMED._replace(live="other")
    found = course((0, WARMED), (1, WARMED), (110, other), (121, other))
    assert (found.ready_since, found.warm_since, found.began, found.live) == (110, 121, None, "other")
    assert found.ended is None
    assert course((0, WARMED), (1, WARMED), (121, WARMED), (122, other)).ended == "LiveChanged"


def test_an_outage_after_the_beginning_is_part_of_the_comparison() -> None:
    steps = ((0, WARMED), (1, WARMED), (121, WARMED), (500, AWAY), (501, WARMED))
    assert [course(*steps[:n]).began for n in range(1, 6)] == [None, None, 121, 121, 121]
