"""The hub in the cluster: predictions through sidecars, labels by the client, and what the monitor says."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e import scenes, steps
from e2e.client import ROWS
from e2e.cluster import node
from e2e.cluster.images import OPERATOR
from e2e.conftest import Cluster, eventually, install
from e2e.turns import Turn

Json = dict[str, Any]

TOKEN = "the-airline-s-token"
USERS = "hub-users"
VOLUME = "driftline-e2e-hub"
HUB = "deployment/driftline-hub"
LABELLED: Json = {
    "labels": {"ages": ["10s"], "retention": {"age": "2h"}},
    "performance": {
        "window": "10s",
        "thresholds": [{"metric": "accuracy", "min": 0.8}],
        "minLabels": 200,
        "sustain": {"windows": 1, "of": 1},
    },
}


def monitor() -> Json:
    given = scenes.monitor(**LABELLED)
    given["spec"]["schema"]["prediction"] = {"name": "late", "positive": "yes"}
    return given


def users() -> Json:
    """Who may label and read."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    grants = f"tokens: [{{sha256: {digest}, namespace: '*', scopes: [label, read]}}]\n"
    metadata = {"name": USERS}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"users.yaml": grants}}


def client(system: str, namespace: str, name: str, seconds: int, labels: str) -> Json:
    """A pod that asks the model and says later what was right."""
    hub = f"https://driftline-hub.{system}.svc:8090"
    command = ["python", "/client/client.py", "http://flights/predict", hub, "/client/ca.crt"]
    container = {
        "name": "client", "image": OPERATOR, "imagePullPolicy": "IfNotPresent",
        "command": [*command, TOKEN, namespace, name, str(seconds), labels],
        "securityContext": scenes.RESTRICTED, "volumeMounts": [{"name": "client", "mountPath": "/client"}],
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "client"}},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container],
            "volumes": [{"name": "client", "configMap": {"name": "client"}}],
        },
    }  # fmt: skip


def program(cluster: Cluster, system: str) -> Json:
    """The client, and the authority of the hub's certificate."""
    secret = cluster.get(system, "secret", "driftline-webhook-certs")
    ca = base64.b64decode(secret["data"]["ca.crt"]).decode()
    data = {"client.py": Path(__file__).with_name("client.py").read_text(), "ca.crt": ca}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "client"}, "data": data}


def volume(directory: Path) -> Json:
    """A directory of the node, as a volume: our own cluster has no provisioner."""
    own = {"key": "kubernetes.io/hostname", "operator": "Exists"}
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": VOLUME},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "local": {"path": str(directory)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [own]}]}},
        },
    }  # fmt: skip


@contextlib.contextmanager
def storage(cluster: Cluster, system: str) -> Iterator[None]:
    """What the hub's claim is bound to, and nothing left of either."""
    directory = node.run_directory() / "hub-volume"
    if cluster.own:
        directory.mkdir(exist_ok=True)
        cluster.apply(system, volume(directory))
    try:
        yield
    finally:
        cluster.kubectl("-n", system, "delete", "pvc", "driftline-hub", "--ignore-not-found")
        if cluster.own:
            cluster.kubectl("delete", "pv", VOLUME, "--ignore-not-found")
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def hub(cluster: Cluster, driftline: str, installation: Turn) -> Iterator[str]:
    """The installation with its hub, for this test alone."""
    with installation.alone(), storage(cluster, driftline):
        cluster.apply(driftline, users())
        install(
            cluster, hub__enabled="true", hub__persistence__size="1Gi", hub__evaluateEvery="2s",
            hub__tokens__existingSecret=USERS, hub__resources__requests__cpu="20m",
        )  # fmt: skip
        try:
            yield driftline
        finally:
            install(cluster)
            cluster.kubectl("-n", driftline, "delete", "secret", USERS, "--ignore-not-found")


def test_labels_say_how_good_the_model_is_and_a_hub_that_dies_costs_nothing(
    cluster: Cluster, hub: str, namespace: str
) -> None:
    steps.watched(cluster, namespace, monitor(), scenes.service(), scenes.deployment(2))
    steps.rolled_out(cluster, namespace)
    cluster.apply(namespace, program(cluster, hub), client(hub, namespace, "good", 110, "right"))
    good = eventually(lambda: steps.says(cluster, namespace, "Performance", "WithinThresholds"), 100)
    assert good["status"] == "True"
    assert "accuracy 1 " in good["message"], good
    status = cluster.get(namespace, "mm", "flights")["status"]["performance"]
    assert status["labels"] >= 200
    assert status["coverage"] > 0.5

    # The hub's pod is killed in the midst of it: the next has what was acknowledged, and is told the rest.
    cluster.kubectl(
        "-n", hub, "delete", "pod", "-l", "app.kubernetes.io/component=hub", "--force", "--grace-period=0"
    )
    steps.rolled_out(cluster, hub, HUB)
    said = scenes.loaded(cluster, namespace, "good", 260)
    assert said["failed"] == 0, said
    assert said["away"] > 0, said
    assert said["there"] == said["sent"], said
    assert said["labels"] == said["sent"] * ROWS, said

    cluster.apply(namespace, client(hub, namespace, "bad", 60, "wrong"))
    bad = eventually(lambda: steps.says(cluster, namespace, "Performance", "ThresholdCrossed"), 100)
    assert bad["status"] == "False"
    assert "at least 0.8 wanted" in bad["message"]
