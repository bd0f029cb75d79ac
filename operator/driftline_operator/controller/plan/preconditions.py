"""Whether a mode can carry a monitor's traffic, seen from Services and NetworkPolicies. Pure.

Checked before there is a webhook entry: where the traffic would miss the sidecar, or be cut off, pods are
left as they are and the reason is said. Without any pod or workload yet nothing speaks against it; as they
come, it is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from driftline.spec import ModelMonitor

from driftline_operator import names
from driftline_operator.cluster.resources import Object
from driftline_operator.controller.observed import NamespaceState
from driftline_operator.controller.plan.findings import Hindrance
from driftline_operator.controller.plan.workloads import template_pod
from driftline_operator.injection import pod as pods
from driftline_operator.injection.original import original
from driftline_operator.injection.selectors import matches
from driftline_operator.injection.takeover import Refused, find
from driftline_operator.reasons import SkipReason

_TLS_NAMES = ("https", "tls", "grpcs")


class _Target(NamedTuple):
    """A port that is to be taken over, of pods with these labels."""

    labels: Mapping[str, str]
    number: int
    name: str
    container: Mapping[str, Any]


def preconditions(monitor: ModelMonitor, state: NamespaceState) -> tuple[Hindrance, ...]:
    """What speaks against an entry; empty: nothing. Each reason once, with the first that shows it."""
    found: dict[str, Hindrance] = {}
    for target in _targets(monitor, state):
        for each in _of(monitor, target, state):
            found.setdefault(each.reason, each)
    return tuple(found.values())


def _targets(monitor: ModelMonitor, state: NamespaceState) -> Iterator[_Target]:
    """Of workloads' templates, and of pods as they were before injection: each kind of target once."""
    templates = [template_pod(each) for each in state.workloads.values() if "spec" in each]
    seen: set[tuple[object, ...]] = set()
    for pod in (*templates, *map(original, state.pods)):
        labels = pods.labels(pod)
        if not matches(monitor.spec.selector, labels) or labels.get(names.INJECT_LABEL) == "false":
            continue
        try:
            entry = find(pod, monitor)
        except Refused:
            continue  # said pod by pod
        key = tuple(sorted(labels.items())), entry.number, entry.name
        if key not in seen:
            seen.add(key)
            yield _Target(labels, entry.number, entry.name, pods.containers(pod)[entry.container])


def _of(monitor: ModelMonitor, target: _Target, state: NamespaceState) -> Iterator[Hindrance]:
    yield from _tls(target, state.services)
    if monitor.spec.injection.mode == "PortRename":
        yield from _services(target, state.services)
        yield from _policies(target, state.policies)


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


def _policies(target: _Target, policies: Iterable[Object]) -> Iterator[Hindrance]:
    """A NetworkPolicy that lets in the app's number, but not the sidecar's, would cut the traffic off."""
    for policy in policies:
        spec = policy["spec"]
        if "Ingress" not in (spec.get("policyTypes") or ["Ingress"]):
            continue
        if not _selector_matches(spec.get("podSelector") or {}, target.labels):
            continue
        for rule in spec.get("ingress") or []:
            ports = rule.get("ports") or []
            by_number = any(_covers(port, target.number) for port in ports)
            if by_number and not any(_covers(port, names.PROXY_PORT) for port in ports):
                name = policy["metadata"]["name"]
                yield Hindrance(
                    SkipReason.NETWORK_POLICY.value,
                    f"NetworkPolicy {name} lets in port {target.number} by number, and not the sidecar's "
                    f"{names.PROXY_PORT}: add it, or use injection.mode PortSwap",
                )


def _covers(port: Mapping[str, Any], number: int) -> bool:
    """Does a policy's port mean that number? A name follows the sidecar, and means none."""
    if port.get("protocol", "TCP") != "TCP":
        return False
    first = port.get("port")
    if first is None:
        return True
    return isinstance(first, int) and first <= number <= int(port.get("endPort", first))


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


def _selector_matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A policy's pod selector; the empty one means every pod."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_meets(each, labels) for each in selector.get("matchExpressions") or [])


def _meets(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
