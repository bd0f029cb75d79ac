"""A judgement as the ShadowDeployment's status shows it, with a sentence for a person."""

from __future__ import annotations

import math
from collections.abc import Sequence

from driftline.shadow.account import Account, Drop, Failure
from driftline.shadow.gate import Judgement, RuleResult
from driftline.shadow.outlook import outputs_status, segments_status
from driftline.shadow.rules import Reason
from driftline.spec.shadow_status import RuleStatus, ShadowAccount, ShadowStatus

_MESSAGES = {
    Reason.ALL_RULES_HOLD: "Every rule of the gate holds.",
    Reason.NO_DATA: "No request was mirrored yet: see the account for why.",
    Reason.TOO_EARLY: "Too few days have passed in which a request was mirrored: minTime says how many. "
    "Rules are read at the ends of whole periods of it; before, what breaks one must outlast ten minutes and "
    "minPairs requests.",
    Reason.SILENT_PODS: "Not all live pods mirror, and what the others saw is in no account: see Mirroring.",
    Reason.MONITOR_CHANGED: "The monitor reads bodies otherwise than when the comparison began: begin anew.",
    Reason.FEW_PAIRS: "Fewer requests were compared than minPairs asks for.",
}

_LOST = "lost"
_ADVICE: dict[str, str] = {
    Drop.QUEUE_FULL: "raise traffic.queue or traffic.maxConcurrent, or lower traffic.sample",
    Drop.BUDGET: "lower traffic.sample to what traffic.budget allows",
    Drop.BODY_TOO_LARGE: "raise the monitor's capture.maxBodyBytes",
    Drop.INCOMPLETE: "clients leave, or capture drops: see the sidecars' modelmonitor_capture_dropped_total",
    Drop.NO_PATH: "clients send CONNECT, `OPTIONS *` or the like: leave them out by traffic.paths",
    Drop.UNREDACTABLE: "narrow the monitor's capture.redact, or allow traffic.allowSensitive",
    Drop.NOT_READY: "see the condition CandidateReady",
    Drop.STARTING: "sidecars begin, or end, often: see the live pods",
    Drop.BREAKER_OPEN: "the candidate keeps failing: see account.failed",
    Failure.REFUSED: "see the candidate's pods",
    Failure.RESET: "see the candidate's pods",
    Failure.TIMEOUT: "a faster candidate, a longer traffic.timeout, or a lower traffic.sample",
    Failure.ERROR_RESPONSE: "see what the candidate answers",
    Failure.ANSWER_TOO_LARGE: "raise the monitor's capture.maxBodyBytes",
    Failure.NO_ROOM: "answers are large: lower traffic.maxConcurrent or traffic.sample",
    Failure.WITHHELD: "it asks for what it isn't given: allow traffic.allowSensitive, or let it do without",
    Failure.LIVE_FAILED: "the live model itself fails on them: leave their paths out of traffic.paths, or "
    "lower gate.coverage",
    Failure.UNDECODABLE: "the candidate's answers are not of the monitor's schema",
    Failure.UNALIGNED: "the candidate answers with other numbers of rows",
    Failure.TOO_MANY_VALUES: "answers of free form are longer than is compared: 20,000 values",
    _LOST: "sidecars were killed, or their nodes lost",
}


def shadow_status(judgement: Judgement, generation: int, paths: Sequence[str] = ()) -> ShadowStatus:
    """The status but for conditions and times, which the clock's owner adds. `paths`: of what is eligible."""
    account = judgement.snapshot.account
    return ShadowStatus(
        observed_generation=generation,
        verdict=judgement.verdict,
        reason=judgement.reason.value,
        message=_message(judgement, paths)[:1024],
        pairs=judgement.snapshot.tally.all.requests,
        coverage=min(1.0, max(0.0, account.coverage)),
        account=_account(account),
        rules=tuple(map(_rule, judgement.rules)),
        outputs=outputs_status(judgement.snapshot.tally),
        segments=segments_status(judgement.snapshot.tally),
    )


def _account(account: Account) -> ShadowAccount:
    return ShadowAccount(
        eligible=account.eligible,
        mirrored=account.mirrored,
        paired=account.paired,
        failed={reason.value: count for reason, count in account.failed.items()},
        dropped={reason.value: count for reason, count in account.dropped.items()},
        lost=account.lost,
        waiting=account.waiting,
    )


def _rule(result: RuleResult) -> RuleStatus:
    return RuleStatus(
        rule=result.rule,
        verdict=result.verdict,
        reason=result.reason.value,
        value=_finite(result.value),
        lower=_finite(result.lower),
        upper=_finite(result.upper),
        threshold=result.threshold,
        approximate=result.approximate,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _message(judgement: Judgement, paths: Sequence[str]) -> str:
    account = judgement.snapshot.account
    if judgement.reason is Reason.NO_DATA and not account.eligible:
        return f"No request on {', '.join(paths) or 'the paths of the monitor'} yet."
    if judgement.reason is Reason.UNBALANCED:
        return f"The account doesn't add up: {'; '.join(account.problems())}."
    if judgement.reason is Reason.LOW_COVERAGE:
        compared = f"{account.paired} of {account.settled} eligible requests were compared"
        return f"{compared} ({account.coverage:.1%}). {_loss(account)}"
    wanted = "Reject" if judgement.reason is Reason.RULE_BROKEN else "Inconclusive"
    if judgement.reason in (Reason.RULE_BROKEN, Reason.NOT_CLEAR, Reason.NO_EVIDENCE):
        return "; ".join(_sentence(rule) for rule in judgement.rules if rule.verdict == wanted) + "."
    return _MESSAGES[judgement.reason]


def _loss(account: Account) -> str:
    """Where most of the others went, and what can be done about it."""
    reasons = (*account.dropped.items(), *account.failed.items())
    lost = {_LOST: account.lost} | {reason.value: count for reason, count in reasons}
    reason, count = max(lost.items(), key=lambda each: each[1])
    advice = _ADVICE.get(reason, "see account.failed and account.dropped")
    return f"Most of the others: {reason} ({count}, {count / max(1, account.settled):.1%}): {advice}."


def _sentence(rule: RuleResult) -> str:
    if rule.value is None or rule.lower is None or rule.upper is None:
        return f"{rule.rule}: {rule.reason}"
    return (
        f"{rule.rule} is {rule.value:.4g} ({rule.lower:.4g} to {rule.upper:.4g}), "
        f"limit {rule.threshold:.4g}: {rule.reason}"
    )
