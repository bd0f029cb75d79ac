"""What is taken of one pod: each pane once, and no time called covered of which counts are missing."""

from __future__ import annotations

from typing import Any

import pytest
from driftline_operator.fleet.patience import MOST_ROUNDS, Patience
from driftline_operator.fleet.pods import PodBook, joined, without
from hypothesis import given
from hypothesis import strategies as st

MINUTE = 60
POD = ("ml/census", "uid")


def pod(started: float = 0.0) -> PodBook:
    return PodBook("pod", "uid", started)


def panes(*minutes: int, length: int = 1, data: bytes = b"x") -> dict[tuple[int, int], bytes]:
    return {(minute * MINUTE, length * MINUTE): data for minute in minutes}


def folded(of: PodBook, until: float) -> list[tuple[int, int, bytes]]:
    return [(start // MINUTE, length // MINUTE, data) for (start, length), data in of.fold(until)]


def test_a_pane_is_held_as_it_last_came_and_added_once() -> None:
    book = pod()
    book.take("boot", "c1", 1.0, panes(0, data=b"few"), 65)
    book.take("boot", "c2", 1.0, panes(0, data=b"more"), 70)
    assert folded(book, 50) == []
    assert folded(book, 60) == [(0, 1, b"more")]
    assert book.take("boot", "c3", 1.0, panes(0, data=b"late"), 80) == 0
    assert folded(book, 1000) == []


def test_what_was_rolled_up_over_added_panes_is_dropped_and_what_is_new_is_taken() -> None:
    book = pod()
    book.take("boot", "c1", 1.0, panes(*range(7)), 420)
    assert len(folded(book, 300)) == 5
    book.take("boot", "c2", 1.0, panes(0, 5, length=5), 8000)
    # The first holds what was added; the second more than the two minutes that are still held.
    assert folded(book, 10_000) == [(5, 5, b"x")]


def test_a_pane_of_which_a_part_was_added_is_left_out_and_no_longer_covered() -> None:
    book = pod()
    book.take("boot", "c1", 1.0, panes(0, 1), 120)
    folded(book, 120)
    book.take("boot", "c2", 1.0, panes(0, length=5), 600)  # away for an hour: minutes were rolled up
    assert folded(book, 600) == []
    assert book.had((0, 600)) == pytest.approx(600 - 1 - 180)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from([1, 5, 10])), max_size=12),
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from([1, 5, 10])), max_size=12),
)
def test_a_rolled_up_pane_takes_the_place_of_those_within_it(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    book, held = pod(), dict[tuple[int, int], bytes]()
    for data, places in ((b"1", first), (b"2", second)):
        page = {(at * length * MINUTE, length * MINUTE): data for at, length in places}
        book.take("boot", "c", 1.0, page, 65)
        for place in sorted(page):
            for inside in [p for p in held if place[0] <= p[0] and sum(p) <= sum(place)]:
                del held[inside]
            held[place] = data
    assert book.boots["boot"].fresh == held


def test_a_page_of_very_many_panes_takes_no_minute() -> None:
    class Counted(dict[tuple[int, int], bytes]):
        looked = 0

        def pop(self, *given: Any) -> Any:
            Counted.looked += 1
            return super().pop(*given)

    book = pod()
    book.take("boot", "c", 1.0, panes(0), 65)
    book.boots["boot"].fresh = Counted(book.boots["boot"].fresh)
    book.take("boot", "c", 1.0, panes(*range(4096)), 65)
    assert Counted.looked <= 2 * 4096


def test_another_boot_is_counted_beside_the_first() -> None:
    book = pod()
    book.take("one", "c", 1.0, panes(0, data=b"a"), 30)
    book.take("two", "c", 40.0, panes(0, data=b"b"), 65)
    assert sorted(folded(book, 60)) == [(0, 1, b"a"), (0, 1, b"b")]
    assert book.had((0, 60)) == pytest.approx(29 + 20)
    assert book.expected((0, 60)) == 60


def test_time_is_expected_from_the_start_to_the_end_of_a_pod() -> None:
    book = pod(started=100.0)
    book.left = 400.0
    assert book.expected((0, 1000)) == 300
    assert book.expected((500, 1000)) == 0
    assert book.had((0, 1000)) == 0


def test_a_cursor_without_a_reference_covers_nothing() -> None:
    book = pod()
    book.take("boot", "boot:-:0", 0.0, {}, 100)
    assert book.had((0, 100)) == 0


def test_spans_are_joined_and_cut() -> None:
    assert joined([(5, 7), (0, 2), (2, 3), (6, 9)]) == [(0, 3), (5, 9)]
    assert without([(0, 10)], (3, 5)) == [(0, 3), (5, 10)]
    assert without([(0, 10)], (-5, 20)) == []
    assert without([(0, 10)], (20, 30)) == [(0, 10)]


def test_a_silent_pod_is_asked_ever_less_often_and_at_once_again_when_it_answered() -> None:
    patience = Patience(30.0)
    asked = []
    for turn in range(100):
        now = 30.0 * turn
        if patience.may_ask(POD, now):
            asked.append(turn)
            patience.answered(POD, now, missed=True)
    assert asked[:6] == [0, 1, 3, 7, 15, 31]
    assert asked[6] - asked[5] == asked[7] - asked[6] == MOST_ROUNDS
    patience.answered(POD, 3000.0, missed=False)
    assert patience.may_ask(POD, 3000.0)


def test_pods_that_have_gone_are_forgotten() -> None:
    patience = Patience(30.0)
    for turn in range(5):
        patience.answered(POD, float(turn), missed=True)
    assert not patience.may_ask(POD, 5.0)
    patience.keep(())
    assert patience.may_ask(POD, 5.0)


def test_a_clock_that_is_set_back_makes_nobody_wait_for_hours() -> None:
    patience = Patience(30.0)
    for _ in range(3):
        patience.answered(POD, 100_000.0, missed=True)
    assert not patience.may_ask(POD, 100_001.0)
    assert patience.may_ask(POD, 100_000.0 - 3600)
