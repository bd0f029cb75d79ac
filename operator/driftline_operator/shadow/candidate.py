"""What a ShadowDeployment's candidate is made of, or the word why there is none. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from driftline.spec import LabelExpression, LabelSelector, ModelMonitor
from driftline.spec.candidate import CandidateService
from driftline.spec.shadow import ShadowSpec

from driftline_operator import names
from driftline_operator.cluster.resources import DEPLOYMENTS, SERVICES, SHADOW_DEPLOYMENTS, Object
from driftline_operator.controller.observed import NamespaceState
from driftline_operator.controller.plan.objects import Desired
from driftline_operator.controller.plan.workloads import RESTARTABLE, template_pod
from driftline_operator.injection import pod as pods
from driftline_operator.injection import takeover
from driftline_operator.injection.selectors import matches
from driftline_operator.shadow import template as templates
from driftline_operator.shadow.merging import BadPatch
from driftline_operator.shadow.observed import ObservedShadow
from driftline_operator.shadow.reasons import Refusal


class Refused(Exception):
    """No candidate is to run; `reason` says why in a word, the message what to do."""

    def __init__(self, reason: Refusal, message: str) -> None:
        """`message`: for a person."""
        super().__init__(message)
        self.reason = reason


class Wanted(NamedTuple):
    """A candidate as it should be."""

    objects: tuple[Desired, ...]
    """Deployment and Service; none where a Service was given."""
    url: str
    live: Object
    """The workload that it is compared with."""
    port: int
    """The live model's own, in its pods."""
    model: str
    """The container that it is in."""
    note: str = ""
    """What a person should know of it."""
    mark: str = ""
    """Of the candidate's pod template: what its pods and its Service's selector carry. Empty: none is run."""


def live_workload(monitor: ModelMonitor, state: NamespaceState) -> Object:
    """The one workload whose pods the monitor means. Raises Refused."""
    found = [
        each
        for (kind, _), each in sorted(state.workloads.items())
        if kind in RESTARTABLE and _is_meant(monitor, template_pod(each))
    ]
    if not found:
        raise Refused(
            Refusal.NO_WORKLOAD,
            f"no Deployment, StatefulSet or DaemonSet has pods that monitor {monitor.metadata.name} selects",
        )
    if len(found) > 1:
        several = ", ".join(f"{each['kind']} {each['metadata']['name']}" for each in found)
        why = f"the monitor selects pods of {several}: one of them must be meant"
        raise Refused(Refusal.SEVERAL_WORKLOADS, why)
    return found[0]


def _is_meant(monitor: ModelMonitor, pod: Mapping[str, Any]) -> bool:
    labels = pods.labels(pod)
    own = names.SHADOW_LABEL in labels or labels.get(names.INJECT_LABEL) == "false"
    return not own and matches(monitor.spec.selector, labels)


def wanted(
    observed: ObservedShadow,
    spec: ShadowSpec,
    monitor: ModelMonitor,
    state: NamespaceState,
    *,
    runs: bool = True,
) -> Wanted:
    """The candidate of that monitor's live workload. Raises Refused.

    `runs`: else no pods of it are wanted any more, so that nobody can select them.
    """
    live = live_workload(monitor, state)
    entry = _port(template_pod(live), monitor)
    port, model = entry.number, pods.containers(template_pod(live))[entry.container]["name"]
    if spec.candidate.service is not None:
        return Wanted((), _service_url(spec.candidate.service, state), live, port, model)
    made, target, note = _template(observed, spec, monitor, live, model)
    if runs:
        _check_network(made)
        _check_labels(made["metadata"]["labels"], observed, state)
        _check_names(observed, state)
    name, mark = names.candidate(observed.name), _mark(made)
    made["metadata"]["labels"][names.CANDIDATE_LABEL] = mark
    url = f"http://{name}.{observed.namespace}.svc:{target}"
    objects = _deployment(observed, spec, name, made), _service(observed, name, target, mark)
    return Wanted(objects, url, live, port, model, note, mark)


def _mark(made: Mapping[str, Any]) -> str:
    """Another one for each pod template, so that no pod of an older candidate is taken for a newer one's."""
    return hashlib.sha256(msgspec.json.encode(made, order="sorted")).hexdigest()[:16]


def _template(
    observed: ObservedShadow, spec: ShadowSpec, monitor: ModelMonitor, live: Object, model: str
) -> tuple[dict[str, Any], int, str]:
    """The pod template, the port at which it answers, and what is worth a word about it."""
    try:
        made = templates.template(live["spec"]["template"], spec.candidate, model, observed.uid)
        templates.promotion_patch(live["spec"]["template"], spec.candidate, model)  # or it could never be
        note = templates.note(live["spec"]["template"], spec.candidate, model)
        return made, _port(made, monitor).number, note
    except BadPatch as error:
        raise Refused(Refusal.PATCH_INVALID, str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # The API server takes anything in their place: it is a pod template only for the Deployment.
        why = f"patch or template is not of a pod template's form: {type(error).__name__} {error}"
        raise Refused(Refusal.PATCH_INVALID, why) from error


def _port(pod: Mapping[str, Any], monitor: ModelMonitor) -> pods.PortEntry:
    try:
        return takeover.find(pod, monitor)
    except takeover.Refused as error:
        raise Refused(Refusal.PORT_NOT_FOUND, str(error)) from error


def _service_url(given: CandidateService, state: NamespaceState) -> str:
    for service in state.services:
        if service["metadata"]["name"] != given.name:
            continue
        if service["spec"].get("type") == "ExternalName":
            why = f"Service {given.name} is an ExternalName: requests would leave the cluster"
            raise Refused(Refusal.EXTERNAL_SERVICE, why)
        for entry in service["spec"].get("ports") or []:
            if given.port in (entry["port"], entry.get("name")):
                return f"http://{given.name}.{state.name}.svc:{entry['port']}"
        raise Refused(Refusal.PORT_NOT_FOUND, f"Service {given.name} has no port {given.port!r}")
    raise Refused(Refusal.SERVICE_NOT_FOUND, f"there is no Service {given.name}")


def _check_network(made: Mapping[str, Any]) -> None:
    """There every port is one of the host, and no NetworkPolicy holds."""
    if made["spec"].get("hostNetwork"):
        why = "its pods would be in their node's network: set hostNetwork to false in the patch's template"
        raise Refused(Refusal.HOST_NETWORK, why)


def _check_labels(labels: Mapping[str, str], observed: ObservedShadow, state: NamespaceState) -> None:
    """Nothing but its own Service and Deployment may select it: live traffic would reach it."""
    for service in state.services:
        selector = service["spec"].get("selector") or {}
        if selector and meets(selector, labels) and not _is_own(service, observed):
            why = f"Service {service['metadata']['name']} would send it live traffic: give it other labels"
            raise Refused(Refusal.SELECTED_BY_SERVICE, why)
    for (kind, name), found in sorted(state.workloads.items()):
        selector = (found.get("spec") or {}).get("selector") or {}
        if kind in RESTARTABLE and not _is_own(found, observed) and _selects(selector, labels):
            why = f"the selector of {kind} {name} means its pods too: give it other labels"
            raise Refused(Refusal.SELECTED_BY_WORKLOAD, why)


def meets(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Has it all of these labels?"""
    return all(labels.get(key) == value for key, value in selector.items())


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    expressions = tuple(
        LabelExpression(key=each["key"], operator=each["operator"], values=tuple(each.get("values") or ()))
        for each in selector.get("matchExpressions") or []
    )
    found = LabelSelector(match_labels=selector.get("matchLabels") or {}, match_expressions=expressions)
    return bool(selector) and matches(found, labels)


def _check_names(observed: ObservedShadow, state: NamespaceState) -> None:
    name = names.candidate(observed.name)
    services = {each["metadata"]["name"]: each for each in state.services}
    present = {"Deployment": state.workloads.get(("Deployment", name)), "Service": services.get(name)}
    for kind, found in present.items():
        if found is not None and not _is_own(found, observed):
            raise Refused(Refusal.NAME_TAKEN, f"there is a {kind} {name} that belongs to somebody else")


def _is_own(found: Object, observed: ObservedShadow) -> bool:
    return owned(found, observed.uid)


def owned(found: Object, uid: str) -> bool:
    """Does the object belong to the one of that UID?"""
    owners: Iterable[Mapping[str, Any]] = found["metadata"].get("ownerReferences") or []
    return any(each.get("uid") == uid for each in owners)


def metadata(observed: ObservedShadow, name: str) -> dict[str, Any]:
    """Of an owned object. `blockOwnerDeletion` stays off: nobody should wait for us."""
    owner = {
        "apiVersion": SHADOW_DEPLOYMENTS.api_version,
        "kind": SHADOW_DEPLOYMENTS.kind,
        "name": observed.name,
        "uid": observed.uid,
        "controller": True,
    }
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.SHADOW_LABEL: observed.uid}
    return {"name": name, "namespace": observed.namespace, "labels": labels, "ownerReferences": [owner]}


def _deployment(observed: ObservedShadow, spec: ShadowSpec, name: str, made: Mapping[str, Any]) -> Desired:
    content = {
        "replicas": spec.candidate.replicas,
        "revisionHistoryLimit": 0,
        # Nobody misses it meanwhile, and the older candidate's pods have ended before a newer one's begin.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {names.SHADOW_LABEL: observed.uid}},
        "template": made,
    }
    kind = {"apiVersion": DEPLOYMENTS.api_version, "kind": DEPLOYMENTS.kind}
    body = {**kind, "metadata": metadata(observed, name), "spec": content}
    return Desired(DEPLOYMENTS, observed.namespace, body)


def _service(observed: ObservedShadow, name: str, port: int, mark: str) -> Desired:
    content = {
        "selector": {names.SHADOW_LABEL: observed.uid, names.CANDIDATE_LABEL: mark},
        "ports": [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}],
    }
    kind = {"apiVersion": SERVICES.api_version, "kind": SERVICES.kind}
    return Desired(
        SERVICES, observed.namespace, {**kind, "metadata": metadata(observed, name), "spec": content}
    )
