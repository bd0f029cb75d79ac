"""Policies add up: whom all of them together let in to one number of a pod, and not to another."""

from __future__ import annotations

from typing import Any

import pytest
from driftline_operator.controller.plan.policies import cut_off, selects

Json = dict[str, Any]
POD, NAMESPACE = {"app": "census", "tier": "model"}, {"team": "ml"}
GATE: Json = {"podSelector": {"matchLabels": {"app": "gate"}}}


def rule(*ports: Any, peers: list[Json] | None = None) -> Json:
    return {"ports": list(ports), **({"from": peers} if peers else {})}


def policy(name: str, *rules: Json, **fields: Any) -> Json:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": list(rules), **fields}
    return {"metadata": {"name": name}, "spec": spec}


def cut(*policies: Json, numbers: tuple[int, int] = (8080, 15080)) -> str:
    return cut_off(POD, NAMESPACE, "http", numbers, policies)


APP, OWN = {"port": 8080}, {"port": 15080}


def test_a_rule_by_number_alone_would_cut_its_peers_off() -> None:
    assert cut(policy("by-number", rule(APP))) == "by-number"


def test_another_policy_that_lets_in_the_sidecar_is_enough() -> None:
    assert cut(policy("by-number", rule(APP)), policy("sidecar", rule(OWN))) == ""
    assert cut(policy("by-number", rule(APP)), policy("all-ports", rule())) == ""
    assert cut(policy("by-number", rule(APP), rule(OWN))) == ""


def test_it_must_let_in_the_same_peers() -> None:
    assert cut(policy("a", rule(APP)), policy("b", rule(OWN, peers=[GATE]))) == "a"
    assert cut(policy("a", rule(APP, peers=[GATE])), policy("b", rule(OWN))) == ""
    assert cut(policy("a", rule(APP, peers=[GATE])), policy("b", rule(OWN, peers=[GATE]))) == ""
    assert cut(policy("a", rule(APP, peers=[GATE, {"namespaceSelector": {}}])), policy("b", rule(OWN))) == ""
    assert cut(
        policy("a", rule(APP, peers=[GATE, {"namespaceSelector": {}}])), policy("b", rule(OWN, peers=[GATE]))
    ) == ("a")


def test_who_was_not_let_in_before_need_not_be_afterwards() -> None:
    assert cut(policy("isolated")) == ""
    assert cut(policy("metrics-only", rule({"port": 9000}))) == ""
    assert cut(policy("udp", rule({"port": 8080, "protocol": "UDP"}))) == ""


def test_a_name_follows_the_port() -> None:
    assert cut(policy("by-name", rule({"port": "http"}))) == ""
    assert cut(policy("by-number", rule(APP)), policy("by-name", rule({"port": "http"}))) == ""
    assert cut(policy("by-number", rule(APP)), policy("other-name", rule({"port": "rest"}))) == "by-number"


def test_the_second_port_of_a_pod_has_another_number() -> None:
    given = policy("first-only", rule(APP, OWN))
    assert cut(given) == ""
    assert cut(given, numbers=(8080, 15083)) == "first-only"


def test_policies_for_other_pods_and_for_egress_do_not_matter() -> None:
    assert cut(policy("else", rule(APP), podSelector={"matchLabels": {"app": "fares"}})) == ""
    assert cut(policy("egress", rule(APP), policyTypes=["Egress"])) == ""


@pytest.mark.parametrize(
    ("wide", "narrow", "includes"),
    [
        ({"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "10.1.0.0/16"}}, True),
        ({"ipBlock": {"cidr": "10.1.0.0/16"}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}, False),
        ({"ipBlock": {"cidr": "fd00::/8"}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}, False),
        (
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.2.0/24"]}},
            {"ipBlock": {"cidr": "10.1.0.0/16"}},
            False,
        ),
        (
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.2.0/24"]}},
            {"ipBlock": {"cidr": "10.1.0.0/16", "except": ["10.1.2.0/23"]}},
            True,
        ),
        ({"ipBlock": {"cidr": "0.0.0.0/0"}}, GATE, False),
        (GATE, {"ipBlock": {"cidr": "10.0.0.0/8"}}, False),
        ({"podSelector": {}}, GATE, True),
        (GATE, {"podSelector": {}}, False),
        (GATE, {"podSelector": {"matchLabels": {"app": "gate", "tier": "web"}}}, True),
        (
            GATE,
            {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["gate"]}]}},
            True,
        ),
        ({"namespaceSelector": {}}, GATE, True),
        ({"namespaceSelector": {"matchLabels": {"team": "ml"}}}, GATE, True),
        ({"namespaceSelector": {"matchLabels": {"team": "web"}}}, GATE, False),
        (GATE, {"namespaceSelector": {}, **GATE}, False),
        ({"namespaceSelector": {}}, {"namespaceSelector": {"matchLabels": {"team": "web"}}}, True),
        ({"namespaceSelector": {}, **GATE}, {"namespaceSelector": {}}, False),
    ],
)
def test_peers_that_mean_others_too(wide: Json, narrow: Json, includes: bool) -> None:
    found = cut(policy("a", rule(APP, peers=[narrow])), policy("b", rule(OWN, peers=[wide])))
    assert found == ("" if includes else "a")


@pytest.mark.parametrize(
    ("operator", "values", "holds"),
    [
        ("In", ["census"], True),
        ("NotIn", ["census"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_selectors_with_expressions(operator: str, values: list[str], holds: bool) -> None:
    expression = {"key": "app", "operator": operator, "values": values}
    assert selects({"matchExpressions": [expression]}, POD) is holds
