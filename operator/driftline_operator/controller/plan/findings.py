"""The conditions Ready, Injected and ReferenceReady, found from what was planned. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from driftline.spec import ModelMonitor

from driftline_operator.conditions import (
    Aspect,
    Finding,
    InjectedReason,
    ReadyReason,
    ReferenceReason,
    Status,
)
from driftline_operator.controller.observed import Observed, Reference
from driftline_operator.controller.plan.pods import STARTED_EARLIER, Survey
from driftline_operator.controller.plan.suspension import Suspension

_DISCOVERING: Final = (
    "the schema names no features, so each pod first looks for them in up to 200 records of its traffic, and "
    "has no rows before"
)


class Hindrance(NamedTuple):
    """Why a monitor has no webhook entry: a SkipReason's word, or one of InjectedReason."""

    reason: str
    message: str


def injected(
    observed: Observed,
    survey: Survey,
    hindrances: Sequence[Hindrance],
    suspension: Suspension,
    *,
    caution: str = "",
    may_restart: bool = True,
) -> Finding:
    """The condition Injected: what hinders it first, else the pods counted.

    `caution`: what may go past the sidecars. `may_restart`: whether the installation lets the controller
    restart workloads.
    """
    if observed.monitor is None:
        return _injected(Status.FALSE, InjectedReason.INVALID_SPEC, observed.problem)
    if suspension.key:
        return _injected(Status.FALSE, InjectedReason.SUSPENDED, suspension.message)
    if hindrances:
        said = "; ".join(each.message for each in hindrances)
        return _injected(Status.FALSE, hindrances[0].reason, said)
    counted = f"{survey.injected}/{survey.expected} pods"
    if survey.opted_out:
        counted += f", {survey.opted_out} kept out by their label"
    hang = len({each.pod for each in survey.failing})
    if hang:
        counted += f", {hang} of them with a sidecar that doesn't start ({survey.failing[0].word})"
    if survey.younger:
        counted += f"; of the same requests nothing goes to the younger {', '.join(survey.younger)}"
    if not survey.expected:
        return _injected(Status.UNKNOWN, InjectedReason.NO_PODS, f"the selector means no pod ({counted})")
    if survey.bare:
        return _bare(survey, counted, _help(observed.monitor, may_restart=may_restart))
    if survey.outdated:
        said = f"{counted}, {survey.outdated} of an older form: restart them to renew it"
        return _injected(Status.TRUE, InjectedReason.OUTDATED, said)
    return _all_injected(counted, caution)


def _all_injected(counted: str, caution: str) -> Finding:
    if caution:
        return _injected(Status.TRUE, InjectedReason.HEADLESS_SERVICE, f"{counted}; {caution}")
    return _injected(Status.TRUE, InjectedReason.ALL_INJECTED, counted)


def _help(monitor: ModelMonitor, *, may_restart: bool) -> str:
    if monitor.spec.injection.restart != "OnChange":
        return "`kubectl rollout restart` brings it, or injection.restart: OnChange"
    if may_restart:
        return (
            "their workloads are restarted, for one and the same form every ten minutes at most; "
            "pods without a workload are yours to replace"
        )
    return "controller.allowRestarts is off, so `kubectl rollout restart` is yours to do"


def _bare(survey: Survey, counted: str, hint: str) -> Finding:
    why = "; ".join(f"{count} {word} ({survey.words[word]})" for word, count in sorted(survey.bare.items()))
    # One reason for all is the reason; of several none is.
    only = next(iter(survey.bare)) if len(survey.bare) == 1 and not survey.injected else ""
    reason = only or InjectedReason.PARTLY_INJECTED
    return _injected(
        Status.FALSE, reason, f"{counted}: {why}{f': {hint}' if STARTED_EARLIER in survey.bare else ''}"
    )


def reference_ready(observed: Observed, reference: Reference | None) -> Finding:
    """The condition ReferenceReady."""
    if observed.monitor is None:
        return Finding(Aspect.REFERENCE_READY, Status.UNKNOWN, ReferenceReason.INVALID_SPEC, observed.problem)
    if reference is None:
        return Finding(
            Aspect.REFERENCE_READY, Status.UNKNOWN, ReferenceReason.NO_REFERENCE, "not looked at yet"
        )
    good = reference.reason in (ReferenceReason.PROFILE_LOADED, ReferenceReason.CAPTURED)
    status = Status.TRUE if good else Status.FALSE
    said = reference.message
    if reference.reason is ReferenceReason.CAPTURING and not observed.monitor.spec.schema.features:
        said += f"; {_DISCOVERING}"
    return Finding(Aspect.REFERENCE_READY, status, reference.reason, said)


def ready(
    observed: Observed, injection: Finding, survey: Survey, reference: Finding, answered: int | None
) -> Finding:
    """The condition Ready. `answered`: pods whose panes came; None: none was asked yet."""

    def found(status: Status, reason: ReadyReason, message: str) -> Finding:
        return Finding(Aspect.READY, status, reason, message)

    if observed.monitor is None:
        return found(Status.FALSE, ReadyReason.INVALID_SPEC, observed.problem)
    if not survey.injected:
        said = f"{injection.reason}: {injection.message}"
        return found(Status.FALSE, ReadyReason.NOT_INJECTED, said)
    if reference.status is not Status.TRUE:
        said = f"{reference.reason}: {reference.message}"
        return found(Status.FALSE, ReadyReason.NO_REFERENCE, said)
    if answered is None:
        said = f"none of {survey.injected} pods has been asked yet"
        return found(Status.UNKNOWN, ReadyReason.NO_ANSWER, said)
    if not answered:
        said = f"none of {survey.injected} pods' analyzers answers: see their log, and NetworkPolicies"
        return found(Status.FALSE, ReadyReason.NO_ANSWER, said)
    return found(Status.TRUE, ReadyReason.MONITORING, f"{answered} of {survey.injected} pods answer")


def _injected(status: Status, reason: str, message: str) -> Finding:
    return Finding(Aspect.INJECTED, status, reason, message)
