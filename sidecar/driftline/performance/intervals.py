"""Intervals of means and proportions whose unit is the request."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

from driftline.performance.aggregates import MeanSums
from driftline.performance.estimate import Estimate, Undefined, between, interval, undefined
from driftline.tails import student_log_sf

LEVEL = 0.95


@lru_cache(maxsize=64)
def normal_quantile(level: float = LEVEL) -> float:
    """z so that a normal lies within ±z with that probability."""
    return NormalDist().inv_cdf((1 + level) / 2)


@lru_cache(maxsize=4096)
def student_quantile(df: int, level: float = LEVEL) -> float:
    """t so that Student's t with `df` >= 1 degrees of freedom lies within ±t with that probability."""
    if df > 10_000:
        return normal_quantile(level)
    log_tail = math.log((1 - level) / 2)
    low, high = 0.0, 1e6
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student_log_sf(middle, df) > log_tail else (low, middle)
    return high


def ratio_variance(sums: MeanSums) -> float | None:
    """Variance of the mean total / rows, between requests; None with fewer than two requests.

    The ratio estimator of cluster sampling (Cochran 1977, 6.4): R / (R - 1) sum (s - mean m)^2 / rows^2.
    """
    r, n = sums.requests, sums.rows
    if r < 2 or n == 0:
        return None
    mean = sums.total / n
    around = sums.squares - 2 * mean * sums.products + mean * mean * sums.sizes
    if not math.isfinite(around):
        return math.inf
    return max(0.0, around) * r / (r - 1) / (n * n)


def mean_estimate(sums: MeanSums, shift: float = 0.0, level: float = LEVEL) -> Estimate:
    """The mean of x + `shift` with Student's interval between requests."""
    if not sums.rows:
        return undefined(Undefined.NO_ROWS)
    variance = ratio_variance(sums)
    half = None
    if variance is not None:
        half = student_quantile(sums.requests - 1, level) * math.sqrt(variance)
    return interval(sums.total / sums.rows + shift, half, sums.rows, "student", level)


def design_effect(sums: MeanSums) -> float:
    """Variance of the mean of a 0/1 number between requests over that of independent rows; at least 1.

    Exactly 1 where every request is one row, and where it can't be told.
    """
    variance = ratio_variance(sums)
    if variance is None or sums.requests == sums.rows:
        return 1.0
    p = sums.total / sums.rows
    own = p * (1 - p) / sums.rows
    return max(1.0, variance / own) if own > 0 else _largest_effect(sums)


def _largest_effect(sums: MeanSums) -> float:
    """All rows alike: a request may be worth one row only, which is the cautious reading."""
    return max(1.0, sums.sizes / sums.rows)


def wilson_bounds(hits: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval (Wilson 1927) of hits / n; n > 0, real (effective rows)."""
    z = normal_quantile(level)
    p = hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(0.0, p * (1 - p)) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def proportion(
    hits: float, n: float, effect: float = 1.0, empty: Undefined = Undefined.NO_ROWS, level: float = LEVEL
) -> Estimate:
    """hits / n with Wilson's interval on n / effect rows; undefined for `empty` where n is 0."""
    if n == 0:
        return undefined(empty)
    low, high = wilson_bounds(hits / effect, n / effect, level)
    return between(hits / n, low, high, n, "wilson", level)


def logit_interval(value: float, variance: float, units: float, n: float, method: str) -> Estimate:
    """Of a value in [0, 1] with that variance: normal on the logit scale, which never leaves [0, 1].

    Without variance (0 or 1 exactly, all alike) the interval is Wilson's on `units`, the smaller class: a
    perfect separation of 20 positives is no proof of a perfect model.
    """
    if variance <= 0 or not 0 < value < 1:
        low, high = wilson_bounds(value * units, units)
        return between(value, low, high, n, "wilson")
    centre = math.log(value / (1 - value))
    half = normal_quantile() * math.sqrt(variance) / (value * (1 - value))
    return between(value, expit(centre - half), expit(centre + half), n, method)


def expit(x: float) -> float:
    """1 / (1 + e^-x), without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
