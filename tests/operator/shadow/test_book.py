"""The pairs over all pods: any order, any number of times, over ends, days and failovers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from driftline.errors import DataError
from driftline.shadow.account import Account
from driftline.shadow.codec import Part
from driftline.shadow.gate import DAY, GRACE_SECONDS, Judgement, period_days, read_days
from driftline.shadow.performance import Performance, of_classes
from driftline.shadow.rules import Reason, RuleReason
from driftline.shadow.runtime import MirrorConfig, ShadowId
from driftline.spec.shadow import Aa, ShadowSpec
from driftline_operator.shadow import book as books
from driftline_operator.shadow.book import GONE_SECONDS, Labels, ShadowBook, days_of, judged
from driftline_operator.shadow.hearing import Heard
from driftline_operator.shadow.observed import observe_shadow

from tests.operator.shadow.test_plan import shadow
from tests.support.shadow_fleet import part
from tests.support.shadows import CLASSES, classes, same, with_errors

CONFIG = MirrorConfig(shadow=ShadowId(uid="u", name="v4"), began=0.0, url="http://x:1", plan=CLASSES)


def book() -> ShadowBook:
    return ShadowBook("u", 1, CLASSES)


def add_up(made: ShadowBook, days: int, period: int) -> None:
    """After a round in which all pods answered."""
    for pod in made.told:
        made.heard(pod, days)
    made.fold(days, period, 0.0)


def kept(made: ShadowBook, *, over: bool = False) -> bytes:
    data = made.encode(over=over)
    assert data is not None
    assert over or len(data) <= books.MOST_BYTES
    return data


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
    add_up(made, 2, 1)
    assert made.snapshot().account == before.account
    assert same(made.snapshot().tally, before.tally)
    assert made.snapshot(before=2).account == filled().snapshot(before=2).account
    assert not made.take(part(CONFIG, "a", 20, failed=1, dropped=2, day=0, sequence=9))
    assert made.snapshot().account == before.account
    before_again = kept(made)
    made.fold(2, 1, 1.0)
    assert kept(made) == before_again


def test_what_a_pod_held_is_lost_once_it_has_gone_for_long() -> None:
    made = filled()
    made.pods(["a", "b"], 100.0)
    assert made.snapshot().account.waiting == 4
    made.pods(["a", "b"], 100.0 + GONE_SECONDS)
    made.fold(0, 1, 100.0 + GONE_SECONDS)
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
    add_up(made, whole, 1)
    other = book()
    other.restore(kept(made))
    assert other.snapshot().account == made.snapshot().account
    assert same(other.snapshot().tally, made.snapshot().tally)
    other.take(part(CONFIG, "a", 20, failed=1, dropped=2, day=0))
    assert other.snapshot().account == made.snapshot().account


def test_what_doesnt_fit_is_of_pods_that_live(monkeypatch: pytest.MonkeyPatch) -> None:
    made = filled()
    add_up(made, 2, 1)
    monkeypatch.setattr(books, "MOST_BYTES", len(kept(made)) - 1)
    other = book()
    other.restore(kept(made))
    assert other.snapshot(before=2).account == made.snapshot(before=2).account
    assert other.snapshot().account.eligible < made.snapshot().account.eligible


def test_what_doesnt_fit_is_not_of_pods_that_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    made = book()
    for pod in "abcd":
        made.take(part(CONFIG, pod, 20))
    made.leaves("d")
    made.pods("abd", 0.0)
    monkeypatch.setattr(books, "MOST_BYTES", len(kept(made)) - 1)
    other = book()
    other.restore(kept(made))
    assert other.told == {"c", "d"}


PER_DAY, PODS = 1_000, 20_000


def test_sums_are_kept_however_many_pods_they_are_of() -> None:
    """Ten days of a fleet whose pods live for hours: a failover loses nothing, and counts nothing twice."""
    made = book()
    for day in range(10):
        made.take(part(CONFIG, "a", PER_DAY, day=day))
    add_up(made, 10, 7)
    made._folded.add((f"pod-{n}", f"boot-{n}", n % 10) for n in range(PODS))
    other = book()
    other.restore(kept(made))
    assert other.snapshot().account.paired == 10 * PER_DAY
    assert not any(other.take(part(CONFIG, "a", PER_DAY, day=day, sequence=9)) for day in range(10))
    assert not other.take(part(CONFIG, f"pod-{PODS - 1}", 5, day=(PODS - 1) % 10, boot=f"boot-{PODS - 1}"))


def test_what_cant_be_kept_whole_is_not_kept_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    made = filled()
    add_up(made, 3, 1)
    monkeypatch.setattr(books, "MOST_BYTES", 300)
    assert made.encode() is None


def test_damage_is_said() -> None:
    with pytest.raises(DataError):
        book().restore(b"not this")


def spec_of(**gate: Any) -> ShadowSpec:
    spec = observe_shadow(shadow(gate={"agreement": 0.98, **gate})).spec
    assert spec is not None
    return spec


def test_a_day_is_whole_once_its_last_pairs_have_come() -> None:
    spec = spec_of(minTime="24h")
    assert days_of(DAY + 1, spec) == 0
    assert days_of(DAY + spec.traffic.timeout + GRACE_SECONDS, spec) == 1


def test_verdicts_are_read_on_whole_periods() -> None:
    week, days = spec_of().gate, spec_of(minTime="30h").gate
    assert [read_days(week, each, range(99)) for each in (1, 6, 7, 8, 13, 14)] == [0, 0, 7, 7, 7, 14]
    assert [read_days(days, each, range(99)) for each in (1, 2, 3, 4)] == [0, 2, 2, 4]


def test_time_in_which_nothing_was_mirrored_is_no_evidence() -> None:
    """A day's traffic and six of silence are no week; working days are one by the end of the second."""
    week = spec_of().gate
    assert read_days(week, 14, {0}) == 0
    working = [day for day in range(14) if day % 7 < 5]
    assert [read_days(week, days, working) for days in (7, 14)] == [0, 14]
    made = book()
    made.take(part(CONFIG, "a", 5_000))
    add_up(made, 7, 7)
    other = book()
    other.restore(kept(made))
    late = 7 * DAY + GRACE_SECONDS + 60
    for each in (made, other):
        assert each.days == {0}
        assert judged(each, spec_of(), late).reason is Reason.TOO_EARLY


def test_live_pods_that_mirror_nothing_forbid_a_promotion_and_no_rejection() -> None:
    made = book()
    made.take(part(CONFIG, "a", 5_000))
    spec = spec_of(minTime="1s", allowUnderADay=True)
    assert judged(made, spec, 60.0, heard=Heard(10, dict.fromkeys("abcdefghi", 50.0))).verdict == "Promotable"
    silent = Heard(2, {"a": 50.0})
    for heard in (silent, Heard(0, {})):
        assert judged(made, spec, 60.0, heard=heard).reason is Reason.SILENT_PODS
    made.take(part(CONFIG, "b", 100, failed=2_000))
    assert judged(made, spec, 60.0, heard=silent).verdict == "Rejected"


def test_a_pod_is_heard_after_the_end_of_what_is_read() -> None:
    """It may have counted what it had not told by then."""
    made = book()
    made.take(part(CONFIG, "a", 5_000))
    spec = spec_of(minTime="24h")
    end = DAY + spec.traffic.timeout + GRACE_SECONDS
    assert judged(made, spec, end + 60, heard=Heard(1, {"a": end})).verdict == "Promotable"
    assert judged(made, spec, end + 60, heard=Heard(1, {"a": end - 1})).reason is Reason.SILENT_PODS


def test_with_requests_that_go_twice_noise_is_not_held_against_a_candidate() -> None:
    made = book()
    made.take(part(CONFIG, "a", 5_000, disagreement=0.4))
    spec = spec_of(minTime="1s", allowUnderADay=True)
    assert judged(made, spec, 60.0).verdict == "Rejected"
    twice = msgspec.structs.replace(spec, aa=Aa(share=0.1))
    (agreement,) = [each for each in judged(made, twice, 60.0).rules if each.rule == "agreement"]
    assert agreement.reason is RuleReason.NOISE


def test_whole_periods_are_judged_by_the_labels_of_their_days() -> None:
    """What is known of later days is not known of them all."""

    def labels(loss: float) -> Performance:
        wrong = np.arange(2_000) < loss * 2_000
        return of_classes(np.arange(2_000), np.ones(2_000, bool), ~wrong)

    made = book()
    made.take(part(CONFIG, "a", 5_000))
    spec = spec_of(minTime="24h", performance={"accuracy": 0.1})
    late = DAY + GRACE_SECONDS + 60
    assert judged(made, spec, late, Labels(labels(0.0), labels(0.2))).verdict == "Rejected"
    assert judged(made, spec, late, Labels(labels(0.2), labels(0.0))).verdict == "Promotable"
    assert judged(made, spec, late, Labels(labels(0.0))).reason is Reason.NO_EVIDENCE


DAILY = 3_000
"""Requests."""


def days(disagree: Sequence[float], now: float, spec: ShadowSpec) -> Judgement:
    """What is said after `now` seconds of days with such shares of disagreement."""
    made, rng = book(), np.random.default_rng(3)
    for day, share in enumerate(disagree):
        tally = with_errors(classes(rng, DAILY, share), DAILY)
        account = Account(eligible=DAILY, mirrored=DAILY, paired=DAILY)
        made.take(Part("u", 1, 0.0, "pod", "b" * 16, day, 1, account, tally))
        add_up(made, days_of((day + 1) * DAY + GRACE_SECONDS + 60, spec), period_days(spec.gate))
    return judged(made, spec, now)


GOOD, SUNDAY = 0.005, 0.055


def test_six_days_are_not_seven() -> None:
    """The seventh day's last pairs are still to come: what the other six say is no verdict on a week."""
    week = [GOOD] * 6 + [0.2]
    spec = spec_of()
    assert days(week, 7 * DAY + 1, spec).reason is Reason.TOO_EARLY
    assert days(week, 7 * DAY + GRACE_SECONDS + 60, spec).verdict == "Rejected"


def test_a_weekend_weighs_as_much_as_it_has_days() -> None:
    """A mean of 2.4 % over the week, beyond the limit of 2: no moment of the second week calls it less."""
    week = [0.01] * 5 + [SUNDAY] * 2
    spec = spec_of()
    for day in range(7, 15):
        said = days((week * 3)[:day], day * DAY + GRACE_SECONDS + 60, spec)
        assert said.verdict != "Promotable", day


def test_a_bad_first_day_is_not_a_bad_week() -> None:
    """Saturday at 4 %, twice the limit; the week keeps below it."""
    week = [0.04, 0.04, 0.002, 0.002, 0.002, 0.002, 0.002]
    spec = spec_of()
    for day in range(1, 7):
        assert days(week[:day], day * DAY + GRACE_SECONDS + 60, spec).reason is Reason.TOO_EARLY
    assert days(week, 7 * DAY + GRACE_SECONDS + 60, spec).verdict == "Promotable"


def test_when_it_is_over_all_is_added_up_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    made, before = filled(), filled().snapshot()
    made.fold(3, 1, 0.0, over=True)
    monkeypatch.setattr(books, "MOST_BYTES", 1)  # what is a living pod's would be left out
    other = book()
    other.restore(kept(made, over=True))
    assert other.snapshot().account == before.account
    assert same(other.snapshot().tally, before.tally)
