"""The pod template of a candidate: the live one with a patch on it, or one of its own. Pure.

What would bring it live traffic or a sidecar is taken off: the live labels, ports of the host, Driftline's
own annotations. Labels that the candidate's author writes stay: a NetworkPolicy may go by them. A promotion
changes none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    that a candidate has tell a shadow from the live model, and what means shadows would mean live pods. Nor
    does it change annotations that Driftline reads: a candidate has none, and live pods stay monitored.
    """
    if candidate.patch is not None:
        patch = _without_own(_without_labels(patch_of(candidate.patch, model)))
    else:
        given: Json = candidate.template or {}
        annotations = (given.get("metadata") or {}).get("annotations")
        patch = _without_own({"metadata": {"annotations": annotations}}) if annotations else {}
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


def _without_own(patch: Json) -> Json:
    metadata = patch.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(
        annotations := metadata.get("annotations"), Mapping
    ):
        return patch
    kept = {key: value for key, value in annotations.items() if not _is_ours(key)}
    return {**patch, "metadata": {**metadata, "annotations": kept}}


def _labels(found: Mapping[str, Any]) -> Json:
    return dict((found.get("metadata") or {}).get("labels") or {})


def changed(live: Mapping[str, Any], candidate: Candidate, model: str) -> Json:
    """The live template as a promotion makes it. Raises BadPatch."""
    return merged(live, promotion_patch(live, candidate, model))


def template(live: Mapping[str, Any], candidate: Candidate, model: str, uid: str) -> Json:
    """The candidate's pod template. Raises BadPatch."""
    if candidate.patch is not None:
        _check_container(live, candidate.patch)
        made = merged(live, patch_of(candidate.patch, model))
        _check_added(live, made)
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


def note(live: Mapping[str, Any], candidate: Candidate, model: str) -> str:
    """What a person should know of a patch that can be applied; empty: nothing. Raises BadPatch."""
    if candidate.patch is None:
        return ""
    made = merged(live, patch_of(candidate.patch, model))
    if made["spec"] == live["spec"]:
        return "the patch changes nothing that they run: the live model is compared with itself (A/A)"
    added = [*_added(live, made, "initContainers"), *_added(live, made, "containers")]
    return f"beside the live pods' containers they run {', '.join(added)}" if added else ""


def _check_container(live: Mapping[str, Any], patch: Patch) -> None:
    """A misspelt name would add a container, and the live image would answer beside itself."""
    known = _named(live, "containers")
    if patch.container is not None and patch.container not in known:
        raise BadPatch(f"candidate.patch.container: {_no_such([patch.container], known)}")


def _check_added(live: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """A container more is meant only where one that is there changes, too.

    Else its name is misspelt, or there is nothing to be compared.
    """
    known, now = _named(live, "containers"), _named(made, "containers")
    added = _added(live, made, "containers")
    if added and all(now.get(name) == each for name, each in known.items()):
        raise BadPatch(
            f"candidate.patch.template: {_no_such(added, known)}, and those are left as they are: the live "
            "model would be compared with itself. To run more beside it, write candidate.template"
        )


def _no_such(given: Iterable[str], known: Iterable[str]) -> str:
    quoted = " or ".join(f'"{each}"' for each in given)
    return f"the live pods have no container {quoted} (there are: {', '.join(known)})"


def _added(live: Mapping[str, Any], made: Mapping[str, Any], kind: str) -> list[str]:
    known = _named(live, kind)
    return [name for name in _named(made, kind) if name not in known]


def _named(template: Mapping[str, Any], kind: str) -> dict[str, Json]:
    return {each["name"]: each for each in template["spec"].get(kind) or []}


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
