"""Kubernetes' strategic merge patch, for pod templates. Pure.

Computed here and not by a dry run of the API server: so a candidate can be planned (and tested) without a
cluster, without the right to change the live workload, and without the say of webhooks that have nothing to
do with it. The integration tests hold the results against the API server's own.

What `kubectl edit` alone writes (`$setElementOrder`, `$deleteFromPrimitiveList`) is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Json = dict[str, Any]

MERGE_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
}
"""Lists of a pod template that are merged item by item; any other takes the patch's place."""

_PATCH: Final = "$patch"
_RETAIN: Final = "$retainKeys"


class BadPatch(Exception):
    """The patch can't be applied; the message says where."""


def merged(original: Mapping[str, Any], patch: Mapping[str, Any], at: str = "") -> Json:
    """A mapping with the patch on it; neither argument changes. Raises BadPatch."""
    how = patch.get(_PATCH)
    if how not in (None, "merge", "replace", "delete"):
        raise BadPatch(f"{at or 'the patch'}: $patch: {how!r} is none of merge, replace and delete")
    if how == "delete":
        return {}
    if how == "replace":  # as it stands: nothing is merged in it, so a port may be there for TCP and UDP
        return {key: value for key, value in patch.items() if key != _PATCH and value is not None}
    found: Json = dict(original)
    for key, value in patch.items():
        if key in (_PATCH, _RETAIN):
            continue
        if key.startswith("$"):
            raise BadPatch(f"{at}{key} is not supported")
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _value(found.get(key), value, key, f"{at}{key}")
    if _RETAIN in patch:
        found = {key: value for key, value in found.items() if key in patch[_RETAIN]}
    return found


def _value(original: Any, patch: Any, key: str, at: str) -> Any:
    if isinstance(patch, Mapping):
        return merged(original if isinstance(original, Mapping) else {}, patch, f"{at}.")
    if key in MERGE_KEYS and isinstance(patch, list):
        return _list(original if isinstance(original, list) else [], patch, MERGE_KEYS[key], at)
    return patch


def _list(original: Sequence[Json], patch: Sequence[Json], key: str, at: str) -> list[Json]:
    for item in patch:
        if not hasattr(item, "get") or (key not in item and item.get(_PATCH) != "replace"):
            raise BadPatch(f"{at}: each item needs {key}")
    if any(item.get(_PATCH) == "replace" and key not in item for item in patch):
        original = []
    gone = {item[key] for item in patch if item.get(_PATCH) == "delete"}
    given = [item for item in patch if key in item and item.get(_PATCH) != "delete"]
    before = {item[key]: item for item in original if item[key] not in gone}
    after = dict(before)
    for item in given:
        after[item[key]] = merged(after.get(item[key], {}), item, f"{at}[{item[key]}].")
    named = list(dict.fromkeys(item[key] for item in given))
    order = _ordered([name for name in before if name not in named], named, list(before))
    return [after[name] for name in order]


def _ordered(kept: Sequence[Any], patched: Sequence[Any], before: Sequence[Any]) -> list[Any]:
    """As the API server puts them: both in their order, and what is new before what isn't patched."""
    kept, patched, found = list(kept), list(patched), []
    while kept and patched:
        known = patched[0] in before
        first = kept if known and before.index(kept[0]) < before.index(patched[0]) else patched
        found.append(first.pop(0))
    return [*found, *kept, *patched]
