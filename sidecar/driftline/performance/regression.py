"""Metrics of a regression from `RegressionSums`."""

from __future__ import annotations

import math

from driftline.performance.aggregates import MeanSums, RegressionSums
from driftline.performance.binary import Metrics
from driftline.performance.estimate import Estimate, Undefined, between, clipped, interval, undefined
from driftline.performance.intervals import mean_estimate, ratio_variance, student_quantile

_NOISE = 1e-24
"""Labels whose variance is below this times the square of their size are constant up to rounding."""


def regression_metrics(sums: RegressionSums) -> Metrics:
    """MAE, RMSE, R2, MAPE, mean error (prediction - label) and the largest error.

    The unit of the intervals is the request. MAPE is over |label|, as a share, of the labels that aren't 0
    (its n says of how many; scikit-learn divides by 2e-16 there). The largest error has no interval: it only
    ever grows with rows.
    """
    rows = sums.absolute.rows
    empty = undefined(Undefined.NO_ROWS)
    return {
        "mae": clipped(mean_estimate(sums.absolute), 0.0, math.inf),
        "rmse": _rmse(sums.squares),
        "r2": _r2(sums),
        "mape": _mape(sums),
        "mean_error": mean_estimate(sums.errors),
        "max_error": Estimate(sums.largest, n=rows, reason=Undefined.EXTREME) if rows else empty,
    }


def _rmse(squares: MeanSums) -> Estimate:
    """The root of the mean squared error and of its interval's ends."""
    mean = mean_estimate(squares)
    if mean.value is None:
        return mean
    value = math.sqrt(mean.value)
    if mean.low is None or mean.high is None:
        return Estimate(value, n=mean.n, reason=mean.reason)
    return between(value, math.sqrt(max(0.0, mean.low)), math.sqrt(mean.high), mean.n, "student")


def _mape(sums: RegressionSums) -> Estimate:
    if sums.absolute.rows and not sums.percentage.rows:
        return undefined(Undefined.ZERO_LABELS, sums.absolute.rows)
    return clipped(mean_estimate(sums.percentage), 0.0, math.inf)


def _r2(sums: RegressionSums) -> Estimate:
    """1 - sum e^2 / sum (y - mean)^2, by the delta method: its linear part per row is (q d^2 - e^2) / s.

    With d = y - mean, s = sum d^2 and q = sum e^2 / s; the squared errors' design effect widens it.
    """
    labels = sums.labels
    n = labels.rows
    if n == 0:
        return undefined(Undefined.NO_ROWS)
    centred = labels.about(labels.shift + labels.sums[0] / n)
    _, spread, _, fourth = centred.sums
    if not math.isfinite(spread):
        return undefined(Undefined.OVERFLOW, n)
    if spread <= _NOISE * n * centred.shift**2 or spread == 0:
        return undefined(Undefined.CONSTANT_LABELS, n)
    q = centred.squared_errors / spread
    if not math.isfinite(q):
        return undefined(Undefined.OVERFLOW, n)
    half = None
    if sums.squares.requests > 2:
        linear = q * q * fourth - 2 * q * centred.cross[1] + sums.labels.fourth_errors
        if not math.isfinite(linear):
            return undefined(Undefined.OVERFLOW, n)
        root = math.sqrt(max(0.0, linear) * _squares_effect(sums)) / spread
        half = student_quantile(sums.squares.requests - 2) * root
    return interval(1 - q, half, n, "delta")


def _squares_effect(sums: RegressionSums) -> float:
    """The design effect of the squared errors: their mean's variance between requests over that of rows."""
    squares = sums.squares
    variance = ratio_variance(squares)
    if variance is None or squares.requests == squares.rows:
        return 1.0
    mean = squares.total / squares.rows
    own = (sums.labels.fourth_errors / squares.rows - mean * mean) / squares.rows
    return max(1.0, variance / own) if own > 0 else 1.0
