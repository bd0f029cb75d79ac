"""What the end-to-end tests apply: a model's Deployment and Service, its monitor and profile, and traffic."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from driftline import captured
from driftline.captured import Captured
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.decoding import build_monitor
from driftline.profile_codec import encode_profile

from e2e.cluster.images import MODEL
from e2e.conftest import Cluster

Json = dict[str, Any]

RESTRICTED: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def monitor(name: str = "flights", **spec: Any) -> Json:
    """Short panes and windows, so that a test sees verdicts within a minute."""
    schema = {
        "features": [{"name": "delay", "type": "numeric"}, {"name": "carrier", "type": "categorical"}],
        "prediction": {"name": "late"},
    }
    return {
        "apiVersion": "driftline.io/v1alpha1",
        "kind": "ModelMonitor",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": "flights"}},
            "endpoint": {"port": "http", "paths": ["/predict"]},
            "model": {"name": "flights", "type": "classification"},
            "schema": schema,
            "reference": {"profile": {"configMap": "flights-profile"}},
            "pane": "2s",
            "windows": ["10s", "20s"],
            "drift": {"minRows": 200, "sustain": {"windows": 1, "of": 1}},
            **spec,
        },
    }


def container(**fields: Any) -> Json:
    """The model server."""
    return {
        "name": "model",
        "image": MODEL,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
        "securityContext": RESTRICTED,
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        **fields,
    }


LASTING: Json = {"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
"""A model that goes on serving until the Service has forgotten it, as rollouts without loss need anyway."""


def template(labels: dict[str, str] | None = None, **fields: Any) -> Json:
    """A pod of the model. `labels` beside the one that the monitor selects by; `fields` of its spec."""
    spec = {"containers": [container()], "terminationGracePeriodSeconds": 20, **fields}
    return {"metadata": {"labels": {"app": "flights", **(labels or {})}}, "spec": spec}


def deployment(
    replicas: int = 3, name: str = "flights", labels: dict[str, str] | None = None, **fields: Any
) -> Json:
    """Pods behind the Service of that name; `labels` and `fields` as a template has them."""
    selecting = part(name)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": selecting},
            "template": template({**(labels or {}), **selecting}, **fields),
        },
    }


def part(name: str) -> dict[str, str]:
    """The labels by which a Service finds its Deployment's pods."""
    return {"app": "flights"} if name == "flights" else {"app": "flights", "part": name}


def service(port: str | int = "http", name: str = "flights") -> Json:
    """By the port's name, or its number."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": part(name), "ports": [{"port": 80, "targetPort": port}]},
    }


def profile(given: Json) -> Json:
    """A ConfigMap with the reference that `load.py` sends without a shift."""
    spec = build_monitor(given).spec
    generator = random.Random(7)
    number = 20_000
    delays = np.array([round(generator.gauss(8, 15), 1) for _ in range(number)])
    codes = np.array([generator.randrange(3) for _ in range(number)], dtype=np.int32)
    late = (delays + 10 * (codes == 0) > 20).astype(np.int32)
    columns: dict[str, Column] = {
        "delay": NumericColumn(delays),
        "carrier": CategoricalColumn(codes, ("AA", "DL", "UA")),
        "late": CategoricalColumn(late, ("no", "yes")),
    }
    rows = Captured(spec.schema.features, Batch(number, columns, number), np.arange(number) / 300)
    content = encode_profile(captured.build(spec, [rows], 1.0))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "flights-profile"},
        "binaryData": {"profile": base64.b64encode(content).decode()},
    }


def load(
    name: str,
    rate: float,
    seconds: float = 400.0,
    shift: float = 0.0,
    to: str = "flights",
    paths: Sequence[str] = ("/predict",),
    seed: int | None = None,
) -> Json:
    """A pod that sends traffic through the Service `to`, and says at its end how it went."""
    urls = ",".join(f"http://{to}{path}" for path in paths)
    given = [str(rate), str(seconds), str(shift), *([] if seed is None else [str(seed)])]
    return client(name, "load.py", urls, *given)


def client(name: str, program: str, *arguments: str) -> Json:
    """A pod that runs one of the model image's clients."""
    command = ["python", f"/opt/model/{program}", *arguments]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "load"}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "load",
                    "image": MODEL,
                    "imagePullPolicy": "IfNotPresent",
                    "command": command,
                    "securityContext": RESTRICTED,
                }
            ],
        },
    }


def loaded(cluster: Cluster, namespace: str, name: str, seconds: float = 60.0) -> Json:
    """What a load pod says at its end."""
    cluster.kubectl(
        "-n", namespace, "wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded",
        f"--timeout={seconds:.0f}s",
    )  # fmt: skip
    found: Json = json.loads(cluster.kubectl("-n", namespace, "logs", name).strip().splitlines()[-1])
    return found


def sidecars(cluster: Cluster, namespace: str, selector: str = "app=flights") -> list[bool]:
    """Of each model pod that isn't ending: has it a sidecar?"""
    found = cluster.get(namespace, "pods", "-l", selector)["items"]
    return [
        any(each["name"] == "driftline-proxy" for each in pod["spec"].get("initContainers", []))
        for pod in found
        if "deletionTimestamp" not in pod["metadata"]
    ]
