"""The rights that the chart asks for are those of the documentation's table, each with its reason."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from tests.support.charts import VALUES, Json, documents
from tests.support.children import REPO
from tests.support.tools import need

CLUSTER_WIDE = {"namespaces", "mutatingwebhookconfigurations", "validatingadmissionpolicybindings"}
OF_THE_CORE = {
    "configmaps", "limitranges", "namespaces", "pods", "resourcequotas", "secrets", "services",
}  # fmt: skip
GROUPS = {
    "": OF_THE_CORE,
    "apps": {"deployments", "statefulsets", "daemonsets", "replicasets"},
    "driftline.io": {
        "modelmonitors", "modelmonitors/status", "shadowdeployments", "shadowdeployments/status",
    },
    "networking.k8s.io": {"networkpolicies"},
    "events.k8s.io": {"events"},
    "monitoring.coreos.com": {"podmonitors"},
    "coordination.k8s.io": {"leases"},
    "cert-manager.io": {"certificates"},
    "admissionregistration.k8s.io": {"mutatingwebhookconfigurations", "validatingadmissionpolicybindings"},
}  # fmt: skip


class Right(NamedTuple):
    """What may be done; `name` empty: with all of them."""

    program: str
    where: str
    resource: str
    name: str
    verb: str


def documented() -> set[Right]:
    """The rows of the table, taken apart."""
    text = (REPO / "docs" / "kubernetes.md").read_text()
    table = text.partition("## Who may do what")[2].partition("\n## ")[0]
    found = set()
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5 or cells[0] in ("program", "---"):
            continue
        program, where, what, verbs, _ = cells
        resources, _, named = what.partition(" named ")
        for resource in re.findall("`([^`]+)`", resources):
            for name in re.findall("`([^`]+)`", named) or [""]:
                found |= {Right(program, where, resource, name, verb) for verb in verbs.split(", ")}
    return found


def rendered(values: Json) -> set[Right]:
    """The rules of all roles, by where their bindings give them."""
    need("go")
    found: set[Right] = set()
    for role in documents(values):
        if role["kind"] not in ("Role", "ClusterRole"):
            continue
        metadata = role["metadata"]
        program = metadata["labels"]["app.kubernetes.io/component"]
        own = role["kind"] == "Role" and "namespace" not in metadata
        for rule in role["rules"]:
            found |= set(_rights(program, own, rule))
    return found


def _rights(program: str, own: bool, rule: Mapping[str, list[str]]) -> Iterator[Right]:
    assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}
    (group,) = rule["apiGroups"]
    for resource in rule["resources"]:
        assert resource in GROUPS[group], (group, resource)
        where = "own" if own else "cluster" if resource in CLUSTER_WIDE else "watched"
        for name in rule.get("resourceNames", [""]):
            for verb in rule["verbs"]:
                assert verb != "*"
                yield Right(program, where, resource, name, verb)


def test_the_table_is_what_is_rendered() -> None:
    certified = {"certificates": {"issuer": "cert-manager"}}
    assert documented() == rendered({}) | rendered({"hub": {"enabled": True}}) | rendered(certified)


@pytest.mark.parametrize("name", VALUES)
def test_no_values_ask_for_more(name: str) -> None:
    """With namespaces, names and places differ; what may be done with what does not grow."""

    def kinds(rights: set[Right]) -> set[tuple[str, str, str]]:
        return {(each.program, each.resource, each.verb) for each in rights}

    assert kinds(rendered(VALUES[name])) <= kinds(documented())


def test_with_namespaces_no_right_reaches_beyond_them() -> None:
    roles = [each for each in documents({"watchNamespaces": ["ml"]}) if each["kind"] == "ClusterRole"]
    assert {one for each in roles for rule in each["rules"] for one in rule["resources"]} == CLUSTER_WIDE
    found = rendered({"watchNamespaces": ["ml"]})
    reaching = [each for each in found if each.where == "cluster"]
    assert {each.resource for each in reaching} == CLUSTER_WIDE
    named = defaultdict(set)
    for each in reaching:
        named[each.resource, each.name].add(each.verb)
    assert named == {
        ("namespaces", "ml"): {"list", "watch"},
        ("mutatingwebhookconfigurations", ""): {"list", "watch", "create"},
        ("mutatingwebhookconfigurations", "driftline-ml"): {"patch", "delete"},
        ("validatingadmissionpolicybindings", "driftline-shadows"): {"get"},
    }


def test_what_isnt_needed_isnt_asked_for() -> None:
    def may(values: Json, resource: str, verb: str) -> bool:
        return any((each.resource, each.verb) == (resource, verb) for each in rendered(values))

    assert may({}, "statefulsets", "patch")
    neither = {"controller": {"allowRestarts": False}, "shadow": {"candidates": False}}
    assert not may(neither, "statefulsets", "patch")
    for verb in ("create", "delete"):
        assert may({}, "deployments", verb)
        assert not may({"shadow": {"candidates": False}}, "deployments", verb)
        assert not may({"shadow": {"candidates": False}}, "services", verb)
    assert not may({"metrics": {"scrape": "annotations"}}, "podmonitors", "list")
    certificates = {"certificates": {"issuer": "cert-manager"}}
    own = {each.verb for each in rendered(certificates) if each.name == "driftline-webhook-certs"}
    assert own == {"list", "watch", "delete"}  # the last is the cleanup's
