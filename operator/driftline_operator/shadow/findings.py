"""The conditions of a shadow, each with its reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from driftline.shadow.gate import Judgement
from driftline.spec.shadow import ShadowSpec

from driftline_operator import names
from driftline_operator.conditions import Finding, ShadowAspect, Status
from driftline_operator.shadow.course import Course, Seen
from driftline_operator.shadow.health import Found
from driftline_operator.shadow.reasons import RUNNING, Ending, Mirroring, Promotion, Refusal

_NO_DATA = "NoData"
_NAMED = 5
"""Pods in a message."""

_ENDINGS = {
    Ending.REJECTED: "the candidate was rejected: nothing is mirrored any more",
    Ending.DURATION_OVER: "spec.duration has passed: the last verdict stands",
    Ending.LIVE_CHANGED: "the live workload's pods became others while they were compared: change the spec, "
    "or make the shadow anew, to begin again",
    Ending.MONITOR_CHANGED: "the monitor reads bodies otherwise than when they were compared (schema, "
    "endpoint, model.type, capture): change the spec, or make the shadow anew, to begin again",
    Ending.PROMOTED: "the candidate has taken the live workload's place",
    Ending.ROLLED_BACK: "the promotion was taken back, and the live workload is as it was",
    Ending.NOT_AUTHENTIC: "what its ConfigMap held isn't signed with the namespace's token, or is older "
    "than this status: look at the live workload; change the spec, or make the shadow anew, to begin again",
}
_ANEW = (
    "what its ConfigMap held was gone, or not signed with the namespace's token: it was not believed, and "
    "the comparison began anew"
)


_NOT_KEPT = (
    "pairs are mirrored and judged, but don't fit the shadow's ConfigMap any more (many pods, restarts or "
    "segments), and the last that did stay there: another controller will miss those of pods that went since"
)


class Asked(NamedTuple):
    """The live pods with a sidecar, in the last round."""

    pods: int | None = None
    """Those that can be asked; None: no round has come yet."""
    answered: int = 0
    mirroring: int = 0
    """Those that have begun a mirror of this shadow: one tells its account from then on."""
    warming: int = 0
    """Those that send the candidate copies that don't count."""
    refused: tuple[str, ...] = ()
    """Names of those that told what can't be true."""
    full: bool = False
    """Whether what they told fits its ConfigMap no longer."""


def found_of(
    course: Course,
    spec: ShadowSpec,
    candidate: Found,
    asked: Asked,
    seen: Seen,
    not_promoted: Promotion | None = None,
    untold: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Finding, ...]:
    """All conditions, in their order. `untold`: segments that are not told apart, each with the reason."""
    ready = Finding(
        ShadowAspect.CANDIDATE_READY,
        Status.TRUE if candidate.ready else Status.FALSE,
        candidate.reason,
        candidate.message,
    )
    return (
        ready,
        _mirroring(course, spec, candidate, asked, seen, untold),
        _promotable(seen.judgement, _taken_back(course)),
        promoted(course, not_promoted),
        _finished(course),
    )


def refused(
    course: Course, reason: Refusal, message: str, judgement: Judgement | None = None
) -> tuple[Finding, ...]:
    """Of a shadow without a candidate."""
    back = _taken_back(course) if course.ended is not None else (reason, message)
    return (
        Finding(ShadowAspect.CANDIDATE_READY, Status.FALSE, reason, message),
        Finding(ShadowAspect.MIRRORING, Status.FALSE, Mirroring.NO_CANDIDATE, "there is no candidate"),
        _promotable(judgement, back),
        promoted(course),
        _finished(course),
    )


def _mirroring(
    course: Course,
    spec: ShadowSpec,
    candidate: Found,
    asked: Asked,
    seen: Seen,
    untold: Mapping[str, str],
) -> Finding:
    reason, message = _hindrance(course, spec, candidate, asked, seen)
    status = _MIRRORING.get(reason, Status.FALSE)
    if untold:
        why = ", ".join(f"{name} {reason}" for name, reason in untold.items())
        message = f"{message}; segments that are not told apart: {why}"
    return Finding(ShadowAspect.MIRRORING, status, reason, message)


_MIRRORING = {Mirroring.MIRRORING: Status.TRUE, Mirroring.NOT_ASKED_YET: Status.UNKNOWN}


def _hindrance(
    course: Course, spec: ShadowSpec, candidate: Found, asked: Asked, seen: Seen
) -> tuple[Mirroring, str]:
    if course.ended is not None:
        return Mirroring.ENDED, _ENDINGS[course.ended]
    if not candidate.ready:
        return Mirroring.NO_CANDIDATE, f"the candidate is not ready: {candidate.reason}"
    if course.began is None and seen.plan is None:
        return (
            Mirroring.NO_PLAN,
            "the monitor's reference isn't there yet: its condition ReferenceReady says why",
        )
    if course.began is None:
        sent = f"copies are sent for {spec.candidate.warm_up:g} s and don't count"
        return Mirroring.WARMING_UP, f"{sent}: {_hindrance_of(asked._replace(mirroring=asked.warming))[1]}"
    if asked.full:
        return Mirroring.NOT_KEPT, _NOT_KEPT
    reason, message = _hindrance_of(asked)
    return reason, message + _refusals(asked.refused)


def _refusals(pods: tuple[str, ...]) -> str:
    if not pods:
        return ""
    more = f" and {len(pods) - _NAMED} more" if len(pods) > _NAMED else ""
    return f"; what {', '.join(pods[:_NAMED])}{more} told is refused: the controller's log says why"


def _hindrance_of(asked: Asked) -> tuple[Mirroring, str]:
    if asked.pods is None:
        return (
            Mirroring.NOT_ASKED_YET,
            "the live pods are asked in the next round, within half a minute or so",
        )
    if not asked.pods:
        return Mirroring.NO_PODS, "no live pod with a sidecar can be asked"
    if not asked.answered:
        return Mirroring.NO_ANSWER, f"the pairs of none of {asked.pods} live pods could be had"
    if not asked.mirroring:
        why = "have begun yet: their nodes bring them the configuration, within a minute or two"
        return Mirroring.NOT_BEGUN, f"none of {asked.pods} live pods {why}"
    return Mirroring.MIRRORING, f"{asked.mirroring} of {asked.pods} live pods mirror"


def _taken_back(course: Course) -> tuple[Ending, str] | None:
    """Why the verdict counts no longer, in a word and a sentence; None: it does."""
    ended = course.ended
    if ended is not None and course.anew and course.began is None:
        return Ending.NOT_AUTHENTIC, _ENDINGS[Ending.NOT_AUTHENTIC]
    return None if ended is None or ended.keeps_verdict else (ended, _ENDINGS[ended])


def _promotable(judgement: Judgement | None, back: tuple[Ending | Refusal, str] | None) -> Finding:
    """What the status has its verdict from: the two must not disagree."""
    if back is not None:
        return Finding(ShadowAspect.PROMOTABLE, Status.UNKNOWN, *back)
    if judgement is None:
        return Finding(ShadowAspect.PROMOTABLE, Status.UNKNOWN, _NO_DATA, "no pairs have come yet")
    status = {"Promotable": Status.TRUE, "Rejected": Status.FALSE}.get(judgement.verdict, Status.UNKNOWN)
    telling = ("Reject",) if judgement.verdict == "Rejected" else ("Reject", "Inconclusive")
    rules = [rule.rule for rule in judgement.rules if rule.verdict in telling]
    message = f"{judgement.verdict}" + (f": {', '.join(rules)}" if rules else "")
    return Finding(ShadowAspect.PROMOTABLE, status, judgement.reason.value, message)


_NOT_PROMOTED = {
    Promotion.NOT_PROMOTABLE: "it was asked for, and the verdict wasn't Promotable then",
    Promotion.OLD_GENERATION: "the annotation driftline.io/promote names another generation of the spec",
    Promotion.NO_FORM: "a Service has no form that could be promoted",
    Promotion.LIVE_CHANGED: "the live workload isn't the one that was compared any more",
    Promotion.PORT_LOST: "a Service of the live pods leads to a port, by name or number, that no container "
    "of the candidate declares",
}


def promoted(course: Course, refused: Promotion | None = None) -> Finding:
    """How far a promotion has come."""
    rollout = course.rollout
    if course.declined is not None:
        refused = course.declined.reason
    if rollout is None and refused is not None:
        message = _NOT_PROMOTED[refused]
        if refused in (Promotion.NOT_PROMOTABLE, Promotion.OLD_GENERATION, Promotion.PORT_LOST):
            message += f"; to ask again: `driftline shadow promote`, or {_again(course)}"
        return Finding(ShadowAspect.PROMOTED, Status.FALSE, refused, message)
    if rollout is None:
        return Finding(ShadowAspect.PROMOTED, Status.FALSE, Promotion.NOT_ASKED, "nobody has asked for it")
    status = Status.TRUE if rollout.state is Promotion.PROMOTED else Status.FALSE
    return Finding(ShadowAspect.PROMOTED, status, rollout.state, rollout.message)


def _again(course: Course) -> str:
    return f"{names.PROMOTE_ANNOTATION}={course.generation}/AGAIN (after the slash another word each time)"


def _finished(course: Course) -> Finding:
    if course.ended is None:
        word, said = ("BegunAnew", _ANEW) if course.anew else (RUNNING, "it is under way")
        return Finding(ShadowAspect.FINISHED, Status.FALSE, word, said)
    return Finding(ShadowAspect.FINISHED, Status.TRUE, course.ended, _ENDINGS[course.ended])
