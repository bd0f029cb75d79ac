"""How far a shadow has come: what must outlive the controller. Pure; times are unix seconds, and given.

Waiting for a candidate -> warming up: copies are sent, and don't count -> comparing, since `began` -> ended,
for one reason. Another generation of the spec begins anew, once a promotion under way has ended. Every step
is kept (`encode`) before anything is done about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from driftline.shadow.gate import GRACE_SECONDS, Judgement, RuleResult, Verdict
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.rules import Reason
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
    spec: dict[str, Any]
    """The shadow's, as the API server had it when this began: of the generation that was compared."""
    made: str = ""
    """Fingerprint of the template that it was given, once that was seen."""
    message: str = ""


class Declined(msgspec.Struct, frozen=True):
    """Somebody asked for a promotion, and it was refused: for good, whatever the verdict becomes."""

    asked: str
    """The annotation's value; another one asks again."""
    reason: Promotion


class Said(msgspec.Struct, frozen=True):
    """A judgement without its pairs: what can't be judged again when labels, and who was heard, are gone."""

    verdict: Verdict
    reason: Reason
    rules: tuple[RuleResult, ...]


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """Of one generation of one shadow."""

    uid: str
    generation: int
    ready_since: float | None = None
    """Since when the candidate is ready to be warmed up."""
    warm_since: float | None = None
    """Since when a live pod sends it copies: without them nothing gets warm."""
    began: float | None = None
    plan: ComparisonPlan | None = None
    live: str = ""
    """The live pods that are compared with, as `fingerprint` has them."""
    ended: Ending | None = None
    ended_at: float = 0.0
    verdict: str = ""
    verdict_since: float = 0.0
    said: Said | None = None
    """The judgement at the last step."""
    rollout: Rollout | None = None
    anew: bool = False
    """What was kept before was not to be believed."""
    declined: Declined | None = None
    """The last request for a promotion, where it was refused."""

    def elapsed(self, now: float) -> float:
        """Seconds that were compared in."""
        if self.began is None:
            return 0.0
        return max(0.0, (now if self.ended is None else min(now, self.ended_at)) - self.began)

    def is_mirroring(self) -> bool:
        """Is traffic to be mirrored, be it to warm up?"""
        begun = self.began is not None or self.ready_since is not None
        return begun and self.ended is None and self.rollout is None

    def rolls(self) -> bool:
        """Is a promotion under way, or its rollback?"""
        return self.rollout is not None and self.ended is None

    def runs_candidate(self, spec: ShadowSpec) -> bool:
        """Is the candidate to run? After a rejection a person may want to look at it."""
        if self.rollout is not None:
            return False
        return self.ended is None or (self.ended is Ending.REJECTED and spec.on_fail == "Report")


def reopened(course: Course, asked: str) -> Course:
    """A refusal is of one request: what is asked now, the annotation's value, may be another, or none."""
    if course.declined is None or course.declined.asked == asked:
        return course
    return msgspec.structs.replace(course, declined=None)


def refusing(course: Course, asked: str, reason: Promotion) -> Course:
    """What is asked now is refused, and stays so; the same where nobody asks, or it was answered before."""
    course = reopened(course, asked)
    if not asked or course.rollout is not None or course.declined is not None:
        return course
    return msgspec.structs.replace(course, declined=Declined(asked, reason))


class Seen(NamedTuple):
    """What a step is decided from."""

    ready: bool
    """Does the candidate answer?"""
    live: str
    """The live pods' fingerprint; empty: there is no one workload now."""
    reading: str
    """How the monitor reads bodies (`planning.reading_of`)."""
    plan: ComparisonPlan | None
    """What the comparison would be on; None: that isn't known yet."""
    judgement: Judgement | None
    warms: bool = False
    """Does a live pod send the candidate copies that don't count?"""
    recalled: bool = False
    """Is the judgement one that was kept? The pods have told more since: it decides nothing."""


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
    if ending is None:
        return course
    course = msgspec.structs.replace(course, ended=ending, ended_at=now)
    if ending.keeps_verdict or course.verdict == "Inconclusive":
        return course
    return msgspec.structs.replace(course, verdict="Inconclusive", verdict_since=now)


def remembering(course: Course, before: Course, judgement: Judgement | None) -> Course:
    """With the judgement that a step rests on, for whoever takes over. `before`: the step."""
    if judgement is None or course == before or not before.is_mirroring():
        return course
    said = Said(judgement.verdict, judgement.reason, judgement.rules)
    return msgspec.structs.replace(course, said=said)


def _starting(course: Course, spec: ShadowSpec, seen: Seen, now: float) -> Course:
    """Begin, or warm up before. Readiness that is lost, another live workload or reading start it over."""
    if not seen.ready or seen.plan is None or not seen.live:
        new = {"ready_since": None, "warm_since": None, "plan": None, "live": ""}
        return msgspec.structs.replace(course, **new)
    fixed = msgspec.structs.replace(course, plan=seen.plan, live=seen.live)
    if not spec.candidate.warm_up:
        return msgspec.structs.replace(fixed, began=now)
    if course.ready_since is None or (course.live, course.plan) != (seen.live, seen.plan):
        return msgspec.structs.replace(fixed, ready_since=now, warm_since=None)
    since = now if course.warm_since is None and seen.warms else course.warm_since
    is_warm = since is not None and now - since >= spec.candidate.warm_up
    return msgspec.structs.replace(course, warm_since=since, began=now if is_warm else None)


def _ending(course: Course, spec: ShadowSpec, seen: Seen, now: float) -> Ending | None:
    if course.rollout is not None:
        return None  # it ends as the rollout does
    if seen.live and seen.live != course.live:
        return Ending.LIVE_CHANGED
    if course.plan is not None and seen.reading != course.plan.reading:
        return Ending.MONITOR_CHANGED
    if seen.recalled:
        return None
    if course.verdict == "Rejected":
        return Ending.REJECTED
    return Ending.DURATION_OVER if course.elapsed(now) >= spec.duration + _last_look(spec) else None


def _last_look(spec: ShadowSpec) -> float:
    """Seconds after the last request, until its pair has come and was judged: a period may end with it."""
    return 0.0 if spec.gate.is_hurried else spec.traffic.timeout + GRACE_SECONDS + _ROUND_SECONDS


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
