"""Kinds of workloads: a StatefulSet and a Job in a restricted namespace, a numeric port, an autoscaler."""

from __future__ import annotations

import pytest

from e2e import scenes, steps
from e2e.cluster import node
from e2e.conftest import Cluster, eventually


def test_a_restricted_namespace_a_stateful_set_and_a_job(
    cluster: Cluster, driftline: str, namespace: str
) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    stateful = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "flights"},
        "spec": {
            "serviceName": "flights",
            "replicas": 1,
            "selector": {"matchLabels": {"app": "flights"}},
            "template": scenes.template(),
        },
    }
    batch = scenes.container(command=["python", "-c", "print('scored')"])
    batch.pop("readinessProbe")
    pod = scenes.template({"kind": "job"}, containers=[batch], restartPolicy="Never")
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "scores"},
        "spec": {"template": pod},
    }
    steps.watched(cluster, namespace, scenes.monitor(), scenes.service(), stateful, job)
    steps.rolled_out(cluster, namespace, "statefulset/flights")
    cluster.kubectl("-n", namespace, "wait", "job/scores", "--for=condition=Complete", "--timeout=60s")
    pods = cluster.get(namespace, "pods", "-l", "app=flights")["items"]
    assert len(pods) == 2
    for each in pods:
        assert each["metadata"]["annotations"]["driftline.io/injection"] == "Injected", each["metadata"][
            "name"
        ]


def test_a_numeric_port_by_port_swap(cluster: Cluster, driftline: str, namespace: str) -> None:
    given = scenes.monitor(
        endpoint={"port": 8080, "paths": ["/predict"]},
        injection={"mode": "PortSwap", "app": {"port": 8081, "env": "PORT"}},
    )
    steps.watched(cluster, namespace, given, scenes.service(8080), scenes.deployment(1))
    steps.rolled_out(cluster, namespace)
    assert scenes.sidecars(cluster, namespace) == [True]
    cluster.apply(namespace, scenes.load("swapped", rate=20))
    eventually(lambda: cluster.get(namespace, "mm", "flights")["status"].get("rows", 0) > 0)
    said = steps.stopped(cluster, namespace, "swapped")
    assert said["failed"] == 0, said["errors"]


@pytest.fixture
def resource_metrics(cluster: Cluster) -> None:
    """The API by which autoscalers learn what containers use."""
    has = cluster.kubectl("get", "--raw=/apis/metrics.k8s.io/v1beta1", check=False)
    if not has and not cluster.own:
        pytest.skip("the cluster serves no metrics.k8s.io: install metrics-server")
    if not has:
        node.add_metrics_server(node.Node(node.run_directory()))


def test_an_autoscaler_goes_by_the_model_s_container(
    cluster: Cluster, resource_metrics: None, driftline: str, namespace: str
) -> None:
    metric = {
        "type": "ContainerResource",
        "containerResource": {
            "name": "cpu",
            "container": "model",
            "target": {"type": "AverageValue", "averageValue": "8m"},
        },
    }
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "flights"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "flights"},
            "minReplicas": 1,
            "maxReplicas": 2,
            "metrics": [metric],
        },
    }
    model = scenes.deployment(1)
    del model["spec"]["replicas"]  # the autoscaler's
    steps.watched(cluster, namespace, scenes.monitor(), scenes.service(), model, autoscaler)
    steps.rolled_out(cluster, namespace)
    cluster.apply(namespace, scenes.load("steady", rate=40))

    def scaled() -> object:
        found = cluster.get(namespace, "hpa", "flights")["status"]
        return found if found.get("currentReplicas") == 2 else None

    eventually(scaled, 150)
    steps.rolled_out(cluster, namespace)
    assert scenes.sidecars(cluster, namespace) == [True] * 2

    def measured() -> dict[str, str]:
        """Of the model's container alone, by the autoscaler's own account."""
        found = cluster.get(namespace, "hpa", "flights")["status"].get("currentMetrics") or [{}]
        each = found[0].get("containerResource", {})
        return each.get("current", {}) if each.get("container") == "model" else {}

    eventually(lambda: measured().get("averageValue"))
    assert steps.stopped(cluster, namespace, "steady")["failed"] == 0
