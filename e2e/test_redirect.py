"""Redirect, the last resort: a model that everything finds by number, which is monitored all the same."""

from __future__ import annotations

from typing import Any

from e2e import scenes
from e2e.conftest import Cluster, eventually

MODE: dict[str, Any] = {"endpoint": {"port": 8080, "paths": ["/predict"]}, "injection": {"mode": "Redirect"}}


def by_number(replicas: int) -> dict[str, Any]:
    """A port without name, probes by its number."""
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
    # On a busy machine an answer may take seconds: that must not end the model in the middle of the load.
    patient = {**probe, "timeoutSeconds": 10, "failureThreshold": 10}
    model = scenes.container(ports=[{"containerPort": 8080}], readinessProbe=probe, livenessProbe=patient)
    return scenes.deployment(replicas, containers=[model])


def injected(cluster: Cluster, namespace: str) -> dict[str, str]:
    return cluster.conditions(namespace, "flights").get("Injected", {})


def test_a_model_found_by_number_is_monitored_until_the_namespace_forbids_it(
    cluster: Cluster, driftline: str, namespace: str
) -> None:
    given = scenes.monitor(**MODE)
    cluster.apply(namespace, scenes.profile(given), given)
    entry = ("get", "mutatingwebhookconfigurations", f"driftline-{namespace}", "-o", "name")
    eventually(lambda: cluster.kubectl(*entry, check=False))
    cluster.apply(namespace, scenes.service(8080), by_number(2))
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/flights", "--timeout=120s")
    for pod in cluster.get(namespace, "pods", "-l", "app=flights")["items"]:
        first = pod["status"]["initContainerStatuses"][0]
        assert (first["name"], first["state"]["terminated"]["exitCode"]) == ("driftline-redirect", 0)
        assert pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] == 15083
    cluster.apply(namespace, scenes.load("redirected", rate=20, seconds=20))
    said = scenes.loaded(cluster, namespace, "redirected", 90)
    assert said["failed"] == 0, said["errors"]
    eventually(lambda: cluster.get(namespace, "mm", "flights")["status"].get("rows", 0) > 200)
    assert eventually(lambda: injected(cluster, namespace))["status"] == "True"

    # A level that takes no NET_ADMIN: the entry goes before a pod is refused, and the model goes on without.
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline")
    eventually(lambda: injected(cluster, namespace)["reason"] == "PodSecurity")
    eventually(lambda: not cluster.kubectl(*entry, check=False))
    cluster.kubectl("-n", namespace, "rollout", "restart", "deployment/flights")
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/flights", "--timeout=120s")
    eventually(lambda: scenes.sidecars(cluster, namespace) == [False] * 2)
