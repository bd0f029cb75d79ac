"""Helm, a model of three replicas, one monitor: sidecars after a rollout, drift when the traffic drifts."""

from __future__ import annotations

from e2e import scenes
from e2e.conftest import Cluster, eventually


def test_a_monitor_finds_drift_and_only_drift(cluster: Cluster, driftline: str, namespace: str) -> None:
    given = scenes.monitor()
    cluster.apply(namespace, scenes.service(), scenes.deployment())
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/flights", "--timeout=90s")
    assert scenes.sidecars(cluster, namespace) == [False] * 3
    cluster.apply(namespace, scenes.profile(given), given)
    bare = eventually(lambda: cluster.conditions(namespace, "flights").get("Injected"))
    assert (bare["status"], bare["reason"]) == ("False", "StartedEarlier")
    eventually(lambda: cluster.get("", "mutatingwebhookconfigurations", f"driftline-{namespace}"))
    cluster.kubectl("-n", namespace, "rollout", "restart", "deployment/flights")
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/flights", "--timeout=120s")
    # The model ends at once when told to, whatever the Service still sends it: not our matter here.
    eventually(lambda: len(cluster.get(namespace, "pods", "-l", "app=flights")["items"]) == 3)
    assert scenes.sidecars(cluster, namespace) == [True] * 3

    cluster.apply(namespace, scenes.load("usual", rate=30, seconds=50))

    def calm() -> object:
        found = cluster.conditions(namespace, "flights")
        wanted = {"Ready": "True", "DataDrift": "False", "DataQuality": "True"}
        return found if all(found[each]["status"] == is_ for each, is_ in wanted.items()) else None

    found = eventually(calm, 75)
    assert found["DataDrift"]["reason"] == "NoDrift"
    assert found["DataQuality"]["status"] == "True"
    assert found["Injected"]["message"].startswith("3/3 pods")
    status = cluster.get(namespace, "mm", "flights")["status"]
    assert status["pods"] == {"expected": 3, "injected": 3, "outdated": 0}

    def covered() -> bool:
        """Pods that began within a window hadn't counted all of it."""
        windows = cluster.get(namespace, "mm", "flights")["status"]["windows"]
        return all(each.get("coverage", 0) > 0.9 for each in windows)

    eventually(covered, 30)
    said = scenes.loaded(cluster, namespace, "usual", 90)
    assert said["failed"] == 0, said["errors"]
    assert cluster.conditions(namespace, "flights")["DataDrift"]["status"] != "True"

    cluster.apply(namespace, scenes.load("drifted", rate=30, seconds=45, shift=25))

    def drifted() -> object:
        each = cluster.conditions(namespace, "flights")["DataDrift"]
        return each if each["status"] == "True" else None

    alarm = eventually(drifted, 75)
    assert alarm["reason"] == "DriftDetected"
    assert "delay" in alarm["message"]
    status = cluster.get(namespace, "mm", "flights")["status"]
    assert status["worstFeatures"][0]["feature"] == "delay"
    events = cluster.kubectl("-n", namespace, "get", "events", "--field-selector=reason=DriftDetected")
    assert "DataDrift is True" in events
    assert scenes.loaded(cluster, namespace, "drifted", 90)["failed"] == 0
