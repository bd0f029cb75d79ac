"""The gate: may the candidate be promoted? It refuses to guess; no data is `Inconclusive`, for ever.

**Promotable** asks that every rule holds, each at .05: all must, so that is the error of the whole
(intersection-union). **Rejected** asks that any rule is broken, each at .05 / rules.

Disagreement has hours of the day, so rules are read at the ends of whole days. Before, and between, only
what is beyond three times its limit rejects: a candidate that fails outright need not run for a day.
That errs only where some hour is three times worse than the day may be. Each of the two readings
gets half of the rejecting error. A gate of less than a day (`allowUnderADay`) is read at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from driftline.shadow.measures import Measured, Snapshot, measure
from driftline.shadow.rules import Reason, RuleReason, thresholds
from driftline.shadow.sequences.bound import Levels
from driftline.spec.gate import Gate

Verdict = Literal["Promotable", "Rejected", "Inconclusive"]
RuleVerdict = Literal["Pass", "Reject", "Inconclusive"]

ALPHA: Final = 0.05
DAY: Final = 24 * 3600
EARLY: Final = 3.0
"""Times the limit, beyond which a rule rejects before its day is whole."""

_NOISY: Final = frozenset({"agreement", "p95Delta"})
"""Rules that a model's own noise can break."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule. `value`, `lower`, `upper` in the threshold's own terms; infinite where nothing is known."""

    rule: str
    verdict: RuleVerdict
    reason: RuleReason
    threshold: float
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict with its reason, and what each rule says. `snapshot`: what it was read from."""

    verdict: Verdict
    reason: Reason
    rules: tuple[RuleResult, ...]
    snapshot: Snapshot


def judge(gate: Gate, min_pairs: int, elapsed: float, now: Snapshot, whole: Snapshot | None) -> Judgement:
    """The verdict after `elapsed` seconds. `now`: all pairs; `whole`: of whole days, None before the first.

    A day is 24 hours from the shadow's start on.
    """
    if whole is not None and not whole.account.mirrored:
        whole = None  # the candidate was not ready in them
    limits = thresholds(gate)
    hurried = gate.min_time < DAY
    ready = hurried or whole is not None
    seen = now if hurried or whole is None else whole
    levels = Levels(ALPHA, ALPHA / len(limits) / (1 if hurried else 2))
    rules = tuple(_rule(name, limit, seen, levels, early=not ready) for name, limit in limits.items())
    if (complaint := _complaint(now) or _complaint(seen)) is not None:
        return Judgement("Inconclusive", complaint, rules, seen)
    if _rejects(gate, rules, seen):
        return Judgement("Rejected", Reason.RULE_BROKEN, rules, seen)
    if ready and not hurried:
        early = tuple(_rule(name, limit, now, levels, early=True) for name, limit in limits.items())
        if _rejects(gate, early, now):
            return Judgement("Rejected", Reason.RULE_BROKEN, early, now)
    too_early = not ready or elapsed < gate.min_time
    obstacle = _obstacle(gate, min_pairs, seen, too_early=too_early) or _unclear(rules)
    if obstacle is not None:
        return Judgement("Inconclusive", obstacle, rules, seen)
    return Judgement("Promotable", Reason.ALL_RULES_HOLD, rules, seen)


def _rule(rule: str, limit: float, seen: Snapshot, levels: Levels, *, early: bool) -> RuleResult:
    found = measure(rule, seen, levels)
    if found.bound is None:
        return RuleResult(rule, "Inconclusive", found.missing, limit, approximate=found.approximate)
    allowed = 1.0 - limit if rule == "agreement" else limit
    verdict, reason = _reading(found, allowed, early=early)
    if verdict == "Reject" and rule in _NOISY and _is_noise(seen, levels):
        verdict, reason = "Inconclusive", RuleReason.NOISE
    bound = found.bound.complement if rule == "agreement" else found.bound
    return RuleResult(rule, verdict, reason, limit, *bound, approximate=found.approximate)


def _reading(found: Measured, allowed: float, *, early: bool) -> tuple[RuleVerdict, RuleReason]:
    assert found.bound is not None  # noqa: S101 - seen to by the caller
    if found.bound.lower > (EARLY * allowed if early else allowed):
        return "Reject", RuleReason.BEYOND_LIMIT
    if early:
        return "Inconclusive", RuleReason.TOO_EARLY
    if found.bound.upper <= allowed:
        return "Pass", RuleReason.WITHIN_LIMIT
    return "Inconclusive", RuleReason.NOT_CLEAR


def _is_noise(seen: Snapshot, levels: Levels) -> bool:
    """Requests went twice, and show no systematic difference."""
    systematic = seen.tally.twice.systematic(levels)
    return systematic.value is not None and systematic.lower <= 0


def _complaint(seen: Snapshot) -> Reason | None:
    """Why these counts can't be read at all."""
    if seen.account.settled <= 0 or seen.account.mirrored <= 0:
        return Reason.NO_DATA
    return Reason.UNBALANCED if any(seen.account.problems()) else None


def _rejects(gate: Gate, rules: Sequence[RuleResult], seen: Snapshot) -> bool:
    return seen.account.attempted >= gate.coverage and any(rule.verdict == "Reject" for rule in rules)


def _obstacle(gate: Gate, min_pairs: int, seen: Snapshot, *, too_early: bool) -> Reason | None:
    """What forbids a promotion whatever the rules say."""
    if seen.account.coverage < gate.coverage:
        return Reason.LOW_COVERAGE
    if too_early:
        return Reason.TOO_EARLY
    return Reason.FEW_PAIRS if seen.tally.all.requests < min_pairs else None


def _unclear(rules: Sequence[RuleResult]) -> Reason | None:
    open_ones = [rule for rule in rules if rule.verdict != "Pass"]
    if not open_ones:
        return None
    lacking = any(rule.value is None for rule in open_ones)
    return Reason.NO_EVIDENCE if lacking else Reason.NOT_CLEAR
