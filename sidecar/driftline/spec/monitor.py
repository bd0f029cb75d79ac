"""The ModelMonitor itself: one model's monitoring, as a user writes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta, field

from driftline.errors import Problem
from driftline.jsonpath import JsonPath, of_key, parse_path
from driftline.quantity import Duration
from driftline.spec import outcomes
from driftline.spec.endpoint import Endpoint, JsonPaths, LabelSelector, Model
from driftline.spec.injection import Injection
from driftline.spec.labels import Kpi, Labels
from driftline.spec.part import FREE_TEXT, Part, Rule
from driftline.spec.performance import Fairness, Performance
from driftline.spec.policy import Capture, Drift, Metrics, MonitorName, Quality, Reference
from driftline.spec.schema import Feature, Schema

API_VERSION: Final = "driftline.io/v1alpha1"
KIND: Final = "ModelMonitor"

_HOUR = 3600
_CONTAINERS = tuple(
    "$" + key
    for key in (
        "",
        ".instances",
        ".inputs",
        ".dataframe_records",
        ".records",
        ".rows",
        ".data",
        ".features",
        ".input",
        ".predictions",
        ".outputs",
        ".results",
    )
)
_LONGEST_WINDOW = Duration(31 * 24 * _HOUR)


class Metadata(Part, frozen=True, kw_only=True):
    """Which monitor it is. Kubernetes' other fields are read past."""

    name: Annotated[MonitorName, Meta(description="The monitor's name, unique within its namespace.")]
    namespace: Annotated[
        Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")],
        Meta(description="The namespace of monitor and pods. Default `default`."),
    ] = "default"
    labels: Annotated[dict[str, str], Meta(description="Labels of the monitor.")] = field(
        default_factory=dict
    )
    annotations: Annotated[
        dict[str, Annotated[str, Meta(pattern=FREE_TEXT)]], Meta(description="Annotations of the monitor.")
    ] = field(default_factory=dict)

    TOLERATED: ClassVar = frozenset(
        {
            "creationTimestamp",
            "deletionGracePeriodSeconds",
            "deletionTimestamp",
            "finalizers",
            "generateName",
            "generation",
            "managedFields",
            "ownerReferences",
            "resourceVersion",
            "selfLink",
            "uid",
        }
    )


class MonitorSpec(Part, frozen=True, kw_only=True):
    """What is watched, compared with what, and when it counts as drift."""

    selector: Annotated[LabelSelector, Meta(description="The pods that serve the model.")]
    endpoint: Annotated[
        Endpoint, Meta(description="Which of the pods' requests are predictions, and how they are written.")
    ]
    model: Annotated[Model, Meta(description="The model behind the endpoint.")]
    schema: Annotated[Schema, Meta(description="The columns that are watched.")]
    reference: Annotated[Reference, Meta(description="What live traffic is compared with.")] = Reference()
    pane: Annotated[
        Duration,
        Meta(
            description="The smallest piece of time that is counted; windows are made of whole panes. It "
            "divides an "
            "hour. Default 1m; shorter ones cost memory and serve demonstrations."
        ),
    ] = Duration(60)
    windows: Annotated[
        Annotated[tuple[Duration, ...], Meta(min_length=1, max_length=8)],
        Meta(
            description="Lengths of time over which traffic is judged, shortest first: by default 5m for "
            "operations "
            "and quality, 1h for a warning, 24h for a page."
        ),
    ] = (Duration(300), Duration(_HOUR), Duration(24 * _HOUR))
    drift: Annotated[Drift, Meta(description="When a window has drifted.")] = Drift()
    quality: Annotated[Quality, Meta(description="When the data's quality is a problem.")] = Quality()
    labels: Annotated[
        Labels | None,
        Meta(
            description="What of each prediction goes to the hub, where labels, feedback and KPI events "
            "find it by its id. Default: nothing does."
        ),
    ] = None
    performance: Annotated[
        Performance | None,
        Meta(description="When the model's answers, measured by their labels, are too bad. Needs `labels`."),
    ] = None
    fairness: Annotated[
        Fairness | None,
        Meta(description="When groups are treated unequally. Needs `labels` and `schema.segments`."),
    ] = None
    kpis: Annotated[
        Annotated[tuple[Kpi, ...], Meta(max_length=32)],
        Meta(
            description="Business figures that may be sent for predictions; others are refused. "
            "Needs `labels`."
        ),
    ] = ()
    capture: Annotated[
        Capture, Meta(description="What of the traffic is looked at, and what never kept.")
    ] = Capture()
    metrics: Annotated[Metrics, Meta(description="What is exposed to Prometheus.")] = Metrics()
    injection: Annotated[
        Injection, Meta(description="How pods get their sidecar; read in a cluster only.")
    ] = Injection()

    RULES: ClassVar = (
        Rule(
            "!has(self.pane) || (duration(self.pane).getSeconds() > 0 "
            "&& 3600 % duration(self.pane).getSeconds() == 0)",
            "pane must divide an hour",
        ),
        Rule(
            "!has(self.windows) || !has(self.pane) || duration(self.pane).getSeconds() <= 0 "
            "|| self.windows.all(w, duration(w).getSeconds() > 0 "
            "&& duration(w).getSeconds() % duration(self.pane).getSeconds() == 0)",
            "windows must be multiples of pane",
        ),
        Rule(
            "!has(self.windows) || self.windows.all(w, duration(w) <= duration('744h'))",
            "windows must be at most 744h",
        ),
        Rule(  # as many are shorter as stand before it (1.29 refuses `map(...).isSorted()` as too costly)
            "!has(self.windows) || self.windows.all(w, "
            "self.windows.filter(v, duration(v) < duration(w)).size() == self.windows.lastIndexOf(w))",
            "windows must be longer than the one before",
        ),
        Rule(  # other spellings of the same place, such as $.instances[*].age, only a parser finds
            "!has(self.capture) || !has(self.capture.redact) || !has(self.schema.features) "
            "|| !self.schema.features.exists(f, ('$..' + f.name) in self.capture.redact "
            "|| (!has(f.path) && ('$.' + f.name) in self.capture.redact))",
            "a feature is redacted by capture.redact, so it can't be watched: remove one of the two",
        ),
        *outcomes.RULES,
    )
    SCHEMA: ClassVar = {
        "kpis": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    }

    @property
    def performance_window(self) -> Duration:
        """The time of prediction that is judged together."""
        asked = None if self.performance is None else self.performance.window
        return max(self.windows) if asked is None else asked

    @property
    def performance_age(self) -> Duration | None:
        """The label age that conditions are about; None where no predictions are kept."""
        if self.labels is None:
            return None
        asked = None if self.performance is None else self.performance.age
        return max(self.labels.ages) if asked is None else asked

    def _check_pane(self) -> Iterator[Problem]:
        if self.pane <= 0 or _HOUR % self.pane:
            yield Problem("pane", f"must divide an hour, such as 1s, 10s, 1m or 5m ({self.pane})")

    def _check_windows(self) -> Iterator[Problem]:
        for index, window in enumerate(self.windows):
            at = f"windows[{index}]"
            if window <= 0 or window > _LONGEST_WINDOW:
                yield Problem(at, f"must be above 0s and at most {_LONGEST_WINDOW} ({window})")
            elif index and window <= self.windows[index - 1]:
                yield Problem(
                    at, f"must be longer than the one before ({window} <= {self.windows[index - 1]})"
                )

    def _check_whole_panes(self) -> Iterator[Problem]:
        for index, window in enumerate(self.windows):
            if self.pane > 0 and window % self.pane:
                yield Problem(f"windows[{index}]", f"must be a multiple of pane ({window} / {self.pane})")

    def _check_unlogged(self) -> Iterator[Problem]:
        yield from outcomes.unlogged(self)

    def _check_thresholds(self) -> Iterator[Problem]:
        yield from outcomes.thresholds(self)

    def _check_ages(self) -> Iterator[Problem]:
        yield from outcomes.ages(self)

    def _check_stored_features(self) -> Iterator[Problem]:
        yield from outcomes.features(self)

    def _check_variant(self) -> Iterator[Problem]:
        yield from outcomes.variant(self)

    def _check_fairness(self) -> Iterator[Problem]:
        yield from outcomes.fairness(self)

    def _check_kpis(self) -> Iterator[Problem]:
        yield from outcomes.kpis(self)

    def _check_logged_redaction(self) -> Iterator[Problem]:
        for at, redacted in _redactions(self.capture):
            for where, name, path in _logged(self.labels):
                hidden = (
                    _redacts(redacted, name, None, self.endpoint.json)
                    if path is None
                    else _redacts_answer(redacted, path)
                )
                if hidden:
                    yield Problem(
                        where,
                        f"{path or name!r} is redacted by capture.redact[{at}] ({redacted}), so it can't be "
                        "kept: remove one of the two",
                    )

    def _check_redaction(self) -> Iterator[Problem]:
        watched = [
            (f"schema.features[{index}]", f.name, f.path) for index, f in enumerate(self.schema.features)
        ]
        prediction = self.schema.prediction
        watched.append(("schema.prediction", prediction.name, prediction.path))
        if prediction.score is not None:
            watched.append(("schema.prediction.score", prediction.score, prediction.score_path))
        for at, redacted in _redactions(self.capture):
            for where, name, path in watched:
                if _redacts(redacted, name, path, self.endpoint.json):
                    yield Problem(
                        where,
                        f"{name!r} is redacted by capture.redact[{at}] ({redacted}), so it can't be watched: "
                        "remove one of the two",
                    )

    def is_redacted(self, feature: Feature) -> bool:
        """Does one of the capture's redactions hide that feature? Then it must not become a column."""
        return any(
            _redacts(redacted, feature.name, feature.path, self.endpoint.json)
            for _, redacted in _redactions(self.capture)
        )


class ModelMonitor(Part, frozen=True, kw_only=True):
    """The monitoring of one model: select its pods, name its columns, give a reference."""

    api_version: Annotated[
        Literal["driftline.io/v1alpha1"], Meta(description="The version of this form: driftline.io/v1alpha1.")
    ] = API_VERSION
    kind: Annotated[Literal["ModelMonitor"], Meta(description="ModelMonitor.")] = KIND
    metadata: Annotated[Metadata, Meta(description="Which monitor it is.")]
    spec: Annotated[
        MonitorSpec, Meta(description="What is watched, compared with what, and when it counts as drift.")
    ]

    TOLERATED: ClassVar = frozenset({"status"})

    @property
    def key(self) -> str:
        """`namespace/name`, unique in a cluster."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


def _redactions(capture: Capture) -> Iterator[tuple[int, JsonPath]]:
    for index, text in enumerate(capture.redact):
        try:
            yield index, parse_path(text)
        except ValueError:  # said by Capture itself
            continue


def _logged(labels: Labels | None) -> Iterator[tuple[str, str, str | None]]:
    """Where, name and path of what the prediction log keeps beside what is watched."""
    if labels is None:
        return
    for place, names in (("key", labels.key), ("features", labels.features)):
        for index, name in enumerate(names):
            yield f"labels.{place}[{index}]", name, None
    if labels.id_path is not None:
        yield "labels.idPath", "", labels.id_path


def _redacts_answer(redacted: JsonPath, written: str) -> bool:
    """Does a redaction, seen from the body or from any value within it, hide what that path of it names?"""
    try:
        segments = parse_path(written).segments
    except ValueError:  # said by its own part
        return False
    return any(redacted.covers(JsonPath("$", segments[start:])) for start in range(len(segments)))


def _redacts(redacted: JsonPath, name: str, written: str | None, places: JsonPaths | None) -> bool:
    """Does a redaction, seen from the body or from a record, hide what has that name and path?"""
    if any(step.key == name for step in redacted.segments[-1:]) and redacted.segments[-1].deep:
        return True
    try:
        path = of_key(name) if written is None else parse_path(written)
    except ValueError:  # said by its own part
        return False
    return redacted.covers(path) or any(redacted.covers(inside) for inside in _in_body(path, places))


def _in_body(path: JsonPath, places: JsonPaths | None) -> Iterator[JsonPath]:
    """Where the known protocols, and the monitor itself, have a record's or an answer's values."""
    declared = [] if places is None else [places.records, places.predictions or "$"]
    for container in (*declared, *_CONTAINERS):
        for elements in ("", "[*]", "[0]"):
            try:
                start = parse_path(container + elements)
            except ValueError:  # said by JsonPaths itself
                continue
            yield JsonPath(start.text, (*start.segments, *path.segments))
