"""What the chart renders is taken by a real API server, value by value."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from driftline_operator.cluster.api import Api
from driftline_operator.cluster.resources import Resource

from e2e.cluster.build import helm, kubernetes_version

CHART = Path(__file__).parents[2] / "charts" / "driftline"
Json = dict[str, Any]

VALUES: dict[str, Json] = {
    "defaults": {},
    "some namespaces": {"watchNamespaces": ["ml", "risk"]},
    "one replica": {"controller": {"replicas": 1}, "injector": {"replicas": 1}},
    "no injection": {"injection": {"enabled": False, "failurePolicy": "Fail"}},
    "network policies": {
        "networkPolicy": {
            "enabled": True,
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
        }
    },
    "prometheus operator": {
        "metrics": {
            "scrape": "podmonitor",
            "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True},
        }
    },
    "cert-manager": {"certificates": {"issuer": "cert-manager"}},
    "an issuer": {
        "certificates": {
            "issuer": "cert-manager",
            "certManager": {"issuerRef": {"name": "ca", "kind": "ClusterIssuer"}},
        }
    },
    "a private registry": {
        "image": {"registry": "registry.example.com/mirror/", "pullSecrets": [{"name": "regcred"}]},
        "sidecar": {"pullSecrets": ["regcred"], "image": {"digest": "sha256:" + "0" * 64}},
    },
    "labels and annotations": {
        "extraLabels": {"team": "ml"},
        "extraAnnotations": {"owner": "ml@example.com"},
        "controller": {"podAnnotations": {"a": "b"}, "serviceAccount": {"annotations": {"role": "x"}}},
    },
    "scheduling": {
        "injector": {
            "hostNetwork": True,
            "port": 10250,
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"pool": "system"},
            "tolerations": [{"key": "a", "operator": "Exists"}],
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
            ],
        }
    },
    "no definitions": {"crds": {"install": False}},
    "definitions that go": {"crds": {"keep": False}},
    "no restarts": {"controller": {"allowRestarts": False}},
}


def render(values: Json, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(helm()), "template", "driftline", str(CHART), "--namespace", "driftline-system"]
    command += ["--kube-version", kubernetes_version(), "--values", "-", *options]
    return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)


def documents(values: Json) -> list[Json]:
    done = render(values)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def test_helm_finds_nothing_to_say() -> None:
    done = subprocess.run(
        [str(helm()), "lint", "--strict", str(CHART)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


@pytest.mark.parametrize("name", VALUES)
async def test_the_api_server_takes_what_is_rendered(api: Api, name: str) -> None:
    checked = 0
    for document in documents(VALUES[name]):
        group, _, version = document["apiVersion"].rpartition("/")
        kind = str(document["kind"])
        resource = Resource(group, version, _plural(kind), kind, kind not in CLUSTER_WIDE)
        if group in ("cert-manager.io", "monitoring.coreos.com"):
            assert not await api.serves(resource)  # their operators aren't installed here
            continue
        namespace = "default" if resource.namespaced else None
        document["metadata"].pop("namespace", None)
        await api.apply(resource, namespace, document, dry_run=True)
        checked += 1
    assert checked >= 15


CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}


def _plural(kind: str) -> str:
    return kind.lower()[:-1] + "ies" if kind.endswith("y") else kind.lower() + "s"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"injection": {"failurePolicy": "Perhaps"}}, "failurePolicy"),
        ({"controler": {"replicas": 2}}, "controler"),
        ({"controller": {"replicas": 0}}, "replicas"),
        ({"watchNamespaces": ["Not A Name"]}, "watchNamespaces"),
    ],
)
def test_wrong_values_are_refused(values: Json, said: str) -> None:
    done = render(values)
    assert done.returncode != 0
    assert said in done.stderr


def test_older_clusters_are_refused() -> None:
    command = [str(helm()), "template", "driftline", str(CHART), "--kube-version", "1.28.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "1.29" in done.stderr


def test_every_pod_fits_the_restricted_level() -> None:
    pods = [
        each["spec"]["template"]["spec"] for each in documents({}) if each["kind"] in ("Deployment", "Job")
    ]
    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])


def test_with_namespaces_no_right_reaches_beyond_them() -> None:
    roles = [each for each in documents({"watchNamespaces": ["ml"]}) if each["kind"] == "ClusterRole"]
    rules = [rule for role in roles for rule in role["rules"] if "cleanup" not in role["metadata"]["name"]]
    reached = {resource for rule in rules for resource in rule["resources"]}
    assert reached == {"namespaces", "mutatingwebhookconfigurations"}


def test_labels_of_the_users_prometheus_are_labels() -> None:
    values = {**VALUES["prometheus operator"], "extraAnnotations": {"owner": "ml"}}
    found = {
        each["kind"]: each["metadata"] for each in documents(values) if "monitoring" in each["apiVersion"]
    }
    assert found["PodMonitor"]["labels"]["release"] == "prometheus"
    assert found["PodMonitor"]["annotations"] == {"owner": "ml"}
    assert found["PrometheusRule"]["annotations"] == {"owner": "ml"}
