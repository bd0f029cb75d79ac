"""Whom NetworkPolicies let in to a port, and whom they would cut off if it moved. Pure.

As Kubernetes has it: policies add up. A pod that any policy selects for ingress is reached by exactly those
peers that some rule of some such policy lets in to that port
(https://kubernetes.io/docs/concepts/services-networking/network-policies/).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from driftline_operator.cluster.resources import Object

Peer = Mapping[str, Any]
EVERYONE: Final[Peer] = {}
"""Of a rule that names no peers; no peer that is written down is empty."""


class _Rule(NamedTuple):
    policy: str
    peers: tuple[Peer, ...]
    ports: tuple[Mapping[str, Any], ...]


def cut_off(
    pod: Mapping[str, str],
    namespace: Mapping[str, str],
    name: str,
    numbers: tuple[int, int],
    policies: Iterable[Object],
) -> str:
    """The policy by which somebody reaches the port now, and no more once it has another number; empty: none.

    `pod`, `namespace`: labels. `name`: the port's, which moves with it. `numbers`: before and after. A peer
    counts as let in afterwards where one rule does so by itself; several that do so together aren't seen.
    """
    rules = list(_rules(pod, policies))
    after = [rule for rule in rules if _means(rule, numbers[1], name)]
    let_in = [peer for rule in after for peer in rule.peers]
    for rule in rules:
        if rule in after or not _means(rule, numbers[0], name):
            continue
        if not all(any(_includes(one, peer, namespace) for one in let_in) for peer in rule.peers):
            return rule.policy
    return ""


def _rules(pod: Mapping[str, str], policies: Iterable[Object]) -> Iterator[_Rule]:
    for policy in policies:
        spec = policy["spec"]
        if "Ingress" not in (spec.get("policyTypes") or ["Ingress"]):
            continue
        if not selects(spec.get("podSelector") or {}, pod):
            continue
        for rule in spec.get("ingress") or []:
            peers = tuple(rule.get("from") or [EVERYONE])
            yield _Rule(policy["metadata"]["name"], peers, tuple(rule.get("ports") or []))


def _means(rule: _Rule, number: int, name: str) -> bool:
    return not rule.ports or any(_covers(port, number, name) for port in rule.ports)


def _covers(port: Mapping[str, Any], number: int, name: str) -> bool:
    """Does a policy's port mean that one of the pod's? A name follows the port to its number."""
    if port.get("protocol", "TCP") != "TCP":
        return False
    first = port.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        return first == name
    return int(first) <= number <= int(port.get("endPort", first))


def _includes(wide: Peer, narrow: Peer, namespace: Mapping[str, str]) -> bool:
    """Is everybody whom `narrow` means also meant by `wide`? False where that can't be told."""
    if wide in (EVERYONE, narrow):
        return True
    if "ipBlock" in wide or "ipBlock" in narrow:
        return _block_includes(wide.get("ipBlock") or {}, narrow.get("ipBlock") or {})
    if narrow == EVERYONE:
        return False
    return _place_includes(wide, narrow, namespace) and _implies(
        narrow.get("podSelector") or {}, wide.get("podSelector") or {}
    )


def _place_includes(wide: Peer, narrow: Peer, namespace: Mapping[str, str]) -> bool:
    """Of the namespaces; without a selector the policy's own is meant."""
    of_wide, of_narrow = wide.get("namespaceSelector"), narrow.get("namespaceSelector")
    if of_wide is None:
        return of_narrow is None
    return selects(of_wide, namespace) if of_narrow is None else _implies(of_narrow, of_wide)


def _block_includes(wide: Mapping[str, Any], narrow: Mapping[str, Any]) -> bool:
    try:
        outer, inner = (ipaddress.ip_network(each["cidr"], strict=False) for each in (wide, narrow))
        holes = [ipaddress.ip_network(each, strict=False) for each in wide.get("except") or []]
        kept = [ipaddress.ip_network(each, strict=False) for each in narrow.get("except") or []]
    except (KeyError, ValueError):
        return False
    return _within(inner, outer) and not any(
        hole.overlaps(inner) and not any(_within(hole, each) for each in kept) for hole in holes
    )


def _within(inner: Any, outer: Any) -> bool:
    return inner.version == outer.version and bool(inner.subnet_of(outer))


def _implies(narrow: Mapping[str, Any], wide: Mapping[str, Any]) -> bool:
    """Does whatever meets the one selector meet the other? Told by the requirements, not by what there is."""
    return _requirements(wide) <= _requirements(narrow)


def _requirements(selector: Mapping[str, Any]) -> set[tuple[str, str, tuple[str, ...]]]:
    equal = {(key, "In", (value,)) for key, value in (selector.get("matchLabels") or {}).items()}
    return equal | {
        (each["key"], each["operator"], tuple(sorted(each.get("values") or [])))
        for each in selector.get("matchExpressions") or []
    }


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Does a label selector, as JSON has it, mean these labels? The empty one means all."""
    return all(_meets(*requirement, labels) for requirement in _requirements(selector))


def _meets(key: str, operator: str, values: tuple[str, ...], labels: Mapping[str, str]) -> bool:
    value = labels.get(key)
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
