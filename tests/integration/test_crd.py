"""The custom resource definition on a real API server: what it takes, refuses and shows."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from driftline.crd import crd
from driftline.decoding import decode_monitors, decode_resources
from driftline.errors import InvalidSpec
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import MODEL_MONITORS, SHADOW_DEPLOYMENTS

Json = dict[str, Any]
EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[2] / "examples").rglob("*.yaml")
    if "driftline.io/v1alpha1" in path.read_text()
)

BASE: Json = yaml.safe_load("""
apiVersion: driftline.io/v1alpha1
kind: ModelMonitor
metadata: {name: census}
spec:
  selector: {matchLabels: {app: census}}
  endpoint: {port: http}
  model: {name: census, type: classification}
  schema:
    features: [{name: age, type: numeric}, {name: sex, type: categorical}]
    prediction: {name: employed}
""")


def changed(change: Callable[[Json], object]) -> Json:
    document = copy.deepcopy(BASE)
    change(document["spec"])
    return document


def setting(path: str, value: object) -> Callable[[Json], object]:
    """Set what a dotted path names, making the objects on the way."""

    def change(spec: Json) -> None:
        *parents, last = path.split(".")
        place = spec
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value

    return change


def thresholds(*of: Json, model: str = "classification") -> Callable[[Json], object]:
    """Performance thresholds, and what else they need."""

    def change(spec: Json) -> None:
        spec["model"]["type"] = model
        spec.update(labels={}, performance={"thresholds": list(of)})

    return change


GOOD: dict[str, Callable[[Json], object]] = {
    "as it is": lambda spec: None,
    "a ranking": thresholds(
        {"metric": "ndcg", "min": 0.3}, {"metric": "mrr", "maxDrop": 0.1}, model="ranking"
    ),
    "a port by number": setting("endpoint.port", 8080),
    "windows": setting("windows", ["10m", "2h"]),
    "a pane": lambda spec: spec.update(pane="10s", windows=["1m", "10m"]),
    "sizes": setting("capture.maxBodyBytes", "512Ki"),
    "the largest size": setting("capture.maxBodyBytes", "64Mi"),
    "the smallest size": setting("capture.maxBodyBytes", 1024),
    "JSON paths": setting(
        "capture.redact",
        ["$.ssn", "$..email", "$.a-b[0][*].c", "$['x y']", '$["it\'s"].d', "$.größe", "$['a\\'b']"],
    ),
    "the longest window": setting("windows", ["1m", "90m", "744h"]),
    "a feature elsewhere than what is redacted": lambda spec: spec.update(
        schema={
            "features": [{"name": "age", "type": "numeric", "path": "$.person.age"}],
            "prediction": {"name": "employed"},
        },
        capture={"redact": ["$.age"]},
    ),
    "a size in bytes": setting("capture.maxBodyBytes", 65536),
    "a range": setting("schema.features", [{"name": "a", "type": "numeric", "range": {"min": 0, "max": 9}}]),
    "half a range": setting("schema.features", [{"name": "age", "type": "numeric", "range": {"min": 0.5}}]),
    "a captured reference": setting("reference.capture", {"rows": 500}),
    "a refresh": setting("reference", {"capture": {}, "refresh": {"after": "720h"}}),
    "a profile": setting("reference.profile", {"configMap": "census-profile"}),
    "port swap": setting("injection", {"mode": "PortSwap", "app": {"port": 8081, "env": "PORT"}}),
    "resources": setting("injection.proxy.resources", {"requests": {"cpu": "50m"}, "limits": {"cpu": "1"}}),
    "thresholds": setting("drift.thresholds", {"psi": 0.3, "warning": 0.2}),
    "labels": setting("labels", {}),
    "labels by key": setting("labels", {"key": ["age", "flight"], "features": ["age"]}),
    "labels by a field of the response": setting("labels", {"idPath": "$.id", "ages": ["10s", "1m"]}),
    "variants": setting("labels.variant", {"values": ["a", "b"]}),
    "retention": setting("labels.retention", {"age": "720h", "rows": 1000000}),
    "performance": lambda spec: spec.update(
        labels={},
        performance={"thresholds": [{"metric": "accuracy", "min": 0.7}, {"metric": "f1", "maxDrop": 0.1}]},
    ),
    "performance of scores": lambda spec: (
        spec["schema"]["prediction"].update(score="score"),
        spec.update(labels={}, performance={"age": "24h", "thresholds": [{"metric": "brier", "max": 0.2}]}),
    ),
    "performance of a regression": lambda spec: (
        spec["model"].update(type="regression"),
        spec.update(
            labels={},
            performance={
                "window": "1h",
                "concept": {"detector": "hddm-a"},
                "thresholds": [
                    {"metric": "mae", "max": 3, "maxRise": 0.5},
                    {"metric": "meanError", "min": -1, "max": 1},
                    {"metric": "r2", "min": -1},
                ],
            },
        ),
    ),
    "fairness": lambda spec: (
        spec["schema"].update(segments=["sex"]),
        spec["schema"]["prediction"].update(positive="yes"),
        spec.update(labels={}, fairness={"thresholds": {"equalizedOddsDifference": 0.1}}),
    ),
    "kpis": lambda spec: spec.update(labels={}, kpis=[{"name": "revenue"}, {"name": "churn.rate"}]),
    "expressions": setting(
        "selector", {"matchExpressions": [{"key": "app", "operator": "In", "values": ["census"]}]}
    ),
}

BAD: dict[str, Callable[[Json], object]] = {
    "no selector": lambda spec: spec.pop("selector"),
    "an empty selector": setting("selector", {}),
    "no model": lambda spec: spec.pop("model"),
    "no prediction": setting("schema", {"features": []}),
    "port 0": setting("endpoint.port", 0),
    "a protocol that is none": setting("endpoint.protocol", "grpc"),
    "a path without slash": setting("endpoint.paths", ["predict"]),
    "paths in json of oip": lambda spec: spec["endpoint"].update(
        protocol="oip-v2", json={"records": "$.rows"}
    ),
    "a type that is none": setting("model.type", "clustering"),
    "a feature twice": setting("schema.features", [{"name": "a", "type": "numeric"}] * 2),
    "a range upside down": setting(
        "schema.features", [{"name": "a", "type": "numeric", "range": {"min": 130, "max": 120}}]
    ),
    "an empty range": setting("schema.features", [{"name": "a", "type": "numeric", "range": {}}]),
    "a range of words": setting(
        "schema.features", [{"name": "a", "type": "categorical", "range": {"min": 1}}]
    ),
    "categories of numbers": setting(
        "schema.features", [{"name": "a", "type": "numeric", "categories": ["x"]}]
    ),
    "a pane that doesn't divide": lambda spec: spec.update(pane="7m", windows=["7m"]),
    "a window between panes": setting("windows", ["90s"]),
    "no window": setting("windows", []),
    "a window of days": setting("windows", ["5m", "1d"]),
    "thresholds upside down": setting("drift.thresholds", {"psi": 0.1, "warning": 0.2}),
    "a threshold below zero": setting("drift.thresholds.psi", -1),
    "sustain": setting("drift.sustain", {"windows": 5, "of": 4}),
    "two references": setting("reference", {"capture": {}, "profile": {"configMap": "a"}}),
    "two sources": setting("reference.profile", {"configMap": "a", "file": "b"}),
    "no source": setting("reference.profile", {}),
    "few captured rows": setting("reference.capture", {"rows": 1}),
    "a refresh without capture": setting("reference.refresh", {"after": "720h"}),
    "a refresh every hour": setting("reference", {"capture": {}, "refresh": {"after": "1h"}}),
    "a sample of nothing": setting("capture.sample", 0),
    "a season that is none": setting("reference.season", "yearly"),
    "swap without app": setting("injection.mode", "PortSwap"),
    "app without swap": setting("injection.app", {"port": 8081, "env": "PORT"}),
    "app with nothing to tell it": setting("injection", {"mode": "PortSwap", "app": {"port": 8081}}),
    "app on the sidecar's port": setting(
        "injection", {"mode": "PortSwap", "app": {"port": 15080, "env": "PORT"}}
    ),
    "a path that is no JSON path": setting("capture.redact", ["$.a["]),
    "a path of a feature that is none": setting(
        "schema.features", [{"name": "a", "type": "numeric", "path": "$.a b"}]
    ),
    "a whole body redacted": setting("capture.redact", ["$"]),
    "a watched feature that is redacted": setting("capture.redact", ["$.x", "$.age"]),
    "one that is redacted at any depth": setting("capture.redact", ["$..sex"]),
    "bodies beyond 64Mi": setting("capture.maxBodyBytes", "1Gi"),
    "bodies beyond 64Mi in bytes": setting("capture.maxBodyBytes", 67_108_865),
    "bodies below 1Ki": setting("capture.maxBodyBytes", "1023"),
    "windows out of order": setting("windows", ["1h", "5m"]),
    "a window twice": setting("windows", ["60m", "1h"]),
    "a window of months": setting("windows", ["5m", "745h"]),
    "labels by key and by path": setting("labels", {"key": ["age"], "idPath": "$.id"}),
    "labels anywhere": setting("labels", {"idPath": "$..id"}),
    "labels of no age": setting("labels", {"ages": []}),
    "labels at age 0": setting("labels", {"ages": ["0s", "1h"]}),
    "labels of a stranger": setting("labels", {"features": ["height"]}),
    "no variants": setting("labels", {"variant": {"values": []}}),
    "labels that come when all is deleted": setting("labels", {"ages": ["2h"], "retention": {"age": "1h"}}),
    "retention of minutes": setting("labels", {"ages": ["1s"], "retention": {"age": "30m"}}),
    "performance without labels": setting("performance", {}),
    "fairness without labels": lambda spec: (
        spec["schema"].update(segments=["sex"]),
        spec.update(fairness={}),
    ),
    "kpis without labels": setting("kpis", [{"name": "revenue"}]),
    "a metric that is none": thresholds({"metric": "gini", "min": 0.1}),
    "a threshold of nothing": thresholds({"metric": "accuracy"}),
    "a metric of another type": thresholds({"metric": "mae", "max": 1}),
    "a class's metric of a ranking": thresholds({"metric": "f1", "min": 0.1}, model="ranking"),
    "a ranking's of classes": thresholds({"metric": "map", "min": 0.1}),
    "auc without score": thresholds({"metric": "auc", "min": 0.7}),
    "at most so accurate": thresholds({"metric": "accuracy", "max": 0.9}),
    "a rise of accuracy": thresholds({"metric": "accuracy", "maxRise": 0.1}),
    "at least so wrong": thresholds({"metric": "rmse", "min": 0.1}, model="regression"),
    "a drop of what should drop": thresholds({"metric": "mape", "maxDrop": 0.1}, model="regression"),
    "a bias that rises": thresholds({"metric": "meanError", "maxRise": 0.1}, model="regression"),
    "a bias upside down": thresholds({"metric": "meanError", "min": 1, "max": -1}, model="regression"),
    "a metric twice": thresholds({"metric": "f1", "min": 0.7}, {"metric": "f1", "maxDrop": 0.1}),
    "a drop below what has no labels": lambda spec: (
        thresholds({"metric": "f1", "maxDrop": 0.1})(spec),
        spec.update(reference={"capture": {}}),
    ),
    "an age that is none": lambda spec: spec.update(labels={"ages": ["1h"]}, performance={"age": "24h"}),
    "no window of performance": lambda spec: spec.update(labels={}, performance={"window": "0s"}),
    "a detector that is none": lambda spec: spec.update(
        labels={}, performance={"concept": {"detector": "eddm"}}
    ),
    "fairness without groups": lambda spec: spec.update(labels={}, fairness={}),
    "fairness of nobody knows which class": lambda spec: (
        spec["schema"].update(segments=["sex"]),
        spec["schema"]["prediction"].update(classes=["a", "b", "c"]),
        spec.update(labels={}, fairness={}),
    ),
    "auc of three classes": lambda spec: (
        spec["schema"]["prediction"].update(score="score", classes=["a", "b", "c"]),
        thresholds({"metric": "auc", "min": 0.7})(spec),
    ),
    "fairness of numbers": lambda spec: (
        spec["model"].update(type="regression"),
        spec["schema"].update(segments=["sex"]),
        spec.update(labels={}, fairness={}),
    ),
    "a kpi twice": lambda spec: spec.update(labels={}, kpis=[{"name": "revenue"}] * 2),
    "a kpi of blanks": lambda spec: spec.update(labels={}, kpis=[{"name": "money made"}]),
    "a quantity that is none": setting("injection.proxy.resources.requests", {"cpu": "lots"}),
}

ONLY_PYTHON: dict[str, Callable[[Json], object]] = {
    # What CEL would have to parse a JSON path for.
    "a watched feature that is redacted by another spelling": setting(
        "capture.redact", ["$.instances[*].age"]
    ),
    "a path with two recursive steps": setting("capture.redact", ["$..a..b"]),
    "ages out of order": setting("labels", {"ages": ["2h", "1h"]}),
    "a window that is deleted before its labels come": setting(
        "labels", {"ages": ["167h"], "retention": {"age": "168h"}}
    ),
    # As for features: what would parse a JSON path, or fold a header's case.
    "an id that is redacted": lambda spec: spec.update(
        labels={"idPath": "$.person.id"}, capture={"redact": ["$.person"]}
    ),
    "a key that is redacted": lambda spec: spec.update(
        labels={"key": ["ssn"]}, capture={"redact": ["$..ssn"]}
    ),
    "a variant that is redacted": setting("labels.variant", {"header": "Cookie", "values": ["a"]}),
}


async def create(api: Api, namespace: str, document: Json) -> Json:
    body = copy.deepcopy(document)
    body["metadata"]["namespace"] = namespace
    kinds = {kind.kind: kind for kind in (MODEL_MONITORS, SHADOW_DEPLOYMENTS)}
    return dict(await api.create(kinds[body["kind"]], namespace, body))


def refused_by_python(document: Json) -> bool:
    try:
        decode_monitors(yaml.safe_dump(document).encode())
    except InvalidSpec:
        return True
    return False


@pytest.mark.parametrize("name", GOOD)
async def test_what_the_sidecar_takes_the_api_server_takes(api: Api, namespace: str, name: str) -> None:
    document = changed(GOOD[name])
    assert not refused_by_python(document)
    stored = await create(api, namespace, document)
    # Defaults come out the same: what is stored means what was written.
    (written,) = decode_monitors(yaml.safe_dump(document).encode())
    (read,) = decode_monitors(msgspec.json.encode(stored))
    assert read.spec == written.spec


@pytest.mark.parametrize("name", BAD)
async def test_what_the_sidecar_refuses_the_api_server_refuses(api: Api, namespace: str, name: str) -> None:
    document = changed(BAD[name])
    with pytest.raises(InvalidSpec) as said:
        decode_monitors(yaml.safe_dump(document).encode())
    with pytest.raises(ApiError) as refused:
        await create(api, namespace, document)
    assert (refused.value.status, refused.value.reason) == (422, "Invalid")
    only = refused.value.message.partition(" is invalid: ")[2]
    for message in MESSAGES:
        if only.endswith(f": {message}") and not only.endswith(f"rule: {message}"):
            assert alike(message, " ".join(map(str, said.value.problems))), refused.value.message


def rules(schema: Json) -> Iterator[str]:
    """What the rules of a definition say."""
    yield from (each["message"] for each in schema.get("x-kubernetes-validations", []))
    for inner in (
        *schema.get("properties", {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ):
        if isinstance(inner, dict):
            yield from rules(inner)


def fields(schema: Json) -> Iterator[str]:
    """The names of all fields: what a rule of several says, `check` has in its path."""
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from fields(inner)
    if isinstance(schema.get("items"), dict):
        yield from fields(schema["items"])


def alike(rule: str, said: str) -> bool:
    """Has what `driftline check` says the rule's words, but for their endings and the fields it names?"""
    words = set(re.findall(r"[A-Za-z]{4,}", rule)) - FIELDS
    return all(word[:6] in said for word in words)


SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
MESSAGES, FIELDS = frozenset(rules(SCHEMA)), frozenset(fields(SCHEMA))


@pytest.mark.parametrize("name", ONLY_PYTHON)
async def test_what_only_the_sidecar_can_tell(api: Api, namespace: str, name: str) -> None:
    """Kept here so that it is known: the operator says these in the monitor's `Ready` condition."""
    document = changed(ONLY_PYTHON[name])
    assert refused_by_python(document)
    await create(api, namespace, document)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_the_examples_are_taken(api: Api, namespace: str, path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        stored = await create(api, namespace, document)
        (read,) = decode_resources(msgspec.json.encode(stored))
        (written,) = decode_resources(yaml.safe_dump(document).encode())
        assert read.spec == written.spec


async def test_columns_and_status(api: Api, namespace: str, kubectl: list[str]) -> None:
    await create(api, namespace, BASE)
    status = {
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": "Tested",
                "message": "by a test",
                "lastTransitionTime": "2026-11-24T12:00:00Z",
            }
            for kind in ("Ready", "DataDrift", "Performance")
        ],
        "injected": "3/5",
        "worstFeature": "age psi 0.41",
        "rows": 12345,
    }
    document = {**BASE, "metadata": {"name": "census", "namespace": namespace}, "status": status}
    document.pop("spec")
    await api.apply(MODEL_MONITORS, namespace, document, subresource="status")
    command = [*kubectl, "get", "mm", "-n", namespace]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown[0].split() == [
        "NAME",
        "READY",
        "INJECTED",
        "DRIFT",
        "PERFORMANCE",
        "WORST",
        "FEATURE",
        "ROWS",
        "AGE",
    ]
    assert shown[1].split()[:9] == ["census", "True", "3/5", "True", "Tested", "age", "psi", "0.41", "12345"]
    listed = subprocess.run([*kubectl, "get", "driftline", "-A"], capture_output=True, text=True, check=True)
    assert "census" in listed.stdout


def test_kubectl_explains(kubectl: list[str]) -> None:
    def explained(what: str) -> str:
        found = subprocess.run([*kubectl, "explain", what], capture_output=True, text=True, check=True)
        return " ".join(found.stdout.split())

    assert "When a window has drifted" in explained("mm.spec.drift")
    assert "Rows a window needs for a verdict" in explained("mm.spec.drift")
    assert "PortSwap" in explained("mm.spec.injection.mode")
