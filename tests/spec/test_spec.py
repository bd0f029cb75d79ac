"""A part that breaks its rules can't be built, whoever builds it."""

from collections.abc import Callable
from typing import Any

import pytest
from driftline.errors import InvalidSpec
from driftline.quantity import Duration, Size
from driftline.spec import (
    METRICS,
    AppPort,
    Capture,
    CaptureReference,
    Drift,
    Endpoint,
    Fairness,
    Feature,
    Injection,
    JsonPaths,
    Kpi,
    LabelExpression,
    Labels,
    LabelSelector,
    Metadata,
    ModelMonitor,
    Performance,
    PerformanceThreshold,
    Prediction,
    ProfileSource,
    Range,
    Reference,
    Refresh,
    Retention,
    Schema,
    Sustain,
    Thresholds,
    Variant,
)
from driftline.spec.performance import LESS_IS_BETTER, MORE_IS_BETTER, SIGNED

from tests.support.specs import categorical, monitor, numeric


def judged(*thresholds: PerformanceThreshold, **fields: Any) -> ModelMonitor:
    return monitor(labels=Labels(), performance=Performance(thresholds=thresholds), **fields)


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda: Range(min=130, max=120), "max: must be above min (120 < 130)"),
        (lambda: Range(min=1, max=1), "max: must be above min (1 = 1)"),
        (Range, "must have min or max"),
        (lambda: AppPort(port=8081), "must have exactly one of env and args"),
        (lambda: AppPort(port=8081, env="PORT", args=("x",)), "must have exactly one of env and args"),
        (
            lambda: AppPort(port=15080, env="PORT"),
            "port: must not be one of the sidecar's, 15080 to 15099 (15080)",
        ),
        (
            lambda: Injection(mode="PortSwap"),
            "app: is needed with mode PortSwap, and only read with it (mode PortSwap)",
        ),
        (
            lambda: Injection(app=AppPort(port=8081, env="PORT")),
            "app: is needed with mode PortSwap, and only read with it (mode PortRename)",
        ),
        (lambda: Refresh(after=Duration(3600)), "after: must be at least 24h (1h)"),
        (
            lambda: Reference(refresh=Refresh(after=Duration(86400))),
            "refresh: is only read with capture",
        ),
        (lambda: Range(min=float("nan")), "min: must be a finite number, not nan"),
        (lambda: Endpoint(port=0), "port: must be at least 1 (0)"),
        (lambda: Endpoint(port=True), "port: must be a whole number or text, not true"),
        (
            lambda: Endpoint(port="80"),
            "port: must hold a letter where it is a name ('80'); a number is unquoted",
        ),
        (lambda: Endpoint(port=80, paths=("x",)), "paths[0]: must begin with / ('x')"),
        (
            lambda: Endpoint(port=80, paths=("/a*b",)),
            "paths[0]: must have no * but the last character ('/a*b')",
        ),
        (lambda: Endpoint(port=80, paths=("/a", "/a")), "paths[1]: is there twice ('/a')"),
        (
            lambda: Endpoint(port=80, protocol="oip-v2", json=JsonPaths()),
            "json: is only read with protocol json or auto, not oip-v2",
        ),
        (LabelSelector, "must name at least one label: an empty one would select every pod"),
        (lambda: LabelExpression(key="a", operator="In"), "values: must hold at least one value for In"),
        (lambda: numeric("a", categories=("x",)), "categories: needs type categorical, not numeric"),
        (lambda: categorical("a", range=Range(min=0)), "range: needs type numeric, not categorical"),
        (lambda: categorical("a", categories=("x", "x")), "categories[1]: is there twice ('x')"),
        (lambda: numeric(""), "name: must not be empty"),
        (lambda: numeric("a\nb"), "name: must not hold control characters ('a\\nb')"),
        (lambda: Prediction(name="p", score="p"), "score: must not have the prediction's name ('p')"),
        (
            lambda: Prediction(name="p", score_path="$.s"),
            "scorePath: needs score: the name under which the value is watched",
        ),
        (
            lambda: Prediction(name="p", classes=("a",), positive="b"),
            "positive: must be one of classes, or an index of it ('b')",
        ),
        (
            lambda: Schema(prediction=Prediction(name="p"), features=(numeric("a"), numeric("a"))),
            "features[1].name: is the name of features[0] too ('a')",
        ),
        (
            lambda: Schema(prediction=Prediction(name="a"), features=(numeric("a"),)),
            "prediction.name: is a feature's name too ('a')",
        ),
        (
            lambda: Schema(prediction=Prediction(name="p"), features=(numeric("a"),), segments=("b",)),
            "segments[0]: must name a feature ('b' is none)",
        ),
        (
            lambda: Schema(prediction=Prediction(name="p"), features=(numeric("a"),), segments=("a",)),
            "segments[0]: must name a categorical feature ('a' is numeric)",
        ),
        (
            lambda: ProfileSource(file="a", config_map="b"),
            "must have exactly one of file and configMap (both given)",
        ),
        (
            lambda: Reference(profile=ProfileSource(file="a"), capture=CaptureReference()),
            "has both profile and capture: choose one",
        ),
        (lambda: Thresholds(psi=0.1), "warning: must be below psi (0.1 >= 0.1)"),
        (lambda: Sustain(windows=5, of=4), "windows: must not be more than of (5 > 4)"),
        (lambda: Drift(dataset_share=0), "datasetShare: must be above 0 (0)"),
        (lambda: Capture(sample=0), "sample: must be above 0 (0)"),
        (lambda: Capture(sample=1.5), "sample: must be at most 1 (1.5)"),
        (lambda: Capture(max_body_bytes=Size(1)), "maxBodyBytes: must be from 1Ki to 64Mi (1)"),
        (
            lambda: Capture(redact=("$",)),
            "redact[0]: would redact the whole body: set sample or paths instead",
        ),
        (lambda: Metadata(name="A"), "name: must match ^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$, not 'A'"),
        (lambda: monitor(pane=Duration(7)).spec, "pane: must divide an hour, such as 1s, 10s, 1m or 5m (7s)"),
        (lambda: monitor(windows=(Duration(90),)), "windows[0]: must be a multiple of pane (1m30s / 1m)"),
        (
            lambda: monitor(windows=(Duration(300), Duration(60))),
            "windows[1]: must be longer than the one before (1m <= 5m)",
        ),
        (lambda: monitor(windows=()), "windows: must hold at least 1 (0)"),
        (lambda: Labels(key=("a",), id_path="$.id"), "has both key and idPath: choose one"),
        (lambda: Labels(key=("a", "a")), "key[1]: is there twice ('a')"),
        (lambda: Labels(features=("a", "a")), "features[1]: is there twice ('a')"),
        (
            lambda: Labels(id_path="id"),
            "idPath: must be a JSON path that begins with $, such as $.id, not 'id'",
        ),
        (
            lambda: Labels(ages=(Duration(60), Duration(60))),
            "ages[1]: must be longer than the one before (1m <= 1m)",
        ),
        (
            lambda: Labels(retention=Retention(age=Duration(168 * 3600))),
            "retention.age: must be above each of ages (168h <= 168h)",
        ),
        (lambda: Retention(age=Duration(60)), "age: must be at least 1h (1m)"),
        (lambda: Variant(values=("a", "a")), "values[1]: is there twice ('a')"),
        (lambda: PerformanceThreshold(metric="auc"), "must have min, max, maxDrop or maxRise"),
        (
            lambda: PerformanceThreshold(metric="auc", max=0.9),
            "max: is none of auc's: it is better the more and takes min and maxDrop",
        ),
        (
            lambda: PerformanceThreshold(metric="mae", min=0.1, max_drop=1),
            "maxDrop: is none of mae's: it is better the less and takes max and maxRise",
        ),
        (
            lambda: PerformanceThreshold(metric="meanError", max=1, max_rise=1),
            "maxRise: is none of meanError's: it is best at 0 and takes min and max",
        ),
        (
            lambda: PerformanceThreshold(metric="meanError", min=1, max=-1),
            "max: must be above min (-1 <= 1)",
        ),
        (
            lambda: Performance(thresholds=(PerformanceThreshold(metric="f1", min=0.5),) * 2),
            "thresholds[1].metric: is there twice ('f1')",
        ),
        (
            lambda: monitor(performance=Performance()),
            "performance: needs labels: without it no prediction is kept",
        ),
        (
            lambda: monitor(kpis=(Kpi(name="revenue"),)),
            "kpis: needs labels: without it no prediction is kept",
        ),
        (
            lambda: judged(PerformanceThreshold(metric="mae", max=1)),
            (
                "performance.thresholds[0].metric: is none of classification's ('mae'): accuracy, precision, "
                "recall, f1, auc, averagePrecision, logLoss, brier, calibrationError"
            ),
        ),
        (
            lambda: judged(PerformanceThreshold(metric="auc", min=0.7)),
            "performance.thresholds[0].metric: needs schema.prediction.score ('auc')",
        ),
        (
            lambda: judged(
                PerformanceThreshold(metric="f1", max_drop=0.1),
                reference=Reference(capture=CaptureReference()),
            ),
            (
                "performance.thresholds[0]: maxDrop and maxRise need a reference with labels: a captured one "
                "has none"
            ),
        ),
        (
            lambda: monitor(labels=Labels(), performance=Performance(age=Duration(60))),
            "performance.age: must be one of labels.ages (1m; there are 1h, 24h, 168h)",
        ),
        (
            lambda: monitor(labels=Labels(retention=Retention(age=Duration(191 * 3600)))),
            "labels.retention.age: must cover the window and the longest of ages (191h < 24h + 168h)",
        ),
        (
            lambda: monitor(features=[numeric("a")], labels=Labels(features=("b",))),
            "labels.features[0]: must name a feature ('b' is none)",
        ),
        (
            lambda: monitor(labels=Labels(variant=Variant(header="Cookie", values=("a",)))),
            "labels.variant.header: is redacted by capture.redactHeaders (Cookie)",
        ),
        (
            lambda: monitor(labels=Labels(), fairness=Fairness()),
            "fairness: needs schema.segments: the features whose values are the groups",
        ),
        (
            lambda: monitor(
                features=[categorical("sex")], segments=["sex"], labels=Labels(), fairness=Fairness()
            ),
            "fairness: needs schema.prediction.positive, or two classes: which answer is the good one",
        ),
        (
            lambda: judged(
                PerformanceThreshold(metric="auc", min=0.7),
                prediction=Prediction(name="outcome", score="score", classes=("a", "b", "c")),
            ),
            (
                "performance.thresholds[0].metric: needs schema.prediction.positive ('auc'): "
                "one class has the score"
            ),
        ),
        (
            lambda: monitor(labels=Labels(), kpis=(Kpi(name="a"), Kpi(name="a"))),
            "kpis[1].name: is there twice ('a')",
        ),
        (
            lambda: monitor(labels=Labels(key=("ssn",)), capture=Capture(redact=("$..ssn",))),
            (
                "labels.key[0]: 'ssn' is redacted by capture.redact[0] ($..ssn), so it can't be kept: "
                "remove one of the two"
            ),
        ),
        (
            lambda: monitor(labels=Labels(id_path="$.a.id"), capture=Capture(redact=("$.a",))),
            (
                "labels.idPath: '$.a.id' is redacted by capture.redact[0] ($.a), so it can't be kept: "
                "remove one of the two"
            ),
        ),
        (
            lambda: monitor(labels=Labels(id_path="$.a[*].id"), capture=Capture(redact=("$.id",))),
            (
                "labels.idPath: '$.a[*].id' is redacted by capture.redact[0] ($.id), so it can't be kept: "
                "remove one of the two"
            ),
        ),
        (
            lambda: monitor(labels=Labels(key=("x",)), capture=Capture(redact=("$.input.x",))),
            (
                "labels.key[0]: 'x' is redacted by capture.redact[0] ($.input.x), so it can't be kept: "
                "remove one of the two"
            ),
        ),
        (
            lambda: Labels(id_path="$..id"),
            "idPath: must not be recursive ('$..id'): say where the id lies",
        ),
        (
            lambda: monitor(labels=Labels(features=("x",)), capture=Capture(redact=("$.instances[*].x",))),
            (
                "labels.features[0]: 'x' is redacted by capture.redact[0] ($.instances[*].x), so it can't be "
                "kept: remove one of the two"
            ),
        ),
    ],
)
def test_what_breaks_a_rule_cannot_be_built(build: Callable[[], object], problem: str) -> None:
    with pytest.raises(InvalidSpec) as error:
        build()
    assert problem in [str(found) for found in error.value.problems]


def test_defaults_are_those_of_the_measurements() -> None:
    spec = monitor().spec
    assert [str(window) for window in spec.windows] == ["5m", "1h", "24h"]
    assert (spec.drift.thresholds.psi, spec.drift.thresholds.warning) == (0.25, 0.1)
    assert (spec.drift.min_rows, spec.drift.min_requests) == (1000, 50)
    assert (spec.drift.sustain.windows, spec.drift.sustain.of) == (3, 4)
    assert (str(spec.pane), str(spec.capture.max_body_bytes), spec.capture.sample) == ("1m", "1Mi", 1.0)


@pytest.mark.parametrize(
    ("redact", "feature", "hidden"),
    [
        ("$.ssn", numeric("ssn"), True),
        ("$..ssn", numeric("ssn"), True),
        ("$.instances[*].ssn", numeric("ssn"), True),
        ("$.user", numeric("age", path="$.user.age"), True),
        ("$..ssn", numeric("other", path="$.deep.ssn"), True),
        ("$.ssn", numeric("age"), False),
        ("$.user.ssn", numeric("ssn"), False),
    ],
)
def test_a_redacted_feature_cannot_be_watched(redact: str, feature: Feature, hidden: bool) -> None:
    capture = Capture(redact=(redact,))
    assert monitor(capture=capture).spec.is_redacted(feature) is hidden
    if hidden:
        with pytest.raises(
            InvalidSpec, match=r"schema\.features\[0\]: .* is redacted by capture\.redact\[0\]"
        ):
            monitor(features=[feature], capture=capture)
    else:
        assert monitor(features=[feature], capture=capture).spec.schema.features == (feature,)


@pytest.mark.parametrize(
    ("paths", "path", "matches"),
    [
        ((), "/anything", True),
        (("/predict",), "/predict", True),
        (("/predict",), "/predict/", False),
        (("/v1/*",), "/v1/models", True),
        (("/v1/*",), "/v2/models", False),
    ],
)
def test_an_endpoint_matches_exact_paths_and_prefixes(
    paths: tuple[str, ...], path: str, matches: bool
) -> None:
    assert Endpoint(port=80, paths=paths).matches(path) is matches


def test_what_performance_is_about_unless_the_monitor_says_so() -> None:
    spec = monitor(labels=Labels()).spec
    assert (str(spec.performance_window), str(spec.performance_age)) == ("24h", "168h")
    asked = Performance(window=Duration(3600), age=Duration(3600))
    spec = monitor(labels=Labels(), performance=asked).spec
    assert (str(spec.performance_window), str(spec.performance_age)) == ("1h", "1h")
    assert monitor().spec.performance_age is None


def test_every_metric_has_one_direction() -> None:
    for metrics in METRICS.values():
        for metric in metrics:
            assert [metric in group for group in (MORE_IS_BETTER, LESS_IS_BETTER, SIGNED)].count(True) == 1
