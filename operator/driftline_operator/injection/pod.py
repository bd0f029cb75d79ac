"""Reads what injection needs to know out of a pod's JSON, as the API server sends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from driftline_operator import names

Json = dict[str, Any]

_RESOURCES: Final = ("cpu", "memory")
_MESH_CONTAINERS: Final = (
    "istio-init", "istio-proxy", "istio-validation",
    "linkerd-init", "linkerd-network-validator", "linkerd-proxy",
)  # fmt: skip


class PortEntry(NamedTuple):
    """One entry of a container's `ports`, and where it stands."""

    container: int
    """Index in `spec.containers`."""
    place: int
    """Index in its `ports`."""
    entry: Mapping[str, Any]

    @property
    def number(self) -> int:
        """The port in the pod."""
        return int(self.entry["containerPort"])

    @property
    def name(self) -> str:
        """Empty: it has none."""
        return str(self.entry.get("name") or "")

    @property
    def protocol(self) -> str:
        """TCP where the pod doesn't say."""
        return str(self.entry.get("protocol") or "TCP")


def containers(pod: Mapping[str, Any]) -> list[Json]:
    """The app containers."""
    return list(pod["spec"].get("containers") or [])


def init_containers(pod: Mapping[str, Any]) -> list[Json]:
    """Init containers and native sidecars, in their order."""
    return list(pod["spec"].get("initContainers") or [])


def ports(pod: Mapping[str, Any]) -> Iterator[PortEntry]:
    """What the app containers declare."""
    for place, container in enumerate(containers(pod)):
        for index, entry in enumerate(container.get("ports") or []):
            yield PortEntry(place, index, entry)


def numbers(pod: Mapping[str, Any]) -> set[int]:
    """Every number that any container declares."""
    every = [*containers(pod), *init_containers(pod)]
    return {int(entry["containerPort"]) for each in every for entry in each.get("ports") or []}


def is_injected(pod: Mapping[str, Any]) -> bool:
    """Does it have the sidecar already?"""
    return any(each["name"] == names.PROXY_CONTAINER for each in init_containers(pod))


def given_names(pod: Mapping[str, Any]) -> set[str]:
    """Of its containers and volumes: of two alike the API server refuses the pod."""
    spec = pod["spec"]
    every = [*containers(pod), *init_containers(pod), *(spec.get("volumes") or [])]
    return {str(each["name"]) for each in every if each.get("name")}


def labels(pod: Mapping[str, Any]) -> Mapping[str, str]:
    """The pod's labels."""
    return pod.get("metadata", {}).get("labels") or {}


def mesh(pod: Mapping[str, Any]) -> str:
    """What shows that a service mesh redirects the pod's traffic, or will; empty: nothing does."""
    for each in (*init_containers(pod), *containers(pod)):
        if each["name"] in _MESH_CONTAINERS:
            return f"container {each['name']}"
    metadata = pod.get("metadata", {})
    return mesh_mark(metadata.get("labels") or {}, metadata.get("annotations") or {})


def mesh_mark(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """The label or annotation, of a pod or its namespace, by which it gets a mesh's proxy; empty: none."""
    found = {**annotations, **labels}
    wanted = {
        "istio-injection": found.get("istio-injection") == "enabled",
        "istio.io/rev": "istio.io/rev" in found,
        "istio.io/dataplane-mode": found.get("istio.io/dataplane-mode") == "ambient",
        "sidecar.istio.io/inject": found.get("sidecar.istio.io/inject") == "true",
        "linkerd.io/inject": found.get("linkerd.io/inject") in ("enabled", "ingress"),
    }
    return next((f"{name}: {found[name]}" for name, is_so in wanted.items() if is_so), "")


def is_guaranteed(pod: Mapping[str, Any]) -> bool:
    """Is its quality of service Guaranteed: every container has limits for CPU and memory, requests equal?

    As Kubernetes decides it; equal quantities written differently (`1` and `1000m`) count as unlike here,
    which costs nothing: the API server sets missing requests to the limits as they are written.
    """
    every = [*containers(pod), *init_containers(pod)]
    return bool(every) and all(_is_guaranteed(each.get("resources") or {}) for each in every)


def _is_guaranteed(resources: Mapping[str, Any]) -> bool:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    return all(name in limits and requests.get(name, limits[name]) == limits[name] for name in _RESOURCES)
