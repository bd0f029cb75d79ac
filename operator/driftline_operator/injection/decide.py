"""Decides what becomes of a pod: injected or skipped, always with a reason; and makes the patch."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from driftline.spec import ModelMonitor

from driftline_operator import names
from driftline_operator.injection import pod as pods
from driftline_operator.injection import sidecars, takeover
from driftline_operator.injection.patch import Operation, difference
from driftline_operator.injection.pod import Json
from driftline_operator.injection.sidecars import Settings
from driftline_operator.injection.takeover import Refused, Relay
from driftline_operator.reasons import SkipReason

INJECTED: Final = "Injected"
_HASH_DIGITS: Final = 16


class Refusal(msgspec.Struct, frozen=True):
    """One monitor that doesn't get this pod's traffic, and why."""

    monitor: str
    reason: SkipReason
    message: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a pod. `reason` is Injected, or why not."""

    reason: SkipReason | None
    message: str
    monitors: tuple[str, ...] = ()
    """Those that its sidecar serves, oldest first."""
    refused: tuple[Refusal, ...] = ()
    patch: tuple[Operation, ...] = ()
    digest: str = ""
    """The injection hash; empty where nothing is injected."""

    @property
    def injects(self) -> bool:
        """Does the pod get a sidecar by this decision?"""
        return self.reason is None

    @property
    def word(self) -> str:
        """The one word for annotation, Event and metric."""
        return INJECTED if self.reason is None else self.reason.value


def decide(
    pod: Mapping[str, Any], monitors: Sequence[ModelMonitor], settings: Settings, *, enabled: bool = True
) -> Decision:
    """The decision about a pod that is being created, with these monitors selecting it, oldest first.

    `enabled`: False while the kill switch is on. Never raises for what a pod or monitor may hold.
    """
    reason = _skip(pod, monitors, enabled=enabled)
    if reason is not None:
        return Decision(reason=reason[0], message=reason[1])
    relays, accepted, refused = _relays(pod, monitors)
    if not relays:
        first = refused[0]
        return Decision(reason=first.reason, message=first.message, refused=tuple(refused))
    digest = injection_hash(accepted, relays, settings)
    after = _injected(pod, accepted, relays, settings, digest)
    served = tuple(monitor.metadata.name for monitor in accepted)
    return Decision(
        reason=None,
        message=f"the sidecar serves {', '.join(served)}",
        monitors=served,
        refused=tuple(refused),
        patch=tuple(difference(pod, after)),
        digest=digest,
    )


def injection_hash(monitors: Sequence[ModelMonitor], relays: Sequence[Relay], settings: Settings) -> str:
    """Of all that only a new pod can take over; what is hot-reloaded isn't in it."""
    said = msgspec.structs.asdict(settings)
    if not settings.hub_url:  # pods from before there was a hub are what they would be now
        del said["hub_url"]
    content = [
        said,
        [monitor.metadata.name for monitor in monitors],
        [monitor.spec.injection for monitor in monitors],
        [(relay.argument, relay.redirections) for relay in relays],
    ]
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:_HASH_DIGITS]


def taken_over(pod: Mapping[str, Any], monitors: Sequence[ModelMonitor]) -> list[Relay]:
    """The ports that would be taken over, one relay each."""
    return [] if _skip(pod, monitors, enabled=True) else _relays(pod, monitors)[0]


def added(pod: Mapping[str, Any], monitors: Sequence[ModelMonitor], settings: Settings) -> list[Json]:
    """The containers that the pod would get; none where it would get no sidecar."""
    if _skip(pod, monitors, enabled=True):
        return []
    relays, accepted, _ = _relays(pod, monitors)
    return _added(pod, accepted, relays, settings) if relays else []


def _skip(
    pod: Mapping[str, Any], monitors: Sequence[ModelMonitor], *, enabled: bool
) -> tuple[SkipReason, str] | None:
    if pods.labels(pod).get(names.INJECT_LABEL) == "false":
        return SkipReason.OPT_OUT, f"the pod's label {names.INJECT_LABEL} is false"
    if not enabled:
        return SkipReason.DISABLED, f"ConfigMap {names.SETTINGS_CONFIG_MAP} has injection disabled"
    if pods.is_injected(pod):
        return SkipReason.ALREADY_INJECTED, f"the pod has a container {names.PROXY_CONTAINER}"
    taken = pods.given_names(pod) & names.IN_A_POD
    if taken:
        said = ", ".join(sorted(taken))
        return SkipReason.NAME_TAKEN, f"the pod has a container or volume of the sidecar's name: {said}"
    if not monitors:
        return SkipReason.NO_MONITOR, "no monitor selects the pod"
    if pod["spec"].get("hostNetwork"):
        return SkipReason.HOST_NETWORK, "the pod uses the host's network: its ports are the node's"
    return None


def _relays(
    pod: Mapping[str, Any], monitors: Sequence[ModelMonitor]
) -> tuple[list[Relay], list[ModelMonitor], list[Refusal]]:
    """Which ports are taken over, for whom; the older of two monitors wins."""
    by_port: dict[int, Relay] = {}
    accepted: list[ModelMonitor] = []
    refused: list[Refusal] = []
    declared = pods.numbers(pod)
    for monitor in monitors:
        try:
            found = takeover.find(pod, monitor)
            _check_mesh(pod, monitor)
            known = by_port.get(found.number)
            if known is not None:
                _check_against(monitor, known, accepted)
            else:
                used = {number for each in by_port.values() for number in each.numbers}
                by_port[found.number] = takeover.relay(found, monitor, used, declared)
            accepted.append(monitor)
        except Refused as error:
            refused.append(Refusal(monitor.metadata.name, error.reason, str(error)))
    return list(by_port.values()), accepted, refused


def _check_mesh(pod: Mapping[str, Any], monitor: ModelMonitor) -> None:
    """A mesh redirects all that arrives, and the first redirection has it. Raises Refused."""
    sign = pods.mesh(pod)
    if sign and monitor.spec.injection.mode == "Redirect":
        raise Refused(
            SkipReason.MESH,
            f"a service mesh redirects the pod's traffic ({sign}): use PortRename or PortSwap",
        )


def _check_against(monitor: ModelMonitor, known: Relay, older: Sequence[ModelMonitor]) -> None:
    """May the monitor share a port that is taken over already? Raises Refused."""
    if monitor.spec.injection.mode != known.mode:
        raise Refused(
            SkipReason.MODE_CONFLICT, f"an older monitor takes port {known.found.number} over by {known.mode}"
        )
    for other in older:
        same_port = other.spec.endpoint.port in (known.found.name, known.found.number)
        both = set(monitor.spec.endpoint.paths) & set(other.spec.endpoint.paths)
        unbounded = not monitor.spec.endpoint.paths and not other.spec.endpoint.paths
        if same_port and (both or unbounded):
            what = ", ".join(sorted(both)) or "every path"
            raise Refused(
                SkipReason.CONFLICT, f"the older monitor {other.metadata.name} has {what} of the same port"
            )


def _injected(
    pod: Mapping[str, Any],
    monitors: Sequence[ModelMonitor],
    relays: Sequence[Relay],
    settings: Settings,
    digest: str,
) -> Json:
    after: Json = copy.deepcopy(dict(pod))
    spec = after["spec"]
    for relay in relays:
        takeover.apply(spec["containers"][relay.found.container], relay)
    spec["initContainers"] = [*_added(pod, monitors, relays, settings), *pods.init_containers(pod)]
    spec["volumes"] = [*(spec.get("volumes") or []), *sidecars.volumes(monitors)]
    _add_pull_secrets(spec, monitors, settings)
    _mark(after, monitors, digest, settings)
    return after


def _added(
    pod: Mapping[str, Any], monitors: Sequence[ModelMonitor], relays: Sequence[Relay], settings: Settings
) -> list[Json]:
    guaranteed = pods.is_guaranteed(pod)
    return [
        *sidecars.redirect(settings, monitors, relays, guaranteed=guaranteed),
        sidecars.proxy(settings, monitors, relays, guaranteed=guaranteed),
        sidecars.analyzer(settings, monitors, guaranteed=guaranteed),
    ]


def _add_pull_secrets(spec: Json, monitors: Sequence[ModelMonitor], settings: Settings) -> None:
    wanted = [*settings.pull_secrets, *(s for m in monitors for s in m.spec.injection.image_pull_secrets)]
    present = list(spec.get("imagePullSecrets") or [])
    known = {each.get("name") for each in present}
    added = [{"name": name} for name in dict.fromkeys(wanted) if name not in known]
    if added:
        spec["imagePullSecrets"] = [*present, *added]


def _mark(after: Json, monitors: Sequence[ModelMonitor], digest: str, settings: Settings) -> None:
    metadata = after.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), names.INJECTED_LABEL: "true"}
    annotations = {
        **(metadata.get("annotations") or {}),
        names.INJECTION_ANNOTATION: INJECTED,
        names.INJECTION_HASH_ANNOTATION: digest,
        names.MONITORS_ANNOTATION: ",".join(monitor.metadata.name for monitor in monitors),
    }
    if settings.scrape:
        values = ("true", str(names.ADMIN_PORT), "/metrics")
        for name, value in zip(names.SCRAPE_ANNOTATIONS, values, strict=True):
            annotations.setdefault(name, value)
    metadata["annotations"] = annotations
