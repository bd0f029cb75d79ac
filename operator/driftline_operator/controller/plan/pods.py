"""What has become of the selected pods: with sidecar, in an older form, without, failing; by monitor."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from driftline.spec import ModelMonitor

from driftline_operator import names
from driftline_operator.cluster.resources import Object
from driftline_operator.controller.observed import Installation, NamespaceState
from driftline_operator.controller.plan.workloads import refused_for, template_pod, workload_of
from driftline_operator.injection import pod as pods
from driftline_operator.injection.decide import Decision, decide
from driftline_operator.injection.original import OWN, original
from driftline_operator.injection.selectors import matches
from driftline_operator.reasons import SkipReason

STARTED_EARLIER: Final = "StartedEarlier"
"""A pod without sidecar that would get one now: it is older than the monitor, or no injector answered."""

FAILING: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Kubelet's words for a container that doesn't come up by itself."""

GRACE: Final = dt.timedelta(seconds=60)
"""A failure that is younger may be a hiccup of registry or node."""

_CONTESTED: Final = (SkipReason.CONFLICT, SkipReason.MODE_CONFLICT)


class Failure(NamedTuple):
    """A sidecar container that doesn't start."""

    pod: str
    container: str
    word: str
    message: str


class Watched(NamedTuple):
    """A pod whose sidecar can be asked."""

    name: str
    uid: str
    ip: str
    started: float
    """Unix seconds."""


class Survey(NamedTuple):
    """The pods of one monitor."""

    expected: int = 0
    """Alive, and not kept out by their label."""
    injected: int = 0
    outdated: int = 0
    bare: Mapping[str, int] = {}
    """Pods without sidecar, by the reason."""
    opted_out: int = 0
    words: Mapping[str, str] = {}
    """For each reason in `bare`, a message."""
    failing: tuple[Failure, ...] = ()
    """For longer than GRACE."""
    hiccups: int = 0
    """Failures that are younger."""
    started: int = 0
    """Injected pods whose sidecars run."""
    watched: tuple[Watched, ...] = ()
    refused: str = ""
    """What the API server says of pods that it refuses for their sidecar; empty: it refuses none."""
    younger: tuple[str, ...] = ()
    """Monitors that want the same requests of the same pods, and don't get them for being younger."""


class _Found(NamedTuple):
    pod: Object
    decision: Decision
    """About a pod that its workload would create now, or about itself where it has none."""
    serving: tuple[str, ...]


def survey(state: NamespaceState, installation: Installation, now: dt.datetime) -> dict[str, Survey]:
    """By monitor. Decides anew about every selected pod, as the injector would now."""
    known = [each.monitor for each in state.monitors if each.monitor is not None]
    decisions: dict[tuple[str, str], Decision] = {}
    found: dict[str, list[_Found]] = {monitor.metadata.name: [] for monitor in known}
    for pod in state.pods:
        labels = pods.labels(pod)
        selecting = [each for each in known if matches(each.spec.selector, labels)]
        if not selecting or not (_is_alive(pod) or any(_ended_by_us(pod))):
            continue
        wanted = [each for each in selecting if each.metadata.name not in state.held]
        decision = _decision(pod, wanted, state, installation, decisions)
        seen = _Found(pod, decision, _serving(pod))
        for monitor in selecting:
            found[monitor.metadata.name].append(seen)
    return {
        each.metadata.name: _survey(each.metadata.name, found[each.metadata.name], now)._replace(
            refused=_refused(each, state)
        )
        for each in known
    }


def sidecars(state: NamespaceState, monitor: str) -> int:
    """Living pods whose sidecar serves it, whether they have started or not."""
    return sum(monitor in _serving(pod) for pod in state.pods if _is_alive(pod))


def _refused(monitor: ModelMonitor, state: NamespaceState) -> str:
    for workload in state.workloads.values():
        if "spec" in workload and matches(monitor.spec.selector, pods.labels(template_pod(workload))):
            said = refused_for(workload, OWN)
            if said:
                return f"{workload['kind']} {workload['metadata']['name']}: {said[:300]}"
    return ""


def _decision(
    pod: Object,
    selecting: Sequence[ModelMonitor],
    state: NamespaceState,
    installation: Installation,
    decided: dict[tuple[str, str], Decision],
) -> Decision:
    """Pods of one workload with the same labels for us are decided on once."""
    workload = workload_of(pod, state.workloads)
    if workload is None:
        return decide(original(pod), selecting, installation.sidecar, enabled=installation.enabled)
    key = str(workload["metadata"].get("uid", "")), ",".join(each.metadata.name for each in selecting)
    if key not in decided:
        template = template_pod(workload)
        decided[key] = decide(template, selecting, installation.sidecar, enabled=installation.enabled)
    return decided[key]


def _is_alive(pod: Object) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return (pod.get("status") or {}).get("phase", "Pending") in ("Pending", "Running")


def _serving(pod: Object) -> tuple[str, ...]:
    """The monitors that the pod's sidecar serves; none where it has no sidecar."""
    if not pods.is_injected(pod):
        return ()
    text = (pod["metadata"].get("annotations") or {}).get(names.MONITORS_ANNOTATION, "")
    return tuple(each for each in text.split(",") if each)


def _survey(name: str, found: Iterable[_Found], now: dt.datetime) -> Survey:
    bare: Counter[str] = Counter()
    words: dict[str, str] = {}
    failing: list[Failure] = []
    watched: list[Watched] = []
    younger: set[str] = set()
    expected = injected = outdated = opted_out = hiccups = started = 0
    for pod, decision, serving in found:
        if pods.labels(pod).get(names.INJECT_LABEL) == "false":
            opted_out += 1
            continue
        if not _is_alive(pod):  # counted only as long as another would end the same way
            failing += [] if _is_outdated(pod, decision) else _ended_by_us(pod)
            continue
        expected += 1
        if name not in serving:
            word, message = _why_bare(name, decision, injected=bool(serving))
            bare[word] += 1
            words.setdefault(word, message)
            continue
        injected += 1
        younger |= {each.monitor for each in decision.refused if each.reason in _CONTESTED}
        outdated += _is_outdated(pod, decision)
        failures = list(_failures(pod))
        if failures and now - _created(pod) >= GRACE:
            failing += failures
        elif failures:
            hiccups += 1
        elif _is_started(pod):
            started += 1
            watched.append(_watched(pod))
    return Survey(
        expected, injected, outdated, dict(bare), opted_out, words, tuple(failing), hiccups, started,
        tuple(watched), younger=tuple(sorted(younger)),
    )  # fmt: skip


def _why_bare(name: str, decision: Decision, *, injected: bool) -> tuple[str, str]:
    for refusal in decision.refused:
        if refusal.monitor == name:
            return refusal.reason.value, refusal.message
    if decision.reason is not None and decision.word != "AlreadyInjected":
        return decision.word, decision.message
    if injected:
        return STARTED_EARLIER, "its sidecar is older than this monitor"
    return STARTED_EARLIER, "started before the monitor, or while no injector answered"


def _is_outdated(pod: Object, decision: Decision) -> bool:
    """Would it be injected otherwise now?"""
    if not decision.digest:
        return False
    has = (pod["metadata"].get("annotations") or {}).get(names.INJECTION_HASH_ANNOTATION)
    return bool(has != decision.digest)


def _own_statuses(pod: Object) -> Iterable[Mapping[str, Any]]:
    for status in (pod.get("status") or {}).get("initContainerStatuses") or []:
        if status["name"] in OWN:
            yield status


def _failures(pod: Object) -> Iterable[Failure]:
    for status in _own_statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        word = waiting.get("reason", "")
        # An analyzer that crashes harms nobody; one that can't even be created keeps the pod from starting.
        if status["name"] == names.ANALYZER_CONTAINER and word == "CrashLoopBackOff":
            continue
        if word in FAILING:
            yield Failure(
                pod["metadata"]["name"], status["name"], word, str(waiting.get("message", ""))[:200]
            )


def _ended_by_us(pod: Object) -> Iterable[Failure]:
    """A pod that isn't restarted, as of a Job, has failed for good where it couldn't be redirected."""
    if (pod.get("status") or {}).get("phase") != "Failed" or pod["metadata"].get("deletionTimestamp"):
        return
    for status in _own_statuses(pod):
        ended = (status.get("state") or {}).get("terminated") or {}
        if status["name"] == names.REDIRECT_CONTAINER and ended.get("exitCode", 0):
            said = str(ended.get("message", ""))[:200]
            yield Failure(pod["metadata"]["name"], status["name"], str(ended.get("reason", "Error")), said)


def _is_started(pod: Object) -> bool:
    running = {each["name"] for each in _own_statuses(pod) if "running" in (each.get("state") or {})}
    return names.PROXY_CONTAINER in running


def _watched(pod: Object) -> Watched:
    status = pod.get("status") or {}
    return Watched(
        pod["metadata"]["name"],
        pod["metadata"].get("uid", ""),
        str(status.get("podIP") or ""),
        time_of(status.get("startTime") or pod["metadata"]["creationTimestamp"]).timestamp(),
    )


def _created(pod: Object) -> dt.datetime:
    return time_of(pod["metadata"]["creationTimestamp"])


def time_of(text: str) -> dt.datetime:
    """A time as the API server writes it."""
    return dt.datetime.fromisoformat(text)
