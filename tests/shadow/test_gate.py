"""The gate: what it promotes, what it rejects, and all it refuses to guess."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from driftline.quantity import Duration
from driftline.shadow.aa import twice_classes, twice_numbers
from driftline.shadow.account import Account, Drop, Failure
from driftline.shadow.gate import DAY, Judgement, RuleResult, judge, whole_days
from driftline.shadow.measures import Snapshot, measure
from driftline.shadow.outlook import segments
from driftline.shadow.performance import Performance, of_classes, of_numbers
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.rows import class_rows, number_rows
from driftline.shadow.rules import Reason, RuleReason, thresholds
from driftline.shadow.sequences.binary import share_bound
from driftline.shadow.sequences.blocks import Blocks
from driftline.shadow.sequences.bound import Levels
from driftline.shadow.sequences.bounded import size_bound
from driftline.shadow.status import _ADVICE, shadow_status
from driftline.shadow.tally import Tally
from driftline.spec.gate import Gate, LatencyRatio, PerformanceDifference
from driftline.spec.shadow_status import ShadowStatus

from tests.support import shadows
from tests.support.shadows import CLASSES, LASTING, snapshot

RNG = np.random.default_rng(17)
GATE = Gate(agreement=0.98, error_rate=0.01)
WEEK = 7 * DAY


@pytest.fixture(autouse=True)
def _same_numbers_in_any_order() -> None:
    RNG.bit_generator.state = np.random.default_rng(17).bit_generator.state


def good(pairs: int = 5_000, disagreement: float = 0.005) -> Tally:
    return shadows.with_errors(shadows.classes(RNG, pairs, disagreement), pairs)


def judged(gate: Gate, now: Snapshot, elapsed: float = WEEK, **given: Any) -> Judgement:
    whole = given.get("whole", now if elapsed >= DAY else None)
    repeats = given.get("repeats", now.tally.twice.products.count > 0)
    return judge(gate, given.get("min_pairs", 1_000), elapsed, now, whole, repeats=repeats)


def rule(found: Judgement, name: str) -> RuleResult:
    (one,) = [result for result in found.rules if result.rule == name]
    return one


def verdict(found: Judgement) -> tuple[str, Reason]:
    return found.verdict, found.reason


def test_a_candidate_that_agrees_is_promotable_after_a_week() -> None:
    found = judged(GATE, snapshot(good()))
    assert verdict(found) == ("Promotable", Reason.ALL_RULES_HOLD)
    agreement = rule(found, "agreement")
    assert agreement.verdict == "Pass"
    assert agreement.reason is RuleReason.WITHIN_LIMIT
    assert agreement.lower is not None
    assert agreement.upper is not None
    assert agreement.value is not None
    assert 0.98 <= agreement.lower < agreement.value < agreement.upper <= 1
    assert agreement.threshold == 0.98


@pytest.mark.parametrize(("elapsed", "expected"), [(3_600, Reason.TOO_EARLY), (6.9 * DAY, Reason.TOO_EARLY)])
def test_nothing_is_promoted_before_its_time(elapsed: float, expected: Reason) -> None:
    assert verdict(judged(GATE, snapshot(good()), elapsed)) == ("Inconclusive", expected)


def test_before_a_whole_day_no_rule_passes() -> None:
    found = judged(GATE, snapshot(good()), 0.9 * DAY)
    assert {result.reason for result in found.rules} == {RuleReason.TOO_EARLY}


def test_only_whole_days_are_read() -> None:
    """What the half day since adds, good or bad within three times the limit, changes nothing."""
    whole = snapshot(good())
    now = snapshot(good() + good(5_000, 0.05))
    found = judged(GATE, now, 7.5 * DAY, whole=whole)
    assert verdict(found) == ("Promotable", Reason.ALL_RULES_HOLD)
    assert found.snapshot is whole


def test_a_gate_of_minutes_is_read_at_once() -> None:
    gate = Gate(agreement=0.98, min_time=Duration(600), allow_under_a_day=True)
    assert judged(gate, snapshot(good()), 599).reason is Reason.TOO_EARLY
    assert judged(gate, snapshot(good()), 600).verdict == "Promotable"
    assert judged(gate, snapshot(good(5_000, 0.04)), 600).verdict == "Rejected"


@pytest.mark.parametrize("elapsed", [60, WEEK, 1000 * WEEK])
def test_no_data_is_inconclusive_for_ever(elapsed: float) -> None:
    none = snapshot(Tally.empty(CLASSES), Account())
    assert verdict(judged(GATE, none, elapsed)) == ("Inconclusive", Reason.NO_DATA)
    waiting = snapshot(Tally.empty(CLASSES), Account(eligible=9, waiting=9))
    assert verdict(judged(GATE, waiting, elapsed)) == ("Inconclusive", Reason.NO_DATA)
    unready = Account(eligible=900, dropped={Drop.NOT_READY: 900})
    assert verdict(judged(GATE, snapshot(Tally.empty(CLASSES), unready), elapsed))[1] is Reason.NO_DATA


def test_days_in_which_the_candidate_was_not_ready_are_none() -> None:
    unready = snapshot(Tally.empty(CLASSES), Account(eligible=9, dropped={Drop.NOT_READY: 9}))
    assert judged(GATE, snapshot(good(5_000, 0.2)), 1.1 * DAY, whole=unready).verdict == "Rejected"
    assert judged(GATE, snapshot(good()), 8 * DAY, whole=unready).reason is Reason.TOO_EARLY


def test_an_account_that_does_not_add_up_forbids_every_verdict() -> None:
    for tally in (good(), good(5_000, 0.2)):
        found = judged(GATE, snapshot(tally, Account(eligible=5_001, mirrored=5_000, paired=5_000)))
        assert verdict(found) == ("Inconclusive", Reason.UNBALANCED)
        assert "5001 is not" in shadow_status(found, 1).message


def test_below_the_coverage_floor_there_is_no_verdict() -> None:
    account = Account(eligible=6_000, mirrored=5_000, paired=5_000, dropped={Drop.BUDGET: 1_000})
    for tally in (good(), good(5_000, 0.2)):
        assert verdict(judged(GATE, snapshot(tally, account))) == ("Inconclusive", Reason.LOW_COVERAGE)


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (
            Account(eligible=6_000, mirrored=5_000, paired=5_000, dropped={Drop.QUEUE_FULL: 1_000}),
            "compared (83.3%). Most of the others: QueueFull (1000, 16.7%): raise traffic.queue",
        ),
        (
            Account(
                eligible=10_000, mirrored=9_900, paired=8_700, dropped={Drop.NOT_READY: 100},
                failed={Failure.LIVE_FAILED: 1_200},
            ),
            "LiveFailed (1200, 12.0%): the live model itself fails",
        ),
        (Account(eligible=100, mirrored=50, paired=50, lost=50), "lost (50, 50.0%): sidecars were killed"),
    ],
)  # fmt: skip
def test_low_coverage_names_its_largest_cause(account: Account, said: str) -> None:
    assert said in shadow_status(judged(GATE, snapshot(good(), account)), 1).message


def test_every_loss_has_its_advice() -> None:
    assert {*Drop, *Failure} <= _ADVICE.keys()


def test_few_pairs_are_not_promoted() -> None:
    found = judged(GATE, snapshot(good(2_000, 0.0)), min_pairs=2_001)
    assert verdict(found) == ("Inconclusive", Reason.FEW_PAIRS)


def test_a_limit_between_the_bounds_is_not_clear() -> None:
    found = judged(GATE, snapshot(good(2_000, 0.02)))
    assert verdict(found) == ("Inconclusive", Reason.NOT_CLEAR)
    assert rule(found, "agreement").reason is RuleReason.NOT_CLEAR


def test_a_candidate_that_disagrees_is_rejected_whatever_else_holds() -> None:
    found = judged(GATE, snapshot(good(5_000, 0.04)))
    assert verdict(found) == ("Rejected", Reason.RULE_BROKEN)
    assert rule(found, "errorRate").verdict == "Pass"
    assert "agreement is 0.9" in shadow_status(found, 1).message


def test_within_a_day_only_what_is_far_beyond_rejects() -> None:
    assert judged(GATE, snapshot(good(5_000, 0.04)), 3_600).reason is Reason.TOO_EARLY
    assert judged(GATE, snapshot(good(5_000, 0.10)), 3_600).verdict == "Rejected"
    later = judged(GATE, snapshot(good() + good(50_000, 0.15)), 7.5 * DAY, whole=snapshot(good()))
    assert verdict(later) == ("Rejected", Reason.RULE_BROKEN)


def test_a_candidate_that_fails_five_percent_is_rejected() -> None:
    tally = shadows.with_errors(shadows.classes(RNG, 4_750, 0.0), 4_750, candidate_only=250)
    assert verdict(judged(GATE, snapshot(tally), 3_600)) == ("Rejected", Reason.RULE_BROKEN)


def test_failures_of_both_sides_are_not_the_candidate_s() -> None:
    both = np.array([[4_750, 0], [0, 250]])
    tally = replace(shadows.classes(RNG, 4_750, 0.0), errors=both)
    assert rule(judged(GATE, snapshot(tally)), "errorRate").verdict == "Pass"


def test_a_candidate_that_hangs_is_rejected_though_nothing_is_paired() -> None:
    """Every mirrored request times out, then the breaker holds the rest back."""
    account = Account(
        eligible=2_000, mirrored=60, failed={Failure.TIMEOUT: 60}, dropped={Drop.BREAKER_OPEN: 1_940},
        **LASTING,
    )  # fmt: skip
    tally = shadows.with_errors(Tally.empty(CLASSES), 0, candidate_only=60)
    found = judged(GATE, Snapshot(account, tally), 900)
    assert verdict(found) == ("Rejected", Reason.RULE_BROKEN)


@pytest.mark.parametrize("reason", [Drop.BREAKER_OPEN, Drop.NOT_READY])
def test_a_candidate_that_is_away_nine_percent_of_the_time_does_not_pass(reason: Drop) -> None:
    """Few requests meet it while it fails: the breaker and its readiness spare it the rest."""
    account = Account(eligible=50_000, mirrored=45_500, paired=45_490,
                      failed={Failure.REFUSED: 10}, dropped={reason: 4_500})  # fmt: skip
    tally = shadows.with_errors(shadows.classes(RNG, 45_490, 0.0), 45_490, candidate_only=10)
    found = judged(GATE, Snapshot(account, tally))
    assert account.coverage > GATE.coverage
    assert verdict(found) == ("Inconclusive", Reason.NOT_CLEAR)
    errors = rule(found, "errorRate")
    assert errors.value == pytest.approx(4_510 / 50_000)
    assert errors.upper is not None
    assert errors.upper > 4_510 / 50_000
    assert errors.lower is not None
    assert errors.lower < 0.001, "one outage must not reject by what was never asked"


@pytest.mark.parametrize("reason", [Drop.STARTING, Drop.QUEUE_FULL, Drop.BUDGET, Drop.BODY_TOO_LARGE])
def test_what_the_mirror_drops_of_itself_is_not_the_candidates(reason: Drop) -> None:
    account = Account(eligible=5_400, mirrored=5_000, paired=5_000, dropped={reason: 400})
    assert verdict(judged(GATE, snapshot(good(), account))) == ("Promotable", Reason.ALL_RULES_HOLD)


def test_errors_of_the_live_model_offset_the_candidates() -> None:
    """It is the rise that is bounded: 5 % of either, on other requests, are none."""
    account = Account(eligible=10_000, mirrored=10_000, paired=9_000,
                      failed={Failure.LIVE_FAILED: 500, Failure.ERROR_RESPONSE: 500})  # fmt: skip
    tally = shadows.with_errors(shadows.classes(RNG, 9_000, 0.0), 9_000, candidate_only=500, live_only=500)
    errors = rule(judged(GATE, Snapshot(account, tally)), "errorRate")
    assert errors.value == 0
    assert errors.upper is not None
    assert errors.upper > 0


def test_a_slow_candidate_does_not_hide_behind_its_queue() -> None:
    gate = Gate(agreement=0.98, latency_ratio=LatencyRatio(p50=1.5))
    account = Account(eligible=10_000, mirrored=5_000, paired=5_000, dropped={Drop.QUEUE_FULL: 5_000})
    slow = shadows.with_latency(good(), RNG, 5_000, 50)
    assert verdict(judged(gate, snapshot(slow, account))) == ("Rejected", Reason.RULE_BROKEN)
    found = judged(gate, snapshot(shadows.with_latency(good(), RNG, 5_000), account))
    assert verdict(found) == ("Inconclusive", Reason.LOW_COVERAGE), "nor does a queue reject"


def test_a_candidate_that_crashes_does_not_hide_behind_its_restarts() -> None:
    """It answers nothing, and is hardly ever ready to be asked."""
    account = Account(
        eligible=2_000, mirrored=40, failed={Failure.RESET: 40}, dropped={Drop.NOT_READY: 1_960},
        **LASTING,
    )  # fmt: skip
    tally = shadows.with_errors(Tally.empty(CLASSES), 0, candidate_only=40)
    assert verdict(judged(GATE, Snapshot(account, tally), 900)) == ("Rejected", Reason.RULE_BROKEN)


def outage(failed: int, spared: int, seconds: float, fine: int = 0) -> Snapshot:
    """A candidate that refuses so many requests, and is then spared others."""
    account = Account(
        eligible=fine + failed + spared, mirrored=fine + failed, paired=fine,
        failed={Failure.REFUSED: failed}, dropped={Drop.BREAKER_OPEN: spared}, first=0.0, last=seconds,
    )  # fmt: skip
    pairs = shadows.classes(RNG, fine, 0.0) if fine else Tally.empty(CLASSES)
    return Snapshot(account, shadows.with_errors(pairs, fine, candidate_only=failed))


SECONDS = Gate(agreement=0.98, min_time=Duration(5), allow_under_a_day=True)


@pytest.mark.parametrize(
    ("gate", "seen", "rejected"),
    [
        (GATE, outage(11, 0, 2.0), False),
        (GATE, outage(40, 5_000, 599.0), False),
        (GATE, outage(40, 959, 600.0), False),
        (GATE, outage(40, 960, 600.0), True),
        (SECONDS, outage(40, 5_000, 4.9), False),
        (SECONDS, outage(40, 959, 5.0), False),
        (SECONDS, outage(40, 960, 5.0), True),
    ],
)
def test_one_event_rejects_nothing_before_a_period_is_whole(
    gate: Gate, seen: Snapshot, rejected: bool
) -> None:
    """A model that is being loaded refuses whatever comes in some seconds: many failures, and one cause."""
    found = judged(gate, seen, 900)
    assert rule(found, "errorRate").verdict == "Reject"
    assert verdict(found) == (
        ("Rejected", Reason.RULE_BROKEN) if rejected else ("Inconclusive", Reason.LOW_COVERAGE)
    )


def with_slots(seen: Snapshot, failures: dict[int, int]) -> Snapshot:
    return Snapshot(msgspec.structs.replace(seen.account, failures=failures), seen.tally)


def test_an_outage_after_quiet_hours_rejects_nothing_before_a_period_is_whole() -> None:
    """Of a node's restart every pod sees ten failures before its breaker rests. A day dilutes it."""
    seen = outage(118, 0, 7_200.0, fine=1_270)
    assert judged(GATE, with_slots(seen, {10: 60, 11: 58}), 7_200).reason is Reason.TOO_EARLY
    assert rule(judged(GATE, with_slots(seen, {10: 60, 11: 58}), 7_200), "errorRate").value is not None
    lasting = with_slots(seen, dict.fromkeys(range(12), 10))
    assert judged(GATE, lasting, 7_200).verdict == "Rejected"
    assert judged(GATE, with_slots(seen, {10: 118}), WEEK).verdict == "Rejected", (
        "a whole period has its share"
    )


def test_a_hurried_gate_that_only_lacks_pairs_says_so() -> None:
    found = judged(SECONDS, outage(60, 0, 60.0, fine=700), 900)
    assert rule(found, "errorRate").verdict == "Reject"
    assert verdict(found) == ("Inconclusive", Reason.FEW_PAIRS)


def test_clocks_that_differ_make_no_event_longer_than_the_shadow_has_run() -> None:
    first, second = outage(500, 0, 5.0), outage(500, 0, 5.0)
    behind, ahead = (
        msgspec.structs.replace(each.account, first=at, last=at + 5)
        for each, at in ((first, 0.0), (second, 700.0))
    )
    both = Snapshot(behind + ahead, first.tally + second.tally)
    assert judged(GATE, both, 599).verdict == "Inconclusive"
    assert judged(GATE, both, 600).verdict == "Rejected"


def test_it_says_that_it_is_too_early_for_what_is_one_event() -> None:
    assert verdict(judged(GATE, outage(40, 0, 9_000.0, fine=500), 900)) == ("Inconclusive", Reason.TOO_EARLY)
    found = judged(SECONDS, outage(200, 0, 4.0, fine=2_000), 900)
    assert verdict(found) == ("Inconclusive", Reason.TOO_EARLY)


def test_what_a_whole_period_breaks_needs_no_more() -> None:
    assert judged(GATE, outage(40, 0, 2.0), WEEK).verdict == "Rejected"


def test_the_breaker_never_speaks_for_the_candidate() -> None:
    account = Account(eligible=6_000, mirrored=5_000, paired=5_000, dropped={Drop.BREAKER_OPEN: 1_000})
    assert verdict(judged(GATE, snapshot(good(), account)))[1] is Reason.LOW_COVERAGE


def test_latency_needs_the_live_model_through_the_mirror() -> None:
    gate = Gate(agreement=0.98, latency_ratio=LatencyRatio(p50=1.3, p99=1.5))
    bare = judged(gate, snapshot(good()))
    assert verdict(bare) == ("Inconclusive", Reason.NO_EVIDENCE)
    assert rule(bare, "latencyRatio.p99").reason is RuleReason.NO_BASELINE
    timed = judged(gate, snapshot(shadows.with_latency(good(), RNG, 50_000)))
    assert timed.verdict == "Promotable"
    slow = judged(gate, snapshot(shadows.with_latency(good(), RNG, 50_000, 2.0)))
    assert slow.verdict == "Rejected"
    assert rule(slow, "latencyRatio.p50").value == pytest.approx(2, abs=0.1)


def test_deltas_pass_and_reject() -> None:
    gate = Gate(mean_delta=0.02, p95_delta=0.1)
    near = shadows.with_errors(shadows.classes(RNG, 5_000, 0.0, score_shift=0.005), 5_000)
    far = shadows.with_errors(shadows.classes(RNG, 5_000, 0.0, score_shift=-0.05), 5_000)
    assert judged(gate, snapshot(near)).verdict == "Promotable"
    found = judged(gate, snapshot(far))
    assert found.verdict == "Rejected"
    assert rule(found, "meanDelta").value == pytest.approx(0.05, abs=0.01)
    assert rule(found, "p95Delta").verdict == "Pass"


def test_a_mean_of_unbounded_values_is_no_evidence() -> None:
    plan = ComparisonPlan(sort="number", edges=(0.0,))
    tally = shadows.with_errors(Tally.empty(plan), 5_000)
    gate = Gate(mean_delta=0.1, p95_delta=1.0, performance=PerformanceDifference(mae=0.5))
    found = judged(gate, snapshot(tally))
    for name in ("meanDelta", "p95Delta", "performance.mae"):
        assert rule(found, name).reason is RuleReason.NO_CLIP
    assert found.verdict == "Inconclusive"
    clipped = shadows.with_errors(Tally.empty(msgspec.structs.replace(plan, clip=1.0)), 5_000)
    assert rule(judged(gate, snapshot(clipped)), "performance.mae").reason is RuleReason.NO_LABELS


def test_differences_of_what_has_none_are_not_compared() -> None:
    for plan in (ComparisonPlan(sort="class"), ComparisonPlan(sort="body")):
        found = judged(Gate(mean_delta=0.1), snapshot(shadows.with_errors(Tally.empty(plan), 5_000)))
        assert rule(found, "meanDelta").reason is RuleReason.NOT_COMPARED


def test_outputs_that_shift_are_rejected() -> None:
    """Three in ten answers are yes; flipping 10 % moves their share by 4 %."""
    gate = Gate(output_drift=0.02)
    assert judged(gate, snapshot(good(5_000, 0.002))).verdict == "Promotable"
    found = judged(gate, snapshot(good(20_000, 0.1)))
    assert found.verdict == "Rejected"
    assert rule(found, "outputDrift").value == pytest.approx(0.04, abs=0.01)


def coins(constant: bool) -> Tally:
    """A live model that flips a coin, beside another coin or a constant."""
    n = 4_000

    def answers() -> tuple[np.ndarray, np.ndarray]:
        return RNG.integers(0, 2, n), np.ones(n, np.int64) if constant else RNG.integers(0, 2, n)

    return replace(good(5_000, 0.4), twice=twice_classes(np.arange(n), answers(), answers()))


def test_a_noisy_model_against_itself_is_not_rejected() -> None:
    found = judged(GATE, snapshot(coins(constant=False)))
    assert found.verdict == "Inconclusive"
    assert rule(found, "agreement").reason is RuleReason.NOISE
    systematic = Gate(systematic_difference=0.5)
    assert judged(systematic, snapshot(coins(constant=False))).verdict == "Promotable"


def test_a_constant_beside_a_coin_is() -> None:
    assert judged(GATE, snapshot(coins(constant=True))).verdict == "Rejected"
    assert judged(Gate(systematic_difference=0.5), snapshot(coins(constant=True))).verdict == "Rejected"
    assert rule(judged(Gate(systematic_difference=0.5), snapshot(good())), "systematicDifference").reason is (
        RuleReason.NO_REPEATS
    )


def numbers_twice(shift: float, noise: float, clip: float | None) -> Snapshot:
    """A regression beside one that answers so much more; some of its requests went twice."""
    plan, n, k = ComparisonPlan(sort="number", clip=clip), 20_000, 2_000
    base = RNG.normal(100, 10, n)

    def answers(size: int) -> tuple[np.ndarray, np.ndarray]:
        live, candidate = (base[:size] + noise * RNG.normal(size=size) for _ in range(2))
        return live, candidate + shift

    tally = Tally.empty(plan).with_rows(number_rows(plan, np.arange(n), *answers(n)))
    twice = twice_numbers(np.arange(k), answers(k), answers(k), clip, plan.tolerance)
    return snapshot(shadows.with_twice(shadows.with_errors(tally, n), twice))


@pytest.mark.parametrize("clip", [100.0, 1e6, None])
def test_noise_does_not_cover_a_difference_that_is_small_beside_the_clip(clip: float | None) -> None:
    """No answer agrees, and neither side ever differs from itself."""
    found = judged(GATE, numbers_twice(0.3, 0.0, clip))
    assert rule(found, "agreement").reason is RuleReason.BEYOND_LIMIT
    assert found.verdict == "Rejected"
    values = judged(Gate(p95_delta=0.1), numbers_twice(0.3, 0.0, 100.0))
    assert rule(values, "p95Delta").reason is RuleReason.BEYOND_LIMIT


def test_noise_of_values_is_no_difference_whatever_the_clip() -> None:
    gate = Gate(agreement=0.98, p95_delta=0.1)
    for clip in (100.0, 1e3):
        found = judged(gate, numbers_twice(0.0, 0.3, clip))
        assert {rule(found, name).reason for name in ("agreement", "p95Delta")} == {RuleReason.NOISE}
    shifted = judged(gate, numbers_twice(30.0, 3.0, 100.0))
    assert rule(shifted, "p95Delta").reason is RuleReason.BEYOND_LIMIT, "values that are never alike"


def scores_twice(shift: float, noise: float) -> Snapshot:
    """Classes that are the same each time, beside scores that are not."""
    n, k = 20_000, 2_000
    base, codes = RNG.uniform(0.2, 0.5, n), RNG.integers(0, 2, n)

    def scores(size: int) -> tuple[np.ndarray, np.ndarray]:
        live, candidate = (base[:size] + noise * RNG.normal(size=size) for _ in range(2))
        return live, candidate + shift

    names = np.array(["no", "yes"])[codes].tolist()
    tally = Tally.empty(CLASSES).with_rows(class_rows(CLASSES, np.arange(n), names, names, scores(n)))
    same = codes[:k], codes[:k]
    twice = twice_classes(np.arange(k), same, same, (scores(k), scores(k), 1.0))
    return snapshot(shadows.with_twice(shadows.with_errors(tally, n), twice))


def test_of_scores_it_is_their_noise_that_counts_and_not_the_classes() -> None:
    gate = Gate(p95_delta=0.05)
    for noise in (0.0, 0.05):
        found = judged(gate, scores_twice(0.3, noise))
        assert rule(found, "p95Delta").reason is RuleReason.BEYOND_LIMIT
        assert found.verdict == "Rejected"
    assert rule(judged(gate, scores_twice(0.0, 0.1)), "p95Delta").reason is RuleReason.NOISE


def test_until_requests_went_twice_noise_is_not_held_against_anybody() -> None:
    """Disagreement comes with the first pairs, what explains it with the first repeats: those are fewer."""
    noisy = snapshot(good(5_000, 0.4))
    assert judged(GATE, noisy).verdict == "Rejected"
    found = judged(GATE, noisy, repeats=True)
    assert found.verdict == "Inconclusive"
    assert rule(found, "agreement").reason is RuleReason.NOISE


def test_a_drift_of_outputs_that_are_not_told_apart_is_no_evidence() -> None:
    """Live always says no, the candidate yes, and there is no reference: all of it is `other`."""
    gate = Gate(output_drift=0.02)
    n = 5_000
    request, names, numbers = np.arange(n), ["no"] * n, np.zeros(n)
    names_only, values_only = ComparisonPlan(sort="class", clip=1.0), ComparisonPlan(sort="number")
    for plan, rows in (
        (names_only, class_rows(names_only, request, names, ["yes"] * n)),
        (values_only, number_rows(values_only, request, numbers, numbers + 1e6)),
    ):
        found = judged(gate, snapshot(shadows.with_errors(Tally.empty(plan).with_rows(rows), n)))
        assert verdict(found) == ("Inconclusive", Reason.NO_EVIDENCE)
        assert rule(found, "outputDrift").reason is RuleReason.NO_REFERENCE


def test_of_many_outputs_each_rejects_at_its_share_of_the_error() -> None:
    tally = good(5_000, 0.1)
    bound = measure("outputDrift", snapshot(tally), Levels(0.05, 0.03)).bound
    assert bound is not None
    each = Levels(0.05, 0.03 / 3)
    found = [size_bound(shift.points, shift.weights, shift.limit, each) for shift in tally.shifts]
    assert len(found) == 3
    assert bound.lower == max(one.lower for one in found) > 0
    assert bound.upper == max(one.upper for one in found)


def test_p95_delta_is_of_five_percent_and_not_of_ten() -> None:
    n = 10_000
    names, live = ["no"] * n, np.zeros(n)
    scores = live, np.where(np.arange(n) < 0.07 * n, 0.5, 0.01)
    tally = Tally.empty(CLASSES).with_rows(class_rows(CLASSES, np.arange(n), names, names, scores))
    bound = measure("p95Delta", snapshot(tally), Levels()).bound
    assert bound is not None
    assert bound.value == pytest.approx(0.5, rel=0.13)
    assert bound.lower > 0.4


def test_the_auc_s_two_sides_have_the_errors_that_they_are_said_to() -> None:
    """Each is where the normal mixture of its side (Robbins 1970) has a capital of 1 / (2 alpha)."""
    blocks = Blocks(30, -0.6, 30 * 1e-4)
    performance = Performance(auc=blocks)
    bound = measure("performance.auc", snapshot(good(), performance=performance), Levels(0.05, 0.004)).bound
    assert bound is not None
    assert bound.value == pytest.approx(0.02)

    def capital(radius: float) -> float:
        time = blocks.variance + 1e-3
        return float(np.sqrt(1e-3 / time) * np.exp((30 * radius) ** 2 / (2 * time)))

    assert capital(bound.upper - 0.02) == pytest.approx(1 / (2 * 0.05))
    assert capital(0.02 - bound.lower) == pytest.approx(1 / (2 * 0.004))


def test_a_day_is_whole_after_the_timeout_and_two_minutes() -> None:
    assert [whole_days(DAY + 10 + more, 10) for more in (0, 119.9, 120)] == [0, 0, 1]


def test_segments_bounds_hold_for_all_that_the_plan_has() -> None:
    """Of three values (two and `other`) one was seen: the others may come."""
    n = 500
    names, women = ["no"] * n, {"sex": np.zeros(n, np.int64)}
    tally = Tally.empty(CLASSES).with_rows(
        class_rows(CLASSES, np.arange(n), names, names, (np.zeros(n), np.zeros(n)), women)
    )
    ((_, value, _, bound),) = segments(tally)
    assert value == "f"
    assert bound.lower == 1 - share_bound(n, 0, Levels(0.05 / 3, 0.05 / 3)).upper


def test_what_shifts_within_other_does_not_pass_unseen() -> None:
    gate, n = Gate(output_drift=0.02), 5_000
    strange = np.arange(n) % 20 == 0
    live, candidate = (np.where(strange, name, "no").tolist() for name in ("maybe", "perhaps"))
    rows = class_rows(CLASSES, np.arange(n), live, candidate)
    found = judged(gate, snapshot(shadows.with_errors(Tally.empty(CLASSES).with_rows(rows), n)))
    assert rule(found, "outputDrift").reason is RuleReason.NOT_CLEAR
    assert found.verdict == "Inconclusive"


def test_it_is_a_request_s_share_that_is_hidden_and_not_a_row_s() -> None:
    """Some requests of very many rows don't hide that most requests are answered otherwise."""
    few, long = 60, 1_000
    sizes = [1] * 3_000 + [long] * few
    same = ["no"] * (few * long)
    rows = class_rows(CLASSES, shadows.requests(sizes), ["x"] * 3_000 + same, ["z"] * 3_000 + same)
    tally = shadows.with_errors(Tally.empty(CLASSES).with_rows(rows), 3_060)
    drift = rule(judged(Gate(output_drift=0.02), snapshot(tally)), "outputDrift")
    assert drift.reason is RuleReason.NOT_CLEAR
    assert drift.upper is not None
    assert drift.upper > 0.98


def test_what_is_hidden_is_bounded_and_not_guessed() -> None:
    """One row in fifty is `other`: of a hundred pairs that may be more than three in fifty."""
    n = 100
    names = np.where(np.arange(n) % 50 == 0, "maybe", "no").tolist()
    tally = Tally.empty(CLASSES).with_rows(class_rows(CLASSES, np.arange(n), names, names))
    drift = rule(judged(Gate(output_drift=0.02), snapshot(tally)), "outputDrift")
    assert drift.value == 0
    assert drift.upper is not None
    assert drift.upper > 0.06


def labelled(pairs: int, live: float, candidate: float) -> Performance:
    return of_classes(np.arange(pairs), RNG.random(pairs) < live, RNG.random(pairs) < candidate)


def test_performance_waits_for_labels() -> None:
    gate = Gate(performance=PerformanceDifference(accuracy=0.05, auc=0.02, mae=0.5))
    bare = judged(gate, snapshot(good()))
    assert bare.reason is Reason.NO_EVIDENCE
    assert {r.rule: r.reason for r in bare.rules if r.rule != "errorRate"} == {
        "performance.accuracy": RuleReason.NO_LABELS,
        "performance.auc": RuleReason.NO_LABELS,
        "performance.mae": RuleReason.NOT_COMPARED,  # of a classifier: labels wouldn't help
    }
    label = RNG.normal(size=9_000)
    errors = of_numbers(
        np.arange(9_000), label, label + RNG.normal(size=9_000), label + RNG.normal(size=9_000), 5.0
    )
    known = replace(labelled(9_000, 0.9, 0.9), error=errors.error, auc=Blocks(30, 0.0, 30 * 1e-4))
    found = judged(gate, snapshot(good(), performance=known))
    assert found.verdict == "Promotable"
    assert rule(found, "performance.auc").approximate
    worse = judged(
        gate, snapshot(good(), performance=replace(known, accuracy=labelled(9_000, 0.9, 0.8).accuracy))
    )
    assert worse.verdict == "Rejected"
    assert rule(worse, "performance.accuracy").value == pytest.approx(0.1, abs=0.02)


def test_performance_of_hubs_adds_up() -> None:
    both = labelled(100, 0.9, 0.5) + labelled(200, 0.9, 0.5) + Performance(auc=Blocks(1, 0.1, 0.01))
    assert both.accuracy.count == 300
    assert both.auc == Blocks(1, 0.1, 0.01)


def test_more_rules_reject_later_and_pass_no_earlier() -> None:
    one, many = GATE, Gate(agreement=0.98, mean_delta=0.5, p95_delta=0.9, output_drift=0.5)
    tally = good(3_000, 0.03)
    first, second = (rule(judged(g, snapshot(tally)), "agreement") for g in (one, many))
    assert first.upper is not None
    assert second.upper is not None
    assert second.upper > first.upper
    assert second.lower == first.lower


@pytest.mark.parametrize(
    ("gate", "rejecting"),
    [
        (Gate(agreement=0.98), 0.05 / 2 / 2),
        (Gate(agreement=0.98, mean_delta=0.5, p95_delta=0.9), 0.05 / 4 / 2),
        (Gate(agreement=0.98, min_time=Duration(600), allow_under_a_day=True), 0.05 / 2),
    ],
)
def test_a_pass_has_the_whole_error_and_rejections_share_theirs(gate: Gate, rejecting: float) -> None:
    """Over the rules, and over the two readings of a gate of days."""
    seen = snapshot(good(3_000, 0.03))
    for found in judged(gate, seen).rules:
        bound = measure(found.rule, seen, Levels(0.05, rejecting)).bound
        assert bound is not None
        low, high = (1 - bound.upper, 1 - bound.lower) if found.rule == "agreement" else bound[1:]
        assert (found.lower, found.upper) == (low, high)


def test_a_rule_says_pass_exactly_where_its_bound_does() -> None:
    for disagreement in (0.0, 0.01, 0.015, 0.02, 0.03):
        found = rule(judged(GATE, snapshot(good(3_000, disagreement))), "agreement")
        assert found.lower is not None
        assert found.upper is not None
        expected = "Pass" if found.lower >= 0.98 else "Reject" if found.upper < 0.98 else "Inconclusive"
        assert found.verdict == expected


def test_every_rule_has_a_measure_and_a_status() -> None:
    gate = Gate(
        agreement=0.98, mean_delta=0.1, p95_delta=0.2, output_drift=0.05, systematic_difference=0.3,
        latency_ratio=LatencyRatio(p50=1, p95=1, p99=1),
        performance=PerformanceDifference(accuracy=0.1, auc=0.1, mae=0.1),
    )  # fmt: skip
    tally = shadows.with_latency(good(50), RNG, 50)
    status = shadow_status(judged(gate, snapshot(tally)), 4)
    assert isinstance(status, ShadowStatus)
    assert [r.rule for r in status.rules] == list(thresholds(gate))
    assert len(status.rules) == 12
    assert status.observed_generation == 4
    assert next(r for r in status.rules if r.rule == "latencyRatio.p99").upper is None  # infinite


def test_multi_row_requests_are_bounded_as_means() -> None:
    tally = shadows.with_errors(shadows.classes(RNG, 4_000, 0.005, rows=5), 4_000)
    found = judged(GATE, snapshot(tally))
    assert rule(found, "agreement").value == pytest.approx(0.995, abs=0.002)
    assert found.verdict == "Promotable"


def test_the_outputs_are_told_with_or_without_a_rule() -> None:
    calm = shadow_status(judged(GATE, snapshot(good(5_000, 0.0))), 1).outputs
    assert (calm.shift, calm.psi, calm.chi2_p) == (0.0, 0.0, 1.0)
    assert calm.upper is not None
    assert calm.upper < 0.002
    moved = shadow_status(judged(GATE, snapshot(good(20_000, 0.1))), 1).outputs
    assert moved.shift == pytest.approx(0.04, abs=0.01)
    assert moved.psi is not None
    assert moved.psi > 0.005
    assert moved.chi2_p is not None
    assert moved.chi2_p < 1e-6
    assert shadow_status(judged(GATE, snapshot(Tally.empty(CLASSES), Account())), 1).outputs.shift is None


def test_the_segments_that_agree_least_come_first() -> None:
    n = 3_000
    live = ["no"] * n
    sex = np.arange(n) % 3
    candidate = ["yes" if code == 1 and i % 5 == 0 else "no" for i, code in enumerate(sex.tolist())]
    rows = class_rows(CLASSES, np.arange(n), live, candidate, segments={"sex": sex})
    found = shadow_status(judged(GATE, snapshot(Tally.empty(CLASSES).with_rows(rows))), 1).segments
    assert found[0].value == "m"
    assert {s.value for s in found} == {"f", "m", "other"}
    assert found[0].agreement == pytest.approx(0.8)
    assert found[0].upper is not None
    assert found[0].upper < 0.9
    assert found[0].pairs == 1_000
