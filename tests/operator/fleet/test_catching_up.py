"""A pod that nothing is known of: its newest panes at once, the rest round by round, and nothing twice."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.pane_codec import inflate
from driftline.windows import LEVELS
from driftline_operator.fleet.book import LOW_COVERAGE, Book
from driftline_operator.fleet.fleet import Fleet
from driftline_operator.fleet.pull import Missed, Page

from tests.operator.fleet.test_fleet import KEY, PROFILE, Pods, member
from tests.support.fleets import DAY_START, counted, encoded, plain, rows

MINUTES = 8 * 60
NOW = DAY_START + MINUTES * 60 + 5.0


async def round_of(fleet: Fleet, pods: Pods, now: float) -> None:
    pods.now = now
    fleet.keep({KEY: member(2)}, now)
    await fleet.round(lambda _: "token", lambda: now)


async def catch_up(fleet: Fleet, pods: Pods) -> None:
    await fleet.catch_up(lambda _: "token", lambda: pods.now, 60.0)


def book_of(fleet: Fleet) -> Book:
    return fleet._books[KEY]


def windows(book: Book) -> dict[int, tuple[int, float, float, bool]]:
    return {
        seconds: (each.report.rows, each.report.end, round(each.coverage, 6), not each.report.reason)
        for seconds, each in book.windows.items()
    }


async def test_short_windows_are_right_at_once_and_all_are_when_the_rest_has_come() -> None:
    whole, chosen = Pods(chooses=False), Pods()
    at_once, later = Fleet(whole, 60.0), Fleet(chosen, 60.0)
    await round_of(at_once, whole, NOW)
    await round_of(later, chosen, NOW)
    wanted, found = windows(book_of(at_once)), windows(book_of(later))
    shortest, longest = min(wanted), max(wanted)
    assert found[shortest] == wanted[shortest]
    assert found[longest][0] < wanted[longest][0]
    assert found[longest][2] < LOW_COVERAGE < wanted[longest][2], "what lacks isn't called covered"
    assert set(book_of(later).lacking) == {"uid-0", "uid-1"}
    await catch_up(later, chosen)
    assert windows(book_of(later)) == wanted
    assert not book_of(later).lacking
    asked = len(chosen.asked)
    await catch_up(later, chosen)
    assert len(chosen.asked) == asked, "once is enough"
    for minute in range(1, 12):
        await round_of(at_once, whole, NOW + minute * 60)
        await round_of(later, chosen, NOW + minute * 60)
    assert windows(book_of(later)) == windows(book_of(at_once))


async def test_it_goes_on_where_the_time_of_a_round_ended() -> None:
    pods = Pods()
    fleet = Fleet(pods, 60.0)
    await round_of(fleet, pods, NOW)
    before = len(pods.asked)
    await fleet.catch_up(lambda _: "token", lambda: pods.now, 0.0)
    assert len(pods.asked) == before
    pods.missing = {"10.0.0.1": Missed.TIMEOUT}
    await catch_up(fleet, pods)
    assert set(book_of(fleet).lacking) == {"uid-1"}, "the one that answered isn't asked again"
    pods.missing = {}
    pods.now += 120
    await catch_up(fleet, pods)
    assert not book_of(fleet).lacking


async def test_another_controller_asks_for_what_still_lacks() -> None:
    pods = Pods()
    first, second = Fleet(pods, 60.0), Fleet(pods, 60.0)
    await round_of(first, pods, NOW)
    data = first.checkpoint(KEY)
    assert data is not None
    second.keep({KEY: member(2)}, NOW)
    assert second.restore(KEY, data) == ""
    assert set(book_of(second).lacking) == {"uid-0", "uid-1"}
    await catch_up(second, pods)
    await catch_up(first, pods)
    assert windows(book_of(second)) == windows(book_of(first))


async def test_a_pod_begun_anew_meanwhile_has_no_past() -> None:
    pods = Pods()
    fleet = Fleet(pods, 60.0)
    await round_of(fleet, pods, NOW)
    before = windows(book_of(fleet))

    class Another(Pods):
        async def panes(self, ip: str, monitor: str, cursor: str, token: str | None) -> Page | Missed:
            page = await super().panes(ip, monitor, cursor, token)
            assert isinstance(page, Page)
            return page._replace(cursor="another" + page.cursor.removeprefix("boot"))

    fleet._puller = Another(now=NOW)
    await catch_up(fleet, pods)
    assert not book_of(fleet).lacking
    assert {k: v[0] for k, v in windows(book_of(fleet)).items()} == {k: v[0] for k, v in before.items()}


async def test_a_pane_that_was_rolled_up_over_what_was_added_is_left_out_and_not_covered() -> None:
    pods = Pods()
    fleet = Fleet(pods, 60.0)
    await round_of(fleet, pods, NOW)
    book = book_of(fleet)
    edge = book.lacking["uid-0"].before

    class Rolled(Pods):
        async def panes(self, ip: str, monitor: str, cursor: str, token: str | None) -> Page | Missed:
            page = await super().panes(ip, monitor, cursor, token)
            assert isinstance(page, Page)
            early = [pane for pane in page.panes if inflate(pane).start < edge - edge % 3600]
            counts = counted(PROFILE.axes(), plain(np.random.default_rng(1), 100))
            return page._replace(panes=(*early, encoded(PROFILE, counts, edge - edge % 3600, 3600)))

    assert edge % 3600, "the edge must lie within the hour, or nothing is shown"
    fleet._puller = Rolled(now=NOW)
    covered = book.coverage((float(edge - edge % 3600), float(edge)))
    await catch_up(fleet, pods)
    assert book.coverage((float(edge - edge % 3600), float(edge))) == covered == 0
    assert book.coverage((float(DAY_START), float(edge - edge % 3600))) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("start", "length", "reason"),
    [
        (DAY_START, 60 * (LEVELS[-1][0] + 1), "other_length"),
        (DAY_START + 60, 300, "other_length"),
        (DAY_START, 90, "other_length"),
    ],
)
async def test_a_pane_longer_than_any_analyzers_or_between_its_edges_is_refused(
    start: int, length: int, reason: str
) -> None:
    counts = counted(PROFILE.axes(), rows(np.random.default_rng(1), 50))
    bad = encoded(PROFILE, counts, start, length)

    class Odd(Pods):
        async def panes(self, ip: str, monitor: str, cursor: str, token: str | None) -> Page | Missed:
            page = await super().panes(ip, monitor, cursor, token)
            assert isinstance(page, Page)
            return page._replace(panes=(bad,))

    fleet, pods = Fleet(Odd(now=NOW), 60.0), Pods()
    await round_of(fleet, pods, NOW)
    assert book_of(fleet).refused == {}  # the newest were asked for, and it isn't one of them
    await catch_up(fleet, pods)
    assert book_of(fleet).refused == {reason: 2}
