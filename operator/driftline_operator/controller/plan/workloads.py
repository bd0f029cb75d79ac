"""Whose pods they are: from a pod to the workload whose template a rollout would renew."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from driftline_operator.cluster.resources import Object
from driftline_operator.injection.pod import Json

RESTARTABLE = ("Deployment", "StatefulSet", "DaemonSet")


def controller_of(found: Object) -> tuple[str, str] | None:
    """Kind and name of the owner that manages the object."""
    for owner in found["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            return str(owner["kind"]), str(owner["name"])
    return None


def workload_of(pod: Object, workloads: Mapping[tuple[str, str], Object]) -> Object | None:
    """The Deployment, StatefulSet or DaemonSet behind a pod; None for others, and for pods without owner."""
    owner = controller_of(pod)
    if owner is not None and owner[0] == "ReplicaSet":
        replica_set = workloads.get(owner)
        owner = None if replica_set is None else controller_of(replica_set)
    if owner is None or owner[0] not in RESTARTABLE:
        return None
    return workloads.get(owner)


def template_pod(workload: Object) -> Json:
    """The pod that the workload would create now, as the webhook would see it."""
    template: Mapping[str, Any] = workload["spec"]["template"]
    metadata = {**(template.get("metadata") or {}), "namespace": workload["metadata"].get("namespace", "")}
    return {"metadata": metadata, "spec": template["spec"]}


def desired_pods(workload: Object) -> int:
    """How many pods it is to have."""
    if workload["kind"] == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled", 0))
    return int(workload["spec"].get("replicas", 1))


def refused_for(workload: Object, containers: Collection[str]) -> str:
    """What the API server says where it refuses the pods for one of these containers; empty: nothing.

    Only Deployments say it in their status. Those that enforce a policy name the container that breaks it.
    """
    for each in (workload.get("status") or {}).get("conditions") or []:
        refused, message = each["type"] == "ReplicaFailure", str(each.get("message", ""))
        if refused and each["status"] == "True" and any(name in message for name in containers):
            return message
    return ""


def is_settled(workload: Object) -> bool:
    """Has its last rollout come to its end? Until then another would only pile up."""
    status, spec = workload.get("status") or {}, workload["spec"]
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    if workload["kind"] == "DaemonSet":
        wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
        return bool(updated >= wanted)
    if workload["kind"] == "StatefulSet":
        return status.get("currentRevision") == status.get("updateRevision")
    wanted = spec.get("replicas", 1)
    return bool(status.get("updatedReplicas", 0) >= wanted and status.get("replicas", 0) <= wanted)
