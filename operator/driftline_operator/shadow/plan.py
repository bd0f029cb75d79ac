"""What is to be done about a namespace's shadows: candidates, what the mirrors are told, conditions. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from driftline.shadow.fit import misfits
from driftline.shadow.gate import Judgement
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.planning import plan_of, reading_of, untold
from driftline.shadow.rules import asks_for_labels
from driftline.shadow.runtime import MirrorConfig, ShadowId, encode_mirror
from driftline.spec import ModelMonitor
from driftline.spec.shadow import Aa, ShadowSpec

from driftline_operator import names
from driftline_operator.cluster.resources import DEPLOYMENTS, SERVICES
from driftline_operator.conditions import Finding, ReferenceReason
from driftline_operator.controller.observed import NamespaceState
from driftline_operator.controller.plan.objects import Desired
from driftline_operator.controller.plan.pods import sidecars
from driftline_operator.controller.references import Loaded
from driftline_operator.shadow import findings
from driftline_operator.shadow.candidate import Refused, Wanted, owned, wanted
from driftline_operator.shadow.course import Course, Seen, advanced, fingerprint, refusing, remembering
from driftline_operator.shadow.findings import Asked
from driftline_operator.shadow.health import Found, health, health_of_service
from driftline_operator.shadow.observed import ObservedShadow
from driftline_operator.shadow.promotion import Step, orphaned, patch_text, promoted
from driftline_operator.shadow.reasons import Ending, Health, Promotion, Refusal


class Facts(NamedTuple):
    """What is the same for all shadows."""

    allowed: bool = True
    """Does this installation run candidates?"""
    guarded: bool = True
    """Is the admission policy in force, or not asked for?"""


class Told(NamedTuple):
    """What is known of one shadow beside the cluster's objects."""

    course: Course
    judgement: Judgement | None = None
    refused: str = ""
    """What the API server said of the candidate the last time; empty: it took it."""
    asked: Asked = Asked()
    recalled: bool = False
    """Is the judgement one that was kept, and no pod was asked since?"""


class ShadowPlan(NamedTuple):
    """What was planned for one shadow."""

    observed: ObservedShadow
    course: Course
    """As it is from now on; to be kept before anything else is done."""
    objects: tuple[Desired, ...]
    removed: tuple[Desired, ...]
    """Ours that are there and must not be; only their names count."""
    mirror: tuple[str, str] | None
    """The monitor, and what its mirrors are told."""
    findings: tuple[Finding, ...]
    wanted: Wanted | None = None
    patch: tuple[Mapping[str, object], ...] = ()
    """JSON patch of the live workload: a promotion, or its rollback."""
    text: str = ""
    """What a promotion changes, for who applies it otherwise."""
    version: str = ""
    """The model version that the monitor gets, before the promotion is done; empty: none."""


def plan_shadows(
    shadows: Sequence[ObservedShadow],
    told: Mapping[str, Told],
    state: NamespaceState,
    loaded: Mapping[str, Loaded],
    facts: Facts,
    now: dt.datetime,
) -> list[ShadowPlan]:
    """All shadows of a namespace, oldest first. `told`, by UID; `loaded`: references, by monitor."""
    if not state.alive:
        return []
    # A rollout comes to its end before any other shadow of the monitor, be it older, is gone on with.
    busy = {
        each.spec.monitor_ref.name: each.name
        for each in shadows
        if each.spec is not None and told[each.uid].course.rolls()
    }
    made = []
    for observed in sorted(shadows, key=lambda each: each.age_order):
        each = told[observed.uid]
        one = _Planning(observed, each, state, loaded, facts, now.timestamp()).plan(busy)
        if observed.spec is not None and one.course.ended is None:
            busy.setdefault(observed.spec.monitor_ref.name, observed.name)
        made.append(one)
    return made


class _Planning(NamedTuple):
    observed: ObservedShadow
    told: Told
    state: NamespaceState
    loaded: Mapping[str, Loaded]
    facts: Facts
    now: float

    def plan(self, busy: Mapping[str, str]) -> ShadowPlan:
        course, spec = self.told.course, self.observed.spec
        if spec is None:
            return self._refused(Refused(Refusal.INVALID_SPEC, self.observed.problem))
        try:
            monitor = self._monitor(spec, busy)
            # A rollout goes on to its end, or back, whatever would forbid a candidate now.
            rolls = course.rolls()
            if not rolls:
                self._check_fit(spec, monitor)
            found = wanted(self.observed, spec, monitor, self.state, runs=not rolls)
            if not rolls:
                self._check_allowed(spec)
        except Refused as error:
            return self._refused(error)
        health_ = self._health(spec, found.mark).noting(found.note)
        reading, fixed = reading_of(monitor.spec), course.plan
        if course.began is None and fixed is not None and fixed.reading != reading:
            fixed = None
        seen = Seen(
            ready=health_.ready,
            live=fingerprint(found.live["spec"]["template"]),
            reading=reading,
            plan=fixed or self._comparison(spec, monitor),
            judgement=self.told.judgement,
            warms=self.told.asked.warming > 0,
            recalled=self.told.recalled,
        )
        course = advanced(course, spec, seen, self.now)
        step = Step(course)
        if not (self.told.recalled and course.is_mirroring()):
            step = promoted(self.observed, spec, course, found, self.state.services, self.now)
        version = self._version(spec, monitor, step.course)
        course = remembering(course if version else step.course, self.told.course, self.told.judgement)
        runs = course.runs_candidate(spec)
        objects = found.objects if runs else ()
        if not runs and found.objects:
            health_ = Found(ready=False, reason=Health.ENDED, message="the candidate has been ended")
        if self.told.refused and runs:
            health_ = Found(ready=False, reason=Refusal.API_REFUSED, message=self.told.refused)
        mirror = self._mirror(spec, monitor, course, found, health_)
        left = {} if course.plan is None else untold(monitor.spec, spec.compare, course.plan)
        said = findings.found_of(course, spec, health_, self.told.asked, seen, step.refused, left)
        kept = {each.key for each in objects}
        removed = tuple(each for each in self._present() if each.key not in kept)
        text = patch_text(spec, found)
        return ShadowPlan(
            self.observed, course, objects, removed, mirror, said, found, step.patch, text, version
        )

    def _refused(self, error: Refused) -> ShadowPlan:
        course = refusing(self.told.course, self.observed.asked, Promotion.NOT_PROMOTABLE)
        if error.reason is Refusal.NO_WORKLOAD:
            course = orphaned(course, str(error), self.now)
        said = findings.refused(course, error.reason, str(error), self.told.judgement)
        return ShadowPlan(self.observed, course, (), tuple(self._present()), None, said)

    def _monitor(self, spec: ShadowSpec, busy: Mapping[str, str]) -> ModelMonitor:
        name = spec.monitor_ref.name
        observed = next((each for each in self.state.monitors if each.name == name), None)
        if observed is None:
            raise Refused(Refusal.MONITOR_NOT_FOUND, f"there is no ModelMonitor {name} in this namespace")
        if observed.monitor is None:
            raise Refused(Refusal.MONITOR_INVALID, f"ModelMonitor {name}: {observed.problem}")
        if name in busy and not self.told.course.rolls() and self.told.course.ended is None:
            why = f"ShadowDeployment {busy[name]} is under way with this monitor: one at a time"
            raise Refused(Refusal.SECOND_SHADOW, why)
        return observed.monitor

    def _check_fit(self, spec: ShadowSpec, monitor: ModelMonitor) -> None:
        problems = "; ".join(map(str, misfits(spec, monitor.spec)))
        if problems and self.told.course.ended is None:
            name = monitor.metadata.name
            raise Refused(
                Refusal.MONITOR_MISMATCH, f"it can't be compared with ModelMonitor {name}: {problems}"
            )

    def _check_allowed(self, spec: ShadowSpec) -> None:
        runs, sensitive = spec.candidate.service is None, spec.traffic.allow_sensitive
        if runs and not self.facts.allowed:
            raise Refused(Refusal.NOT_ALLOWED, "this installation runs no candidates: use candidate.service")
        if self.facts.guarded or not (runs or sensitive):
            return
        what, instead = (
            ("run any pod", "use candidate.service")
            if runs
            else ("be sent clients' credentials", "use traffic.allowSensitive: false")
        )
        raise Refused(
            Refusal.UNGUARDED,
            f"ValidatingAdmissionPolicyBinding {names.SHADOW_POLICY} is not there (Kubernetes 1.30 or "
            f"newer): without it anybody who may create ShadowDeployments could {what}; {instead}, or "
            "shadow.requirePolicy=false",
        )

    def _version(self, spec: ShadowSpec, monitor: ModelMonitor, course: Course) -> str:
        if course.ended is not Ending.PROMOTED or self.told.course.ended is Ending.PROMOTED:
            return ""
        given = spec.candidate.model_version
        return "" if given in (None, monitor.spec.model.version) else str(given)

    def _health(self, spec: ShadowSpec, mark: str) -> Found:
        given = spec.candidate.service
        name = names.candidate(self.observed.name) if given is None else given.name
        service = next((each for each in self.state.services if each["metadata"]["name"] == name), None)
        if given is not None and service is not None:
            return health_of_service(service, self.state.pods)
        deployment = self.state.workloads.get(("Deployment", name))
        return health(
            deployment,
            service,
            self.state.pods,
            {names.SHADOW_LABEL: self.observed.uid, names.CANDIDATE_LABEL: mark},
        )

    def _comparison(self, spec: ShadowSpec, monitor: ModelMonitor) -> ComparisonPlan | None:
        """None while the monitor's reference is still to come: it says which answers are told apart."""
        loaded = self.loaded.get(monitor.metadata.name)
        if loaded is None or (
            loaded.profile is None and loaded.reference.reason is not ReferenceReason.NO_REFERENCE
        ):
            return None
        return plan_of(monitor.spec, spec.compare, loaded.profile)

    def _mirror(
        self, spec: ShadowSpec, monitor: ModelMonitor, course: Course, found: Wanted, candidate: Found
    ) -> tuple[str, str] | None:
        warming = course.began is None
        began = course.ready_since if course.began is None else course.began
        if not course.is_mirroring() or began is None or course.plan is None:
            return None
        budget = spec.traffic.budget
        # Counted here, not by the last round: at the beginning, or after a takeover, none has come.
        pods = sidecars(self.state, monitor.metadata.name)
        shared = None if budget is None else budget / max(1, pods)
        injection = monitor.spec.injection
        swapped = injection.mode == "PortSwap" and injection.app is not None
        port = injection.app.port if swapped and injection.app is not None else found.port
        config = MirrorConfig(
            shadow=ShadowId(uid=course.uid, name=self.observed.name, generation=course.generation),
            began=began,
            url=found.url,
            live=f"http://127.0.0.1:{port}",
            until=(began if not warming else (course.warm_since or began) + spec.candidate.warm_up)
            + spec.duration,
            ready=candidate.ready,
            warming=warming,
            logged=asks_for_labels(spec.gate) and not warming,
            plan=course.plan,
            traffic=msgspec.structs.replace(spec.traffic, budget=shared),
            compare=spec.compare,
            aa=Aa() if warming else spec.aa,
        )
        return monitor.metadata.name, encode_mirror(config)

    def _present(self) -> list[Desired]:
        """The candidate's objects that are there and ours."""
        name = names.candidate(self.observed.name)
        deployment = self.state.workloads.get(("Deployment", name))
        services = [each for each in self.state.services if each["metadata"]["name"] == name]
        given = [(DEPLOYMENTS, deployment), *((SERVICES, each) for each in services)]
        return [
            Desired(resource, self.observed.namespace, {"metadata": {"name": name}})
            for resource, found in given
            if found is not None and owned(found, self.observed.uid)
        ]
