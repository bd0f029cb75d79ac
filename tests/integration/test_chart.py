"""What the chart renders is taken by a real API server, value by value."""

from __future__ import annotations

import subprocess

import pytest
from driftline_operator.cluster.api import Api
from driftline_operator.cluster.resources import Resource

from e2e.cluster.build import helm
from tests.support.charts import CHART, VALUES, Json, documents, render


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


CLUSTER_WIDE = {
    "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
}  # fmt: skip


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


def test_labels_of_the_users_prometheus_are_labels() -> None:
    values = {**VALUES["prometheus-operator"], "extraAnnotations": {"owner": "ml"}}
    found = {
        each["kind"]: each["metadata"] for each in documents(values) if "monitoring" in each["apiVersion"]
    }
    assert found["PodMonitor"]["labels"]["release"] == "prometheus"
    assert found["PodMonitor"]["annotations"] == {"owner": "ml"}
    assert found["PrometheusRule"]["annotations"] == {"owner": "ml"}
