"""The sidecar's two containers and their volumes, as they stand in a pod.

Native sidecars (init containers that keep running) start before the app, end after it, and let Jobs complete.
They fit the `restricted` pod security level. Their configuration is optional everywhere: without it the proxy
relays, and a pod starts whatever has become of its monitor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from driftline.spec import ContainerResources, ModelMonitor

from driftline_operator import names
from driftline_operator.injection.pod import Json
from driftline_operator.injection.takeover import Relay

Quantities = Mapping[str, str]

_PROFILE_PARTS: Final = 8
"""A profile beyond one ConfigMap's size is split over keys `profile`, `profile-2`, … of as many."""


class Resources(msgspec.Struct, frozen=True):
    """Requests and limits of one container."""

    requests: dict[str, str] = {}
    limits: dict[str, str] = {}

    def overridden(self, by: ContainerResources) -> Resources:
        """With a monitor's own, name by name."""
        return Resources({**self.requests, **by.requests}, {**self.limits, **by.limits})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the installation says of all sidecars."""

    image: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    proxy: Resources = Resources({"cpu": "50m", "memory": "64Mi"}, {"memory": "256Mi"})
    analyzer: Resources = Resources({"cpu": "50m", "memory": "128Mi"}, {"memory": "512Mi"})
    push_url: str = ""
    """Where ending pods send their last panes; empty: nowhere."""
    hub_url: str = ""
    """Where sidecars send the predictions of monitors with `labels`; empty: nowhere."""
    scrape: bool = False
    """Whether pods get annotations by which a Prometheus finds them."""


def proxy(
    settings: Settings, monitors: Sequence[ModelMonitor], relays: Sequence[Relay], *, guaranteed: bool
) -> Json:
    """The container that relays. `guaranteed`: the pod is, and must stay so."""
    arguments = ["proxy", f"--config={names.CONFIG_PATH}", f"--tee={names.RUN_PATH}/tee.sock"]
    arguments += [f"--relay={each.argument}" for each in relays]
    arguments += [f"--health=:{names.HEALTH_PORT}"]
    resources = settings.proxy
    for monitor in reversed(monitors):  # the oldest monitor's word is the last
        resources = resources.overridden(monitor.spec.injection.proxy.resources)
    return {
        **_common(names.PROXY_CONTAINER, settings, arguments, _limits(resources, guaranteed=guaranteed)),
        "ports": [{"containerPort": names.HEALTH_PORT, "name": "dl-health", "protocol": "TCP"}],
        # Started means listening: the app's own container starts only then, and never misses a connection.
        "startupProbe": _get("/readyz", names.HEALTH_PORT, periodSeconds=1, failureThreshold=60),
        "readinessProbe": _get("/readyz", names.HEALTH_PORT, periodSeconds=5, failureThreshold=3),
        "livenessProbe": _get("/healthz", names.HEALTH_PORT, periodSeconds=10, failureThreshold=6),
        "lifecycle": {"preStop": _get("/prestop", names.HEALTH_PORT)},
        "volumeMounts": [_mount(names.RUN_VOLUME, names.RUN_PATH), _config_mount()],
    }


def analyzer(settings: Settings, monitors: Sequence[ModelMonitor], *, guaranteed: bool) -> Json:
    """The container that computes. It has no readiness probe: its troubles are not the model's."""
    arguments = ["analyzer", f"--config={names.CONFIG_PATH}", f"--tee={names.RUN_PATH}/tee.sock"]
    arguments += [f"--admin=:{names.ADMIN_PORT}", f"--token={names.TOKEN_PATH}/{names.TOKEN_KEY}"]
    arguments += [f"--state={names.RUN_PATH}/state", "--fleet"]
    if settings.push_url:
        arguments.append(f"--push={settings.push_url}")
    if settings.hub_url:
        arguments.append(f"--hub={settings.hub_url}")
    resources = settings.analyzer
    for monitor in reversed(monitors):
        resources = resources.overridden(monitor.spec.injection.analyzer.resources)
    return {
        **_common(names.ANALYZER_CONTAINER, settings, arguments, _limits(resources, guaranteed=guaranteed)),
        "env": [
            _from_field("DRIFTLINE_POD_NAME", "metadata.name"),
            _from_field("DRIFTLINE_POD_UID", "metadata.uid"),
            _from_field("DRIFTLINE_POD_NAMESPACE", "metadata.namespace"),
        ],
        "ports": [{"containerPort": names.ADMIN_PORT, "name": "dl-metrics", "protocol": "TCP"}],
        "livenessProbe": _get("/healthz", names.ADMIN_PORT, periodSeconds=30, failureThreshold=4),
        "lifecycle": {"preStop": _get("/prestop", names.ADMIN_PORT)},
        "volumeMounts": [
            _mount(names.RUN_VOLUME, names.RUN_PATH),
            _config_mount(),
            {**_mount(names.TOKEN_VOLUME, names.TOKEN_PATH), "readOnly": True},
        ],
    }


def volumes(monitors: Sequence[ModelMonitor]) -> list[Json]:
    """The socket's directory, the monitors' configuration (each in a folder of its name) and the token."""
    sources = [_source(monitor.metadata.name) for monitor in monitors]
    return [
        {"name": names.RUN_VOLUME, "emptyDir": {"sizeLimit": "256Mi"}},
        {"name": names.CONFIG_VOLUME, "projected": {"sources": sources}},
        {"name": names.TOKEN_VOLUME, "secret": {"secretName": names.TOKEN_SECRET, "optional": True}},
    ]


def _source(monitor: str) -> Json:
    keys = [names.MONITOR_KEY, names.CA_KEY, names.CAPTURE_KEY, names.PROFILE_KEY]
    keys += [f"{names.PROFILE_KEY}-{part}" for part in range(2, _PROFILE_PARTS + 1)]
    items = [{"key": key, "path": f"{monitor}/{key}"} for key in keys]
    return {"configMap": {"name": names.config_map(monitor), "optional": True, "items": items}}


def _common(name: str, settings: Settings, arguments: list[str], resources: Resources) -> Json:
    return {
        "name": name,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "restartPolicy": "Always",
        "args": arguments,
        "resources": {key: dict(value) for key, value in msgspec.structs.asdict(resources).items() if value},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _limits(resources: Resources, *, guaranteed: bool) -> Resources:
    """As they are; in a Guaranteed pod requests and limits alike, a CPU limit included."""
    if not guaranteed:
        return resources
    both = {**resources.requests, **resources.limits}
    return Resources(both, dict(both))


def _get(path: str, port: int, **options: int) -> Json:
    return {"httpGet": {"path": path, "port": port}, **options}


def _mount(volume: str, path: str) -> Json:
    return {"name": volume, "mountPath": path}


def _config_mount() -> Json:
    return {**_mount(names.CONFIG_VOLUME, names.CONFIG_PATH), "readOnly": True}


def _from_field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
