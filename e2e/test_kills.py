"""What kills sidecars, and what it costs: memory limits exceeded, all processes at once, a pod's end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from e2e import scenes, steps
from e2e.cluster import node
from e2e.conftest import Cluster, eventually

Json = dict[str, Any]

AFTER = 5.0
"""Seconds of traffic after a kill: what it did shows there."""


def limited(container: str, limit: str) -> Json:
    """A monitor's injection that leaves a sidecar little more than it needs."""
    return {container: {"resources": {"requests": {"memory": limit}, "limits": {"memory": limit}}}}


def execute(cluster: Cluster, namespace: str, pod: str, container: str, name: str) -> str:
    """What one of the programs beside this file prints in a container; it may be killed there."""
    program = Path(__file__).with_name(name).read_text()
    command = ("-n", namespace, "exec", pod, "-c", container, "--", "python3", "-c", program)
    return cluster.kubectl(*command, check=False)


def exceed_memory(cluster: Cluster, namespace: str, pod: str, container: str) -> None:
    """Its cgroup's limit, really: the kernel kills."""
    said = execute(cluster, namespace, pod, container, "oom.py")
    assert said == "" or int(said) >= 1, "the kernel killed nothing"


def under_load(cluster: Cluster, namespace: str, **injection: Json) -> list[str]:
    """Two pods with sidecars and steady traffic on them; the pods' names."""
    given = scenes.monitor(injection=injection)
    steps.watched(cluster, namespace, given, scenes.service(), scenes.deployment(2))
    steps.rolled_out(cluster, namespace)
    assert scenes.sidecars(cluster, namespace) == [True] * 2
    cluster.apply(namespace, scenes.load("steady", rate=20))
    eventually(lambda: steps.is_so(cluster, namespace, "Ready"))
    return [each["metadata"]["name"] for each in steps.model_pods(cluster, namespace)]


def test_an_analyzer_out_of_memory_costs_no_request(cluster: Cluster, driftline: str, namespace: str) -> None:
    pod, _ = under_load(cluster, namespace, **limited("analyzer", "128Mi"))
    exceed_memory(cluster, namespace, pod, "driftline-analyzer")

    def restarted() -> Json | None:
        found = steps.sidecar_status(cluster, namespace, pod, "driftline-analyzer")
        return found if found["restartCount"] == 1 and "running" in found["state"] else None

    ended = eventually(restarted)["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    # It counts again: the pod's analyzer answers the controller.
    eventually(lambda: "2/2" in cluster.conditions(namespace)["Injected"]["message"])
    said = steps.stopped(cluster, namespace, "steady")
    assert said["failed"] == 0, said["errors"]
    assert steps.sidecar_status(cluster, namespace, pod, "driftline-proxy")["restartCount"] == 0


def test_a_worker_that_is_killed_costs_what_was_in_flight(
    cluster: Cluster, driftline: str, namespace: str
) -> None:
    """The kernel may take the worker alone (cgroup v1): its supervisor has the socket, and starts another."""
    pod, _ = under_load(cluster, namespace)
    assert execute(cluster, namespace, pod, "driftline-proxy", "kill_worker.py").strip() == "1"
    time.sleep(AFTER)
    said = steps.stopped(cluster, namespace, "steady")
    assert said["failed"] <= 1, said["errors"]
    assert set(said["pods"]) == set(names(cluster, namespace))
    assert steps.sidecar_status(cluster, namespace, pod, "driftline-proxy")["restartCount"] == 0


def test_a_proxy_out_of_memory_is_back_at_once(cluster: Cluster, driftline: str, namespace: str) -> None:
    """Whom the kernel takes is its choice: the worker, the supervisor or both."""
    pod, other = under_load(cluster, namespace, **limited("proxy", "96Mi"))
    exceed_memory(cluster, namespace, pod, "driftline-proxy")
    back_without_harm(cluster, namespace, pod, other)


def names(cluster: Cluster, namespace: str) -> list[str]:
    return [each["metadata"]["name"] for each in steps.model_pods(cluster, namespace)]


def test_a_proxy_killed_whole_is_back_at_once(
    cluster: Cluster, own_node: node.Node, driftline: str, namespace: str
) -> None:
    """As `memory.oom.group` does where the kubelet sets it (cgroup v2): supervisor and worker at once."""
    pod, other = under_load(cluster, namespace)
    before = steps.sidecar_status(cluster, namespace, pod, "driftline-proxy")
    identity = before["containerID"].partition("://")[2]
    own_node.ctr("task", "kill", "--signal", "SIGKILL", identity)

    def back() -> Json | None:
        found = steps.sidecar_status(cluster, namespace, pod, "driftline-proxy")
        return found if found["restartCount"] == 1 and found.get("ready") else None

    assert eventually(back, 30)["lastState"]["terminated"]["exitCode"] == 137
    back_without_harm(cluster, namespace, pod, other)


def back_without_harm(cluster: Cluster, namespace: str, pod: str, other: str) -> None:
    """The pod is ready again; until it listens its share is refused, as a pod that restarts refuses it."""
    cluster.kubectl("-n", namespace, "wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=60s")
    time.sleep(AFTER)
    said = steps.stopped(cluster, namespace, "steady")
    assert steps.connections_only(said), said["errors"]
    assert said["pods"][other] > 0
    restarts = steps.sidecar_status(cluster, namespace, pod, "driftline-proxy")["restartCount"]
    assert restarts <= 1
    if restarts == 0:
        assert said["failed"] <= 1, said["errors"]
    elif said["failures"]:
        lasted = said["failures"][-1][0] - said["failures"][0][0]
        assert lasted < 10, said["failures"]


def test_every_row_of_a_pod_that_ends_is_counted(cluster: Cluster, driftline: str, namespace: str) -> None:
    # One window that holds all of the test, and panes that are longer than it takes a pod to end.
    given = scenes.monitor(windows=["60s", "300s"], pane="20s")
    # New pods are asked once their analyzers listen: nothing waits for one, and what none hears is counted
    # apart (`no_analyzer`).
    slow = {**scenes.container()["readinessProbe"], "initialDelaySeconds": 8}
    lasting = scenes.container(**scenes.LASTING, readinessProbe=slow)
    steps.watched(cluster, namespace, given, scenes.service(), scenes.deployment(2, containers=[lasting]))
    steps.rolled_out(cluster, namespace)
    cluster.apply(namespace, scenes.load("steady", rate=20))
    steps.begun(cluster, namespace, "steady")
    gone = names(cluster, namespace)
    eventually(lambda: cluster.get(namespace, "mm", "flights")["status"].get("rows", 0) > 0, 90)
    # Both pods end while they are asked; what their analyzers hadn't given yet is pushed.
    cluster.kubectl("-n", namespace, "rollout", "restart", "deployment/flights")
    steps.rolled_out(cluster, namespace)
    cluster.kubectl("-n", namespace, "wait", "pod", *gone, "--for=delete", "--timeout=60s")
    said = steps.stopped(cluster, namespace, "steady")
    assert said["failed"] == 0, said["errors"]
    assert set(gone) < set(said["pods"])
    # The last rows' pane has to close, and to be added.
    rows = said["sent"] * 10

    def counted() -> bool:
        assert cluster.get(namespace, "mm", "flights")["status"].get("rows", 0) <= rows
        return bool(cluster.get(namespace, "mm", "flights")["status"].get("rows", 0) == rows)

    eventually(counted, 90)
