"""A shadow against its monitor: what could never come true is said, what can is let through."""

from __future__ import annotations

from typing import Any

import pytest
from driftline.decoding import build_monitor, build_shadow
from driftline.shadow.fit import misfits

Json = dict[str, Any]

KIND = {"apiVersion": "driftline.io/v1alpha1", "metadata": {"name": "flights"}}
FEATURES = [{"name": "delay", "type": "numeric"}, {"name": "carrier", "type": "categorical"}]
REGRESSION = {"model": {"name": "m", "type": "regression"}}
SCORED = {"schema": {"features": FEATURES, "prediction": {"name": "late", "score": "score"}}}


def found(shadow: Json, **monitor: Any) -> list[str]:
    usual = {
        "selector": {"matchLabels": {"app": "flights"}},
        "endpoint": {"port": "http", "paths": ["/predict", "/v2/*"]},
        "model": {"name": "flights", "type": "classification"},
        "schema": {"features": FEATURES, "prediction": {"name": "late"}},
    }
    watching = build_monitor({**KIND, "kind": "ModelMonitor", "spec": {**usual, **monitor}})
    asked = {
        "monitorRef": {"name": "flights"},
        "candidate": {"service": {"name": "next", "port": 80}},
        "gate": {"agreement": 0.9},
        **shadow,
    }
    spec = build_shadow({**KIND, "kind": "ShadowDeployment", "spec": asked}).spec
    return [str(problem) for problem in misfits(spec, watching.spec)]


@pytest.mark.parametrize("path", ["/predict", "/pre*", "/*", "/v2/a", "/v2/*", "/v2/models/*"])
def test_a_path_that_meets_the_monitor_s_is_fine(path: str) -> None:
    assert found({"traffic": {"paths": [path]}}) == []


@pytest.mark.parametrize("path", ["/v1/predict", "/predict2", "/predict/*", "/v2", "/v1/*"])
def test_a_path_that_meets_none_is_named(path: str) -> None:
    assert found({"traffic": {"paths": ["/predict", path]}}) == [
        f"spec.traffic.paths[1]: must meet a path of the monitor ({path!r}; it has /predict, /v2/*)"
    ]
    assert found({"traffic": {"paths": [path]}}, endpoint={"port": "http"}) == []


def test_segments_are_categorical_features_of_the_monitor() -> None:
    assert found({"compare": {"segments": ["carrier", "sex", "delay"]}}) == [
        "spec.compare.segments[1]: must name a categorical feature of the monitor ('sex' is none of them)",
        "spec.compare.segments[2]: must name a categorical feature of the monitor ('delay' is numeric)",
    ]
    unnamed = {"prediction": {"name": "late"}}  # the features are those of the profile, or of the traffic
    assert found({"compare": {"segments": ["sex"]}}, schema=unnamed) == []


ACCURACY: Json = {"performance": {"accuracy": 0.1}}
LABELLED: Json = {"labels": {}}
BOTH = ["spec.gate.meanDelta", "spec.gate.p95Delta"]
RULES: list[tuple[Json, Json, list[str]]] = [
    ({"gate": {"meanDelta": 0.1, "p95Delta": 0.1}}, {}, BOTH),
    ({"gate": {"meanDelta": 0.1, "p95Delta": 0.1}}, SCORED, []),
    ({"gate": {"meanDelta": 0.1, "p95Delta": 0.1}}, REGRESSION, BOTH),
    ({"gate": {"meanDelta": 0.1}, "compare": {"clip": 10}}, REGRESSION, []),
    (
        {"gate": {"systematicDifference": 1}, "aa": {"share": 0.1}},
        REGRESSION,
        ["spec.gate.systematicDifference"],
    ),
    ({"gate": {"systematicDifference": 1}, "aa": {"share": 0.1}}, {}, []),
    ({"gate": {"performance": {"accuracy": 0.1}}}, {}, ["spec.gate.performance"]),
    ({"gate": {"performance": {"accuracy": 0.1}}}, {"labels": {}}, []),
    ({"gate": {"performance": {"auc": 0.1}}}, {"labels": {}}, ["spec.gate.performance.auc"]),
    ({"gate": {"performance": {"auc": 0.1}}}, {"labels": {}, **SCORED}, []),
    ({"gate": {"performance": {"mae": 0.1}}}, {"labels": {}}, ["spec.gate.performance.mae"]),
    (
        {"gate": {"performance": {"accuracy": 0.1}}},
        {"labels": {}, **REGRESSION},
        ["spec.gate.performance.accuracy"],
    ),
    ({"gate": {"performance": {"mae": 0.1}}}, {"labels": {}, **REGRESSION}, []),
    ({"compare": {"outputs": ["score"]}, "gate": ACCURACY}, LABELLED, ["spec.compare.outputs"]),
    ({"compare": {"outputs": ["score"]}, "gate": ACCURACY}, {**LABELLED, **SCORED}, []),
    (
        {"compare": {"outputs": ["score"]}, "gate": {"performance": {"mae": 1}}},
        {**LABELLED, **REGRESSION},
        ["spec.compare.outputs"],
    ),
]  # fmt: skip


CLIP: Json = {"compare": {"clip": 10}}
TWICE: Json = {"aa": {"share": 0.1}}
LIMITS: list[tuple[Json, Json, Json, str]] = [
    ({"meanDelta": 1}, {}, SCORED, "1 at most (1;"),
    ({"meanDelta": 0.99}, {}, SCORED, ""),
    ({"p95Delta": 2}, {}, SCORED, "1 at most (2;"),
    ({"p95Delta": 2}, CLIP, SCORED, ""),
    ({"meanDelta": 10}, CLIP, REGRESSION, "10 at most (10;"),
    ({"p95Delta": 10}, CLIP, REGRESSION, "10 at most (10;"),
    ({"p95Delta": 9.9}, CLIP, REGRESSION, ""),
    ({"systematicDifference": 1.42}, TWICE, {}, "1.414 at most (1.42;"),
    ({"systematicDifference": 1.41}, TWICE, {}, ""),
    ({"systematicDifference": 5}, TWICE | {"compare": {"outputs": ["body"]}}, {}, "1.414 at most (5;"),
    ({"systematicDifference": 9}, TWICE | CLIP, REGRESSION, ""),
    ({"systematicDifference": 11}, TWICE | CLIP, REGRESSION, "10 at most (11;"),
    ({"performance": {"mae": 10}}, CLIP, {**LABELLED, **REGRESSION}, "10 at most (10;"),
    ({"performance": {"mae": 10}}, {}, {**LABELLED, **REGRESSION}, ""),
    ({"outputDrift": 0.99, "errorRate": 0.99, "latencyRatio": {"p50": 1000}}, {}, {}, ""),
]


@pytest.mark.parametrize(("gate", "more", "monitor", "most"), LIMITS)
def test_limits_that_hold_whatever_comes_are_named(gate: Json, more: Json, monitor: Json, most: str) -> None:
    (rule,) = gate if most else [""]
    said = found({"gate": gate, **more}, **monitor)
    assert len(said) == (most != "")
    assert all(f"spec.gate.{rule}" in each and f"is never broken: it is {most}" in each for each in said)


@pytest.mark.parametrize(("shadow", "monitor", "fields"), RULES)
def test_rules_that_nothing_can_decide_are_named(shadow: Json, monitor: Json, fields: list[str]) -> None:
    assert [each.partition(":")[0] for each in found(shadow, **monitor)] == fields


DAILY: Json = {**ACCURACY, "minTime": "24h"}
HURRIED: Json = {**ACCURACY, "minTime": "1h", "allowUnderADay": True}
AGED: Json = {"labels": {"ages": ["1h", "24h", "168h"]}, "performance": {"age": "24h"}}
DURATIONS: list[tuple[str, Json, Json, str]] = [
    ("336h", ACCURACY, LABELLED, ""),
    ("335h", ACCURACY, LABELLED, "335h < 336h"),
    ("191h", DAILY, LABELLED, "191h < 192h"),
    ("192h", DAILY, LABELLED, ""),
    ("71h", {**DAILY, "minTime": "36h"}, AGED, "71h < 72h"),
    ("72h", {**DAILY, "minTime": "36h"}, AGED, ""),
    ("23h", HURRIED, AGED, "23h < 24h"),
    ("24h", HURRIED, AGED, ""),
    ("168h", {"agreement": 0.9}, LABELLED, ""),
]


@pytest.mark.parametrize(("duration", "gate", "monitor", "why"), DURATIONS)
def test_a_duration_at_whose_end_no_label_counts_yet_is_named(
    duration: str, gate: Json, monitor: Json, why: str
) -> None:
    said = found({"duration": duration, "gate": gate}, **monitor)
    assert len(said) == (why != "")
    assert all(each.startswith("spec.duration: must hold ") and f"({why})" in each for each in said)
