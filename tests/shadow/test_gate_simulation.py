"""The gate itself at its limits: how often `judge` is wrong when it is looked at again and again.

`test_simulation` has the sequences alone, at full size; here are the rules together, with what each of them
gets of the error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from driftline.quantity import Duration
from driftline.shadow.aa import Twice, twice_alike, twice_classes, twice_numbers
from driftline.shadow.gate import ALPHA, Verdict, judge
from driftline.shadow.latency import latency_counts
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.rows import Rows, class_rows, number_rows, numbers_agree
from driftline.shadow.rules import thresholds
from driftline.shadow.tally import Tally, error_counts
from driftline.spec.gate import Gate, LatencyRatio

from tests.support.shadows import CLASSES, snapshot

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RUNS = 150
LOOKS = np.geomspace(150, 5_000, 8).astype(int)
ALLOWED = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / RUNS)
"""A sound gate is above it once in 700."""

SHIFT, SPREAD = 0.01, 0.05
HURRIED = {"min_time": Duration(0), "allow_under_a_day": True}
Draw = Callable[[np.random.Generator, int], Tally]


def verdicts(gate: Gate, draw: Draw, plan: ComparisonPlan, looks: np.ndarray, repeats: bool) -> list[Verdict]:
    """Of each run, the first verdict that isn't `Inconclusive`, if there is one."""
    rng = np.random.default_rng(41)
    found: list[Verdict] = []
    for _ in range(RUNS):
        seen, last = Tally.empty(plan), 0
        for look in looks.tolist():
            seen, last = seen + draw(rng, look - last), look
            verdict = judge(gate, 1, 60.0, snapshot(seen), None, repeats=repeats).verdict
            if verdict != "Inconclusive":
                break
        found.append(verdict)
    return found


def share(found: list[Verdict], verdict: Verdict) -> float:
    return found.count(verdict) / len(found)


def at_its_limits(rng: np.random.Generator, n: int, flipped: float = 0.02, slower: float = 1.2) -> Tally:
    """Each rule's true value is its limit: of answers, of scores (a normal shift), of failures, of times."""
    names = np.array(["no", "yes"])
    live = (rng.random(n) < 0.3).astype(int)
    other = np.where(rng.random(n) < flipped, 1 - live, live)
    scores = np.full(n, 0.5)
    moved = scores + rng.normal(SHIFT, SPREAD, n)
    rows = class_rows(CLASSES, np.arange(n), names[live].tolist(), names[other].tolist(), (scores, moved))
    return replace(
        Tally.empty(CLASSES).with_rows(rows),
        errors=error_counts(np.zeros(n, bool), rng.random(n) < 0.01),
        live_latency=latency_counts(rng.exponential(0.05, n)),
        candidate_latency=latency_counts(slower * rng.exponential(0.05, n)),
    )


def gate_of(**changed: float) -> Gate:
    """With the limits of `at_its_limits`. 30 % say yes: flipping 2 % moves their share by .8 %."""
    far = float(np.quantile(np.abs(np.random.default_rng(1).normal(SHIFT, SPREAD, 1_000_000)), 0.95))
    limits = {"agreement": 0.98, "error_rate": 0.01, "output_drift": 0.008, "mean_delta": SHIFT} | changed
    return Gate(**limits, p95_delta=far, latency_ratio=LatencyRatio(p50=1.2, p95=1.2, p99=1.2), **HURRIED)  # type: ignore[arg-type]


def test_with_all_rules_at_their_limits_it_rejects_at_the_level_of_one() -> None:
    gate = gate_of()
    assert len(thresholds(gate)) == 8
    found = verdicts(gate, at_its_limits, CLASSES, LOOKS, repeats=False)
    assert share(found, "Rejected") <= ALLOWED
    assert share(found, "Promotable") <= ALLOWED


def test_one_rule_at_its_limit_is_enough_for_no_promotion() -> None:
    """All others hold by far."""
    gate = Gate(agreement=0.98, error_rate=0.1, output_drift=0.2, **HURRIED)  # type: ignore[arg-type]
    found = verdicts(gate, at_its_limits, CLASSES, LOOKS, repeats=False)
    assert 0 < share(found, "Promotable") <= ALLOWED


def test_well_within_its_limits_it_promotes_and_beyond_them_it_rejects() -> None:
    gate = Gate(agreement=0.98, error_rate=0.1, output_drift=0.2, **HURRIED)  # type: ignore[arg-type]
    good = verdicts(gate, lambda rng, n: at_its_limits(rng, n, 0.005), CLASSES, LOOKS, repeats=False)
    bad = verdicts(gate, lambda rng, n: at_its_limits(rng, n, 0.06), CLASSES, LOOKS, repeats=False)
    assert share(good, "Promotable") > 0.99
    assert share(bad, "Rejected") > 0.99


# ---- noise ----

TWICE = 0.05
BODIES, BARE = ComparisonPlan(sort="body"), ComparisonPlan(sort="number")
CLIPPED = ComparisonPlan(sort="number", clip=1.0)


def noisy_classes(rng: np.random.Generator, n: int) -> Tally:
    """Both sides say yes in a fifth of the answers, each time anew."""

    def answers(size: int) -> np.ndarray:
        return (rng.random(size) < 0.2).astype(int)

    names = np.array(["no", "yes"])
    pair = [names[answers(n)].tolist() for _ in range(2)]
    k = rng.binomial(n, TWICE)
    rounds = [(answers(k), answers(k)) for _ in range(2)]
    return _noisy(CLASSES, class_rows(CLASSES, np.arange(n), *pair), twice_classes, k, rounds)


def noisy_numbers(plan: ComparisonPlan) -> Draw:
    """A value of each request, and normal noise on each answer."""

    def draw(rng: np.random.Generator, n: int) -> Tally:
        k = rng.binomial(n, TWICE)
        base = rng.random(n)
        live, candidate = (base + rng.normal(0, SPREAD, n) for _ in range(2))
        a1, b1, a2, b2 = (base[:k] + rng.normal(0, SPREAD, k) for _ in range(4))
        rounds = [(a1, b1), (a2, b2)]
        rows = number_rows(plan, np.arange(n), live, candidate)
        return _noisy(plan, rows, _clipped if plan.clip else _alike, k, rounds)

    return draw


def noisy_bodies(rng: np.random.Generator, n: int) -> Tally:
    """No text is ever the same."""
    k = rng.binomial(n, TWICE)
    never = [(rng.random(k), rng.random(k)) for _ in range(2)]
    return _noisy(BODIES, Rows(np.arange(n), np.ones(n)), _alike, k, never)


Round = tuple[np.ndarray, np.ndarray]


def _clipped(request: np.ndarray, first: Round, second: Round) -> Twice:
    return twice_numbers(request, first, second, 1.0, CLIPPED.tolerance)


def _alike(request: np.ndarray, first: Round, second: Round) -> Twice:
    (a1, b1), (a2, b2) = first, second
    both = ((a1, a2), (a1, b2), (b1, a2), (b1, b2))
    return twice_alike(request, np.array([numbers_agree(*each, BARE.tolerance) for each in both]))


def _noisy(
    plan: ComparisonPlan, rows: Rows, twice: Callable[..., Twice], k: int, rounds: list[Round]
) -> Tally:
    none = np.zeros(rows.requests, bool)
    made = replace(Tally.empty(plan).with_rows(rows), errors=error_counts(none, none))
    return replace(made, twice=twice(np.arange(k), *rounds)) if k else made


@pytest.mark.parametrize(
    ("plan", "draw"),
    [
        (CLASSES, noisy_classes),
        (CLIPPED, noisy_numbers(CLIPPED)),
        (BARE, noisy_numbers(BARE)),
        (BODIES, noisy_bodies),
    ],
    ids=["classes", "numbers", "numbers without a clip", "free form"],
)
def test_a_model_that_is_not_deterministic_is_not_rejected_beside_itself(
    plan: ComparisonPlan, draw: Draw
) -> None:
    """Looked at from the fifth pair on, when hardly one went twice."""
    looks = np.unique(np.geomspace(5, 2_000, 16).astype(int))
    gate = Gate(agreement=0.98, **HURRIED)  # type: ignore[arg-type]
    found = verdicts(gate, draw, plan, looks, repeats=True)
    assert share(found, "Rejected") <= ALLOWED
    assert share(found, "Promotable") == 0
    blind = verdicts(gate, draw, plan, looks, repeats=False)
    assert share(blind, "Rejected") > 0.9, "there is nothing that aa.share would spare"
