"""The status of a ShadowDeployment as it should be. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from driftline.shadow.gate import Judgement
from driftline.shadow.rules import Reason
from driftline.shadow.status import shadow_status
from driftline.spec.shadow_status import ShadowStatus

from driftline_operator.conditions import Finding, ShadowAspect, Status
from driftline_operator.controller.plan.status import Transition, Worth, conditions_of, one_line, transitions
from driftline_operator.shadow.course import Course
from driftline_operator.shadow.observed import ObservedShadow
from driftline_operator.shadow.reasons import UNTOLD, Ending, Refusal

_ACCOUNT = {"eligible": 0, "mirrored": 0, "paired": 0, "lost": 0, "waiting": 0}


def said(observed: ObservedShadow, judgement: Judgement | None) -> ShadowStatus:
    """What the judgement says: with many segments it takes a second to make."""
    if judgement is None:
        return ShadowStatus(observed_generation=observed.generation, reason=Reason.NO_DATA.value)
    paths = () if observed.spec is None else observed.spec.traffic.paths
    return shadow_status(judgement, observed.generation, paths)


def status(
    observed: ObservedShadow,
    course: Course,
    made: ShadowStatus,
    findings: Sequence[Finding],
    now: dt.datetime,
) -> Mapping[str, Any]:
    """The whole status, as JSON. `made`: as `said` has it of the same generation."""
    back = taken_back(findings)
    cause = _cause(findings) if made.reason == Reason.NO_DATA else None
    if back is not None:
        made = msgspec.structs.replace(
            made, verdict="Inconclusive", reason=back.reason, message=one_line(back.message)[:1024]
        )
    elif cause is not None:
        message = one_line(f"Nothing was compared: {cause.message}")[:1024]
        made = msgspec.structs.replace(made, reason=cause.reason, message=message)
    made = msgspec.structs.replace(
        made,
        conditions=conditions_of(observed, findings, now),
        started=_time(course.began),
        last_change=_time(course.verdict_since or None),
    )
    return _with_zeros(msgspec.to_builtins(made))


def taken_back(findings: Sequence[Finding]) -> Finding | None:
    """The condition Promotable where it takes the judgement back; None: it says what that says."""
    found = next(each for each in findings if each.aspect is ShadowAspect.PROMOTABLE)
    return found if isinstance(found.reason, Ending | Refusal) else None


def _cause(findings: Sequence[Finding]) -> Finding | None:
    """The condition that says why there is no data; None: nothing hinders any, and none has come."""
    by_aspect = {each.aspect: each for each in findings}
    ended = by_aspect[ShadowAspect.FINISHED]
    if ended.status is Status.TRUE:
        return ended
    both = by_aspect[ShadowAspect.CANDIDATE_READY], by_aspect[ShadowAspect.MIRRORING]
    return next((each for each in both if each.status is not Status.TRUE), None)


def events_of(observed: ObservedShadow, findings: Sequence[Finding]) -> list[Transition]:
    """What changed that an Event is to say."""
    return [each for each in transitions(observed, findings) if each.reason not in UNTOLD]


def worth(observed: ObservedShadow, wanted: Mapping[str, Any]) -> Worth:
    """Against the status that is there: is it worth a write?"""
    present = observed.body.get("status") or {}
    return Worth(changed=present != wanted, urgent=_gist(present) != _gist(wanted))


def _gist(given: Mapping[str, Any]) -> object:
    conditions = [(each["type"], each["status"], each["reason"]) for each in given.get("conditions") or []]
    return sorted(conditions), given.get("observedGeneration"), given.get("verdict"), given.get("started")


def _time(seconds: float | None) -> str | None:
    return (
        None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    )


def _with_zeros(wire: dict[str, Any]) -> dict[str, Any]:
    """With the defaults that the structs leave out, as the API server would add them."""
    wire["account"] = {**_ACCOUNT, "dropped": {}, "failed": {}} | wire.get("account", {})
    if "rules" in wire:
        wire["rules"] = [{"approximate": False} | each for each in wire["rules"]]
    if "segments" in wire:
        wire["segments"] = [{"pairs": 0} | each for each in wire["segments"]]
    wire.setdefault("outputs", {})
    plain = {"verdict": "Inconclusive", "reason": "", "message": "", "pairs": 0, "coverage": 0.0}
    return {"observedGeneration": 0, **plain} | wire
