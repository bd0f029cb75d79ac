"""Whether a mode can carry a monitor's traffic, and whether the namespace would take the injected pods. Pure.

Checked before there is a webhook entry: where the traffic would miss the sidecar or be cut off, or the pod be
refused for its sidecar, pods are left as they are and the reason is said. Without any pod or workload yet
little speaks against it; as they come, it is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from driftline.spec import ModelMonitor

from driftline_operator import names
from driftline_operator.cluster.resources import Object
from driftline_operator.controller.observed import NamespaceState
from driftline_operator.controller.plan import policies, quotas
from driftline_operator.controller.plan.findings import Hindrance
from driftline_operator.controller.plan.quotas import Change
from driftline_operator.controller.plan.workloads import desired_pods, template_pod, workload_of
from driftline_operator.injection import pod as pods
from driftline_operator.injection.decide import added, taken_over
from driftline_operator.injection.original import original
from driftline_operator.injection.pod import Json
from driftline_operator.injection.selectors import matches
from driftline_operator.injection.sidecars import Settings
from driftline_operator.injection.takeover import Refused, find
from driftline_operator.reasons import SkipReason

_TLS_NAMES = ("https", "tls", "grpcs")
_ENFORCED: Final = "pod-security.kubernetes.io/enforce"
_WITHOUT_NET_ADMIN: Final = ("baseline", "restricted")


class _Target(NamedTuple):
    """A port that is to be taken over, of pods with these labels."""

    labels: Mapping[str, str]
    number: int
    name: str
    container: Mapping[str, Any]
    listen: int
    """Where the sidecar would; the port's own number where nothing is taken over."""


def preconditions(monitor: ModelMonitor, state: NamespaceState, settings: Settings) -> tuple[Hindrance, ...]:
    """What speaks against an entry; empty: nothing. Each reason once, with the first that shows it."""
    found: dict[str, Hindrance] = {}
    for each in _all(monitor, state, settings):
        found.setdefault(each.reason, each)
    return tuple(found.values())


def _all(monitor: ModelMonitor, state: NamespaceState, settings: Settings) -> Iterator[Hindrance]:
    if monitor.spec.injection.mode == "Redirect":
        yield from _namespace(state)
    for target in _targets(monitor, state):
        yield from _of(monitor, target, state)
    yield from _quotas(monitor, state, settings)


def _namespace(state: NamespaceState) -> Iterator[Hindrance]:
    """What a namespace says of itself speaks against Redirect, whatever pods there are."""
    level = state.labels.get(_ENFORCED)
    if level in _WITHOUT_NET_ADMIN:
        yield Hindrance(
            SkipReason.POD_SECURITY.value,
            f"Redirect needs NET_ADMIN, and the namespace's label {_ENFORCED}: {level} refuses pods that ask "
            "for it: use injection.mode PortRename or PortSwap",
        )
    mark = pods.mesh_mark(state.labels, state.annotations)
    if mark:
        yield Hindrance(
            SkipReason.MESH.value,
            f"a service mesh redirects the traffic of the namespace's pods ({mark}): use injection.mode "
            "PortRename or PortSwap",
        )


def _quotas(monitor: ModelMonitor, state: NamespaceState, settings: Settings) -> Iterator[Hindrance]:
    """Pods that a ResourceQuota or LimitRange would refuse for their sidecar."""
    if not (state.quotas or state.limit_ranges):
        return
    mine = [
        pod
        for pod in state.pods
        if _is_meant(monitor, pod) and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    ]
    changes = list(_changes(monitor, mine, state, settings))
    why = quotas.refusal(changes, mine, state.quotas, state.limit_ranges)
    if why:
        yield Hindrance(
            SkipReason.QUOTA.value,
            f"pods would be refused with the sidecar: {why}; injection.proxy.resources and "
            "injection.analyzer.resources say what the sidecar asks for",
        )


def _changes(
    monitor: ModelMonitor, mine: Sequence[Object], state: NamespaceState, settings: Settings
) -> Iterator[Change]:
    """Of workloads with all their replicas, and of pods without workload one by one."""
    for workload in state.workloads.values():
        if "spec" in workload and _is_meant(monitor, template := template_pod(workload)):
            yield _change(monitor, template, desired_pods(workload), state, settings)
    for pod in mine:
        if workload_of(pod, state.workloads) is None:
            yield _change(monitor, original(pod), 1, state, settings)


def _change(
    monitor: ModelMonitor, before: Json, count: int, state: NamespaceState, settings: Settings
) -> Change:
    more = added(before, _selecting(monitor, pods.labels(before), state), settings)
    spec = {**before["spec"], "initContainers": [*more, *pods.init_containers(before)]}
    return Change(before, {**before, "spec": spec}, count)


def _selecting(monitor: ModelMonitor, labels: Mapping[str, str], state: NamespaceState) -> list[ModelMonitor]:
    """All that mean those pods, oldest first; the one asked about is among them."""
    known = [each.monitor for each in state.monitors if each.monitor is not None]
    found = [each for each in known if matches(each.spec.selector, labels)]
    return found if monitor in found else [*found, monitor]


def _is_meant(monitor: ModelMonitor, pod: Mapping[str, Any]) -> bool:
    labels = pods.labels(pod)
    return matches(monitor.spec.selector, labels) and labels.get(names.INJECT_LABEL) != "false"


def _targets(monitor: ModelMonitor, state: NamespaceState) -> Iterator[_Target]:
    """Of workloads' templates, and of pods as they were before injection: each kind of target once."""
    templates = [template_pod(each) for each in state.workloads.values() if "spec" in each]
    seen: set[tuple[object, ...]] = set()
    for pod in (*templates, *map(original, state.pods)):
        if not _is_meant(monitor, pod):
            continue
        labels = pods.labels(pod)
        try:
            entry = find(pod, monitor)
        except Refused:
            continue  # said pod by pod
        key = tuple(sorted(labels.items())), entry.number, entry.name
        if key not in seen:
            seen.add(key)
            relays = taken_over(pod, _selecting(monitor, labels, state))
            listen = {each.found.number: each.listen for each in relays}.get(entry.number, entry.number)
            yield _Target(labels, entry.number, entry.name, pods.containers(pod)[entry.container], listen)


def _of(monitor: ModelMonitor, target: _Target, state: NamespaceState) -> Iterator[Hindrance]:
    yield from _tls(target, state.services)
    if monitor.spec.injection.mode == "PortRename":
        yield from _services(target, state.services)
        yield from _policies(target, state)


def caution(monitor: ModelMonitor, state: NamespaceState) -> str:
    """What may go past the sidecar though nothing speaks against an entry; empty: nothing is known of it.

    A headless Service gives its clients the pods' addresses, and no number: they use the one that they know,
    which PortRename leaves to the app. Who reads the number too (SRV, EndpointSlices) gets the sidecar's.
    """
    if monitor.spec.injection.mode != "PortRename":
        return ""
    for target in _targets(monitor, state):
        leading = [each for each in state.services if _leads(each, target)]
        if leading and all(each["spec"].get("clusterIP") == "None" for each in leading):
            name = leading[0]["metadata"]["name"]
            return (
                f"Service {name} is headless, and no other leads to port {target.name}: clients that call "
                f"the pods' number {target.number} go past the sidecar, unless they take it from SRV records "
                "or EndpointSlices: use injection.mode PortSwap, or add a Service with an address of its own"
            )
    return ""


def _leads(service: Object, target: _Target) -> bool:
    ports = service["spec"].get("ports") or []
    to = {port.get("targetPort", port["port"]) for port in ports}
    return _selects(service["spec"].get("selector"), target.labels) and bool(
        to & {target.number, target.name}
    )


def _services(target: _Target, services: Iterable[Object]) -> Iterator[Hindrance]:
    """A Service that points at the number goes past the sidecar."""
    for service in services:
        if not _selects(service["spec"].get("selector"), target.labels):
            continue
        for port in service["spec"].get("ports") or []:
            to = port.get("targetPort", port["port"])
            if to == target.number:
                name = service["metadata"]["name"]
                fix = f"targetPort: {target.name}" if target.name else "a port name, and point at that"
                yield Hindrance(
                    SkipReason.NUMERIC_TARGET_PORT.value,
                    f"Service {name} points at port {target.number} by number and would go past the "
                    f"sidecar: give it {fix}, or use injection.mode PortSwap",
                )


def _policies(target: _Target, state: NamespaceState) -> Iterator[Hindrance]:
    """NetworkPolicies that let somebody in to the app's number, and not to the sidecar's."""
    numbers = target.number, target.listen
    policy = policies.cut_off(target.labels, state.labels, target.name, numbers, state.policies)
    if policy:
        yield Hindrance(
            SkipReason.NETWORK_POLICY.value,
            f"NetworkPolicy {policy} lets in port {target.number} by number, and none lets the same peers "
            f"in to the sidecar's {target.listen}: add it, or use injection.mode PortSwap",
        )


def _tls(target: _Target, services: Iterable[Object]) -> Iterator[Hindrance]:
    """What is encrypted can't be observed: the port's name, a probe or a Service says so."""
    why = ""
    if target.name.split("-")[0] in _TLS_NAMES:
        why = f"its name is {target.name}"
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        asked = (target.container.get(probe) or {}).get("httpGet") or {}
        if asked.get("scheme") == "HTTPS" and asked.get("port") in (target.number, target.name):
            why = f"its {probe} asks by HTTPS"
    for service in services:
        for port in service["spec"].get("ports") or []:
            to = port.get("targetPort", port["port"])
            if (
                str(port.get("appProtocol", "")).lower() in ("https", "tls")
                and to in (target.number, target.name)
                and _selects(service["spec"].get("selector"), target.labels)
            ):
                why = f"Service {service['metadata']['name']} calls it {port['appProtocol']}"
    if why:
        yield Hindrance(
            SkipReason.TLS.value,
            f"port {target.name or target.number} carries TLS ({why}): let TLS end before the pod",
        )


def _selects(selector: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """A Service without selector selects nothing."""
    return bool(selector) and all(labels.get(key) == value for key, value in (selector or {}).items())
