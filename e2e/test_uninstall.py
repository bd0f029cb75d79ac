"""What a deleted monitor leaves, and what `helm uninstall` leaves: exactly what the documentation says."""

from __future__ import annotations

import json

from e2e import scenes, steps
from e2e.conftest import Cluster, eventually
from e2e.turns import Turn

OWNED = "configmaps,secrets"
CLUSTER_WIDE = (
    "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations"
)


def ours(cluster: Cluster, kinds: str, *where: str) -> set[str]:
    """Names of Driftline's own objects among those kinds."""
    listed = json.loads(cluster.kubectl(*where, "get", kinds, "-o", "json"))["items"]
    return {
        f"{each['kind']}/{each['metadata']['name']}"
        for each in listed
        if "driftline" in each["metadata"]["name"]
    }


def test_a_deleted_monitor_leaves_relays_and_nothing_else(
    cluster: Cluster, driftline: str, namespace: str
) -> None:
    steps.watched(cluster, namespace, scenes.monitor(), scenes.service(), scenes.deployment(1))
    steps.rolled_out(cluster, namespace)
    cluster.apply(namespace, scenes.load("steady", rate=20))
    eventually(lambda: cluster.get(namespace, "mm", "flights")["status"].get("rows", 0) > 0)
    owned = ours(cluster, OWNED, "-n", namespace)
    assert {"ConfigMap/driftline-flights", "Secret/driftline-token"} <= owned
    cluster.kubectl("-n", namespace, "delete", "mm", "flights", "--timeout=30s")
    eventually(lambda: not ours(cluster, OWNED, "-n", namespace))
    entry = f"MutatingWebhookConfiguration/driftline-{namespace}"
    eventually(lambda: entry not in ours(cluster, "mutatingwebhookconfigurations"))
    # The running sidecar relays on; a pod that is made now gets none.
    assert scenes.sidecars(cluster, namespace) == [True]
    cluster.kubectl("-n", namespace, "scale", "deployment/flights", "--replicas=2")
    steps.rolled_out(cluster, namespace)
    assert sorted(scenes.sidecars(cluster, namespace)) == [False, True]
    said = steps.stopped(cluster, namespace, "steady")
    assert said["failed"] == 0, said["errors"]
    # The user's own profile is the user's.
    assert cluster.get(namespace, "configmap", "flights-profile")


def test_uninstall_leaves_models_running_and_nothing_of_its_own(
    cluster: Cluster, installation: Turn, driftline: str, namespace: str
) -> None:
    steps.watched(cluster, namespace, scenes.monitor(), scenes.service(), scenes.deployment(1))
    steps.rolled_out(cluster, namespace)
    cluster.apply(namespace, scenes.load("steady", rate=20))
    steps.begun(cluster, namespace, "steady")
    with installation.alone():
        assert "ok" in cluster.helm("test", "driftline", "-n", driftline, "--logs")
        cluster.helm("uninstall", "driftline", "-n", driftline, "--wait")
        assert ours(cluster, CLUSTER_WIDE) == set()

        def left() -> list[str]:
            """Of every kind that the chart or the operator makes; what Kubernetes puts there isn't ours."""
            kinds = (
                "all,configmaps,secrets,serviceaccounts,roles,rolebindings,leases,pdb,networkpolicies,events"
            )
            listed = json.loads(cluster.kubectl("-n", driftline, "get", kinds, "-o", "json"))["items"]
            named = [f"{each['kind']}/{each['metadata']['name']}" for each in listed]
            theirs = ("ConfigMap/kube-root-ca.crt", "ServiceAccount/default")
            return [each for each in named if each not in theirs and not each.startswith("Event/")]

        eventually(lambda: not left())  # pods are given their grace period
        # The definition, the monitor and what it owns stay; the model is served, by a relay.
        assert cluster.get("", "crd", "modelmonitors.driftline.io")
        assert cluster.get(namespace, "mm", "flights")["metadata"]["name"] == "flights"
        assert {"ConfigMap/driftline-flights", "Secret/driftline-token"} <= ours(
            cluster, OWNED, "-n", namespace
        )
        assert scenes.sidecars(cluster, namespace) == [True]
        cluster.kubectl("-n", namespace, "scale", "deployment/flights", "--replicas=2")
        steps.rolled_out(cluster, namespace)
        assert sorted(scenes.sidecars(cluster, namespace)) == [False, True]
        said = steps.stopped(cluster, namespace, "steady")
        assert said["failed"] == 0, said["errors"]
