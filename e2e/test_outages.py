"""Parts of the installation or of the cluster that are away: what goes on, and what comes back."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e import scenes, steps
from e2e.cluster import node
from e2e.conftest import Cluster, eventually, install
from e2e.turns import Turn

Json = dict[str, Any]


@contextmanager
def no_injectors(cluster: Cluster, system: str) -> Iterator[None]:
    """None runs."""
    scale = ("-n", system, "scale", "deployment/driftline-injector")
    cluster.kubectl(*scale, "--replicas=0")
    try:
        pods = ("-n", system, "wait", "pod", "-l", "app.kubernetes.io/component=injector")
        cluster.kubectl(*pods, "--for=delete", "--timeout=60s")
        yield
    finally:
        cluster.kubectl(*scale, "--replicas=2")
        steps.rolled_out(cluster, system, "deployment/driftline-injector")


def unanswered(cluster: Cluster, namespace: str) -> int:
    """How often the API server asked a webhook of that namespace in vain, and let the pod in."""
    counts = re.findall(
        rf'apiserver_admission_webhook_fail_open_count{{name="[^"]*\.{namespace}\.inject[^}}]*}} (\d+)',
        cluster.kubectl("get", "--raw=/metrics"),
    )
    return sum(map(int, counts))


def bystander(name: str) -> Json:
    """A pod of the same namespace that no monitor selects."""
    pod = scenes.load(name, rate=1, seconds=1)
    pod["metadata"]["labels"] = {"app": "bystander"}
    return pod


def created(cluster: Cluster, namespace: str, name: str) -> tuple[float, str]:
    """Seconds that the quickest of three creations took, and what the API server warned of."""
    took, warnings = [], ""
    for number in range(3):
        manifest = json.dumps(bystander(f"{name}-{number}"))
        began = time.monotonic()
        warnings += cluster.kubectl_and_warnings("-n", namespace, "create", "-f", "-", stdin=manifest)[1]
        took.append(time.monotonic() - began)
    return min(took), warnings


def test_pods_that_start_while_no_injector_answers_are_mended_on_request(
    cluster: Cluster, installation: Turn, driftline: str, namespace: str
) -> None:
    steps.watched(cluster, namespace, scenes.monitor())
    with installation.alone():
        usual, _ = created(cluster, namespace, "before")
        with no_injectors(cluster, driftline):
            seconds, warned = created(cluster, namespace, "meanwhile")
            # Nobody was asked about it: no warning, no delay.
            assert unanswered(cluster, namespace) == 0
            assert warned == ""
            assert seconds < usual + 1.0
            cluster.apply(namespace, scenes.service(), scenes.deployment(2))
            steps.rolled_out(cluster, namespace)
            assert scenes.sidecars(cluster, namespace) == [False] * 2
            assert unanswered(cluster, namespace) >= 2, "about the model's pods somebody was"
    found = eventually(lambda: steps.is_so(cluster, namespace, "Injected", "False"))
    assert found["reason"] == "StartedEarlier"
    assert found["message"].startswith("0/2 pods")
    cluster.apply(namespace, scenes.monitor(injection={"restart": "OnChange"}))
    eventually(lambda: scenes.sidecars(cluster, namespace) == [True] * 2, 90)
    eventually(lambda: steps.says(cluster, namespace, "Injected", "AllInjected"))
    for number in range(3):
        scenes.loaded(cluster, namespace, f"meanwhile-{number}")


def test_a_sidecar_image_that_cannot_be_pulled_suspends_the_injection(
    cluster: Cluster, installation: Turn, driftline: str, namespace: str
) -> None:
    steps.watched(cluster, namespace, scenes.monitor())
    with installation.alone():
        try:
            install(cluster, sidecar__image__tag="nowhere")
            cluster.apply(namespace, scenes.service(), scenes.deployment(1))
            found = eventually(lambda: steps.says(cluster, namespace, "Injected", "InjectionSuspended"), 120)
            assert re.search(r"driftline-proxy of pod .*: (ErrImagePull|ImagePullBackOff)", found["message"])
            # New pods start without, and the model is served.
            cluster.kubectl("-n", namespace, "delete", "pods", "-l", "app=flights", "--wait=false")
            steps.rolled_out(cluster, namespace)
            assert scenes.sidecars(cluster, namespace) == [False]
        finally:
            install(cluster)
    # Another image is tried again, by itself.
    eventually(lambda: steps.says(cluster, namespace, "Injected", "StartedEarlier"))
    cluster.kubectl("-n", namespace, "rollout", "restart", "deployment/flights")
    steps.rolled_out(cluster, namespace)
    eventually(lambda: scenes.sidecars(cluster, namespace) == [True])


def holder(cluster: Cluster, system: str) -> str:
    """The controller's pod that acts."""
    lease = cluster.get(system, "lease", "driftline-controller")
    return str(lease["spec"].get("holderIdentity") or "")


def test_another_controller_goes_on_with_the_windows(
    cluster: Cluster, installation: Turn, driftline: str, namespace: str
) -> None:
    given = scenes.monitor(windows=["60s", "300s"], pane="10s")
    steps.watched(cluster, namespace, given, scenes.service(), scenes.deployment(1))
    steps.rolled_out(cluster, namespace)
    cluster.apply(namespace, scenes.load("earlier", rate=20, seconds=20))
    said = scenes.loaded(cluster, namespace, "earlier", 60)
    # Only the controller has these rows, once their pod has gone: kept over its own end in a checkpoint.
    cluster.kubectl("-n", namespace, "delete", "pod", "-l", "app=flights", "--timeout=60s")
    rows = said["sent"] * 10

    def rows_are() -> int:
        return int(cluster.get(namespace, "mm", "flights")["status"].get("rows", 0))

    eventually(lambda: rows_are() == rows)
    kept(cluster, namespace)
    with installation.alone():
        first = holder(cluster, driftline)
        killed = time.monotonic()
        cluster.kubectl("-n", driftline, "delete", "pod", first, "--grace-period=0", "--force")
        eventually(lambda: holder(cluster, driftline) not in ("", first), 30)
        took = time.monotonic() - killed
        cluster.apply(namespace, scenes.load("later", rate=20, seconds=10))
        more = scenes.loaded(cluster, namespace, "later", 60)["sent"] * 10
        eventually(lambda: rows_are() == rows + more)
        steps.rolled_out(cluster, driftline, "deployment/driftline-controller")
    print(f"another controller acts after {took:.1f} s")
    assert took < 30


def kept(cluster: Cluster, namespace: str) -> None:
    """Wait until the controller has written its windows, or a minute: then it had them written before."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)

    def written() -> bool:
        found = cluster.get(namespace, "configmap", "driftline-flights-panes", "--show-managed-fields")
        times = [dt.datetime.fromisoformat(each["time"]) for each in found["metadata"]["managedFields"]]
        return max(times) > now or dt.datetime.now(dt.UTC) - now > dt.timedelta(seconds=66)

    eventually(written, 80)


def test_an_api_server_that_restarts_is_not_noticed_by_the_models_clients(
    cluster: Cluster, own_node: node.Node, installation: Turn, driftline: str, namespace: str
) -> None:
    steps.watched(cluster, namespace, scenes.monitor(), scenes.service(), scenes.deployment(2))
    steps.rolled_out(cluster, namespace)
    cluster.apply(namespace, scenes.load("steady", rate=20))
    eventually(lambda: steps.is_so(cluster, namespace, "Ready"))
    with installation.alone():
        before = restarts(cluster, driftline)
        own_node.processes.end("kube-apiserver")
        time.sleep(5)  # leases are not renewed, watches break
        node.start_api_server(own_node)
        # In its first moments an API server knows no webhook's endpoints, and admits pods bare, as promised.
        eventually(lambda: injected_in_a_trial(cluster, namespace), 30)
        # A new pod gets its sidecar: the injectors' cache follows again.
        cluster.kubectl("-n", namespace, "scale", "deployment/flights", "--replicas=3")
        steps.rolled_out(cluster, namespace)
        assert scenes.sidecars(cluster, namespace) == [True] * 3
        # And the controller's: it counts that pod, and judges what comes now.
        eventually(lambda: "3/3" in cluster.conditions(namespace)["Injected"]["message"])
        assert restarts(cluster, driftline) == before, "recovers without a restart"
    said = steps.stopped(cluster, namespace, "steady")
    assert said["failed"] == 0, said["errors"]
    cluster.apply(namespace, scenes.load("drifted", rate=30, shift=25))
    eventually(lambda: steps.is_so(cluster, namespace, "DataDrift"), 75)


def injected_in_a_trial(cluster: Cluster, namespace: str) -> bool:
    """Would a pod of the model get its sidecar now? Nothing is made."""
    template = scenes.deployment()["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        **template,
        "metadata": {"name": "trial", **template["metadata"]},
    }
    made = cluster.kubectl(
        "-n", namespace, "create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(pod)
    )
    return any(
        each["name"] == "driftline-proxy" for each in json.loads(made)["spec"].get("initContainers", [])
    )


def restarts(cluster: Cluster, system: str) -> dict[str, int]:
    """Of the operator's containers, by pod."""
    return {
        each["metadata"]["name"]: sum(s["restartCount"] for s in each["status"]["containerStatuses"])
        for each in cluster.get(system, "pods")["items"]
    }
