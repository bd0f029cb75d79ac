"""What happens to pods: injectors away, pods that end, sidecars that are killed, kinds of workloads."""

from __future__ import annotations

import json
from typing import Any

from e2e import scenes
from e2e.conftest import Cluster, eventually


def watched(cluster: Cluster, namespace: str, given: dict[str, Any], *more: dict[str, Any]) -> None:
    """The monitor first, and its webhook entry in force before the model's pods come."""
    cluster.apply(namespace, scenes.profile(given), given)
    eventually(
        lambda: cluster.kubectl(
            "get", "mutatingwebhookconfigurations", f"driftline-{namespace}", "-o", "name", check=False
        )
    )
    eventually(
        lambda: cluster.conditions(namespace, "flights").get("ReferenceReady", {}).get("status") == "True"
    )
    cluster.kubectl("-n", namespace, "get", "pods")
    cluster.apply(namespace, *more)


def status_of(cluster: Cluster, namespace: str, aspect: str) -> str:
    return cluster.conditions(namespace, "flights").get(aspect, {}).get("status", "")


def rolled_out(cluster: Cluster, namespace: str, what: str = "deployment/flights") -> None:
    cluster.kubectl("-n", namespace, "rollout", "status", what, "--timeout=120s")


def test_pods_that_start_while_no_injector_answers_are_mended_on_request(
    cluster: Cluster, driftline: str, namespace: str
) -> None:
    given = scenes.monitor()
    cluster.apply(namespace, scenes.profile(given), given)
    eventually(lambda: cluster.conditions(namespace, "flights").get("Injected"))
    scale = ("-n", driftline, "scale", "deployment/driftline-injector")
    cluster.kubectl(*scale, "--replicas=0")
    try:
        gone = ("-n", driftline, "wait", "pod", "-l", "app.kubernetes.io/component=injector", "--for=delete")
        cluster.kubectl(*gone, "--timeout=60s")
        cluster.apply(namespace, scenes.service(), scenes.deployment(2))
        rolled_out(cluster, namespace)
        assert scenes.sidecars(cluster, namespace) == [False] * 2
    finally:
        cluster.kubectl(*scale, "--replicas=2")
    rolled_out_injectors = ("-n", driftline, "rollout", "status", "deployment/driftline-injector")
    cluster.kubectl(*rolled_out_injectors, "--timeout=60s")
    found = eventually(lambda: cluster.conditions(namespace, "flights").get("Injected"))
    assert (found["status"], found["reason"]) == ("False", "StartedEarlier")
    assert found["message"].startswith("0/2 pods")
    cluster.apply(namespace, scenes.monitor(injection={"restart": "OnChange"}))
    eventually(lambda: scenes.sidecars(cluster, namespace) == [True] * 2, 90)
    eventually(lambda: cluster.conditions(namespace, "flights")["Injected"]["reason"] == "AllInjected")


def test_killed_sidecars_cost_no_request_and_a_pod_that_ends_delivers_its_last_pane(
    cluster: Cluster, driftline: str, namespace: str
) -> None:
    # A window of a minute: rows of a pod that has gone stay in it.
    given = scenes.monitor(windows=["20s", "60s"], pane="10s")
    watched(cluster, namespace, given, scenes.service(), scenes.deployment(2))
    rolled_out(cluster, namespace)
    assert scenes.sidecars(cluster, namespace) == [True] * 2
    cluster.apply(namespace, scenes.load("steady", rate=20, seconds=40))
    names = [
        each["metadata"]["name"] for each in cluster.get(namespace, "pods", "-l", "app=flights")["items"]
    ]
    eventually(lambda: cluster.conditions(namespace, "flights")["Ready"]["status"] == "True", 60)
    # As the kernel ends a process that has used up its memory: the analyzer of one pod.
    cluster.kubectl(
        "-n", namespace, "exec", names[0], "-c", "driftline-analyzer", "--", "python3", "-c",
        "import os, signal; os.kill(1, signal.SIGTERM)",
    )  # fmt: skip
    eventually(lambda: restarts(cluster, namespace, names[0]).get("driftline-analyzer") == 1)
    assert scenes.loaded(cluster, namespace, "steady", 90)["failed"] == 0
    # One pod ends: what its analyzer hadn't given yet is pushed.
    cluster.kubectl("-n", namespace, "delete", "pod", names[1], "--wait=true", "--timeout=60s")
    logs = cluster.kubectl(
        "-n", driftline, "logs", "-l", "app.kubernetes.io/component=controller", "--tail=-1"
    )
    assert "Traceback" not in logs, logs[-3000:]


def restarts(cluster: Cluster, namespace: str, pod: str) -> dict[str, int]:
    """Of its sidecars."""
    found = cluster.get(namespace, "pod", pod)["status"].get("initContainerStatuses", [])
    return {each["name"]: each["restartCount"] for each in found}


def test_a_rollout_under_load_loses_no_request(cluster: Cluster, driftline: str, namespace: str) -> None:
    given = scenes.monitor()
    # A model that goes on serving until the Service has forgotten it, as rollouts without loss need anyway.
    lasting = scenes.deployment(2)
    spec = lasting["spec"]["template"]["spec"]
    spec["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 5}}}
    watched(cluster, namespace, given, scenes.service(), lasting)
    rolled_out(cluster, namespace)
    cluster.apply(namespace, scenes.load("during", rate=20, seconds=45))
    eventually(lambda: cluster.get(namespace, "pod", "during")["status"]["phase"] == "Running")
    cluster.kubectl("-n", namespace, "rollout", "restart", "deployment/flights")
    rolled_out(cluster, namespace)
    said = scenes.loaded(cluster, namespace, "during", 90)
    assert said["sent"] > 500
    assert said["failed"] == 0, said["errors"]
    assert scenes.sidecars(cluster, namespace) == [True] * 2


def test_a_restricted_namespace_a_stateful_set_and_a_job(
    cluster: Cluster, driftline: str, namespace: str
) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    template = scenes.deployment()["spec"]["template"]
    stateful = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "flights"},
        "spec": {
            "serviceName": "flights",
            "replicas": 1,
            "selector": {"matchLabels": {"app": "flights"}},
            "template": template,
        },
    }
    batch = scenes.container(command=["python", "-c", "print('scored')"])
    batch.pop("readinessProbe")
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "scores"},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "flights", "kind": "job"}},
                "spec": {"restartPolicy": "Never", "containers": [batch]},
            }
        },
    }
    watched(cluster, namespace, scenes.monitor(), scenes.service(), stateful, job)
    rolled_out(cluster, namespace, "statefulset/flights")
    cluster.kubectl("-n", namespace, "wait", "job/scores", "--for=condition=Complete", "--timeout=60s")
    pods = cluster.get(namespace, "pods", "-l", "app=flights")["items"]
    assert len(pods) == 2
    for pod in pods:
        assert pod["metadata"]["annotations"]["driftline.io/injection"] == "Injected", pod["metadata"]["name"]


def test_a_numeric_port_by_port_swap(cluster: Cluster, driftline: str, namespace: str) -> None:
    given = scenes.monitor(
        endpoint={"port": 8080, "paths": ["/predict"]},
        injection={"mode": "PortSwap", "app": {"port": 8081, "env": "PORT"}},
    )
    watched(cluster, namespace, given, scenes.service(8080), scenes.deployment(1))
    rolled_out(cluster, namespace)
    assert scenes.sidecars(cluster, namespace) == [True]
    cluster.apply(namespace, scenes.load("swapped", rate=20, seconds=15))
    said = scenes.loaded(cluster, namespace, "swapped", 60)
    assert said["failed"] == 0, said["errors"]
    eventually(lambda: cluster.get(namespace, "mm", "flights")["status"].get("rows", 0) > 0)


def test_a_sidecar_that_cannot_start_suspends_the_injection(
    cluster: Cluster, driftline: str, namespace: str
) -> None:
    # Less memory than the interpreter needs: it is killed again and again.
    given = scenes.monitor(
        injection={"proxy": {"resources": {"limits": {"memory": "6Mi"}, "requests": {"memory": "6Mi"}}}}
    )
    watched(cluster, namespace, given, scenes.service(), scenes.deployment(1))
    found = eventually(
        lambda: (
            each
            if (each := cluster.conditions(namespace, "flights")["Injected"])["reason"]
            == "InjectionSuspended"
            else None
        ),
        150,
    )
    assert "driftline-proxy" in found["message"]
    cluster.kubectl("-n", namespace, "delete", "pods", "-l", "app=flights", "--wait=false")
    rolled_out(cluster, namespace)
    assert scenes.sidecars(cluster, namespace) == [False]


def test_uninstall_leaves_models_running_and_nothing_of_its_own(
    cluster: Cluster, driftline: str, namespace: str
) -> None:
    watched(cluster, namespace, scenes.monitor(), scenes.service(), scenes.deployment(1))
    rolled_out(cluster, namespace)
    assert "ok" in cluster.helm("test", "driftline", "-n", driftline, "--logs", check=False)
    cluster.helm("uninstall", "driftline", "-n", driftline, "--wait")
    assert cluster.get("", "mutatingwebhookconfigurations")["items"] == []

    def left() -> list[str]:
        listed = cluster.kubectl("-n", driftline, "get", "all,secrets,leases,pdb", "-o", "json")
        return [each["metadata"]["name"] for each in json.loads(listed)["items"]]

    eventually(lambda: not left())  # pods are given their grace period
    assert cluster.get(namespace, "mm", "flights")["metadata"]["name"] == "flights"
    cluster.apply(namespace, scenes.load("after", rate=20, seconds=5))
    assert scenes.loaded(cluster, namespace, "after", 60)["failed"] == 0
