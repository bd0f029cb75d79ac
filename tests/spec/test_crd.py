"""The CRD is what the types say, and a structural schema that an API server takes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from driftline.crd import DEFINITIONS, MODEL_MONITOR, SHADOW_DEPLOYMENT, Definition, crd, crd_yaml

REPO = Path(__file__).parents[2]
FOLDERS = [REPO / folder for folder in ("crds", "charts/driftline/files/crds")]
each = pytest.mark.parametrize("of", DEFINITIONS, ids=lambda of: of.kind)
VALUE_KEYS = {"description", "default", "x-kubernetes-int-or-string", "anyOf"}


def root(of: Definition = MODEL_MONITOR) -> dict[str, Any]:
    schema: dict[str, Any] = crd(of)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from walk(schema[key], f"{path}[]")


def at(path: str, of: Definition = MODEL_MONITOR) -> dict[str, Any]:
    return dict(walk(root(of)))[path]


@each
def test_the_checked_in_file_is_the_generated_one(of: Definition) -> None:
    for folder in FOLDERS:
        file = folder / f"{of.name}.yaml"
        assert file.read_text(encoding="utf-8") == crd_yaml(of), f"{file}: run `make crds`"
    assert yaml.safe_load(crd_yaml(of)) == crd(of)


def test_names_columns_and_status_are_as_designed() -> None:
    spec = crd()["spec"]
    assert spec["names"]["shortNames"] == ["mm"]
    assert spec["names"]["categories"] == ["driftline"]
    version = spec["versions"][0]
    assert version["subresources"] == {"status": {}}
    assert [column["name"] for column in version["additionalPrinterColumns"]] == [
        "Ready", "Injected", "Drift", "Performance", "Worst feature", "Rows", "Age",
    ]  # fmt: skip


def test_a_shadow_has_names_columns_and_status_too() -> None:
    spec = crd(SHADOW_DEPLOYMENT)["spec"]
    assert (spec["names"]["kind"], spec["names"]["plural"]) == ("ShadowDeployment", "shadowdeployments")
    assert (spec["names"]["shortNames"], spec["names"]["categories"]) == (["sd"], ["driftline"])
    version = spec["versions"][0]
    assert version["subresources"] == {"status": {}}
    assert [column["name"] for column in version["additionalPrinterColumns"]] == [
        "Monitor", "Verdict", "Reason", "Pairs", "Coverage", "Age",
    ]  # fmt: skip


@each
def test_every_node_is_structural(of: Definition) -> None:
    for path, schema in walk(root(of)):
        assert ("type" in schema) != ("x-kubernetes-int-or-string" in schema), path
        if "anyOf" in schema:
            assert schema["anyOf"] == [{"type": "integer"}, {"type": "string"}], path
        assert not {"$ref", "oneOf", "allOf", "nullable", "additionalItems"} & set(schema), path
        assert not ("properties" in schema and "additionalProperties" in schema), path


@each
def test_no_default_is_a_number_that_a_yaml_reader_may_take_for_text(of: Definition) -> None:
    """Helm writes 1e-06 for a millionth, which YAML 1.1 reads as text."""
    for path, schema in walk(root(of)):
        if isinstance(number := schema.get("default"), float):
            assert number == 0 or 1e-4 <= abs(number) < 1e15, path


@each
def test_every_field_is_explained(of: Definition) -> None:
    unexplained = [
        path
        for path, schema in walk(root(of))
        if path and not path.endswith("[]") and "description" not in schema and path != ".metadata"
    ]
    assert unexplained == []


@each
def test_everything_a_rule_may_walk_over_is_bounded(of: Definition) -> None:
    for path, schema in walk(root(of)["properties"]["spec"]):
        if schema.get("type") == "array":
            assert "maxItems" in schema, path
        if "additionalProperties" in schema:
            assert "maxProperties" in schema, path
        if schema.get("type") == "string" and "enum" not in schema:
            assert "maxLength" in schema, path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".spec.pane", {"default": "1m"}),
        (".spec.windows", {"default": ["5m", "1h", "24h"], "minItems": 1}),
        (".spec.drift.thresholds.psi", {"default": 0.25, "minimum": 0, "exclusiveMinimum": True}),
        (".spec.capture.maxBodyBytes", {"default": "1Mi", "x-kubernetes-int-or-string": True}),
        (".spec.endpoint.port", {"x-kubernetes-int-or-string": True, "minimum": 1, "maximum": 65535}),
        (".spec.schema.features", {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
        (".spec.reference.season", {"enum": ["daily", "none", "weekly"], "default": "none"}),
        (".spec", {"required": ["selector", "endpoint", "model", "schema"]}),
        (".spec.drift", {"default": {}}),
        (".spec.labels.ages", {"default": ["1h", "24h", "168h"], "minItems": 1}),
        (".spec.labels.retention.rows", {"default": 50_000_000, "minimum": 1000}),
        (".spec.performance.minLabels", {"default": 200}),
        (".spec.performance.thresholds", {"x-kubernetes-list-map-keys": ["metric"], "maxItems": 16}),
        (".spec.kpis", {"x-kubernetes-list-map-keys": ["name"], "maxItems": 32}),
    ],
)
def test_types_bounds_and_defaults_come_from_the_spec(path: str, expected: dict[str, Any]) -> None:
    assert expected.items() <= at(path).items()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".spec", {"required": ["monitorRef", "candidate", "gate"]}),
        (".spec.duration", {"default": "336h"}),
        (".spec.minPairs", {"default": 1000, "minimum": 1}),
        (".spec.gate.minTime", {"default": "168h"}),
        (".spec.gate.errorRate", {"default": 0.01, "exclusiveMinimum": True, "exclusiveMaximum": True}),
        (".spec.aa.share", {"default": 0.0, "minimum": 0, "maximum": 1}),
        (".spec.onPass", {"enum": ["Promote", "Report"], "default": "Report"}),
        (".spec.candidate.patch.template", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        (".spec.candidate.template", {"required": ["spec"]}),
        (".spec.candidate.service.port", {"x-kubernetes-int-or-string": True}),
    ],
)
def test_a_shadow_s_bounds_and_defaults_come_from_the_spec(path: str, expected: dict[str, Any]) -> None:
    assert expected.items() <= at(path, SHADOW_DEPLOYMENT).items()


def test_what_a_schema_cannot_say_is_a_rule() -> None:
    rules = {
        path: [rule["message"] for rule in schema["x-kubernetes-validations"]]
        for path, schema in walk(root())
        if "x-kubernetes-validations" in schema
    }
    assert rules[".spec.schema.features[].range"] == ["max must be above min", "must have min or max"]
    assert rules[".spec"] == [
        "pane must divide an hour",
        "windows must be multiples of pane",
        "windows must be at most 744h",
        "windows must be longer than the one before",
        "a feature is redacted by capture.redact, so it can't be watched: remove one of the two",
        "performance, fairness and kpis need labels: without it no prediction is kept",
        "performance.thresholds.metric is none of model.type's",
        "performance.thresholds.metric needs schema.prediction.score",
        "maxDrop and maxRise need a reference with labels: a captured one has none",
        "performance.age must be one of labels.ages",
        "labels.features must name features",
        "performance.thresholds.metric needs schema.prediction.positive: one class has the score",
        "fairness needs schema.prediction.positive, or two classes",
        "fairness needs model.type classification",
        "fairness needs schema.segments: the features whose values are the groups",
    ]
    assert rules[".spec.reference"] == [
        "refresh is only read with capture",
        "has both profile and capture: choose one",
    ]


def test_what_is_off_unless_asked_for_is_not_filled_in() -> None:
    assert [name for name in ("labels", "performance", "fairness") if "default" in at(f".spec.{name}")] == []
