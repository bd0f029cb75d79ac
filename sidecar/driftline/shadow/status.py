"""A judgement as the ShadowDeployment's status shows it, with a sentence for a person."""

from __future__ import annotations

import math

from driftline.shadow.account import Account
from driftline.shadow.gate import Judgement, RuleResult
from driftline.shadow.outlook import outputs_status, segments_status
from driftline.shadow.rules import Reason
from driftline.spec.shadow_status import RuleStatus, ShadowAccount, ShadowStatus

_MESSAGES = {
    Reason.ALL_RULES_HOLD: "Every rule of the gate holds.",
    Reason.NO_DATA: "No request was mirrored yet: see the account for why.",
    Reason.TOO_EARLY: "Too few days have passed in which a request was mirrored: minTime says how many. "
    "Rules are read at the ends of whole periods of it.",
    Reason.SILENT_PODS: "Not all live pods mirror, and what the others saw is in no account: see Mirroring.",
    Reason.FEW_PAIRS: "Fewer requests were compared than minPairs asks for.",
}


def shadow_status(judgement: Judgement, generation: int) -> ShadowStatus:
    """The status but for conditions and times, which the clock's owner adds."""
    account = judgement.snapshot.account
    return ShadowStatus(
        observed_generation=generation,
        verdict=judgement.verdict,
        reason=judgement.reason.value,
        message=_message(judgement)[:1024],
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


def _message(judgement: Judgement) -> str:
    account = judgement.snapshot.account
    if judgement.reason is Reason.UNBALANCED:
        return f"The account doesn't add up: {'; '.join(account.problems())}."
    if judgement.reason is Reason.LOW_COVERAGE:
        return (
            f"{account.paired} of {account.settled} eligible requests were compared ({account.coverage:.1%})"
            ": lower traffic.sample, or raise what drops them (see account.dropped)."
        )
    wanted = "Reject" if judgement.reason is Reason.RULE_BROKEN else "Inconclusive"
    if judgement.reason in (Reason.RULE_BROKEN, Reason.NOT_CLEAR, Reason.NO_EVIDENCE):
        return "; ".join(_sentence(rule) for rule in judgement.rules if rule.verdict == wanted) + "."
    return _MESSAGES[judgement.reason]


def _sentence(rule: RuleResult) -> str:
    if rule.value is None or rule.lower is None or rule.upper is None:
        return f"{rule.rule}: {rule.reason}"
    return (
        f"{rule.rule} is {rule.value:.4g} ({rule.lower:.4g} to {rule.upper:.4g}), "
        f"limit {rule.threshold:.4g}: {rule.reason}"
    )
