"""The pairs over all pods: any order, any number of times, over ends, days and failovers."""

from __future__ import annotations

import random

import pytest
from driftline.errors import DataError
from driftline.shadow.gate import DAY
from driftline.shadow.runtime import MirrorConfig, ShadowId
from driftline_operator.shadow import book as books
from driftline_operator.shadow.book import GONE_SECONDS, ShadowBook, whole_days

from tests.operator.shadow.test_plan import shadow
from tests.support.shadow_fleet import part
from tests.support.shadows import CLASSES, same

CONFIG = MirrorConfig(shadow=ShadowId(uid="u", name="v4"), began=0.0, url="http://x:1", plan=CLASSES)


def book() -> ShadowBook:
    return ShadowBook("u", 1, CLASSES)


def filled() -> ShadowBook:
    made = book()
    for pod in ("a", "b"):
        for day in (0, 1, 2):
            made.take(part(CONFIG, pod, 20 + day, failed=1, dropped=2, day=day))
    made.take(part(CONFIG, "c", 9, waiting=4, day=2))
    return made


def test_any_order_any_number_of_times() -> None:
    parts = [
        part(CONFIG, pod, 10 * n, day=day, sequence=n) for pod in "abc" for day in (0, 1) for n in (1, 2, 3)
    ]
    whole = book()
    for each in parts:
        whole.take(each)
    for seed in range(5):
        other = book()
        for each in random.Random(seed).choices(parts, k=60) + parts:
            other.take(each)
        assert other.snapshot().account == whole.snapshot().account
        assert same(other.snapshot().tally, whole.snapshot().tally)
    assert whole.snapshot().account.eligible == 3 * 2 * 30


def test_parts_of_another_shadow_or_generation_are_not_taken() -> None:
    other = MirrorConfig(
        shadow=ShadowId(uid="u", name="v4", generation=2), began=0, url="http://x:1", plan=CLASSES
    )
    assert not book().take(part(other, "a", 5))


def test_adding_up_changes_no_sum_and_takes_nothing_twice() -> None:
    made, before = filled(), filled().snapshot()
    made.pods(["a", "b", "c"], 0.0)
    made.fold(2, 0.0)
    assert made.snapshot().account == before.account
    assert same(made.snapshot().tally, before.tally)
    assert made.snapshot(before=2).account == filled().snapshot(before=2).account
    assert not made.take(part(CONFIG, "a", 20, failed=1, dropped=2, day=0, sequence=9))
    assert made.snapshot().account == before.account
    size = len(made.encode())
    made.fold(2, 1.0)
    assert len(made.encode()) == size


def test_what_a_pod_held_is_lost_once_it_has_gone_for_long() -> None:
    made = filled()
    made.pods(["a", "b"], 100.0)
    assert made.snapshot().account.waiting == 4
    made.pods(["a", "b"], 100.0 + GONE_SECONDS)
    made.fold(0, 100.0 + GONE_SECONDS)
    account = made.snapshot().account
    assert (account.waiting, account.lost) == (0, 4)
    assert not list(account.problems())
    assert not made.take(part(CONFIG, "c", 12, day=2, sequence=5))


def test_a_pod_that_comes_back_in_time_is_not_ended() -> None:
    made = filled()
    made.pods(["a", "b"], 100.0)
    made.pods(["a", "b", "c"], 200.0)
    made.pods(["a", "b"], 300.0)
    assert made.snapshot().account.waiting == 4


@pytest.mark.parametrize("whole", [0, 2])
def test_another_controller_goes_on_from_what_was_kept(whole: int) -> None:
    made = filled()
    made.fold(whole, 0.0)
    other = book()
    other.restore(made.encode())
    assert other.snapshot().account == made.snapshot().account
    assert same(other.snapshot().tally, made.snapshot().tally)
    other.take(part(CONFIG, "a", 20, failed=1, dropped=2, day=0))
    assert other.snapshot().account == made.snapshot().account


def test_what_doesnt_fit_is_of_pods_that_live(monkeypatch: pytest.MonkeyPatch) -> None:
    made = filled()
    made.fold(2, 0.0)
    monkeypatch.setattr(books, "MOST_BYTES", len(made.encode()) - 1)
    other = book()
    other.restore(made.encode())
    assert other.snapshot(before=2).account == made.snapshot(before=2).account
    assert other.snapshot().account.eligible < made.snapshot().account.eligible


def test_damage_is_said() -> None:
    with pytest.raises(DataError):
        book().restore(b"not this")


def test_a_day_is_whole_once_its_last_pairs_have_come() -> None:
    from driftline_operator.shadow.observed import observe_shadow

    spec = observe_shadow(shadow()).spec
    assert spec is not None
    assert whole_days(DAY + 1, spec) == 0
    assert whole_days(DAY + spec.traffic.timeout + books.GRACE_SECONDS, spec) == 1


def test_when_it_is_over_all_is_added_up_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    made, before = filled(), filled().snapshot()
    made.fold(3, 0.0, over=True)
    monkeypatch.setattr(books, "MOST_BYTES", 1)  # what is a living pod's would be left out
    other = book()
    other.restore(made.encode())
    assert other.snapshot().account == before.account
    assert same(other.snapshot().tally, before.tally)
