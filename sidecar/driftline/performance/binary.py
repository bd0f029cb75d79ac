"""Metrics of a binary classifier from `BinarySums`."""

from __future__ import annotations

from dataclasses import dataclass

from driftline.performance.aggregates import BinarySums, MeanSums
from driftline.performance.calibration import calibration_error, probabilities_missing
from driftline.performance.curves import auc, auc_bound, average_precision
from driftline.performance.estimate import Estimate, Undefined, between, clipped, undefined
from driftline.performance.intervals import design_effect, mean_estimate, proportion, wilson_bounds

Metrics = dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows by outcome: what was predicted against the label."""

    tn: float
    """Integers, but where rows have weights."""
    fp: float
    fn: float
    tp: float

    @classmethod
    def of(cls, sums: BinarySums) -> Confusion:
        """Of the rows that have a prediction."""
        (tn, fp), (fn, tp) = sums.confusion().tolist()
        return cls(tn, fp, fn, tp)

    @property
    def rows(self) -> float:
        """All of them."""
        return self.tn + self.fp + self.fn + self.tp


@dataclass(frozen=True, slots=True)
class BinaryPerformance:
    """What is said of one aggregate. `auc_bound`: how far binning can have moved the AUC."""

    rows: int
    confusion: Confusion
    metrics: Metrics
    auc_bound: float | None
    design_effect: float


def binary_performance(sums: BinarySums) -> BinaryPerformance:
    """All metrics; those that the rows don't allow say why.

    Intervals are Wilson's for proportions, DeLong's for the AUC, the delta method's for average precision
    and Student's for means, each widened by the design effect of the errors, 1 where requests are rows.
    """
    effect = design_effect(sums.errors)
    confusion = Confusion.of(sums)
    return BinaryPerformance(
        sums.rows,
        confusion,
        {**confusion_metrics(confusion, effect), **score_metrics(sums, effect)},
        auc_bound(sums.by_score()),
        effect,
    )


def confusion_metrics(c: Confusion, effect: float = 1.0) -> Metrics:
    """Accuracy, precision, recall, specificity, F1, selection rate and base rate of counts."""
    no_positive = Undefined.NO_POSITIVES if c.rows else Undefined.NO_ROWS
    no_negative = Undefined.NO_NEGATIVES if c.rows else Undefined.NO_ROWS
    no_predicted = Undefined.NO_PREDICTED_POSITIVES if c.rows else Undefined.NO_ROWS
    return {
        "accuracy": proportion(c.tp + c.tn, c.rows, effect),
        "precision": proportion(c.tp, c.tp + c.fp, effect, no_predicted),
        "recall": proportion(c.tp, c.tp + c.fn, effect, no_positive),
        "specificity": proportion(c.tn, c.tn + c.fp, effect, no_negative),
        "f1": f1(c.tp, c.fp, c.fn, effect, Undefined.NO_ROWS if not c.rows else Undefined.NO_POSITIVES),
        "selection_rate": proportion(c.tp + c.fp, c.rows, effect),
        "base_rate": proportion(c.tp + c.fn, c.rows, effect),
    }


def f1(
    tp: float, fp: float, fn: float, effect: float = 1.0, empty: Undefined = Undefined.NO_ROWS
) -> Estimate:
    """2 tp / (2 tp + fp + fn).

    Given the m = tp + fp + fn rows that count, tp is binomial, and F1 = 2 j / (1 + j) rises with
    j = tp / m: so its interval is that of Wilson for j, transformed.
    """
    m = tp + fp + fn
    if m == 0:
        return undefined(empty)
    low, high = wilson_bounds(tp / effect, m / effect)
    return between(2 * tp / (m + tp), 2 * low / (1 + low), 2 * high / (1 + high), m, "wilson")


def score_metrics(sums: BinarySums, effect: float = 1.0) -> Metrics:
    """AUC, average precision, log loss, Brier score and calibration error."""
    counts = sums.by_score()
    missing = probabilities_missing(sums)
    return {
        "auc": auc(counts, effect),
        "average_precision": average_precision(counts, effect),
        "log_loss": _loss(sums.log_loss, missing, float("inf")),
        "brier": _loss(sums.brier, missing, 1.0),
        "calibration_error": calibration_error(sums),
    }


def _loss(sums: MeanSums, missing: Undefined | None, most: float) -> Estimate:
    if missing is not None:
        return undefined(missing, sums.rows)
    return clipped(mean_estimate(sums), 0.0, most)
