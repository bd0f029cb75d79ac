"""The pod template of a candidate: the live one with a patch on it, or one of its own. Pure.

What would bring it live traffic or a sidecar is taken off: the live labels, ports of the host, Driftline's
own annotations. Labels that the candidate's author writes stay: a NetworkPolicy may go by them. A promotion
changes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from driftline.spec.candidate import Candidate, Patch

from driftline_operator import names
from driftline_operator.shadow.merging import BadPatch, Json, merged

_RESTARTED = "kubectl.kubernetes.io/restartedAt"


def patch_of(patch: Patch, model: str) -> Json:
    """The patch as one strategic merge patch of a pod template. `model`: its container by default."""
    fields: Json = {}
    if patch.image is not None:
        fields["image"] = patch.image
    if patch.env:
        # Without the null, a variable that came from a Secret would have two sources.
        fields["env"] = [{"name": each.name, "value": each.value, "valueFrom": None} for each in patch.env]
    if patch.resources is not None:
        fields["resources"] = msgspec.to_builtins(patch.resources)
    whole = dict(patch.template or {})
    if not fields:
        return whole
    container = {"name": patch.container or model, **fields}
    spec = dict(whole.get("spec") or {})
    others = list(spec.get("containers") or [])
    spec["containers"] = [container, *others]
    return {**whole, "spec": spec}


def promotion_patch(live: Mapping[str, Any], candidate: Candidate, model: str) -> Json:
    """What a promotion does to the live template, as a strategic merge patch of it. Raises BadPatch.

    It changes no label. Services, NetworkPolicies and the workload's own selector go by the live ones; those
    that a candidate has tell a shadow from the live model, and what means shadows would mean live pods.
    """
    if candidate.patch is not None:
        patch = _without_labels(patch_of(candidate.patch, model))
    else:
        given: Json = candidate.template or {}
        annotations = (given.get("metadata") or {}).get("annotations")
        patch = {"metadata": {"annotations": annotations}} if annotations else {}
        patch["spec"] = {"$patch": "replace", **given["spec"]}
    if _labels(merged(live, patch)) != _labels(live):
        raise BadPatch("the live labels would go: metadata takes neither null nor $patch nor $retainKeys")
    return patch


def _without_labels(patch: Json) -> Json:
    metadata = patch.get("metadata")
    if not isinstance(metadata, Mapping) or "labels" not in metadata:
        return patch
    kept = {key: value for key, value in metadata.items() if key != "labels"}
    rest = {key: value for key, value in patch.items() if key != "metadata"}
    return {"metadata": kept, **rest} if kept else rest


def _labels(found: Mapping[str, Any]) -> Json:
    return dict((found.get("metadata") or {}).get("labels") or {})


def changed(live: Mapping[str, Any], candidate: Candidate, model: str) -> Json:
    """The live template as a promotion makes it. Raises BadPatch."""
    return merged(live, promotion_patch(live, candidate, model))


def template(live: Mapping[str, Any], candidate: Candidate, model: str, uid: str) -> Json:
    """The candidate's pod template. Raises BadPatch."""
    if candidate.patch is not None:
        made = merged(live, patch_of(candidate.patch, model))
        written: Json = candidate.patch.template or {}
        given = written.get("metadata") or {}
    else:
        made = dict(candidate.template or {})
        given = made.get("metadata") or {}
    labels = {key: value for key, value in (given.get("labels") or {}).items() if isinstance(value, str)}
    own = {names.SHADOW_LABEL: uid, names.INJECT_LABEL: "false"}
    annotations = (made.get("metadata") or {}).get("annotations") or {}
    kept = {key: value for key, value in annotations.items() if not _is_ours(key)}
    metadata = {"labels": {**labels, **own}} | ({"annotations": kept} if kept else {})
    return {"metadata": metadata, "spec": _without_host(made["spec"])}


def _is_ours(key: str) -> bool:
    return key.startswith(f"{names.GROUP}/") or key == _RESTARTED


def _without_host(spec: Mapping[str, Any]) -> Json:
    """At a port of the host it would answer whom the live model answers."""
    found = dict(spec)
    for kind in ("containers", "initContainers"):
        if spec.get(kind):
            found[kind] = [_container(each) for each in spec[kind]]
    return found


def _container(given: Mapping[str, Any]) -> Json:
    if not given.get("ports"):
        return dict(given)
    ports = [{k: v for k, v in port.items() if k not in ("hostPort", "hostIP")} for port in given["ports"]]
    return {**given, "ports": ports}
