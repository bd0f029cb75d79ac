"""Helm, a model of three replicas, one monitor: sidecars after a rollout, drift when the traffic drifts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import prometheus, scenes, steps
from e2e.cluster import node
from e2e.conftest import Cluster, eventually
from e2e.prometheus import Prometheus


@pytest.fixture
def scraping(own_node: node.Node, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that finds the pods by itself."""
    with prometheus.running(own_node, tmp_path) as found:
        yield found


def monitored_model(cluster: Cluster, namespace: str, replicas: int) -> None:
    """Pods first, then the monitor, then a rollout: as a user would come to it."""
    given = scenes.monitor()
    cluster.apply(namespace, scenes.service(), scenes.deployment(replicas))
    steps.rolled_out(cluster, namespace)
    assert scenes.sidecars(cluster, namespace) == [False] * replicas
    cluster.apply(namespace, scenes.profile(given))
    # As the docs have it: client-side, which leaves an annotation of its own.
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(given))
    bare = eventually(lambda: steps.is_so(cluster, namespace, "Injected", "False"))
    assert bare["reason"] == "StartedEarlier"
    entry = ("get", "mutatingwebhookconfigurations", f"driftline-{namespace}", "-o", "name")
    eventually(lambda: cluster.kubectl(*entry, check=False))
    cluster.kubectl("-n", namespace, "rollout", "restart", "deployment/flights")
    steps.rolled_out(cluster, namespace)
    # The model ends at once when told to, whatever the Service still sends it: not our matter here.
    eventually(lambda: len(cluster.get(namespace, "pods", "-l", "app=flights")["items"]) == replicas)
    assert scenes.sidecars(cluster, namespace) == [True] * replicas


def test_a_monitor_finds_drift_and_only_drift(cluster: Cluster, driftline: str, namespace: str) -> None:
    monitored_model(cluster, namespace, 3)
    cluster.apply(namespace, scenes.load("usual", rate=30))

    def calm() -> object:
        found = cluster.conditions(namespace)
        wanted = {"Ready": "True", "DataDrift": "False", "DataQuality": "True"}
        return found if all(found[each]["status"] == is_ for each, is_ in wanted.items()) else None

    found = eventually(calm, 75)
    assert found["DataDrift"]["reason"] == "NoDrift"
    assert found["Injected"]["message"].startswith("3/3 pods")
    status = cluster.get(namespace, "mm", "flights")["status"]
    assert status["pods"] == {"expected": 3, "injected": 3, "outdated": 0}

    def covered() -> bool:
        """Pods that began within a window hadn't counted all of it."""
        windows = cluster.get(namespace, "mm", "flights")["status"]["windows"]
        return all(each.get("coverage", 0) > 0.9 for each in windows)

    eventually(covered, 30)
    assert cluster.conditions(namespace)["DataDrift"]["status"] == "False"
    said = steps.stopped(cluster, namespace, "usual")
    assert said["failed"] == 0, said["errors"]
    assert len(said["pods"]) == 3, "every pod has had its share"

    cluster.apply(namespace, scenes.load("drifted", rate=30, shift=25))
    alarm = eventually(lambda: steps.is_so(cluster, namespace, "DataDrift"), 75)
    assert alarm["reason"] == "DriftDetected"
    assert "delay" in alarm["message"]
    status = cluster.get(namespace, "mm", "flights")["status"]
    assert status["worstFeatures"][0]["feature"] == "delay"
    events = cluster.kubectl("-n", namespace, "get", "events", "--field-selector=reason=DriftDetected")
    assert "DataDrift is True" in events
    assert steps.stopped(cluster, namespace, "drifted")["failed"] == 0


def test_prometheus_scrapes_the_pods_and_the_fleet(
    cluster: Cluster, scraping: Prometheus, driftline: str, namespace: str
) -> None:
    steps.watched(cluster, namespace, scenes.monitor(), scenes.service(), scenes.deployment(2))
    steps.rolled_out(cluster, namespace)
    cluster.apply(namespace, scenes.load("usual", rate=30))
    pods = {each["metadata"]["name"] for each in steps.model_pods(cluster, namespace)}
    ours = f'namespace="{namespace}",monitor="flights"'

    def of_pods(expression: str) -> bool:
        """Has every pod, and nobody else, that series?"""
        return {each["metric"]["pod"] for each in scraping.query(expression)} == pods

    # The proxy's supervisor and the analyzer: two ports of each pod.
    eventually(lambda: of_pods(f'modelmonitor_requests_total{{{ours},code="200"}} > 0'))
    eventually(lambda: of_pods(f"modelmonitor_rows_total{{{ours}}} > 0"))
    drift = 'feature="delay",test="psi",window="20s"'
    eventually(lambda: of_pods(f"modelmonitor_feature_drift{{{ours},{drift}}}"))
    eventually(lambda: scraping.value(f'modelmonitor_fleet_pods{{{ours},state="answered"}}') == 2)
    psi = eventually(lambda: scraping.query(f"modelmonitor_fleet_feature_drift{{{ours},{drift}}}"))
    assert float(psi[0]["value"][1]) < 0.1, "undrifted traffic"
    said = steps.stopped(cluster, namespace, "usual")
    assert said["failed"] == 0, said["errors"]

    def counted() -> bool:
        """Every request that was sent, and the load's one look at the health page before it began."""
        return bool(scraping.value(f'sum(modelmonitor_requests_total{{{ours},code="200"}})') == said["sent"])

    eventually(counted, 20)
    assert not scraping.query(f'up{{pod=~"{"|".join(pods)}"}} == 0')
