"""The objects that a monitor owns in its namespace: what its sidecars mount, and its profiles' copies."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from driftline.profile_parts import PART_BYTES, further_names, split_profile

from driftline_operator import names
from driftline_operator.cluster.resources import (
    CONFIG_MAPS,
    MODEL_MONITORS,
    POD_MONITORS,
    Object,
    Resource,
)
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.observed import Installation, Observed, Reference


class Desired(NamedTuple):
    """An object as it should be, for server-side apply."""

    resource: Resource
    namespace: str | None
    body: Object

    @property
    def key(self) -> tuple[str, str, str]:
        """Plural, namespace and name."""
        return self.resource.plural, self.namespace or "", self.body["metadata"]["name"]


def labels(monitor: str = "") -> dict[str, str]:
    """What all owned objects carry."""
    return {names.MANAGED_BY_LABEL: names.MANAGED_BY} | ({names.MONITOR_LABEL: monitor} if monitor else {})


def owner(observed: Observed) -> dict[str, Any]:
    """The reference by which the cluster removes what a deleted monitor leaves.

    `blockOwnerDeletion` stays off: nobody should wait for us.
    """
    return {
        "apiVersion": MODEL_MONITORS.api_version,
        "kind": MODEL_MONITORS.kind,
        "name": observed.name,
        "uid": observed.uid,
    }


def _object(
    resource: Resource,
    name: str,
    owners: Sequence[Observed],
    marked: Mapping[str, str],
    annotations: Mapping[str, str],
    content: Mapping[str, Any],
) -> Desired:
    namespace = owners[0].namespace
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": dict(marked),
        "annotations": dict(annotations),
        "ownerReferences": [owner(each) for each in owners],
    }
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}
    return Desired(resource, namespace, {**kind, "metadata": metadata, **content})


def config_map(
    observed: Observed,
    reference: Reference | None,
    installation: Installation,
    suspended: str,
    mirror: str = "",
) -> Desired:
    """What the sidecars mount, changed under them as the monitor, the profile or the authorities change."""
    annotations = {names.SUSPENDED_ANNOTATION: suspended} if suspended else {}
    data = {names.MONITOR_KEY: observed.document}
    if installation.bundle:
        data[names.CA_KEY] = installation.bundle.decode()
    if mirror:
        data[names.SHADOW_KEY] = mirror
    if reference is not None and reference.recapture:
        data[names.CAPTURE_KEY] = reference.recapture
    content: dict[str, Any] = {"data": data}
    if reference is not None and reference.there:
        annotations[names.PROFILE_HASH_ANNOTATION] = reference.profile_hash
        content |= _holding(_parts(reference)[0])
    name = names.config_map(observed.name)
    return _object(CONFIG_MAPS, name, [observed], labels(observed.name), annotations, content)


def further_parts(observed: Observed, reference: Reference | None) -> list[Desired]:
    """Beside it, the further parts of a profile that is too large for it.

    Each changes at a moment of its own: a sidecar takes only parts that make up the whole they name.
    """
    if reference is None or not reference.there:
        return []
    own = names.config_map(observed.name)
    parts = _parts(reference)
    called = [names.profile_part(own, number) for number in range(2, len(parts) + 1)]
    return _further(observed, reference, called, parts, {})


def profile_copy(observed: Observed, reference: Reference, made: str) -> list[Desired]:
    """The immutable copy of a profile; its first part comes last, and says when it came into force.

    `made`: RFC 3339.
    """
    name = names.profile_config_map(observed.name, reference.profile_hash)
    parts = _parts(reference)
    fixed = {"immutable": True}
    annotations = {names.PROFILE_HASH_ANNOTATION: reference.profile_hash, names.MADE_ANNOTATION: made}
    if reference.reason is ReferenceReason.CAPTURED:
        annotations[names.CAPTURED_ANNOTATION] = "true"
    content = {**fixed, **_holding(parts[0])}
    first = _object(CONFIG_MAPS, name, [observed], labels(observed.name), annotations, content)
    return [*_further(observed, reference, further_names(name, parts[0]), parts, fixed), first]


def _further(
    observed: Observed,
    reference: Reference,
    called: Sequence[str],
    parts: Sequence[bytes],
    content: Mapping[str, Any],
) -> list[Desired]:
    annotations = {names.PROFILE_HASH_ANNOTATION: reference.profile_hash}
    return [
        _object(
            CONFIG_MAPS,
            name,
            [observed],
            labels(observed.name) | {names.PART_LABEL: str(number)},
            annotations,
            {**content, **_holding(part)},
        )
        for number, (name, part) in enumerate(zip(called, parts[1:], strict=True), start=2)
    ]


def _parts(reference: Reference) -> tuple[bytes, ...]:
    whole = reference.profile
    return (whole,) if len(whole) <= PART_BYTES else split_profile(whole)


def _holding(profile: bytes) -> dict[str, Any]:
    return {"binaryData": {names.PROFILE_KEY: base64.b64encode(profile).decode()}}


def panes(observed: Observed, content: bytes) -> Desired:
    """The fleet's checkpoint: what a controller that takes over goes on with."""
    data = {"binaryData": {names.PANES_KEY: base64.b64encode(content).decode()}}
    name = names.panes_config_map(observed.name)
    return _object(CONFIG_MAPS, name, [observed], labels(observed.name), {}, data)


def token_secret(owners: Sequence[Observed], token: str) -> Desired:
    """The one token of a namespace's sidecars; it goes with the last of its monitors."""
    resource = Resource("", "v1", "secrets", "Secret")
    content = {"data": {names.TOKEN_KEY: base64.b64encode(token.encode()).decode()}}
    return _object(resource, names.TOKEN_SECRET, owners, labels(), {}, content)


def pod_monitor(owners: Sequence[Observed]) -> Desired:
    """How the Prometheus Operator finds every sidecar of a namespace; it goes with the last monitor."""
    # The series name their namespace themselves, and it must not become `exported_namespace`.
    endpoints = [
        {"port": port, "path": "/metrics", "honorLabels": True}
        for port in (names.ADMIN_PORT_NAME, names.HEALTH_PORT_NAME)
    ]
    selector = {"matchLabels": {names.INJECTED_LABEL: "true"}}
    content = {"spec": {"selector": selector, "podMetricsEndpoints": endpoints}}
    return _object(POD_MONITORS, names.POD_MONITOR, owners, labels(), {}, content)
