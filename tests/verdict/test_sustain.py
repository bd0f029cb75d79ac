from __future__ import annotations

import pytest
from driftline.spec import Drift
from driftline.sustain import Mark, WindowCourse, disjoint, newest_first, pack_mark
from driftline.verdict import Effect, Reason, State

from tests.support.verdicts import HOUR, said

LARGE, MODERATE, SMALL = Effect.LARGE, Effect.MODERATE, Effect.SMALL


def course() -> WindowCourse:
    return WindowCourse(HOUR, Drift(), 0.6)


def after(*effects: Effect, p: float = 1e-6) -> Reason:
    watched = course()
    for index, effect in enumerate(effects, start=1):
        calm = effect is SMALL
        watched.observe(said(index * HOUR, effect, unusual=not calm, p=0.5 if calm else p))
    return watched.features["age"].reason


@pytest.mark.parametrize(
    ("effects", "reason"),
    [
        ((LARGE,), Reason.NOT_SUSTAINED),
        ((LARGE, LARGE), Reason.NOT_SUSTAINED),
        ((LARGE, LARGE, LARGE), Reason.DRIFTED),
        ((LARGE, SMALL, LARGE, LARGE), Reason.DRIFTED),
        ((LARGE, SMALL, SMALL, LARGE, LARGE), Reason.NOT_SUSTAINED),
        ((MODERATE, MODERATE, MODERATE), Reason.WARNING),
        ((MODERATE, LARGE, LARGE), Reason.WARNING),
        ((LARGE, LARGE, LARGE, SMALL), Reason.DRIFTED),
        ((LARGE, LARGE, LARGE, SMALL, SMALL), Reason.STABLE),
    ],
)
def test_three_of_four(effects: tuple[Effect, ...], reason: Reason) -> None:
    assert after(*effects) is reason


def test_sliding_windows_count_once() -> None:
    watched = course()
    reasons = []
    for step in range(25):
        watched.observe(said(HOUR + step * HOUR / 12, LARGE))
        reasons.append(watched.features["age"].reason)
    assert set(reasons[:24]) == {Reason.NOT_SUSTAINED}
    assert reasons[24] is Reason.DRIFTED


def test_disjoint_takes_the_newest_first() -> None:
    marks = [Mark(end - 10.0, float(end), LARGE, unusual=True) for end in (10, 15, 20, 25, 30)]
    assert [mark.end for mark in disjoint(marks, 3)] == [30, 20, 10]


def test_marks_are_read_as_they_were_packed() -> None:
    given = [
        (float(end), effect, end % 20 == 0) for end, effect in zip(range(10, 40, 10), Effect, strict=True)
    ]
    packed = b"".join(pack_mark(end, effect, unusual=unusual) for end, effect, unusual in given)
    expected = [Mark(end - 10, end, effect, unusual) for end, effect, unusual in reversed(given)]
    assert list(newest_first(packed, 10)) == expected


def test_windows_that_could_not_be_judged_leave_no_mark() -> None:
    watched = course()
    for index in range(1, 4):
        watched.observe(said(index * HOUR, LARGE))
    for index in range(4, 7):
        assert watched.observe(said(index * HOUR, SMALL, state=State.INSUFFICIENT_DATA, p=0.9)) == ()
    assert watched.features["age"].reason is Reason.DRIFTED


def test_weak_evidence_is_not_enough_for_a_page_however_large_the_effect() -> None:
    assert after(LARGE, LARGE, LARGE, p=0.04) is Reason.INSUFFICIENT_EVIDENCE


def test_weak_evidence_adds_up() -> None:
    watched = course()
    for index in range(1, 30):
        watched.observe(said(index * HOUR, LARGE, unusual=False, p=0.05))
    assert watched.features["age"].reason is Reason.DRIFTED


def test_transitions_name_both_ends_of_an_episode() -> None:
    watched = course()
    effects = [LARGE] * 4 + [SMALL] * 4
    seen = [
        (transition.at / HOUR, transition.before, transition.after)
        for index, effect in enumerate(effects, start=1)
        for transition in watched.observe(
            said(index * HOUR, effect, unusual=effect is LARGE, p=1e-6 if effect is LARGE else 0.7)
        )
    ]
    assert [(at, after) for at, _, after in seen] == [(3, Reason.DRIFTED), (6, Reason.STABLE)]
    assert watched.drifted == {}


def test_settle_gives_the_window_what_its_predecessors_say() -> None:
    watched = course()
    for index in range(1, 4):
        window = said(index * HOUR, LARGE)
        watched.observe(window)
    assert watched.settle(window).features[0].reason is Reason.DRIFTED
