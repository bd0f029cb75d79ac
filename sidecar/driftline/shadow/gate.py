"""The gate: may the candidate be promoted? It refuses to guess; no data is `Inconclusive`, for ever.

**Promotable** asks that every rule holds, each at .05: all must, so that is the error of the whole
(intersection-union). **Rejected** asks that any rule is broken, each at .05 / rules.

Disagreement has hours of the day and days of the week, so rules are read at the ends of whole periods of
`minTime`: seven days, fourteen. Before, and between, only what is beyond three times its limit rejects: a
candidate that fails outright need not run for a week. That errs only where some hour is three times worse
than the whole may be. Each of the two readings gets half of the rejecting error. A gate of less than a
day (`allowUnderADay`) is read at any time. Without a whole period a rejection waits for `minPairs` requests
that were tried, over ten minutes (or `minTime`, if that is less).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from driftline.shadow.account import SLOT_SECONDS, Account
from driftline.shadow.measures import Measured, Snapshot, measure
from driftline.shadow.rules import Reason, RuleReason, thresholds
from driftline.shadow.sequences.bound import Levels
from driftline.spec.gate import Gate

Verdict = Literal["Promotable", "Rejected", "Inconclusive"]
RuleVerdict = Literal["Pass", "Reject", "Inconclusive"]

ALPHA: Final = 0.05
DAY: Final = 24 * 3600
EARLY: Final = 3.0
"""Times the limit, beyond which a rule rejects before its period is whole."""
EARLY_SECONDS: Final = SLOT_SECONDS
"""From the first request to the last, below which what breaks a rule may be one event: a restart, a model
that is being loaded. Its failures are many, and no sample."""
GRACE_SECONDS: Final = 120.0
"""Beside the candidate's timeout: after which a day's last pairs have come."""

_NOISY: Final = frozenset({"agreement", "p95Delta"})
"""Rules that a model's own noise can break. Until requests that went twice prove otherwise, it has."""


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


def period_days(gate: Gate) -> int:
    """Days after which verdicts are read: a weekday more would weigh more than the others."""
    return max(1, int(gate.whole_time // DAY))


def whole_days(elapsed: float, timeout: float) -> int:
    """Days of which the last pairs have come. `timeout`: how long the candidate is waited for; seconds."""
    return max(0, int((elapsed - timeout - GRACE_SECONDS) // DAY))


def read_days(gate: Gate, days: int, seen: Collection[int]) -> int:
    """Of so many whole days, those that a verdict is read on; none until a period's number of days has been
    seen. `seen`: days in which a request was mirrored: time without any is no evidence.
    """
    period = period_days(gate)
    read = days // period * period
    return read if sum(day < read for day in seen) >= period else 0


def judge(
    gate: Gate,
    min_pairs: int,
    elapsed: float,
    now: Snapshot,
    whole: Snapshot | None,
    *,
    repeats: bool = False,
    heard: float = 1.0,
) -> Judgement:
    """The verdict after `elapsed` seconds. `now`: all pairs; `whole`: those of the `read_days`, None before
    there are any. `repeats`: some requests go twice, so that noise is told from difference. `heard`: share of
    the live pods that mirror; what the others saw is in no account.

    A day is 24 hours from the shadow's start on.
    """
    hurried = gate.is_hurried
    if hurried or (whole is not None and not whole.account.mirrored):
        whole = None  # read at any time, or the candidate was not ready in them
    limits = thresholds(gate)
    ready = hurried or whole is not None
    seen = now if whole is None else whole
    levels = Levels(ALPHA, ALPHA / len(limits) / (1 if hurried else 2))

    def read(snapshot: Snapshot, *, early: bool) -> tuple[RuleResult, ...]:
        told = snapshot.tally.twice.unexplained(levels.rejecting)
        spared = _NOISY - told if repeats else frozenset()
        return tuple(
            _rule(name, limit, snapshot, levels, early=early, noise=name in spared)
            for name, limit in limits.items()
        )

    rules = read(seen, early=not ready)
    if (complaint := _complaint(now) or _complaint(seen)) is not None:
        return Judgement("Inconclusive", complaint, rules, seen)
    lasted = _lasted(gate, min_pairs, now.account, elapsed)
    broken = _rejects(gate, rules, seen)
    if broken and (lasted or whole is not None):
        return Judgement("Rejected", Reason.RULE_BROKEN, rules, seen)
    if lasted and whole is not None:
        early = read(now, early=True)
        if _rejects(gate, early, now):
            return Judgement("Rejected", Reason.RULE_BROKEN, early, now)
    few = hurried and now.account.tried < min_pairs  # then nothing else is waited for
    too_early = (broken and not few) or not ready or elapsed < gate.min_time
    unheard = Reason.SILENT_PODS if heard < gate.coverage else None
    obstacle = _obstacle(gate, min_pairs, seen, too_early=too_early) or unheard or _unclear(rules)
    if obstacle is not None:
        return Judgement("Inconclusive", obstacle, rules, seen)
    return Judgement("Promotable", Reason.ALL_RULES_HOLD, rules, seen)


def _rule(rule: str, limit: float, seen: Snapshot, levels: Levels, *, early: bool, noise: bool) -> RuleResult:
    found = measure(rule, seen, levels)
    if found.bound is None:
        return RuleResult(rule, "Inconclusive", found.missing, limit, approximate=found.approximate)
    allowed = 1.0 - limit if rule == "agreement" else limit
    verdict, reason = _reading(found, allowed, early=early)
    if verdict == "Reject" and early and not _outlasts(rule, EARLY * allowed, seen, levels):
        verdict, reason = "Inconclusive", RuleReason.TOO_EARLY
    if verdict == "Reject" and noise:
        verdict, reason = "Inconclusive", RuleReason.NOISE
    bound = found.bound.complement if rule == "agreement" else found.bound
    return RuleResult(rule, verdict, reason, limit, *bound, approximate=found.approximate)


def _outlasts(rule: str, limit: float, seen: Snapshot, levels: Levels) -> bool:
    """Is it more than one outage? Of its first minutes that is a large part, and of a period a small one."""
    if rule != "errorRate":
        return True
    bound = measure(rule, seen.without_worst(), levels).bound
    return bound is not None and bound.lower > limit


def _reading(found: Measured, allowed: float, *, early: bool) -> tuple[RuleVerdict, RuleReason]:
    assert found.bound is not None  # noqa: S101 - seen to by the caller
    if found.bound.lower > (EARLY * allowed if early else allowed):
        return "Reject", RuleReason.BEYOND_LIMIT
    if early:
        return "Inconclusive", RuleReason.TOO_EARLY
    if found.bound.upper <= allowed:
        return "Pass", RuleReason.WITHIN_LIMIT
    return "Inconclusive", RuleReason.NOT_CLEAR


def _complaint(seen: Snapshot) -> Reason | None:
    """Why these counts can't be read at all."""
    if seen.account.settled <= 0 or seen.account.mirrored <= 0:
        return Reason.NO_DATA
    return Reason.UNBALANCED if any(seen.account.problems()) else None


def _rejects(gate: Gate, rules: Sequence[RuleResult], seen: Snapshot) -> bool:
    return seen.account.attempted >= gate.coverage and any(rule.verdict == "Reject" for rule in rules)


def _lasted(gate: Gate, min_pairs: int, account: Account, elapsed: float) -> bool:
    """Is it more than one event that a rejection would rest on? Pods' clocks may differ: the span of their
    requests says no more than the time that has passed."""
    return account.tried >= min_pairs and min(account.span, elapsed) >= min(EARLY_SECONDS, gate.min_time)


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
