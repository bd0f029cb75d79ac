"""AUC and average precision from score bins.

Rows of one bin are ties. The AUC counts a tie as one half, so it is off by `auc_bound` at most; average
precision takes a bin as one threshold, as scikit-learn takes equal scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.performance.aggregates import ScoreCounts
from driftline.performance.estimate import Estimate, Undefined, undefined
from driftline.performance.intervals import logit_interval

AnyCounts = NDArray[np.int64] | Floats


def auc(counts: ScoreCounts, effect: float = 1.0) -> Estimate:
    """Area under the ROC curve; DeLong's variance (1988) times the design effect, on the logit scale."""
    p, n = counts.positives, counts.negatives
    positives, negatives = p.sum().item(), n.sum().item()
    if (missing := _one_class(positives, negatives)) is not None:
        return missing
    above_negative = (np.cumsum(n) - n / 2) / negatives
    below_positive = (positives - np.cumsum(p) + p / 2) / positives
    value = auc_value(p, n)
    rows = positives + negatives
    if min(positives, negatives) < 2:  # effective ones, where rows have weights
        return Estimate(value, n=rows, reason=Undefined.TOO_FEW_ROWS)
    variance = (
        float(p @ (above_negative - value) ** 2) / (positives - 1) / positives
        + float(n @ (below_positive - value) ** 2) / (negatives - 1) / negatives
    )
    units = min(positives, negatives) / effect
    return logit_interval(value, variance * effect, units, rows, "delong")


def auc_value(positives: AnyCounts, negatives: AnyCounts) -> float:
    """The AUC of counts or expected counts by ascending score bin, (bins,) each; both sums positive."""
    below = np.cumsum(negatives) - negatives / 2
    return float(positives @ below / (positives.sum() * negatives.sum()))


def auc_bound(counts: ScoreCounts) -> float | None:
    """The most that the binning can have moved the AUC: half the sum of products of class masses in a bin."""
    p, n = counts.positives, counts.negatives
    if not p.any() or not n.any():
        return None
    return float(p / p.sum() @ (n / n.sum())) / 2


def average_precision(counts: ScoreCounts, effect: float = 1.0) -> Estimate:
    """Sum of precision x step of recall; the delta method over multinomial bins, on the logit scale."""
    positives, negatives = counts.positives.sum().item(), counts.negatives.sum().item()
    if (missing := _one_class(positives, negatives)) is not None:
        return missing
    value = average_precision_value(counts.positives, counts.negatives)
    variance = _average_precision_variance(counts, value) * effect
    return logit_interval(value, variance, positives / effect, positives + negatives, "delta")


def average_precision_value(positives: AnyCounts, negatives: AnyCounts) -> float:
    """The average precision of counts or expected counts by ascending score bin, (bins,) each."""
    p = positives[::-1]
    hits, rows = np.cumsum(p), np.cumsum(p + negatives[::-1])
    held = p > 0
    return float((p[held] * hits[held] / rows[held]).sum() / p.sum())


def _average_precision_variance(counts: ScoreCounts, value: float) -> float:
    """Sum over cells of count x (derivative by that count)^2: the multinomial's delta method."""
    p, n = counts.positives[::-1].astype(np.float64), counts.negatives[::-1].astype(np.float64)
    hits, rows = np.cumsum(p), np.maximum(np.cumsum(p + n), 1.0)
    by_positive = _from_here_on(p * (rows - hits) / rows**2)
    by_negative = -_from_here_on(p * hits / rows**2)
    of_positive = hits / rows + by_positive - value
    return float((p @ of_positive**2 + n @ by_negative**2) / p.sum() ** 2)


def _from_here_on(values: Floats) -> Floats:
    """Sum of each and all after it."""
    found: Floats = np.cumsum(values[::-1])[::-1]
    return found


def _one_class(positives: float, negatives: float) -> Estimate | None:
    if positives + negatives == 0:
        return undefined(Undefined.NO_SCORES)
    if positives == 0 or negatives == 0:
        return undefined(Undefined.ONE_CLASS, positives + negatives)
    return None
