"""A part that breaks its rules can't be built, whoever builds it."""

from collections.abc import Callable

import pytest
from driftline.errors import InvalidSpec
from driftline.quantity import Duration, Size
from driftline.spec import (
    AppPort,
    Capture,
    CaptureReference,
    Drift,
    Endpoint,
    Feature,
    Injection,
    JsonPaths,
    LabelExpression,
    LabelSelector,
    Metadata,
    Prediction,
    ProfileSource,
    Range,
    Reference,
    Refresh,
    Schema,
    Sustain,
    Thresholds,
)

from tests.support.specs import categorical, monitor, numeric


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
            "must have exactly one of file, configMap and volume (file and configMap given)",
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
