"""The sums of a window by the model's type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from driftline.performance.aggregates import (
    BinarySums,
    ErrorBucket,
    MulticlassSums,
    RankingSums,
    RegressionSums,
)
from driftline.spec.endpoint import ModelType

from driftline_operator.hub.aggregates import sums
from driftline_operator.hub.aggregates.classes import Classes
from driftline_operator.hub.aggregates.ranking import ranking, ranking_errors
from driftline_operator.hub.aggregates.window import By, Cell, Window

Sums = BinarySums | MulticlassSums | RegressionSums | RankingSums


class Measure(NamedTuple):
    """What is added up of a model. `k`: of a ranking, how many items from the top count."""

    kind: ModelType
    classes: Classes
    """Of a classification."""
    k: int


def measured(window: Window, measure: Measure, by: By) -> Mapping[Cell, Sums]:
    """Performance of the labelled rows, by cell."""
    if measure.kind == "ranking":
        return ranking(window, by, measure.k)
    if measure.kind == "regression":
        return sums.regression(window, by)
    if not measure.classes.positive:
        return sums.multiclass(window, measure.classes, by)
    return sums.binary(window, measure.classes, by)


def errors(window: Window, measure: Measure, by: By) -> dict[Cell, list[ErrorBucket]]:
    """The error by slice of `by.bucket` seconds, in order of time, by cells without `bucket`."""
    if measure.kind == "ranking":
        return ranking_errors(window, by, measure.k)
    return sums.error_buckets(window, by, measure.classes)
