"""The pane store: steps, roll-up, late rows and bounded memory, all on a clock that is an argument."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.columns import Batch, NumericColumn
from driftline.counting import count
from driftline.grid import Grid
from driftline.pane import Axes, PaneCounts
from driftline.windows import PaneStore, step

MINUTE, HOUR, DAY = 60, 3600, 86400
T0 = 1_700_000_000 // DAY * DAY

AXES = Axes(features={"x": Grid.from_values(np.arange(100.0))}, profile_hash="p")


def rows(*values: float) -> PaneCounts:
    column = NumericColumn(np.array(values, float))
    return count(AXES, Batch(len(values), {"x": column}, len(values)))


def store(pane: int = MINUTE, windows: tuple[int, ...] = (5 * MINUTE, HOUR, DAY)) -> PaneStore:
    return PaneStore(AXES, pane, windows)


def held(panes: PaneStore, window: int, end: int) -> int:
    counts = panes.window(window, end).counts
    return 0 if counts is None else counts.rows


@pytest.mark.parametrize(
    ("window", "pane", "expected"),
    [(300, 60, 60), (3600, 60, 300), (86400, 60, 7200), (2, 1, 1), (10, 1, 1), (420, 60, 60), (600, 1, 50)],
)
def test_a_window_steps_by_about_a_twelfth_in_whole_panes(window: int, pane: int, expected: int) -> None:
    assert step(window, pane) == expected
    assert window % step(window, pane) == 0


def test_windows_that_are_no_multiple_of_the_pane_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of the pane"):
        PaneStore(AXES, 60, (90,))


def test_a_window_holds_the_rows_of_its_time_and_no_others() -> None:
    panes = store()
    for minute in range(10):
        panes.add(rows(*range(minute + 1)), T0 + minute * MINUTE + 30)
    assert held(panes, 5 * MINUTE, T0 + 5 * MINUTE) == 1 + 2 + 3 + 4 + 5
    assert held(panes, 5 * MINUTE, T0 + 10 * MINUTE) == 6 + 7 + 8 + 9 + 10
    assert panes.window(5 * MINUTE, T0 + 30 * MINUTE).counts is None


def test_every_step_is_due_once_and_in_order() -> None:
    panes = store(pane=1, windows=(2, 4))
    given = []
    for second in range(8):
        panes.add(rows(1.0), T0 + second + 0.5)
        given += [(window.seconds, window.end - T0) for window in panes.due(T0 + second + 1.0)]
    assert given == [(size, end) for end in range(1, 9) for size in (2, 4)]
    assert list(panes.due(T0 + 8.5)) == []


def test_after_a_gap_only_the_newest_steps_are_due() -> None:
    panes = store(pane=1, windows=(2,))
    list(panes.due(T0))
    assert [window.end - T0 for window in panes.due(T0 + 1000)] == [999, 1000]


def test_the_clock_going_back_judges_nothing_twice() -> None:
    panes = store(pane=1, windows=(2,))
    assert [window.end - T0 for window in panes.due(T0 + 10)] == [10]
    assert list(panes.due(T0 + 5)) == []
    assert [window.end - T0 for window in panes.due(T0 + 11)] == [11]


def test_rolling_up_changes_no_window() -> None:
    panes, plain = store(), store()
    generator = np.random.default_rng(1)
    for minute in range(26 * 60):
        counts = rows(*generator.normal(50, 20, 3))
        now = T0 + minute * MINUTE
        panes.add(counts, now)
        plain.add(counts, now)
        panes.settle(now)
    end = T0 + 26 * HOUR
    for window in (5 * MINUTE, HOUR, DAY):
        assert held(panes, window, end) == window // MINUTE * 3
        rolled, exact = panes.window(window, end).counts, plain.window(window, end).counts
        assert rolled is not None
        assert exact is not None
        assert (rolled.features["x"].counts == exact.features["x"].counts).all()  # type: ignore[union-attr]
    # Minutes until the five of them are an hour old, fives until their hour is six hours old, hours.
    assert panes.panes <= (60 + 5) + (5 + 1) * 12 + (26 - 6)
    assert panes.panes <= panes.most_panes


def test_short_panes_roll_up_only_as_far_as_the_windows_edges_allow() -> None:
    panes = store(pane=1, windows=(10, 600))
    for second in range(1500):
        now = T0 + second
        if second >= 600 and second % 50 == 0:
            assert held(panes, 600, now) == 600
        panes.add(rows(1.0), now)
        panes.settle(now)
    assert panes.panes <= panes.most_panes


def test_what_no_window_needs_is_forgotten() -> None:
    panes = store(windows=(5 * MINUTE,))
    for minute in range(600):
        panes.add(rows(1.0, 2.0), T0 + minute * MINUTE)
        panes.settle(T0 + minute * MINUTE)
    assert panes.panes <= panes.most_panes < 30


def test_late_rows_go_into_the_pane_that_covers_them() -> None:
    panes = store()
    for minute in range(120):
        panes.add(rows(1.0), T0 + minute * MINUTE)
        panes.settle(T0 + minute * MINUTE)
    panes.add(rows(2.0), T0 + 118 * MINUTE)  # packed by now
    panes.add(rows(3.0), T0 + 10 * MINUTE)  # rolled up by now
    assert held(panes, 5 * MINUTE, T0 + 120 * MINUTE) == 6
    assert held(panes, HOUR, T0 + HOUR) == 61


def test_a_reader_gets_each_closed_pane_and_what_changed_since() -> None:
    panes = store()
    for minute in range(3):
        panes.add(rows(1.0), T0 + minute * MINUTE)
    found, cursor = panes.since(0, T0 + 2.5 * MINUTE)
    assert [pane.start - T0 for pane in found] == [0, 60]
    assert panes.since(cursor, T0 + 2.5 * MINUTE)[0] == []
    panes.add(rows(1.0), T0)
    found, cursor = panes.since(cursor, T0 + 4 * MINUTE)
    assert sorted((pane.start - T0, pane.counts.rows) for pane in found) == [(0, 2), (120, 1)]
    assert panes.since(cursor, T0 + 4 * MINUTE)[0] == []


def test_rows_of_nothing_leave_no_pane() -> None:
    panes = store()
    panes.add(PaneCounts.empty(AXES), T0)
    assert panes.panes == 0
