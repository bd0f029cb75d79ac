"""The definition of ShadowDeployment on a real API server: what it takes, refuses and shows."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import yaml
from driftline.decoding import decode_resources
from driftline.errors import InvalidSpec
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import SHADOW_DEPLOYMENTS

from tests.integration.test_crd import setting

Json = dict[str, Any]

BASE: Json = yaml.safe_load("""
apiVersion: driftline.io/v1alpha1
kind: ShadowDeployment
metadata: {name: census-v4}
spec:
  monitorRef: {name: census}
  candidate: {patch: {image: "census:4"}}
  gate: {agreement: 0.98}
""")

TEMPLATE: Json = {
    "metadata": {"labels": {"app": "v4"}},
    "spec": {"containers": [{"name": "m", "image": "i"}]},
}

Change = Callable[[Json], object]


def changed(change: Change) -> Json:
    document = copy.deepcopy(BASE)
    change(document["spec"])
    return document


GOOD: dict[str, Change] = {
    "as it is": lambda spec: None,
    "a template": setting("candidate", {"template": TEMPLATE, "replicas": 2, "warmUp": "2m"}),
    "a service": setting("candidate", {"service": {"name": "v4", "port": 8080}}),
    "a service's named port": setting("candidate", {"service": {"name": "v4", "port": "http"}}),
    "a patch of anything": setting("candidate.patch.template", {"spec": {"nodeSelector": {"gpu": "true"}}}),
    "env and resources": setting(
        "candidate",
        {
            "patch": {
                "container": "m",
                "env": [{"name": "A", "value": "1"}],
                "resources": {"limits": {"cpu": "1"}},
            }
        },
    ),
    "traffic": setting(
        "traffic",
        {"sample": 0.1, "maxConcurrent": 2, "timeout": "1s", "queue": 10, "budget": 2.5},
    ),
    "paths": setting("traffic.paths", ["/v1/predict", "/v2/*"]),
    "a short one on purpose": setting("gate", {"agreement": 0.9, "minTime": "10m", "allowUnderADay": True}),
    "one day": setting("gate.minTime", "24h"),
    "two whole days": lambda spec: spec.update(duration="48h", gate={"agreement": 0.9, "minTime": "25h"}),
    "as long as its minutes": lambda spec: spec.update(
        duration="36m", gate={"agreement": 0.9, "minTime": "36m", "allowUnderADay": True}
    ),
    "every rule": setting(
        "gate",
        {
            "agreement": 0.98,
            "meanDelta": 0.1,
            "p95Delta": 1,
            "outputDrift": 0.02,
            "errorRate": 0.001,
            "latencyRatio": {"p50": 1.1, "p95": 1.2, "p99": 1.5},
            "coverage": 1,
            "performance": {"accuracy": 0.01, "auc": 0.01, "mae": 2},
        },
    ),
    "the systematic difference": lambda spec: spec.update(
        gate={"systematicDifference": 0.1}, aa={"share": 0.05}
    ),
    "promotion": lambda spec: spec.update(onPass="Promote", onFail="Delete"),
    "scores": lambda spec: spec.update(gate={"meanDelta": 0.1}, compare={"outputs": ["score"]}),
    "bodies": setting("compare", {"outputs": ["body"], "tolerance": {"absolute": 0.1}, "segments": ["sex"]}),
}

BAD: dict[str, Change] = {
    "no monitor": lambda spec: spec.pop("monitorRef"),
    "no candidate": lambda spec: spec.pop("candidate"),
    "an empty candidate": setting("candidate", {}),
    "two candidates": setting("candidate.service", {"name": "v4", "port": 80}),
    "a patch of nothing": setting("candidate.patch", {}),
    "a container and nothing of it": setting("candidate.patch", {"container": "m", "template": {"spec": {}}}),
    "an env twice": setting("candidate.patch.env", [{"name": "A"}, {"name": "A"}]),
    "a template without spec": setting("candidate", {"template": {"metadata": {}}}),
    "replicas of a service": setting("candidate", {"service": {"name": "v4", "port": 80}, "replicas": 2}),
    "no replicas": setting("candidate.replicas", 0),
    "no gate": lambda spec: spec.pop("gate"),
    "a gate without a rule about answers": setting("gate", {"errorRate": 0.01, "latencyRatio": {"p99": 1.2}}),
    "agreement of all": setting("gate.agreement", 1),
    "a limit of nothing": setting("gate.meanDelta", 0),
    "no coverage": setting("gate.coverage", 0),
    "under a day by accident": setting("gate.minTime", "1h"),
    "shorter than its minimum": setting("duration", "24h"),
    "shorter than its minimum in whole days": lambda spec: spec.update(
        duration="47h", gate={"agreement": 0.9, "minTime": "25h"}
    ),
    "a sample of nothing": setting("traffic.sample", 0),
    "no timeout": setting("traffic.timeout", "0s"),
    "a long timeout": setting("traffic.timeout", "1h"),
    "a path without slash": setting("traffic.paths", ["predict"]),
    "nothing compared": setting("compare.outputs", []),
    "an output twice": setting("compare.outputs", ["score", "score"]),
    "an output that is none": setting("compare.outputs", ["shape"]),
    "agreement of scores": setting("compare.outputs", ["score"]),
    "the drift of bodies": lambda spec: spec.update(
        gate={"outputDrift": 0.1}, compare={"outputs": ["body", "score"]}
    ),
    "differences of bodies": lambda spec: spec.update(gate={"p95Delta": 1}, compare={"outputs": ["body"]}),
    "a systematic difference of scores": lambda spec: spec.update(
        gate={"systematicDifference": 0.1}, compare={"outputs": ["score", "body"]}, aa={"share": 0.1}
    ),
    "a tolerance of all": setting("compare.tolerance.relative", 1),
    "a systematic difference without pairs that go twice": setting("gate.systematicDifference", 0.1),
    "promotion of a service": lambda spec: spec.update(
        candidate={"service": {"name": "v4", "port": 80}}, onPass="Promote"
    ),
    "an end that is none": setting("onFail", "Restart"),
}

ONLY_PYTHON: dict[str, Change] = {
    # Forms of a path that CEL could check, but a prefix and its query read better in one place.
    "a star in the middle": setting("traffic.paths", ["/v1/*/predict"]),
}


async def create(api: Api, namespace: str, document: Json) -> Json:
    body = copy.deepcopy(document)
    body["metadata"]["namespace"] = namespace
    return dict(await api.create(SHADOW_DEPLOYMENTS, namespace, body))


def refused_by_python(document: Json) -> bool:
    try:
        decode_resources(yaml.safe_dump(document).encode())
    except InvalidSpec:
        return True
    return False


@pytest.mark.parametrize("name", GOOD)
async def test_what_driftline_takes_the_api_server_takes(api: Api, namespace: str, name: str) -> None:
    document = changed(GOOD[name])
    assert not refused_by_python(document)
    stored = await create(api, namespace, document)
    (written,) = decode_resources(yaml.safe_dump(document).encode())
    (read,) = decode_resources(msgspec.json.encode(stored))
    assert read.spec == written.spec


@pytest.mark.parametrize("name", BAD)
async def test_what_driftline_refuses_the_api_server_refuses(api: Api, namespace: str, name: str) -> None:
    document = changed(BAD[name])
    assert refused_by_python(document)
    with pytest.raises(ApiError) as refused:
        await create(api, namespace, document)
    assert (refused.value.status, refused.value.reason) == (422, "Invalid")


@pytest.mark.parametrize("name", ONLY_PYTHON)
async def test_what_only_driftline_can_tell(api: Api, namespace: str, name: str) -> None:
    document = changed(ONLY_PYTHON[name])
    assert refused_by_python(document)
    await create(api, namespace, document)


async def test_columns_and_status(api: Api, namespace: str, kubectl: list[str]) -> None:
    await create(api, namespace, BASE)
    rule = {
        "rule": "agreement", "verdict": "Pass", "reason": "WithinLimit",
        "value": 0.991, "lower": 0.985, "upper": 0.995, "threshold": 0.98,
    }  # fmt: skip
    status = {
        "verdict": "Inconclusive",
        "reason": "TooEarly",
        "pairs": 1234,
        "coverage": 0.97,
        "rules": [rule],
        "account": {"eligible": 1300, "mirrored": 1290, "dropped": {"QueueFull": 10}},
    }
    document = {**BASE, "metadata": {"name": "census-v4", "namespace": namespace}, "status": status}
    document.pop("spec")
    await api.apply(SHADOW_DEPLOYMENTS, namespace, document, subresource="status")
    command = [*kubectl, "get", "sd", "-n", namespace]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown[0].split() == ["NAME", "MONITOR", "VERDICT", "REASON", "PAIRS", "COVERAGE", "AGE"]
    assert shown[1].split()[:6] == ["census-v4", "census", "Inconclusive", "TooEarly", "1234", "0.97"]
    listed = subprocess.run([*kubectl, "get", "driftline", "-A"], capture_output=True, text=True, check=True)
    assert "census-v4" in listed.stdout


async def test_a_number_over_its_limit_is_no_status(api: Api, namespace: str) -> None:
    await create(api, namespace, BASE)
    document = {
        "apiVersion": BASE["apiVersion"], "kind": BASE["kind"],
        "metadata": {"name": "census-v4", "namespace": namespace}, "status": {"coverage": 1.2},
    }  # fmt: skip
    with pytest.raises(ApiError):
        await api.apply(SHADOW_DEPLOYMENTS, namespace, document, subresource="status")


def test_kubectl_explains(kubectl: list[str]) -> None:
    command = [*kubectl, "explain", "sd.spec.gate.agreement"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Least share of a request's answers that agree" in " ".join(found.stdout.split())
