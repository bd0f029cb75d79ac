"""What people read of a shadow at a glance: its reason, the rules that decided, and the Events."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest
from driftline.shadow.gate import Judgement, RuleResult, Verdict
from driftline.shadow.rules import Reason, RuleReason
from driftline.shadow.tally import Tally
from driftline_operator.controller.plan import status as statuses
from driftline_operator.controller.plan.status import Transition
from driftline_operator.shadow.findings import Asked
from driftline_operator.shadow.observed import observe_shadow
from driftline_operator.shadow.plan import ShadowPlan
from driftline_operator.shadow.reasons import Ending, Health, Mirroring, Promotion, Refusal
from driftline_operator.shadow.status import events_of, said, status

from tests.operator.shadow.test_plan import (
    NOW,
    comparing,
    planned,
    running,
    shadow,
    state,
    workload,
)
from tests.support.children import REPO
from tests.support.shadows import CLASSES, snapshot

Json = dict[str, Any]
EMPTY = snapshot(Tally.empty(CLASSES))


def judgement(verdict: Verdict, reason: Reason, **rules: str) -> Judgement:
    """`rules`: what each says."""
    said: Any = [RuleResult(name, each, RuleReason.NOT_CLEAR, 0.1) for name, each in rules.items()]  # type: ignore[arg-type]
    return Judgement(verdict, reason, tuple(said), EMPTY)


def shown(made: ShadowPlan, told: Judgement | None = None) -> str:
    """What `kubectl get sd` shows as the reason."""
    base = said(made.observed, told)
    return str(status(made.observed, made.course, base, made.findings, NOW)["reason"])


def test_the_reason_is_what_keeps_data_from_coming() -> None:
    assert shown(planned(shadow(monitorRef={"name": "other"}))) == "MonitorNotFound"
    assert shown(planned(shadow(candidate={"service": {"name": "v4", "port": 80}}))) == "ServiceNotFound"
    assert shown(planned(shadow())) == "Starting"
    assert shown(planned(shadow(), state(workload(app="other")))) == "NoWorkload"


def test_what_is_of_many_lines_is_said_in_one() -> None:
    """A status that can't be made would stop all monitors of the namespace."""
    made = planned({**shadow(), "spec": {}})
    assert "\n" in made.observed.problem
    told = status(made.observed, made.course, said(made.observed, None), made.findings, NOW)
    assert told["message"] == made.observed.problem.replace("\n", " ")


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (Asked(), "NotAskedYet"),
        (Asked(0), "NoLivePods"),
        (Asked(2, 2), "NotBegun"),
        (Asked(2, 2, 2), "NoData"),
    ],
)
@pytest.mark.parametrize("judged", [False, True])
def test_of_a_candidate_that_is_ready_the_mirrors_say_it(asked: Asked, wanted: str, judged: bool) -> None:
    told = judgement("Inconclusive", Reason.NO_DATA) if judged else None
    made = planned(shadow(), running(shadow()), comparing()._replace(asked=asked, judgement=told))
    assert shown(made, told) == wanted


def test_once_there_is_data_the_verdicts_reason_stands() -> None:
    told = judgement("Inconclusive", Reason.FEW_PAIRS)
    at = comparing()._replace(judgement=told)
    assert shown(planned(shadow(), told=at), told) == "FewPairs"  # though no pod is ready now


def test_at_its_end_without_data_it_says_why_it_ended() -> None:
    assert shown(planned(shadow(), told=comparing(live="another"))) == "LiveChanged"


@pytest.mark.parametrize(
    ("verdict", "wanted"),
    [
        ("Rejected", "Rejected: agreement"),
        ("Inconclusive", "Inconclusive: agreement, errorRate"),
    ],
)
def test_a_rejection_names_the_rules_that_are_broken(verdict: Verdict, wanted: str) -> None:
    told = judgement(
        verdict, Reason.RULE_BROKEN, agreement="Reject", errorRate="Inconclusive", meanDelta="Pass"
    )
    made = planned(shadow(), running(shadow()), comparing()._replace(judgement=told))
    assert [each.message for each in made.findings if each.aspect == "Promotable"] == [wanted]


def events(made: ShadowPlan) -> list[tuple[str, str]]:
    """Type and reason of those that a new shadow would have."""
    changed = events_of(made.observed, made.findings)
    told = [statuses.event(made.observed, each, "", NOW) for each in changed]
    return [(each["type"], each["reason"]) for each in told]


def test_a_shadow_that_begins_is_no_warning() -> None:
    assert events(planned(shadow())) == [("Normal", "Starting"), ("Normal", "NoCandidate")]


@pytest.mark.parametrize(
    ("aspect", "reason", "wanted"),
    [
        ("Promoted", "RollingOut", "Normal"),
        ("CandidateReady", "Ended", "Normal"),
        ("Promoted", "RolledBack", "Warning"),
        ("Promoted", "NotPromotable", "Warning"),
        ("CandidateReady", "Crashing", "Warning"),
        ("Promotable", "RuleBroken", "Warning"),
    ],
)
def test_what_is_a_warning(aspect: str, reason: str, wanted: str) -> None:
    made = statuses.event(observe_shadow(shadow()), Transition(aspect, "False", reason, "x"), "", NOW)
    assert made["type"] == wanted


@pytest.mark.parametrize("closed", [Refusal, Health, Mirroring, Promotion, Ending])
def test_the_documentation_has_every_reason(closed: type[StrEnum]) -> None:
    _, _, after = (REPO / "docs" / "shadow.md").read_text().partition("| condition | reasons |")
    table = after.partition("\n\n")[0]
    assert [each.value for each in closed if f"`{each.value}`" not in table] == []
