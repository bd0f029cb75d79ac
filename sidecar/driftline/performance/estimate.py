"""What a metric gives: a value with its interval and what it rests on, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Undefined(StrEnum):
    """Why a metric has no value, or a value no interval."""

    UNKNOWN_CLASS = "UnknownClass"
    """Labels or predictions name classes that the monitor doesn't know: `schema.prediction` must say them."""
    NO_ROWS = "NoRows"
    """No row that has what the metric needs: neither pass nor fail."""
    ONE_CLASS = "OneClass"
    """All labels are of one class: nothing can be told apart."""
    NO_POSITIVES = "NoPositives"
    """No label is positive: there is nothing to recall."""
    NO_PREDICTED_POSITIVES = "NoPredictedPositives"
    """The model never said positive: there is nothing to be precise about."""
    NO_NEGATIVES = "NoNegatives"
    """No label is negative: there is no false positive rate."""
    NO_SCORES = "NoScores"
    """The rows have predictions but no scores."""
    NOT_PROBABILITIES = "NotProbabilities"
    """Some scores lie outside [0, 1]: they can be ranked, not compared with frequencies."""
    CONSTANT_SCORES = "ConstantScores"
    """All scores are equal: no slope can be fitted."""
    CONSTANT_LABELS = "ConstantLabels"
    """All labels are equal: there is no variance to explain."""
    ZERO_LABELS = "ZeroLabels"
    """All labels are 0: no error can be put in relation to them."""
    NO_RELEVANT = "NoRelevant"
    """No ranked list holds a relevant item."""
    ZERO_DENOMINATOR = "ZeroDenominator"
    """The rate that a ratio divides by is 0."""
    TOO_FEW_GROUPS = "TooFewGroups"
    """Fewer than two groups are large enough to be compared."""
    UNSUPPORTED = "Unsupported"
    """Too many rows lie where the reference has too few labels to estimate from."""
    UNLIKE_BINS = "UnlikeBins"
    """The reference's bins are not the window's."""
    SEPARATED = "Separated"
    """Scores and labels are separated completely: the logistic fit has no finite solution."""
    OVERFLOW = "Overflow"
    """The values are so far apart that the result is beyond 1.8e308."""
    TOO_FEW_ROWS = "TooFewRows"
    """A value is there, but from one unit only (one row, one request): it has no interval."""
    SHARED_ROWS = "SharedRows"
    """A value is there, but it averages curves that share their rows: no interval is known for it."""
    EXTREME = "Extreme"
    """A value is there, but it is a largest one, which grows with the rows: it has no interval."""
    NO_MOMENTS = "NoMoments"
    """A value is there, but the reference keeps too little of its losses for an interval."""
    NOT_BOUNDED = "NotBounded"
    """The detector needs errors in [0, 1]."""
    NO_REFERENCE = "NoReference"
    """There is nothing to compare with."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """`value` is finite, or None for `reason`. `low` and `high`: the interval at `level`, else None.

    `n`: rows (or lists, events) it rests on. A value without an interval says why in `reason`.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: float = 0
    reason: Undefined | None = None
    method: str = ""
    level: float = 0.95

    def __post_init__(self) -> None:
        numbers = (self.value, self.low, self.high)
        if any(number is not None and not math.isfinite(number) for number in numbers):
            raise ValueError(f"an estimate is a finite number or None with a reason, not {numbers}")
        if self.value is None and self.reason is None:
            raise ValueError("an estimate without a value must say why")


def undefined(reason: Undefined, n: float = 0) -> Estimate:
    """No value, for that reason."""
    return Estimate(None, n=n, reason=reason)


def interval(value: float, half: float | None, n: float, method: str, level: float = 0.95) -> Estimate:
    """A symmetric interval, value ± half; `half` None: there is none for want of rows."""
    if not math.isfinite(value) or (half is not None and not math.isfinite(half)):
        return undefined(Undefined.OVERFLOW, n)
    if half is None:
        return Estimate(value, n=n, reason=Undefined.TOO_FEW_ROWS, level=level)
    return Estimate(value, value - half, value + half, n, method=method, level=level)


def between(value: float, low: float, high: float, n: float, method: str, level: float = 0.95) -> Estimate:
    """An interval of its own shape; it always holds the value, whatever rounding did."""
    return Estimate(value, min(low, value), max(high, value), n, method=method, level=level)


def clipped(estimate: Estimate, low: float, high: float) -> Estimate:
    """With the interval cut to what the metric can be."""
    if estimate.low is None or estimate.high is None or estimate.value is None:
        return estimate
    return Estimate(
        estimate.value,
        max(low, estimate.low),
        min(high, estimate.high),
        estimate.n,
        estimate.reason,
        estimate.method,
        estimate.level,
    )
