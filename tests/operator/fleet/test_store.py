"""Windows of flat panes: nothing is counted twice or lost, however panes come, age and are rolled up."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.errors import DataError
from driftline_operator.fleet.flat import Flat
from driftline_operator.fleet.layout import Layout
from driftline_operator.fleet.store import FleetStore

from tests.support.fleets import DAY_START, reference

MINUTE, HOUR, DAY = 60, 3600, 86400
LAYOUT = Layout(reference(500).axes().features)


def packed(rows: int) -> bytes:
    flat = Flat(LAYOUT)
    flat.ints[:2] = rows
    return flat.pack()


def store(*windows: int, phase: float = 0.0, pane: int = MINUTE) -> FleetStore:
    return FleetStore(LAYOUT, pane, windows or (5 * MINUTE, HOUR, DAY), phase)


@pytest.mark.parametrize("phase", [0.0, 0.4, 0.99])
@pytest.mark.parametrize("windows", [(5 * MINUTE, HOUR, DAY), (HOUR,), (7 * MINUTE, 90 * MINUTE)])
def test_every_due_window_holds_exactly_its_rows(windows: tuple[int, ...], phase: float) -> None:
    panes = store(*windows, phase=phase)
    rng = np.random.default_rng(4)
    rows = rng.integers(1, 100, 30 * 60)
    given = dict.fromkeys(windows, 0)
    for minute in range(len(rows)):
        panes.merge([((DAY_START + minute * MINUTE, MINUTE), packed(int(rows[minute])))])
        now = DAY_START + (minute + 1) * MINUTE
        for found in panes.due(float(now)):
            start, end = (max(0, (at - DAY_START) // MINUTE) for at in (found.start, found.end))
            assert found.counts.rows == rows[start:end].sum()
            given[found.seconds] += 1
        panes.settle(float(now))
    assert all(given.values())


def test_few_panes_are_held() -> None:
    panes = store()
    most = 0
    for minute in range(30 * 60):
        now = DAY_START + (minute + 1) * MINUTE
        panes.merge([((now - MINUTE, MINUTE), packed(3))])
        list(panes.due(float(now)))
        panes.settle(float(now))
        most = max(most, panes.panes)
    assert 25 < most <= 50
    assert panes.packed_bytes < most * 300


def test_a_late_pane_goes_into_the_one_that_covers_it_by_now() -> None:
    panes = store()
    for minute in range(300):
        panes.merge([((DAY_START + minute * MINUTE, MINUTE), packed(1))])
    now = float(DAY_START + 300 * MINUTE)
    panes.settle(now)
    held = panes.panes
    panes.merge([((DAY_START + 7 * MINUTE, MINUTE), packed(50))])
    assert panes.panes == held
    assert panes.window(DAY, DAY_START + 8 * HOUR).counts.rows == 350


def test_a_coarse_pane_counts_in_windows_that_hold_all_of_it() -> None:
    panes = store()
    panes.merge([((DAY_START, HOUR), packed(60)), ((DAY_START + HOUR, MINUTE), packed(1))])
    assert panes.window(HOUR, DAY_START + HOUR).counts.rows == 60
    assert panes.window(HOUR, DAY_START + HOUR + 5 * MINUTE).counts.rows == 1
    assert panes.window(DAY, DAY_START + DAY).counts.rows == 61


def test_what_no_window_reaches_is_forgotten() -> None:
    panes = store(5 * MINUTE)
    panes.merge([((DAY_START, MINUTE), packed(1))])
    panes.settle(float(DAY_START + HOUR))
    assert panes.panes == 0


def test_monitors_are_judged_in_turns_but_alike_often() -> None:
    ends: dict[float, set[int]] = {}
    for phase in (0.0, 0.5, 0.99):
        panes = store(phase=phase)
        for minute in range(24 * 60 + 60):
            for found in panes.due(float(DAY_START + minute * MINUTE)):
                if found.seconds == DAY:
                    assert found.end + phase * 9 * MINUTE <= DAY_START + minute * MINUTE
                    ends.setdefault(phase, set()).add(found.end)
    common = ends[0.0] & ends[0.5] & ends[0.99]
    assert len(common) == 13  # from midnight to midnight
    assert all(len(each - common) <= 1 for each in ends.values())  # the first, at the beginning


def test_a_dump_goes_on_where_it_was_and_a_damaged_one_changes_nothing() -> None:
    panes = store()
    for minute in range(200):
        panes.merge([((DAY_START + minute * MINUTE, MINUTE), packed(2))])
        list(panes.due(float(DAY_START + (minute + 1) * MINUTE)))
    held, judged = panes.dump()
    again = store()
    again.restore(held, judged)
    end = DAY_START + 200 * MINUTE
    assert again.window(HOUR, end).counts.rows == panes.window(HOUR, end).counts.rows == 120
    assert list(again.due(float(end))) == []
    with pytest.raises(DataError):
        again.restore([*held[:3], (*held[3][:2], held[3][2][:-3])], judged)
    assert again.panes == panes.panes
