"""The watch caches of the controller, and how they become what is planned from.

Objects are trimmed to what planning reads: a large cluster's pods and templates whole are many megabytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from driftline_operator import names
from driftline_operator.cluster.api import Api
from driftline_operator.cluster.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    LIMIT_RANGES,
    NAMESPACES,
    NETWORK_POLICIES,
    POD_MONITORS,
    PODS,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    SHADOW_DEPLOYMENTS,
    WEBHOOKS,
    WORKLOADS,
    Object,
    Resource,
)
from driftline_operator.cluster.watching import Cache, Clock
from driftline_operator.controller.observed import NamespaceState, Observed, Reference

_POD_METADATA: Final = (
    "name", "namespace", "uid", "labels", "annotations", "ownerReferences",
    "deletionTimestamp", "creationTimestamp", "resourceVersion",
)  # fmt: skip
_CONTAINER: Final = (
    "name", "ports", "resources", "restartPolicy", "livenessProbe", "readinessProbe", "startupProbe",
)  # fmt: skip
_POD_STATUS: Final = ("phase", "podIP", "startTime", "initContainerStatuses")
_POD_SPEC: Final = ("hostNetwork", "securityContext", "activeDeadlineSeconds", "priorityClassName")
_MANAGED: Final = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"


def trim_pod(pod: Object) -> Object:
    """Identity, containers without environment and volumes, and how the sidecars are."""
    spec = pod.get("spec") or {}
    kept: dict[str, Any] = _only(spec, _POD_SPEC)
    for kind in ("containers", "initContainers"):
        if spec.get(kind):
            kept[kind] = [_only(each, _CONTAINER) for each in spec[kind]]
    for each, whole in zip(kept.get("initContainers", ()), spec.get("initContainers", ()), strict=True):
        if each["name"] == names.PROXY_CONTAINER:
            each["args"] = whole.get("args", [])
    kept.setdefault("containers", [])
    metadata = _only(pod["metadata"], _POD_METADATA)
    metadata["annotations"] = _ours(metadata.get("annotations") or {})
    status = pod.get("status") or {}
    told = _only(status, _POD_STATUS)
    # Any pod may be behind a Service that is compared.
    told["conditions"] = [
        {"type": "Ready", "status": each["status"]}
        for each in status.get("conditions") or ()
        if each["type"] == "Ready"
    ]
    if names.SHADOW_LABEL in (metadata.get("labels") or {}):  # of a candidate: why isn't it ready?
        told |= _only(status, ("containerStatuses",))
    return {"metadata": metadata, "spec": kept, "status": told}


def trim_workload(kind: str) -> Callable[[Object], Object]:
    """A workload's identity, template and progress. Items of a list don't say their kind."""

    def trim(found: Object) -> Object:
        metadata = _only(found["metadata"], (*_POD_METADATA, "generation"))
        metadata.pop("annotations", None)
        spec = _only(found["spec"], ("template", "replicas", "selector", "progressDeadlineSeconds"))
        return {"kind": kind, "metadata": metadata, "spec": spec, "status": found.get("status") or {}}

    return trim


def trim_plain(found: Object) -> Object:
    """Without who wrote what."""
    metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    return {**found, "metadata": metadata}


def _only(found: Mapping[str, Any], kept: Iterable[str]) -> dict[str, Any]:
    return {key: found[key] for key in kept if key in found}


def _ours(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if key.startswith(f"{names.GROUP}/")}


class Watches:
    """All caches. `namespaces`: those that are watched; empty: all."""

    def __init__(
        self,
        own: str,
        namespaces: Sequence[str],
        clock: Clock,
        *,
        certificate: str,
        pod_monitors: bool,
    ) -> None:
        self._clock = clock
        self._dirty: Callable[[str], None] | None = None
        self._places: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._pods = self._group(PODS, trim=trim_pod)
        self._services = self._group(SERVICES, trim=trim_plain)
        self._policies = self._group(NETWORK_POLICIES, trim=trim_plain)
        self._quotas = self._group(RESOURCE_QUOTAS, trim=trim_plain)
        self._limit_ranges = self._group(LIMIT_RANGES, trim=trim_plain)
        self._replica_sets = self._group(REPLICA_SETS, metadata_only=True, trim=trim_plain)
        self._workloads = {
            each.kind: self._group(each, trim=trim_workload(each.kind)) for each in WORKLOADS.values()
        }
        self._shadows = self._group(SHADOW_DEPLOYMENTS, trim=trim_plain)
        self.config_maps = self._group(CONFIG_MAPS, metadata_only=True, trim=trim_plain)
        self.pod_monitors: list[Cache] = []
        self.announce(served=pod_monitors)
        self.webhooks = Cache(WEBHOOKS, clock, labels=_MANAGED, metadata_only=True, trim=trim_plain)
        self._namespaces = [
            Cache(
                NAMESPACES,
                clock,
                fields=f"metadata.name={each}" if each else "",
                metadata_only=True,
                trim=trim_plain,
            )
            for each in self._places
        ]
        self.settings = self._own(CONFIG_MAPS, own, names.SETTINGS_CONFIG_MAP)
        self.certificate = self._own(SECRETS, own, certificate)

    def announce(self, *, served: bool) -> list[Cache]:
        """Begin the caches of PodMonitors anew, empty, or do without. They are run by who asks for them."""
        marks = {"metadata_only": True, "trim": trim_plain, "labels": _MANAGED}
        self.pod_monitors = self._group(POD_MONITORS, **marks) if served else []
        for cache in self.pod_monitors:
            cache.on_change(lambda key: self._tell(key[0]))
        return self.pod_monitors

    def _tell(self, namespace: str) -> None:
        if self._dirty is not None:
            self._dirty(namespace)

    def _group(self, resource: Resource, **options: Any) -> list[Cache]:
        return [Cache(resource, self._clock, namespace=each, **options) for each in self._places]

    def _own(self, resource: Resource, namespace: str, name: str) -> Cache:
        return Cache(resource, self._clock, namespace=namespace, fields=f"metadata.name={name}")

    @property
    def local(self) -> list[Cache]:
        """Those whose objects belong to the plan of their own namespace."""
        workloads = [cache for group in self._workloads.values() for cache in group]
        return [
            *self._pods, *self._services, *self._policies, *self._quotas, *self._limit_ranges,
            *self._replica_sets, *workloads, *self._shadows, *self.config_maps, *self.pod_monitors,
        ]  # fmt: skip

    @property
    def every(self) -> list[Cache]:
        """All of them."""
        return [*self.local, *self._namespaces, self.webhooks, self.settings, self.certificate]

    def on_change(self, dirty: Callable[[str], None]) -> None:
        """Call `dirty` with the namespace whose plan may be another now."""
        self._dirty = dirty  # the caches of PodMonitors come and go
        for cache in self.local:
            if cache not in self.pod_monitors:
                cache.on_change(lambda key: dirty(key[0]))
        for cache in self._namespaces:
            cache.on_change(lambda key: dirty(key[1]))
        prefix = names.webhook_configuration("")
        self.webhooks.on_change(lambda key: dirty(key[1].removeprefix(prefix)))

    def run(self, api: Api) -> list[asyncio.Task[None]]:
        """One task for each cache but those of PodMonitors."""
        lasting = [each for each in self.every if each not in self.pod_monitors]
        return [asyncio.create_task(cache.run(api), name=cache.resource.plural) for cache in lasting]

    @property
    def waiting_for(self) -> list[str]:
        """The kinds that haven't been listed yet."""
        return sorted({each.resource.plural for each in self.every if not each.synced.is_set()})

    def version(self, plural: str, namespace: str, name: str) -> str | None:
        """The resource version of an object that is watched; None where it isn't there."""
        groups = {
            CONFIG_MAPS.plural: self.config_maps,
            POD_MONITORS.plural: self.pod_monitors,
            WEBHOOKS.plural: [self.webhooks],
            DEPLOYMENTS.plural: self._workloads[DEPLOYMENTS.kind],
            SERVICES.plural: self._services,
        }
        for cache in groups.get(plural, []):
            found = cache.get(namespace, name)
            if found is not None:
                return str(found["metadata"]["resourceVersion"])
        return None

    def shadows(self, namespace: str) -> tuple[Object, ...]:
        """The ShadowDeployments of a namespace."""
        return _within(self._shadows, namespace)

    def pod_uids(self, namespace: str) -> set[str]:
        """Of all pods that are there."""
        return {str(each["metadata"]["uid"]) for each in _within(self._pods, namespace)}

    @property
    def shadowed(self) -> set[str]:
        """Namespaces with ShadowDeployments."""
        return {each["metadata"]["namespace"] for cache in self._shadows for each in cache}

    def owned_config_maps(self, namespace: str, monitor: Observed) -> list[Object]:
        """The metadata of those ConfigMaps that belong to that very monitor."""
        return [
            found
            for cache in self.config_maps
            for found in cache.within(namespace)
            if any(each.get("uid") == monitor.uid for each in found["metadata"].get("ownerReferences") or [])
        ]

    def state(
        self, namespace: str, monitors: Sequence[Observed], references: Mapping[str, Reference]
    ) -> NamespaceState:
        """What is planned from."""
        place = next((each for cache in self._namespaces if (each := cache.get("", namespace))), None)
        metadata = {} if place is None else place["metadata"]
        return NamespaceState(
            name=namespace,
            labels=metadata.get("labels") or {},
            alive=place is not None and not metadata.get("deletionTimestamp"),
            monitors=tuple(sorted(monitors, key=lambda each: each.age_order)),
            pods=_within(self._pods, namespace),
            services=_within(self._services, namespace),
            policies=_within(self._policies, namespace),
            quotas=_within(self._quotas, namespace),
            limit_ranges=_within(self._limit_ranges, namespace),
            workloads=self._workloads_of(namespace),
            references=references,
            suspended=dict(self._suspended(namespace, monitors)),
            published=self.webhooks.get("", names.webhook_configuration(namespace)) is not None,
            annotations=metadata.get("annotations") or {},
        )

    def _workloads_of(self, namespace: str) -> dict[tuple[str, str], Object]:
        found = {
            (kind, each["metadata"]["name"]): each
            for kind, group in self._workloads.items()
            for each in _within(group, namespace)
        }
        for each in _within(self._replica_sets, namespace):
            found[(REPLICA_SETS.kind, each["metadata"]["name"])] = each
        return found

    def _suspended(self, namespace: str, monitors: Sequence[Observed]) -> Iterable[tuple[str, str]]:
        for monitor in monitors:
            for found in self.owned_config_maps(namespace, monitor):
                marks = found["metadata"].get("annotations") or {}
                if found["metadata"]["name"] == names.config_map(monitor.name) and (
                    key := marks.get(names.SUSPENDED_ANNOTATION)
                ):
                    yield monitor.name, key


def _within(group: Iterable[Cache], namespace: str) -> tuple[Object, ...]:
    return tuple(found for cache in group for found in cache.within(namespace))
