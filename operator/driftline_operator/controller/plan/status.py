"""The status as it should be, and whether it is worth a write. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from driftline.spec.status import (
    Condition,
    DriftedFeature,
    MonitorStatus,
    Outlier,
    PerformanceStatus,
    PodCounts,
    WindowStatus,
)

from driftline_operator import names
from driftline_operator.cluster.resources import Object, Resource
from driftline_operator.conditions import Aspect, Finding, ShadowAspect
from driftline_operator.controller.observed import Observed
from driftline_operator.controller.plan.pods import Survey
from driftline_operator.shadow.reasons import CALM

_MOST_MESSAGE: Final = 1024
_VERDICTS: Final = (
    Aspect.DATA_DRIFT,
    Aspect.PREDICTION_DRIFT,
    Aspect.DATA_QUALITY,
    Aspect.PERFORMANCE,
    Aspect.CONCEPT_DRIFT,
    Aspect.FAIRNESS,
)
_BAD_IF_TRUE: Final = (Aspect.DATA_DRIFT, Aspect.PREDICTION_DRIFT, Aspect.CONCEPT_DRIFT)


class Subject(Protocol):
    """Whose status it is: a monitor, or a shadow."""

    @property
    def body(self) -> Object:
        """As the API server has it."""

    @property
    def resource(self) -> Resource:
        """Its kind."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def namespace(self) -> str:
        """Its namespace."""

    @property
    def uid(self) -> str:
        """Its identity."""

    @property
    def generation(self) -> int:
        """Of its spec."""


class FleetView(NamedTuple):
    """What the fleet's panes say about one monitor, ready to be written."""

    findings: tuple[Finding, ...] = ()
    """DataDrift, PredictionDrift, DataQuality."""
    windows: tuple[WindowStatus, ...] = ()
    worst: tuple[DriftedFeature, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    rows: int = 0
    profile_hash: str = ""
    answered: int | None = None
    """Pods whose panes came in the last cycle; None: none was asked."""
    at: float = 0.0
    """When it was found, unix seconds."""


class Transition(NamedTuple):
    """A condition whose status or reason changed: what an Event says."""

    aspect: str
    status: str
    reason: str
    message: str


def status(
    observed: Observed,
    findings: Sequence[Finding],
    survey: Survey,
    fleet: FleetView,
    performance: PerformanceStatus | None,
    now: dt.datetime,
) -> Mapping[str, Any]:
    """The whole status, as JSON. A condition keeps the time of its last transition.

    `performance`: the hub's word.
    """
    written = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = conditions_of(observed, findings, now)
    before = present_conditions(observed)
    verdict_changed = any(
        each.aspect in _VERDICTS and before.get(each.aspect, {}).get("status", each.status) != each.status
        for each in findings
    )
    last = written if verdict_changed else (observed.body.get("status") or {}).get("lastChange")
    worst = fleet.worst[0] if fleet.worst else None
    made = MonitorStatus(
        observed_generation=observed.generation,
        conditions=conditions,
        injected=f"{survey.injected}/{survey.expected}",
        worst_feature="" if worst is None else f"{worst.feature} (PSI {worst.psi:.2f})",
        rows=fleet.rows,
        profile_hash=fleet.profile_hash,
        pods=PodCounts(expected=survey.expected, injected=survey.injected, outdated=survey.outdated),
        windows=fleet.windows,
        worst_features=fleet.worst,
        outliers=fleet.outliers,
        performance=performance,
        last_change=last,
    )
    # Lists, not tuples: it is compared with what the API server has, and a difference costs a write.
    return _with_zeros(msgspec.json.decode(msgspec.json.encode(made)))


def one_line(message: str) -> str:
    """What the API server, a webhook or a decoder says may be of many lines; a status takes none."""
    return "".join(each if each.isprintable() else " " for each in message)


def conditions_of(observed: Subject, findings: Sequence[Finding], now: dt.datetime) -> tuple[Condition, ...]:
    """As they are written. Each keeps the time of its last transition."""
    before = present_conditions(observed)
    written = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    made = []
    for finding in findings:
        old = before.get(finding.aspect, {})
        same = old.get("status") == finding.status
        since = str(old.get("lastTransitionTime") or written) if same else written
        made.append(
            Condition(
                type=finding.aspect,
                status=finding.status.value,
                reason=finding.reason,
                message=one_line(finding.message)[:_MOST_MESSAGE],
                last_transition_time=since,
                observed_generation=observed.generation,
            )
        )
    return tuple(made)


def transitions(observed: Subject, findings: Sequence[Finding]) -> list[Transition]:
    """What changed against the status that is there; of a new monitor nothing but what is wrong."""
    before = present_conditions(observed)
    changed = []
    for finding in findings:
        old = before.get(finding.aspect)
        if old is None and finding.status == "Unknown":
            continue
        if old is None or (old["status"], old["reason"]) != (finding.status, finding.reason):
            message = finding.message[:_MOST_MESSAGE]
            changed.append(Transition(finding.aspect, finding.status, finding.reason, message))
    return changed


class Worth(NamedTuple):
    """Is a status worth a write?"""

    changed: bool
    urgent: bool
    """Conditions, counts of pods or the generation changed, not only numbers and messages."""


def worth(observed: Observed, wanted: Mapping[str, Any]) -> Worth:
    """Against the status that is there."""
    present = observed.body.get("status") or {}
    if present == wanted:
        return Worth(changed=False, urgent=False)
    return Worth(changed=True, urgent=_gist(present) != _gist(wanted))


def body(observed: Subject, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """What server-side apply of the status subresource wants. With the UID: never of a namesake."""
    metadata = {"name": observed.name, "namespace": observed.namespace, "uid": observed.uid}
    return {
        "apiVersion": observed.resource.api_version,
        "kind": observed.resource.kind,
        "metadata": metadata,
        "status": wanted,
    }


def is_bad_news(transition: Transition) -> bool:
    """Is it a Warning? Drift that begins, and any of the others that ceases to hold."""
    if transition.aspect in _BAD_IF_TRUE:
        return transition.status == "True"
    if transition.aspect in (ShadowAspect.MIRRORING, ShadowAspect.FINISHED):
        return False
    if (
        transition.aspect in (ShadowAspect.CANDIDATE_READY, ShadowAspect.PROMOTED)
        and transition.reason in CALM
    ):
        return False
    return transition.status == "False"


def event(observed: Subject, transition: Transition, identity: str, now: dt.datetime) -> dict[str, Any]:
    """An Event about it, `events.k8s.io/v1`. Its name is the transition's: said twice, it is one."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    name = f"{observed.name[:200]}.{transition.aspect.lower()}.{int(now.timestamp() * 1000):x}"
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": observed.namespace},
        "eventTime": stamp,
        "reportingController": f"{names.GROUP}/controller",
        "reportingInstance": identity[:128] or "controller",
        "action": transition.aspect,
        "reason": transition.reason,
        "note": _within(f"{transition.aspect} is {transition.status}: {transition.message}", 1024),
        "type": "Warning" if is_bad_news(transition) else "Normal",
        "regarding": {
            "apiVersion": observed.resource.api_version,
            "kind": observed.resource.kind,
            "name": observed.name,
            "namespace": observed.namespace,
            "uid": observed.uid,
        },
    }


def _within(text: str, most: int) -> str:
    """Its beginning, at most so many bytes of UTF-8: so the API server counts an Event's note."""
    return text.encode(errors="replace")[:most].decode(errors="ignore")


def _with_zeros(wire: dict[str, Any]) -> dict[str, Any]:
    """The counts that the structs leave out at zero, as the API server would add them.

    Written out, the status that is there equals the one that was wanted: nothing is written twice.
    """
    counts = dict.fromkeys(("expected", "injected", "outdated"), 0)
    window = {"rows": 0, "requests": 0, "coverage": 0.0, "drifted": 0}
    wire["pods"] = counts | wire.get("pods", {})
    if "windows" in wire:
        wire["windows"] = [window | each for each in wire["windows"]]
    if "performance" in wire:
        wire["performance"] = {"predictions": 0, "labels": 0, "coverage": 0.0} | wire["performance"]
    return {"rows": 0, "observedGeneration": 0} | wire


def present_conditions(observed: Subject) -> dict[str, Mapping[str, Any]]:
    """Those that are there, by type."""
    found = (observed.body.get("status") or {}).get("conditions") or []
    return {str(each["type"]): each for each in found}


def _gist(given: Mapping[str, Any]) -> object:
    conditions = [(each["type"], each["status"], each["reason"]) for each in given.get("conditions") or []]
    worst = [each["feature"] for each in given.get("worstFeatures") or []]
    outliers = [each["pod"] for each in given.get("outliers") or []]
    generation, counts = given.get("observedGeneration"), given.get("pods")
    return sorted(conditions), generation, counts, given.get("profileHash"), worst[:1], outliers
