"""When the model's answers are too bad: performance against labels, concept drift, fairness."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal, get_args

from msgspec import Meta

from driftline.errors import Problem
from driftline.quantity import Duration
from driftline.spec.endpoint import ModelType
from driftline.spec.part import Part, Rule
from driftline.spec.policy import Ratio, Sustain

ClassificationMetric = Literal[
    "accuracy", "precision", "recall", "f1", "auc", "averagePrecision", "logLoss", "brier", "calibrationError"
]
RegressionMetric = Literal["mae", "rmse", "r2", "mape", "meanError", "maxError"]
RankingMetric = Literal["ndcg", "map", "mrr"]
PerformanceMetric = Literal[ClassificationMetric, RegressionMetric, RankingMetric]
DetectorName = Literal["adwin", "hddm-a", "page-hinkley"]

METRICS: Final[dict[ModelType, tuple[PerformanceMetric, ...]]] = {
    "classification": get_args(ClassificationMetric),
    "regression": get_args(RegressionMetric),
    "ranking": get_args(RankingMetric),
}
"""The metrics of each type of model: a closed list, the names in spec, status, series and report."""
OF_SCORES: Final[tuple[PerformanceMetric, ...]] = (
    "auc", "averagePrecision", "logLoss", "brier", "calibrationError",
)  # fmt: skip
"""Those that need `schema.prediction.score`."""
MORE_IS_BETTER: Final[tuple[PerformanceMetric, ...]] = (
    "accuracy", "precision", "recall", "f1", "auc", "averagePrecision", "r2", "ndcg", "map", "mrr",
)  # fmt: skip
SIGNED: Final[tuple[PerformanceMetric, ...]] = ("meanError",)
"""Best at 0: worse on either side. Of all others less is better."""
LESS_IS_BETTER: Final[tuple[PerformanceMetric, ...]] = tuple(
    metric for metrics in METRICS.values() for metric in metrics if metric not in (*MORE_IS_BETTER, *SIGNED)
)


def cel_list(names: tuple[str, ...]) -> str:
    """Names as a list of CEL."""
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


class PerformanceThreshold(Part, frozen=True, kw_only=True):
    """From where on one metric is too bad. Its interval must lie wholly beyond."""

    metric: Annotated[
        PerformanceMetric,
        Meta(
            description="One of the model type's metrics. Classification: accuracy, precision, recall, f1, "
            "and with a score auc, averagePrecision, logLoss, brier, calibrationError. Regression: mae, "
            "rmse, r2, mape, meanError, maxError. Ranking: ndcg, map, mrr."
        ),
    ]
    min: Annotated[float | None, Meta(description="Least good value, where more is better.")] = None
    max: Annotated[float | None, Meta(description="Greatest good value, where less is better.")] = None
    max_drop: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="How far it may lie below the reference's value, in the metric's own unit, where "
            "more is better. Needs a profile with labels."
        ),
    ] = None
    max_rise: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="How far it may lie above the reference's value, in the metric's own unit, where "
            "less is better. Needs a profile with labels."
        ),
    ] = None

    RULES: ClassVar = (
        Rule(
            "has(self.min) || has(self.max) || has(self.maxDrop) || has(self.maxRise)",
            "must have min, max, maxDrop or maxRise",
        ),
        Rule(
            f"!(self.metric in {cel_list(MORE_IS_BETTER)}) || !(has(self.max) || has(self.maxRise))",
            "metric is better the more and takes min and maxDrop",
        ),
        Rule(
            f"!(self.metric in {cel_list(LESS_IS_BETTER)}) || !(has(self.min) || has(self.maxDrop))",
            "metric is better the less and takes max and maxRise",
        ),
        Rule(
            f"!(self.metric in {cel_list(SIGNED)}) || !(has(self.maxDrop) || has(self.maxRise))",
            "metric is best at 0 and takes min and max",
        ),
        Rule("!has(self.min) || !has(self.max) || self.min < self.max", "max must be above min"),
    )

    @property
    def relative(self) -> bool:
        """Whether it compares with the reference's value."""
        return self.max_drop is not None or self.max_rise is not None

    def _check_some(self) -> Iterator[Problem]:
        if self.min is None and self.max is None and not self.relative:
            yield Problem("", "must have min, max, maxDrop or maxRise")

    def _check_direction(self) -> Iterator[Problem]:
        given = {"min": self.min, "max": self.max, "maxDrop": self.max_drop, "maxRise": self.max_rise}
        if self.metric in SIGNED:
            why, right = "is best at 0", ("min", "max")
        elif self.metric in MORE_IS_BETTER:
            why, right = "is better the more", ("min", "maxDrop")
        else:
            why, right = "is better the less", ("max", "maxRise")
        for name, value in given.items():
            if value is not None and name not in right:
                yield Problem(
                    name, f"is none of {self.metric}'s: it {why} and takes {right[0]} and {right[1]}"
                )

    def _check_order(self) -> Iterator[Problem]:
        if self.min is not None and self.max is not None and self.max <= self.min:
            yield Problem("max", f"must be above min ({self.max:g} <= {self.min:g})")


class Concept(Part, frozen=True, kw_only=True):
    """When what is right has changed: a detector on the error, beside the test against the reference."""

    detector: Annotated[
        DetectorName,
        Meta(
            description="`adwin` (default), `hddm-a` or `page-hinkley`, on the error by time of prediction. "
            "A change is said once it and the window's test against the reference agree."
        ),
    ] = "adwin"


class Performance(Part, frozen=True, kw_only=True):
    """When performance is too bad: a threshold is crossed, beyond chance, and it lasts."""

    window: Annotated[
        Duration | None,
        Meta(
            description="The time of prediction that is judged together. Default: the longest of `windows`."
        ),
    ] = None
    age: Annotated[
        Duration | None,
        Meta(
            description="Which of `labels.ages` the conditions are about: how long labels are waited for. "
            "Default: the longest; a shorter one says it earlier, of fewer labels."
        ),
    ] = None
    min_labels: Annotated[
        Annotated[int, Meta(ge=1)],
        Meta(description="Labels that a window needs; below, it says InsufficientLabels. Default 200."),
    ] = 200
    k: Annotated[
        Annotated[int, Meta(ge=1, le=1000)],
        Meta(description="Of a ranking: how many items from the top count in its metrics. Default 10."),
    ] = 10
    thresholds: Annotated[
        Annotated[tuple[PerformanceThreshold, ...], Meta(max_length=16)],
        Meta(description="What of the metrics is too bad. Default: metrics are said, nothing is judged."),
    ] = ()
    sustain: Annotated[Sustain, Meta(description="How lasting it must be.")] = Sustain()
    concept: Annotated[Concept, Meta(description="When what is right has changed.")] = Concept()

    SCHEMA: ClassVar = {
        "thresholds": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["metric"]}
    }
    RULES: ClassVar = (
        Rule("!has(self.window) || duration(self.window).getSeconds() > 0", "window must be above 0s"),
    )

    def _check_window(self) -> Iterator[Problem]:
        if self.window is not None and self.window <= 0:
            yield Problem("window", f"must be above 0s ({self.window})")

    def _check_metrics(self) -> Iterator[Problem]:
        metrics = [threshold.metric for threshold in self.thresholds]
        for index, metric in enumerate(metrics):
            if metric in metrics[:index]:
                yield Problem(f"thresholds[{index}].metric", f"is there twice ({metric!r})")


class FairnessThresholds(Part, frozen=True, kw_only=True):
    """How unequally groups may be treated. What isn't set is said, but not judged."""

    demographic_parity_difference: Annotated[
        Ratio | None,
        Meta(description="Greatest difference of the groups' rates of positive predictions."),
    ] = None
    demographic_parity_ratio: Annotated[
        Ratio | None,
        Meta(description="Least ratio of those rates, such as 0.8: the four-fifths rule."),
    ] = None
    equal_opportunity_difference: Annotated[
        Ratio | None,
        Meta(description="Greatest difference of the groups' true positive rates."),
    ] = None
    equalized_odds_difference: Annotated[
        Ratio | None,
        Meta(description="Greatest difference of the groups' true and false positive rates, the larger one."),
    ] = None


class Fairness(Part, frozen=True, kw_only=True):
    """When the model treats the groups of `schema.segments` unequally. Classification only."""

    min_group: Annotated[
        Annotated[int, Meta(ge=1)],
        Meta(
            description="Predictions that a group needs in a window, and labels where labels are compared; "
            "smaller ones are named and left out. "
            "Default 100: a group of two rows makes any difference 1."
        ),
    ] = 100
    thresholds: Annotated[FairnessThresholds, Meta(description="How unequally groups may be treated.")] = (
        FairnessThresholds()
    )
    sustain: Annotated[Sustain, Meta(description="How lasting it must be.")] = Sustain()
