"""How far a shadow has come: what must outlive the controller. Pure; times are unix seconds, and given.

Waiting for a candidate -> warming up -> comparing, since `began` -> ended, for one reason. Another
generation of the spec begins anew. Every step is kept (`encode`) before anything is done about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from driftline.shadow.gate import GRACE_SECONDS, Judgement, is_hurried
from driftline.shadow.plan import ComparisonPlan
from driftline.spec.shadow import ShadowSpec

from driftline_operator.shadow.reasons import Ending, Promotion

_ROUND_SECONDS: Final = 90.0
"""In which all pods are asked and judged once, at the least."""


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion under way, or done."""

    state: Promotion
    since: float
    before: dict[str, Any]
    """The live pod template as it was: what a rollback brings back."""
    message: str = ""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """Of one generation of one shadow."""

    uid: str
    generation: int
    ready_since: float | None = None
    """Since when the candidate is ready, until the comparison begins."""
    began: float | None = None
    plan: ComparisonPlan | None = None
    live: str = ""
    """The live pods that are compared with, as `fingerprint` has them."""
    ended: Ending | None = None
    ended_at: float = 0.0
    verdict: str = ""
    verdict_since: float = 0.0
    rollout: Rollout | None = None

    def elapsed(self, now: float) -> float:
        """Seconds that were compared in."""
        if self.began is None:
            return 0.0
        return max(0.0, (now if self.ended is None else min(now, self.ended_at)) - self.began)

    def is_mirroring(self) -> bool:
        """Is traffic to be mirrored?"""
        return self.began is not None and self.ended is None and self.rollout is None

    def runs_candidate(self, spec: ShadowSpec) -> bool:
        """Is the candidate to run? After a rejection a person may want to look at it."""
        if self.rollout is not None:
            return False
        return self.ended is None or (self.ended is Ending.REJECTED and spec.on_fail == "Report")


class Seen(NamedTuple):
    """What a step is decided from."""

    ready: bool
    """Does the candidate answer?"""
    live: str
    """The live pods' fingerprint; empty: there is no one workload now."""
    plan: ComparisonPlan | None
    """What the comparison would be on; None: that isn't known yet."""
    judgement: Judgement | None


def fingerprint(template: Mapping[str, Any]) -> str:
    """Of what a pod template runs; labels and annotations may change under a comparison."""
    return hashlib.sha256(msgspec.json.encode(template["spec"], order="sorted")).hexdigest()[:32]


def advanced(course: Course, spec: ShadowSpec, seen: Seen, now: float) -> Course:
    """One step further, or the same."""
    if course.ended is not None:
        return course
    if course.began is None:
        return _starting(course, spec, seen, now)
    verdict = "" if seen.judgement is None else seen.judgement.verdict
    if verdict != course.verdict:
        course = msgspec.structs.replace(course, verdict=verdict, verdict_since=now)
    ending = _ending(course, spec, seen, now)
    return course if ending is None else msgspec.structs.replace(course, ended=ending, ended_at=now)


def _starting(course: Course, spec: ShadowSpec, seen: Seen, now: float) -> Course:
    since = None if not seen.ready else now if course.ready_since is None else course.ready_since
    course = msgspec.structs.replace(course, ready_since=since)
    if since is None or seen.plan is None or not seen.live or now - since < spec.candidate.warm_up:
        return course
    return msgspec.structs.replace(course, began=now, plan=seen.plan, live=seen.live)


def _ending(course: Course, spec: ShadowSpec, seen: Seen, now: float) -> Ending | None:
    if course.rollout is not None:
        return None  # it ends as the rollout does
    if seen.live and seen.live != course.live:
        return Ending.LIVE_CHANGED
    if course.verdict == "Rejected":
        return Ending.REJECTED
    return Ending.DURATION_OVER if course.elapsed(now) >= spec.duration + _last_look(spec) else None


def _last_look(spec: ShadowSpec) -> float:
    """Seconds after the last request, until its pair has come and was judged: a period may end with it."""
    return 0.0 if is_hurried(spec.gate) else spec.traffic.timeout + GRACE_SECONDS + _ROUND_SECONDS


def encode(course: Course) -> str:
    """As text, for a ConfigMap."""
    return msgspec.json.encode(course).decode()


def decode(text: str, uid: str, generation: int) -> Course:
    """Of `encode`; one that can't be read, or is of another shadow or generation, is a new course."""
    new = Course(uid=uid, generation=generation)
    try:
        found = msgspec.json.decode(text, type=Course)
    except (msgspec.DecodeError, ValueError):
        return new
    return found if (found.uid, found.generation) == (uid, generation) else new
