"""The sidecar's two containers and their volumes, as they stand in a pod, and Redirect's before them.

Native sidecars (init containers that keep running) start before the app, end after it, and let Jobs complete.
They fit the `restricted` pod security level. Their configuration is optional everywhere: without it the proxy
relays, and a pod starts whatever has become of its monitor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from driftline.profile_parts import MOST_PARTS
from driftline.spec import ContainerResources, ModelMonitor

from driftline_operator import names
from driftline_operator.injection.amounts import amount
from driftline_operator.injection.pod import Json
from driftline_operator.injection.takeover import Relay

Quantities = Mapping[str, str]


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
    cpu_limit: str = ""
    """Of both containers, where a quota of their namespace demands one; a monitor's own word goes before."""


def proxy(
    settings: Settings, monitors: Sequence[ModelMonitor], relays: Sequence[Relay], *, guaranteed: bool
) -> Json:
    """The container that relays. `guaranteed`: the pod is, and must stay so."""
    arguments = ["proxy", f"--config={names.CONFIG_PATH}", f"--tee={names.RUN_PATH}/tee.sock"]
    arguments += [f"--relay={each.argument}" for each in relays]
    arguments += [f"--health=:{names.HEALTH_PORT}"]
    resources = _proxy_resources(settings, monitors, guaranteed=guaranteed)
    return {
        **_common(names.PROXY_CONTAINER, settings, arguments, resources),
        "ports": [{"containerPort": names.HEALTH_PORT, "name": names.HEALTH_PORT_NAME, "protocol": "TCP"}],
        # Started means listening: the app's own container starts only then, and never misses a connection.
        "startupProbe": _get("/readyz", names.HEALTH_PORT, periodSeconds=1, failureThreshold=60),
        "readinessProbe": _get("/readyz", names.HEALTH_PORT, periodSeconds=5, failureThreshold=3),
        "livenessProbe": _get("/healthz", names.HEALTH_PORT, periodSeconds=10, failureThreshold=6),
        "lifecycle": {"preStop": _get("/prestop", names.HEALTH_PORT)},
        "volumeMounts": [_mount(names.RUN_VOLUME, names.RUN_PATH), _config_mount()],
    }


def redirect(
    settings: Settings, monitors: Sequence[ModelMonitor], relays: Sequence[Relay], *, guaranteed: bool
) -> list[Json]:
    """The init container that writes the rules of Redirect, and ends; none where no port needs it.

    Root with one capability: neither the `restricted` nor the `baseline` level admits it. It asks for what
    the proxy does: the pod's sum stays the same, and it fits wherever the proxy fits.
    """
    arguments = [f"--port={each}" for relay in relays for each in relay.redirections]
    if not arguments:
        return []
    resources = _proxy_resources(settings, monitors, guaranteed=guaranteed)
    made = _common(names.REDIRECT_CONTAINER, settings, ["redirect", *arguments], resources)
    del made["restartPolicy"]
    made["terminationMessagePolicy"] = "FallbackToLogsOnError"  # why, where people look for it
    made["securityContext"] |= {
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        "runAsNonRoot": False,
        "runAsUser": 0,
        "runAsGroup": 0,
    }
    return [made]


def _proxy_resources(settings: Settings, monitors: Sequence[ModelMonitor], *, guaranteed: bool) -> Resources:
    resources = settings.proxy
    for monitor in reversed(monitors):  # the oldest monitor's word is the last
        resources = resources.overridden(monitor.spec.injection.proxy.resources)
    return _limits(resources, settings, guaranteed=guaranteed)


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
        **_common(
            names.ANALYZER_CONTAINER, settings, arguments, _limits(resources, settings, guaranteed=guaranteed)
        ),
        "env": [
            _from_field("DRIFTLINE_POD_NAME", "metadata.name"),
            _from_field("DRIFTLINE_POD_UID", "metadata.uid"),
            _from_field("DRIFTLINE_POD_NAMESPACE", "metadata.namespace"),
        ],
        "ports": [{"containerPort": names.ADMIN_PORT, "name": names.ADMIN_PORT_NAME, "protocol": "TCP"}],
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
    sources = [source for monitor in monitors for source in _sources(monitor.metadata.name)]
    return [
        {"name": names.RUN_VOLUME, "emptyDir": {"sizeLimit": "256Mi"}},
        {"name": names.CONFIG_VOLUME, "projected": {"sources": sources}},
        {"name": names.TOKEN_VOLUME, "secret": {"secretName": names.TOKEN_SECRET, "optional": True}},
    ]


def _sources(monitor: str) -> list[Json]:
    """The monitor's ConfigMap, and those of parts its profile may have: a pod can't be told of them later."""
    own = names.config_map(monitor)
    keys = [names.MONITOR_KEY, names.CA_KEY, names.CAPTURE_KEY, names.SHADOW_KEY, names.PROFILE_KEY]
    further = [
        _source(names.profile_part(own, part), {names.PROFILE_KEY: f"{monitor}/{names.PROFILE_KEY}-{part}"})
        for part in range(2, MOST_PARTS + 1)
    ]
    return [_source(own, {key: f"{monitor}/{key}" for key in keys}), *further]


def _source(config_map: str, paths: Mapping[str, str]) -> Json:
    items = [{"key": key, "path": path} for key, path in paths.items()]
    return {"configMap": {"name": config_map, "optional": True, "items": items}}


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


def _limits(resources: Resources, settings: Settings, *, guaranteed: bool) -> Resources:
    """As they are, with the CPU limit that a quota demands; in a Guaranteed pod requests and limits alike."""
    limits = resources.limits
    if settings.cpu_limit and "cpu" not in limits:
        asked = resources.requests.get("cpu", "0")
        limits = {**limits, "cpu": max(settings.cpu_limit, asked, key=amount)}
    if not guaranteed:
        return Resources(resources.requests, limits)
    both = {**resources.requests, **limits}
    return Resources(both, dict(both))


def _get(path: str, port: int, **options: int) -> Json:
    return {"httpGet": {"path": path, "port": port}, **options}


def _mount(volume: str, path: str) -> Json:
    return {"name": volume, "mountPath": path}


def _config_mount() -> Json:
    return {**_mount(names.CONFIG_VOLUME, names.CONFIG_PATH), "readOnly": True}


def _from_field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
