"""What a row holds: features, prediction, segments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from driftline.errors import Problem
from driftline.spec.endpoint import JsonPathText, path_problems
from driftline.spec.part import Part, Rule, twice

FeatureType = Literal["numeric", "categorical"]
ColumnName = Annotated[str, Meta(min_length=1, max_length=128)]
Category = Annotated[str, Meta(max_length=256)]


class Range(Part, frozen=True, kw_only=True):
    """The values that a numeric feature may take; what lies outside is counted as out of range."""

    min: Annotated[
        float | None, Meta(description="Least allowed value, itself allowed. Default: no limit.")
    ] = None
    max: Annotated[
        float | None, Meta(description="Greatest allowed value, itself allowed. Default: no limit.")
    ] = None

    RULES: ClassVar = (
        Rule("!has(self.min) || !has(self.max) || self.min < self.max", "max must be above min"),
        Rule("has(self.min) || has(self.max)", "must have min or max"),
    )

    def _check_order(self) -> Iterator[Problem]:
        if self.min is not None and self.max is not None and self.max <= self.min:
            relation = "<" if self.max < self.min else "="
            yield Problem("max", f"must be above min ({self.max:g} {relation} {self.min:g})")

    def _check_some(self) -> Iterator[Problem]:
        if self.min is None and self.max is None:
            yield Problem("", "must have min or max")


class Feature(Part, frozen=True, kw_only=True):
    """One input of the model."""

    name: Annotated[ColumnName, Meta(description="The feature's name: in records, metrics and reports.")]
    type: Annotated[
        FeatureType,
        Meta(description="`numeric` (quantities) or `categorical` (text, codes, booleans)."),
    ]
    range: Annotated[
        Range | None,
        Meta(description="Allowed values of a numeric feature; others are a quality problem. Default: any."),
    ] = None
    path: Annotated[
        JsonPathText | None,
        Meta(
            description="JSON path of the value within a record, such as `$.user.age`. Default: the key "
            "`name`."
        ),
    ] = None
    categories: Annotated[
        Annotated[tuple[Category, ...], Meta(max_length=1024)] | None,
        Meta(
            description="Allowed values of a categorical feature; others count as new categories. "
            "Default: what the reference holds."
        ),
    ] = None
    nullable: Annotated[
        bool,
        Meta(
            description="Whether null is a regular value. Default true: nulls are counted, but no schema "
            "violation."
        ),
    ] = True

    RULES: ClassVar = (
        Rule("!has(self.range) || self.type == 'numeric'", "range needs type numeric"),
        Rule("!has(self.categories) || self.type == 'categorical'", "categories needs type categorical"),
    )

    def _check_range(self) -> Iterator[Problem]:
        if self.range is not None and self.type != "numeric":
            yield Problem("range", f"needs type numeric, not {self.type}")

    def _check_categories(self) -> Iterator[Problem]:
        if self.categories is None:
            return
        if self.type != "categorical":
            yield Problem("categories", f"needs type categorical, not {self.type}")
        yield from twice("categories", self.categories)

    def _check_path(self) -> Iterator[Problem]:
        yield from path_problems("path", self.path)


class Prediction(Part, frozen=True, kw_only=True):
    """The model's answer."""

    name: Annotated[
        ColumnName,
        Meta(description="Name of the predicted class or value: in metrics, reports and reference data."),
    ]
    score: Annotated[
        ColumnName | None,
        Meta(description="Name of the score (probability of the positive class), if the model gives one."),
    ] = None
    path: Annotated[
        JsonPathText | None,
        Meta(
            description="JSON path of the class or value within one prediction. Default: the prediction "
            "itself where "
            "it is a scalar, else its key `name`, `label`, `class` or `prediction`."
        ),
    ] = None
    score_path: Annotated[
        JsonPathText | None,
        Meta(
            description="JSON path of the score within one prediction. Default: its key `score` names, "
            "`score` or "
            "`probability`, or the positive class's entry of a vector of probabilities."
        ),
    ] = None
    positive: Annotated[
        Annotated[str, Meta(max_length=256)] | Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="The positive class of a classifier: its name, or its index in a vector of "
            "probabilities. "
            "Default: the last of two classes; with a score and no classes, `1` or `true`."
        ),
    ] = None
    classes: Annotated[
        Annotated[tuple[Category, ...], Meta(max_length=1024)],
        Meta(
            description="Names of the classes in the order of a vector of probabilities. Default: 0, 1, 2 … "
            "Labels and predictions of other names are counted, and left out of all figures."
        ),
    ] = ()

    def _check_paths(self) -> Iterator[Problem]:
        yield from path_problems("path", self.path)
        yield from path_problems("scorePath", self.score_path)

    def _check_score(self) -> Iterator[Problem]:
        if self.score == self.name:
            yield Problem("score", f"must not have the prediction's name ({self.name!r})")
        if self.score_path is not None and self.score is None:
            yield Problem("scorePath", "needs score: the name under which the value is watched")

    def _check_classes(self) -> Iterator[Problem]:
        yield from twice("classes", self.classes)

    def _check_positive(self) -> Iterator[Problem]:
        if not self.classes or self.positive is None:
            return
        known = (
            self.positive in self.classes
            if isinstance(self.positive, str)
            else 0 <= self.positive < len(self.classes)
        )
        if not known:
            yield Problem("positive", f"must be one of classes, or an index of it ({self.positive!r})")

    RULES: ClassVar = (
        Rule("!has(self.score) || self.score != self.name", "score must not have the prediction's name"),
        Rule("!has(self.scorePath) || has(self.score)", "scorePath needs score"),
    )


class Schema(Part, frozen=True, kw_only=True):
    """The columns that are watched."""

    features: Annotated[
        Annotated[tuple[Feature, ...], Meta(max_length=1000)],
        Meta(
            description="The model's inputs, in the order in which arrays list them. "
            "Default: those of the reference profile."
        ),
    ] = ()
    prediction: Annotated[Prediction, Meta(description="The model's answer: watched like a feature.")]
    segments: Annotated[
        Annotated[tuple[ColumnName, ...], Meta(max_length=8)],
        Meta(description="Features by whose values everything is also broken down. Default: none."),
    ] = ()

    SCHEMA: ClassVar = {
        "features": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        "segments": {"x-kubernetes-list-type": "set"},
    }
    RULES: ClassVar = (
        Rule(
            "!has(self.segments) || !has(self.features) || size(self.features) == 0 "
            "|| self.segments.all(s, self.features.exists(f, f.name == s))",
            "segments must name features",
        ),
        Rule(
            "!has(self.features) || !self.features.exists(f, f.name == self.prediction.name)",
            "prediction.name must not be a feature's name",
        ),
    )

    def _check_feature_names(self) -> Iterator[Problem]:
        first: dict[str, int] = {}
        for index, feature in enumerate(self.features):
            if feature.name in first:
                yield Problem(
                    f"features[{index}].name",
                    f"is the name of features[{first[feature.name]}] too ({feature.name!r})",
                )
            first.setdefault(feature.name, index)

    def _check_prediction_names(self) -> Iterator[Problem]:
        names = {feature.name for feature in self.features}
        for field in ("name", "score"):
            name = getattr(self.prediction, field)
            if name in names:
                yield Problem(f"prediction.{field}", f"is a feature's name too ({name!r})")

    def _check_segments(self) -> Iterator[Problem]:
        yield from twice("segments", self.segments)
        types = {feature.name: feature.type for feature in self.features}
        for index, name in enumerate(self.segments):
            if types and name not in types:
                yield Problem(f"segments[{index}]", f"must name a feature ({name!r} is none)")
            elif types.get(name) == "numeric":
                yield Problem(f"segments[{index}]", f"must name a categorical feature ({name!r} is numeric)")
