"""Whether scores are probabilities: reliability by groups of bins, calibration error, slope and intercept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from driftline.columns import Floats
from driftline.performance.aggregates import BinarySums
from driftline.performance.estimate import Estimate, Undefined, clipped, interval, undefined
from driftline.performance.from_rows import LEAST_PROBABILITY
from driftline.performance.intervals import design_effect, normal_quantile, proportion

GROUPS = 10
"""Rows of the reliability table: runs of score bins with about equal numbers of rows."""

_STEPS = 60
_CLOSE = 1e-10
_FAR = 1e4


@dataclass(frozen=True, slots=True)
class ReliabilityRow:
    """Rows whose scores are alike: their mean score beside the share of positive labels."""

    rows: int
    score: float
    share: Estimate


@dataclass(frozen=True, slots=True)
class Recalibration:
    """The logistic fit logit P(positive) = intercept + slope x logit(score) (Cox 1958).

    A slope below 1: scores are too extreme. `in_the_large`: the intercept where the slope is held at 1; below
    0: scores are too high on the whole.
    """

    slope: Estimate
    intercept: Estimate
    in_the_large: Estimate


def probabilities_missing(sums: BinarySums) -> Undefined | None:
    """Why scores can't be compared with frequencies; None where they can."""
    if sums.outside:
        return Undefined.NOT_PROBABILITIES
    if not sums.brier.rows:
        return Undefined.NO_SCORES if sums.rows else Undefined.NO_ROWS
    return None


def reliability(sums: BinarySums, groups: int = GROUPS) -> tuple[ReliabilityRow, ...]:
    """At most `groups` rows, ascending by score; () where the scores are no probabilities.

    A bin is never cut, so equal scores stay together and a group may hold more than its share.
    """
    if probabilities_missing(sums) is not None:
        return ()
    effect = design_effect(sums.errors)
    n, positives, scores = _grouped(sums, groups)
    return tuple(
        ReliabilityRow(int(rows), float(score / rows), proportion(float(hits), float(rows), effect))
        for rows, hits, score in zip(n, positives, scores, strict=True)
    )


def calibration_error(sums: BinarySums, groups: int = GROUPS) -> Estimate:
    """Expected calibration error: the mean of |share of positives - mean score| over groups of equal size.

    Groups of equal size, for equal-width ones leave most of a skewed model's rows in one (Nguyen and
    O'Connor 2015). The interval takes the labels as independent given the score; see `calibration_noise`.
    """
    if (missing := probabilities_missing(sums)) is not None:
        return undefined(missing, sums.brier.rows)
    n, positives, scores = _grouped(sums, groups)
    rows = int(n.sum())
    value = float(np.abs(positives - scores).sum()) / rows
    half = normal_quantile() * math.sqrt(float(_variances(n, positives).sum()) * design_effect(sums.errors))
    return clipped(interval(value, half / rows, rows, "delta"), 0.0, 1.0)


def calibration_noise(sums: BinarySums, groups: int = GROUPS) -> float | None:
    """What the calibration error of perfect probabilities would be on average with so many rows."""
    if probabilities_missing(sums) is not None:
        return None
    n, _, scores = _grouped(sums, groups)
    return float(np.sqrt(2 / math.pi * _variances(n, scores)).sum() / n.sum())


def recalibration(sums: BinarySums) -> Recalibration:
    """By Newton's method on the bins, each at the logit of its mean score."""
    counts = sums.by_score()
    if (missing := probabilities_missing(sums)) is not None:
        return _all(undefined(missing, sums.brier.rows))
    positives, negatives = counts.positives, counts.negatives
    rows = positives + negatives
    if not positives.any() or not negatives.any():
        return _all(undefined(Undefined.ONE_CLASS, int(rows.sum())))
    held = rows > 0
    mean = np.clip(sums.scores[held] / rows[held], LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    x = np.log(mean) - np.log1p(-mean)
    effect = design_effect(sums.errors)
    n, hits = rows[held].astype(np.float64), positives[held].astype(np.float64)
    ones = np.ones_like(x)
    if np.ptp(x) == 0:
        return _all(undefined(Undefined.CONSTANT_SCORES, int(n.sum())))
    large = _fit(ones[:, None], x, n, hits, effect)
    both = _fit(np.stack([ones, x], axis=1), np.zeros_like(x), n, hits, effect)
    separated = undefined(Undefined.SEPARATED, int(n.sum()))
    return Recalibration(
        slope=separated if both is None else both[1],
        intercept=separated if both is None else both[0],
        in_the_large=separated if large is None else large[0],
    )


def _fit(design: Floats, offset: Floats, n: Floats, hits: Floats, effect: float) -> list[Estimate] | None:
    """Binomial logistic regression; (bins, k) design. None where it doesn't settle (separation)."""
    beta = np.zeros(design.shape[1])
    information = np.eye(design.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ beta + offset, -700, 700)))
        gradient = design.T @ (hits - n * p)
        information = design.T @ (design * (n * p * (1 - p))[:, None])
        if np.linalg.cond(information) > 1 / np.finfo(np.float64).eps:
            return None
        step = np.linalg.solve(information, gradient)
        # A long step can overshoot to where all p are 0 or 1 and nothing leads back.
        beta = beta + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        if np.abs(beta).max() > _FAR:
            return None
        if np.abs(step).max() < _CLOSE * (1 + np.abs(beta).max()):
            break
    else:
        return None
    half = normal_quantile() * np.sqrt(np.diag(np.linalg.inv(information)) * effect)
    rows = int(n.sum())
    return [interval(float(b), float(h), rows, "fisher") for b, h in zip(beta, half, strict=True)]


def _all(estimate: Estimate) -> Recalibration:
    return Recalibration(estimate, estimate, estimate)


def _grouped(sums: BinarySums, groups: int) -> tuple[Floats, Floats, Floats]:
    """Rows, positives and score sums of runs of bins of about equal size; no run is empty."""
    counts = sums.by_score()
    rows = (counts.negatives + counts.positives).astype(np.float64)
    middle = np.cumsum(rows) - rows / 2
    place = np.minimum((middle * groups / rows.sum()).astype(np.int64), groups - 1)
    n, hits, scores = (
        np.bincount(place, weights=values, minlength=groups).astype(np.float64)
        for values in (rows, counts.positives.astype(np.float64), sums.scores)
    )
    held = n > 0
    return n[held], hits[held], scores[held]


def _variances(n: Floats, positives: Floats) -> Floats:
    """Of each group's number of positives."""
    found: Floats = np.maximum(positives * (1 - positives / n), 0.0)
    return found
