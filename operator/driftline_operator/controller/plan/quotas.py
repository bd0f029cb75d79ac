"""Whether ResourceQuotas and LimitRanges admit a pod with its sidecar as they do without. Pure.

As the API server judges (https://kubernetes.io/docs/concepts/policy/resource-quotas/, …/policy/limit-range/).
What a quota leaves is counted over all replicas: so the judgement is the same before, during and after a
rollout.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple

import msgspec

from driftline_operator.cluster.resources import Object
from driftline_operator.injection.amounts import Kind, amount, every, of, says, total
from driftline_operator.injection.pod import Json, containers, init_containers

CPU_LIMIT: Final = "500m"
"""What sidecars get where a quota demands a limit: ten times the CPU that they request by default."""

_COUNTED: Final[Mapping[str, tuple[Kind, str]]] = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}
"""Those that each container must state where a quota has them."""


class Change(NamedTuple):
    """Pods of one form before and after injection, and how many there are to be."""

    before: Json
    after: Json
    pods: int


class _Form(NamedTuple):
    """Pods that a quota counts alike."""

    pod: Mapping[str, Any]
    pods: int


def cpu_limit(quotas: Iterable[Object], ranges: Iterable[Object]) -> str:
    """The CPU limit that sidecars need; empty: none, or a LimitRange gives every container one."""
    given = any(
        "cpu" in (each.get("default") or each.get("max") or {}) for each in _limits(ranges, "Container")
    )
    demanded = any("limits.cpu" in (each["spec"].get("hard") or {}) for each in quotas)
    return CPU_LIMIT if demanded and not given else ""


def refusal(
    changes: Sequence[Change], used: Sequence[Object], quotas: Sequence[Object], ranges: Sequence[Object]
) -> str:
    """Why pods would be refused with the sidecar, and not without it; empty: they wouldn't.

    `used`: the pods there are of these forms, whose share of the quotas' use will be another.
    """
    completed = [
        Change(_defaulted(each.before, ranges), _defaulted(each.after, ranges), each.pods) for each in changes
    ]
    for each in completed:
        if not any(_problems(each.before, quotas, ranges)):  # else it is refused anyway
            for problem in _problems(each.after, quotas, ranges):
                return problem
    forms = _forms(used)
    return next((found for quota in quotas if (found := _without_room(quota, completed, forms))), "")


def _problems(pod: Json, quotas: Iterable[Object], ranges: Iterable[Object]) -> Iterator[str]:
    for limit in _limits(ranges, "Container"):
        for each in every(pod):
            yield from _outside(limit, f"container {each['name']}", _amounts(each))
    for limit in _limits(ranges, "Pod"):
        yield from _outside(limit, "the pod", _totals(pod))
    for quota in quotas:
        if not _applies(quota, pod):
            continue
        for name in sorted(_COUNTED.keys() & (quota["spec"].get("hard") or {}).keys()):
            for each in every(pod):
                if not says(each, *_COUNTED[name]):
                    yield f"ResourceQuota {_name(quota)} demands {name} of container {each['name']}"


def _amounts(container: Mapping[str, Any]) -> dict[tuple[Kind, str], Fraction]:
    return {key: of(container, *key) for key in _COUNTED.values() if says(container, *key)}


def _totals(pod: Json) -> dict[tuple[Kind, str], Fraction]:
    return {
        key: total(pod, *key) for key in _COUNTED.values() if any(says(each, *key) for each in every(pod))
    }


def _outside(limit: Json, what: str, has: Mapping[tuple[Kind, str], Fraction]) -> Iterator[str]:
    """The limits of one LimitRange entry that are broken, as LimitRanger compares."""
    for resource in ("cpu", "memory"):
        request, most = has.get(("requests", resource)), has.get(("limits", resource))
        told = f"{resource} of {what} (LimitRange {limit['of']})"
        if resource in (limit.get("min") or {}):
            least = limit["min"][resource]
            if request is None or request < amount(least) or (most is not None and most < amount(least)):
                yield f"{told} must be at least {least}"
        if resource in (limit.get("max") or {}):
            largest = limit["max"][resource]
            if most is None or most > amount(largest) or (request is not None and request > amount(largest)):
                yield f"{told} must be at most {largest}"
        if resource in (limit.get("maxLimitRequestRatio") or {}):
            ratio = limit["maxLimitRequestRatio"][resource]
            if not request or not most or most / request > amount(ratio):
                yield f"{told}: the limit must be at most {ratio} times the request"


def _limits(ranges: Iterable[Object], kind: str) -> list[Json]:
    found: list[Json] = []
    for each in ranges:
        found += [{**entry, "of": _name(each)} for entry in each["spec"].get("limits") or []]
    return [each for each in found if each.get("type") == kind]


def _defaulted(pod: Json, ranges: Sequence[Object]) -> Json:
    """With the limits and requests that the API server gives to containers that state none."""
    spec = pod["spec"]
    defaults = _limits(ranges, "Container")
    complete = {
        key: [{**each, "resources": _completed(each.get("resources") or {}, defaults)} for each in spec[key]]
        for key in ("containers", "initContainers")
        if spec.get(key)
    }
    return {**pod, "spec": {**spec, **complete}}


def _completed(resources: Json, defaults: Iterable[Json]) -> Json:
    limits = dict(resources.get("limits") or {})
    requests = {**limits, **(resources.get("requests") or {})}
    for each in defaults:
        limits = {**(each.get("default") or {}), **limits}
        requests = {**(each.get("defaultRequest") or {}), **requests}
    return {"limits": limits, "requests": requests}


def _forms(pods: Iterable[Object]) -> list[_Form]:
    """Pods that count alike, once: a fleet's thousand are mostly of one form."""
    found: dict[bytes, _Form] = {}
    for pod in pods:
        asked = [
            [(each.get("resources"), each.get("restartPolicy")) for each in kind]
            for kind in (containers(pod), init_containers(pod))
        ]
        scopes = [pod["spec"].get(name) for name in ("activeDeadlineSeconds", "priorityClassName")]
        key = msgspec.json.encode((asked, scopes))
        found[key] = _Form(pod, found[key].pods + 1 if key in found else 1)
    return list(found.values())


def _without_room(quota: Object, changes: Sequence[Change], used: Sequence[_Form]) -> str:
    """What is lacking once all pods have their sidecar, though without it there would be enough."""
    status = quota.get("status") or {}
    hard, taken = status.get("hard") or {}, status.get("used") or {}
    before = [_Form(each.before, each.pods) for each in changes]
    after = [_Form(each.after, each.pods) for each in changes]
    for name in sorted(_COUNTED.keys() & hard.keys() & taken.keys()):
        others = amount(taken[name]) - _use(quota, name, used)
        if others + _use(quota, name, before) <= amount(hard[name]) < others + _use(quota, name, after):
            return (
                f"ResourceQuota {_name(quota)} has no room for the sidecars' {name} on top of the pods' own"
            )
    return ""


def _use(quota: Object, name: str, forms: Iterable[_Form]) -> Fraction:
    counted = (each.pods * total(each.pod, *_COUNTED[name]) for each in forms if _applies(quota, each.pod))
    return sum(counted, Fraction(0))


def _applies(quota: Object, pod: Mapping[str, Any]) -> bool:
    """Is the pod in all of the quota's scopes?"""
    spec = quota["spec"]
    wanted = [{"scopeName": each, "operator": "Exists"} for each in spec.get("scopes") or []]
    wanted += (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    return all(_in_scope(each, pod) for each in wanted)


def _in_scope(scope: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    ending = pod["spec"].get("activeDeadlineSeconds") is not None
    effort = any(says(each, *key) for each in every(pod) for key in _COUNTED.values())
    match scope["scopeName"]:
        case "Terminating":
            return ending
        case "NotTerminating":
            return not ending
        case "BestEffort":
            return not effort
        case "NotBestEffort":
            return effort
        case "PriorityClass":
            return _has_class(scope, pod["spec"].get("priorityClassName"))
        case _:
            return False


def _has_class(scope: Mapping[str, Any], name: str | None) -> bool:
    match scope.get("operator"):
        case "In":
            return name in scope.get("values", [])
        case "NotIn":
            return name not in scope.get("values", [])
        case "Exists":
            return bool(name)
        case _:
            return not name


def _name(found: Object) -> str:
    return str(found["metadata"]["name"])
