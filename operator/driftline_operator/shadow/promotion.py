"""A candidate takes the live workload's place, and goes back where it doesn't become ready. Pure.

    asked for -> RollingOut -> Promoted
                            -> RollingBack -> RolledBack

The pod template as it was is kept before anything is changed. The template says itself whose candidate it is
(an annotation), so that a controller that was killed in between knows what it has done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
import yaml
from driftline.spec.shadow import ShadowSpec

from driftline_operator import names
from driftline_operator.cluster.resources import Object
from driftline_operator.controller.plan.workloads import desired_pods, is_settled
from driftline_operator.injection.pod import Json
from driftline_operator.shadow import template as templates
from driftline_operator.shadow.course import Course, Rollout, fingerprint, refusing, reopened
from driftline_operator.shadow.merging import BadPatch
from driftline_operator.shadow.observed import ObservedShadow
from driftline_operator.shadow.reasons import Ending, Promotion

_DEADLINE: Final = 600.0
"""Seconds, where the workload has no progressDeadlineSeconds."""

_STUCK: Final = "; a StatefulSet doesn't replace a pod that never was: delete it"


class Step(NamedTuple):
    """What a promotion does next."""

    course: Course
    patch: tuple[Json, ...] = ()
    """JSON patch of the live workload; empty: there is nothing to do."""
    refused: Promotion | None = None
    """It was asked for, and can't be."""


def promoted(
    observed: ObservedShadow, spec: ShadowSpec, course: Course, live: Object, model: str, now: float
) -> Step:
    """One step further, or none. `model`: the container where a patch names none."""
    if course.rollout is None:
        return _asked(observed, spec, course, live, now)
    mark = _mark(course)
    is_ours = _marked(live["spec"]["template"]) == mark
    match course.rollout.state:
        case Promotion.ROLLING_OUT:
            return _out(spec, course, live, model, now, is_ours=is_ours)
        case Promotion.ROLLING_BACK if is_ours:
            return Step(course, _replacing(live, course.rollout.before))
        case Promotion.ROLLING_BACK:
            return Step(_ended(course, Promotion.ROLLED_BACK, Ending.ROLLED_BACK, now))
        case _:
            return Step(course)


def _asked(observed: ObservedShadow, spec: ShadowSpec, course: Course, live: Object, now: float) -> Step:
    course = reopened(course, observed.asked)
    by_itself = spec.on_pass == "Promote" and course.verdict == "Promotable"  # noqa: S105 - no password
    if not by_itself and (not observed.asked or course.declined is not None):
        return Step(course, refused=None if course.declined is None else course.declined.reason)
    refused = None
    if not by_itself and observed.asked.partition("/")[0] != str(observed.generation):
        refused = Promotion.OLD_GENERATION
    elif spec.candidate.service is not None:
        refused = Promotion.NO_FORM
    elif course.verdict != "Promotable" or course.ended in (Ending.REJECTED, Ending.LIVE_CHANGED):
        refused = Promotion.NOT_PROMOTABLE
    elif fingerprint(live["spec"]["template"]) != course.live:
        refused = Promotion.LIVE_CHANGED
    if refused is not None:
        return Step(refusing(course, "" if by_itself else observed.asked, refused), refused=refused)
    before = msgspec.json.decode(msgspec.json.encode(live["spec"]["template"]))
    rollout = Rollout(state=Promotion.ROLLING_OUT, since=now, before=before, message=_name(live))
    return Step(msgspec.structs.replace(course, rollout=rollout, ended=None))


def _out(spec: ShadowSpec, course: Course, live: Object, model: str, now: float, *, is_ours: bool) -> Step:
    assert course.rollout is not None  # noqa: S101 - seen to by the caller
    late = now - course.rollout.since > float(live["spec"].get("progressDeadlineSeconds") or _DEADLINE)
    if is_ours and is_ready(live):
        return Step(_ended(course, Promotion.PROMOTED, Ending.PROMOTED, now))
    if late or (is_ours and _is_stuck(live)):
        message = f"{_name(live)} didn't become ready{_STUCK if live['kind'] == 'StatefulSet' else ''}"
        rollout = msgspec.structs.replace(course.rollout, state=Promotion.ROLLING_BACK, message=message)
        return Step(msgspec.structs.replace(course, rollout=rollout))
    if is_ours:
        return Step(course)
    if fingerprint(live["spec"]["template"]) != course.live:  # somebody else was quicker
        return Step(_ended(course, Promotion.LIVE_CHANGED, Ending.LIVE_CHANGED, now))
    try:
        made = templates.changed(live["spec"]["template"], spec.candidate, model)
    except BadPatch:
        return Step(_ended(course, Promotion.ROLLED_BACK, Ending.ROLLED_BACK, now))
    metadata = dict(made.get("metadata") or {})
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        names.PROMOTED_ANNOTATION: _mark(course),
    }
    return Step(course, _replacing(live, {**made, "metadata": metadata}))


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
    ready = status.get("numberReady" if live["kind"] == "DaemonSet" else "readyReplicas") or 0
    return is_settled(live) and int(ready) >= desired_pods(live)


def _is_stuck(live: Object) -> bool:
    conditions = (live.get("status") or {}).get("conditions") or []
    current = (live.get("status") or {}).get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    return current and any(each["type"] == "Progressing" and each["status"] == "False" for each in conditions)


def patch_text(spec: ShadowSpec, model: str) -> str:
    """What a promotion changes, for who applies it otherwise, as a strategic merge patch; or nothing."""
    if spec.candidate.patch is not None:
        template = templates.patch_of(spec.candidate.patch, model)
    elif spec.candidate.template is not None:
        template = dict(spec.candidate.template)
        template["spec"] = {"$patch": "replace", **template["spec"]}
    else:
        return ""
    return yaml.safe_dump({"spec": {"template": template}}, sort_keys=False)
