"""Always-valid bounds of a bounded mean, from counts alone: a mixture of constant bets.

Against "the mean is m or more" a gambler bets a fraction of the largest possible stake on every value being
below m: 1 - lambda (x - m), lambda = c / (high - m), never negative. The capital is a nonnegative
supermartingale (Waudby-Smith and Ramdas 2024, betting), and so is the mixture over a grid of c (their
"grid Kelly"). Their bets may follow what was seen; here each c is constant, and that buys two things:

- **it merges**: log capital is the sum of log(1 - lambda (x - m)) over values, whatever pod saw them and in
  whatever order, so counts on a fixed grid of values are all that is kept;
- **hours of the day**: of independent values whose means vary, the capital over whole days has mean at most 1
  as long as each day's average is m or more (arithmetic and geometric mean). An adaptive bet lacks that.

A value between two grid points is split between them so that its mean is kept; log is concave, so that can
only lower the capital: rounding costs power, never validity.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from driftline.columns import Floats
from driftline.shadow.sequences.bound import Bound, Levels

FRACTIONS: Final[Floats] = np.append(np.geomspace(1e-4, 0.5, 24), [0.75, 0.9, 0.99])
"""Shares of the largest stake. From small ones (means of wide data, seen often) to nearly all."""

_HALVINGS = 50


def log_bets_below(points: Floats, mean: float, high: float) -> Floats:
    """Log of what each bet against "`mean` or more" makes of each value: float64 (points, fractions).

    `points` float64 (points,), none above `high`; mean < high.
    """
    stakes = FRACTIONS / (high - mean)
    found: Floats = np.log1p(-np.multiply.outer(points - mean, stakes))
    return found


def log_mixture(capital: Floats) -> Floats:
    """Log of the mean over the last axis of capitals given in logs: the bets have equal weights."""
    top = capital.max(axis=-1, keepdims=True)
    found: Floats = top[..., 0] + np.log(np.exp(capital - top).mean(axis=-1))
    return found


def log_evidence_below(points: Floats, weights: Floats, mean: float, high: float) -> float:
    """Log of the evidence that values counted as `weights` at `points` have a mean below `mean`."""
    return float(log_mixture(weights @ log_bets_below(points, mean, high)))


def mean_bound(points: Floats, weights: Floats, limit: float, levels: Levels = Levels()) -> Bound:  # noqa: B008
    """Bounds of the mean of values within +-`limit`, of which `weights` were seen at `points`.

    float64 (points,) both; points ascending, from the least possible value (-limit or 0) to `limit`.
    """
    low, high = float(points[0]), float(limit)
    total = float(weights.sum())
    if total <= 0:
        return Bound(None, low, high)
    seen = np.flatnonzero(weights)
    points, weights = points[seen], weights[seen]
    value = float(points @ weights) / total
    return Bound(
        value,
        -_upper(-points, weights, -value, -low, levels.rejecting),
        _upper(points, weights, value, high, levels.passing),
    )


def size_bound(points: Floats, weights: Floats, limit: float, levels: Levels = Levels()) -> Bound:  # noqa: B008
    """Bounds of |mean|, of which values and weights are as in `mean_bound`, with both signs.

    It is small where the mean is proven above -t and below t, each at the level of passing (two one-sided
    tests); large where it is proven beyond either, each at half the level of rejecting.
    """
    halves = Levels(levels.rejecting / 2, levels.rejecting / 2)
    inner = mean_bound(points, weights, limit, Levels(levels.passing, levels.passing))
    outer = mean_bound(points, weights, limit, halves)
    value = None if inner.value is None else abs(inner.value)
    return Bound(value, max(0.0, outer.lower, -outer.upper), max(-inner.lower, inner.upper))


def _upper(points: Floats, weights: Floats, value: float, high: float, alpha: float) -> float:
    """The least mean (to 1e-12 of the range or so) that the evidence is below, at level alpha.

    The evidence grows with the mean: every factor does, c fixed.
    """
    wanted = -math.log(alpha)
    least, most = min(value, high), high
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        if middle >= most or middle <= least:
            break
        if log_evidence_below(points, weights, middle, high) >= wanted:
            most = middle
        else:
            least = middle
    return most
