"""A candidate takes the live workload's place, and goes back where it doesn't become ready. Pure.

    asked for -> RollingOut -> Promoted
                            -> RollingBack -> RolledBack

Promoted and RolledBack are said once all pods are of that template and ready, not before. The pod template as
it was is kept before anything is changed. The template says itself whose candidate it is
(an annotation), so that a controller that was killed in between knows what it has done. What its pods run
is remembered once it is there, as the API server completed it: who changes it meanwhile has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from driftline.decoding import to_yaml
from driftline.spec.shadow import ShadowSpec

from driftline_operator import names
from driftline_operator.cluster.resources import Object
from driftline_operator.controller.plan.workloads import desired_pods, is_settled
from driftline_operator.injection.pod import Json
from driftline_operator.shadow import template as templates
from driftline_operator.shadow.candidate import Wanted
from driftline_operator.shadow.course import Course, Rollout, fingerprint, refusing, reopened
from driftline_operator.shadow.observed import ObservedShadow
from driftline_operator.shadow.reach import lost_ports
from driftline_operator.shadow.reasons import Ending, Promotion

_DEADLINE: Final = 600.0
"""Seconds, where the workload has no progressDeadlineSeconds."""

_STUCK: Final = "; a StatefulSet doesn't replace a pod that never was ready: delete those that aren't"


class Step(NamedTuple):
    """What a promotion does next."""

    course: Course
    patch: tuple[Json, ...] = ()
    """JSON patch of the live workload; empty: there is nothing to do."""
    refused: Promotion | None = None
    """It was asked for, and can't be."""


def promoted(
    observed: ObservedShadow,
    spec: ShadowSpec,
    course: Course,
    found: Wanted,
    services: Iterable[Object],
    now: float,
) -> Step:
    """One step further, or none. `services`: of the namespace. Raises BadPatch, as `wanted` did before."""
    rollout, live = course.rollout, found.live
    if rollout is None:
        return _asked(observed, spec, course, found, services, now)
    if not course.rolls():
        return Step(course)  # what others do to the workload later is none of its concern
    is_ours = _marked(live["spec"]["template"]) == _mark(course)
    if is_ours:
        seen = fingerprint(live["spec"]["template"])
        if rollout.made not in ("", seen):
            return Step(_ended(course, Promotion.LIVE_CHANGED, Ending.LIVE_CHANGED, now))
        rollout = msgspec.structs.replace(rollout, made=seen)
        course = msgspec.structs.replace(course, rollout=rollout)
    if rollout.state is Promotion.ROLLING_OUT:
        return _out(spec, course, found, now, is_ours=is_ours)
    if is_ours:
        return Step(course, _replacing(live, rollout.before))
    return Step(_back(course, live, now))


def _asked(
    observed: ObservedShadow,
    spec: ShadowSpec,
    course: Course,
    found: Wanted,
    services: Iterable[Object],
    now: float,
) -> Step:
    course = reopened(course, observed.asked)
    by_itself = spec.on_pass == "Promote" and course.verdict == "Promotable"  # noqa: S105 - no password
    if not by_itself and (not observed.asked or course.declined is not None):
        return Step(course, refused=None if course.declined is None else course.declined.reason)
    refused, live = None, found.live
    if not by_itself and observed.asked.partition("/")[0] != str(observed.generation):
        refused = Promotion.OLD_GENERATION
    elif spec.candidate.service is not None:
        refused = Promotion.NO_FORM
    elif course.verdict != "Promotable" or course.ended not in (None, Ending.DURATION_OVER):
        refused = Promotion.NOT_PROMOTABLE
    elif fingerprint(live["spec"]["template"]) != course.live:
        refused = Promotion.LIVE_CHANGED
    elif lost_ports(live["spec"]["template"], _made(spec, found), services):
        refused = Promotion.PORT_LOST
    if refused is not None:
        return Step(refusing(course, "" if by_itself else observed.asked, refused), refused=refused)
    before = msgspec.json.decode(msgspec.json.encode(live["spec"]["template"]))
    rollout = Rollout(
        state=Promotion.ROLLING_OUT, since=now, before=before, spec=observed.body["spec"], message=_name(live)
    )
    return Step(msgspec.structs.replace(course, rollout=rollout, ended=None))


def orphaned(course: Course, message: str, now: float) -> Course:
    """There is no workload (any more). It may be made anew: twice the usual deadline is waited for it."""
    if course.rollout is None or not course.rolls() or now - course.rollout.since <= 2 * _DEADLINE:
        return course
    course = _said(course, course.rollout.state, message)
    return _ended(course, Promotion.LIVE_CHANGED, Ending.LIVE_CHANGED, now)


def _made(spec: ShadowSpec, found: Wanted) -> Json:
    return templates.changed(found.live["spec"]["template"], spec.candidate, found.model)


def _out(spec: ShadowSpec, course: Course, found: Wanted, now: float, *, is_ours: bool) -> Step:
    assert course.rollout is not None  # noqa: S101 - seen to by the caller
    live = found.live
    late = now - course.rollout.since > float(live["spec"].get("progressDeadlineSeconds") or _DEADLINE)
    if is_ours and is_ready(live):
        return Step(_ended(course, Promotion.PROMOTED, Ending.PROMOTED, now))
    if is_ours and (late or _is_stuck(live)):
        return Step(_said(course, Promotion.ROLLING_BACK, f"{_name(live)} didn't become ready"))
    if is_ours:
        return Step(course)
    if fingerprint(live["spec"]["template"]) != course.live:  # somebody else was quicker
        return Step(_ended(course, Promotion.LIVE_CHANGED, Ending.LIVE_CHANGED, now))
    if late:
        message = f"{_name(live)} could not be changed in time: the controller's log says why"
        return Step(_said(course, Promotion.ROLLING_BACK, message))
    made = _made(spec, found)
    metadata = dict(made.get("metadata") or {})
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        names.PROMOTED_ANNOTATION: _mark(course),
    }
    return Step(course, _replacing(live, {**made, "metadata": metadata}))


def _back(course: Course, live: Object, now: float) -> Course:
    """The candidate's template is gone; the old one's pods must be ready too before that is said."""
    assert course.rollout is not None  # noqa: S101 - seen to by the caller
    if fingerprint(live["spec"]["template"]) != fingerprint(course.rollout.before):
        return _ended(course, Promotion.LIVE_CHANGED, Ending.LIVE_CHANGED, now)
    if is_ready(live):
        message = f"{_name(live)} has its old template, and all its pods are ready"
        course = _said(course, Promotion.ROLLING_BACK, message)
        return _ended(course, Promotion.ROLLED_BACK, Ending.ROLLED_BACK, now)
    stuck = _STUCK if live["kind"] == "StatefulSet" else ""
    message = f"{_name(live)} has its old template again, its pods are not all ready yet{stuck}"
    return _said(course, Promotion.ROLLING_BACK, message)


def _said(course: Course, state: Promotion, message: str) -> Course:
    assert course.rollout is not None  # noqa: S101 - seen to by the callers
    rollout = msgspec.structs.replace(course.rollout, state=state, message=message)
    return msgspec.structs.replace(course, rollout=rollout)


def _replacing(live: Object, template: Mapping[str, Any]) -> tuple[Json, ...]:
    """Refused by the API server where somebody changed the workload meanwhile."""
    version = live["metadata"]["resourceVersion"]
    return (
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/template", "value": template},
    )


def _ended(course: Course, state: Promotion, ending: Ending, now: float) -> Course:
    assert course.rollout is not None  # noqa: S101 - seen to by the caller
    rollout = msgspec.structs.replace(course.rollout, state=state)
    return msgspec.structs.replace(course, rollout=rollout, ended=ending, ended_at=course.ended_at or now)


def _mark(course: Course) -> str:
    return f"{course.uid}/{course.generation}"


def _marked(template: Mapping[str, Any]) -> str:
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(names.PROMOTED_ANNOTATION, ""))


def _name(live: Object) -> str:
    return f"{live['kind']} {live['metadata']['name']}"


def is_ready(live: Object) -> bool:
    """Has its rollout come to its end, and are all its pods ready?"""
    status = live.get("status") or {}
    wanted = desired_pods(live)
    ready = status.get("numberReady" if live["kind"] == "DaemonSet" else "readyReplicas") or 0
    # A StatefulSet that is taken back has its old revision at once, whatever its pods are of.
    renewed = live["kind"] != "StatefulSet" or int(status.get("updatedReplicas") or 0) >= wanted
    return is_settled(live) and renewed and int(ready) >= wanted


def _is_stuck(live: Object) -> bool:
    conditions = (live.get("status") or {}).get("conditions") or []
    current = (live.get("status") or {}).get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    return current and any(each["type"] == "Progressing" and each["status"] == "False" for each in conditions)


def patch_text(spec: ShadowSpec, found: Wanted) -> str:
    """What a promotion changes, for who applies it otherwise, as a strategic merge patch; or nothing.

    Raises BadPatch.
    """
    if spec.candidate.service is not None:
        return ""
    patch = templates.promotion_patch(found.live["spec"]["template"], spec.candidate, found.model)
    return to_yaml({"spec": {"template": patch}})
