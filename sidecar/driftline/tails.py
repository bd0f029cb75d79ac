"""Tails of Student's t, chi-squared and beta in logs, without SciPy: it stays out of the sidecar's image."""

from __future__ import annotations

import math

_TINY = 1e-300
_CLOSE = 1e-15
_STEPS = 2000


def student_log_sf(t: float, df: float) -> float:
    """Log of P(T > t) for Student's t with `df` > 0 degrees of freedom (real).

    By the regularised incomplete beta function I_x(df/2, 1/2) with x = df / (df + t^2), in logs, so that
    far tails don't underflow (Abramowitz and Stegun 26.7.1; continued fraction 26.5.8).
    """
    if t <= 0:
        return -math.log(2) if t == 0 else math.log1p(-math.exp(student_log_sf(-t, df)))
    square = t * t
    x, rest = df / (df + square), square / (df + square)
    a, b = df / 2, 0.5
    if x < (a + 1) / (a + b + 2):
        return _log_beta_fraction(a, b, x, rest) - math.log(2)
    # The fraction converges fast only below the mean: near t = 0 take the complement.
    return math.log1p(-math.exp(_log_beta_fraction(b, a, rest, x))) - math.log(2)


def chi2_log_sf(x: float, df: float) -> float:
    """Log of P(X > x) for chi-squared with `df` > 0 (Abramowitz and Stegun 6.5.29 and 6.5.31)."""
    if x <= 0:
        return 0.0
    a, half = df / 2, x / 2
    front = a * math.log(half) - half - math.lgamma(a)
    if half < a + 1:
        term = total = 1 / a
        for step in range(1, _STEPS):
            term *= half / (a + step)
            total += term
            if term < total * _CLOSE:
                break
        return math.log1p(-min(1 - 1e-16, math.exp(front) * total))
    b = half + 1 - a
    c, d = 1 / _TINY, 1 / b
    h = d
    for step in range(1, _STEPS):
        factor = -step * (step - a)
        b += 2
        d, c = 1 / _away(factor * d + b), _away(b + factor / c)
        h *= d * c
        if abs(d * c - 1) < _CLOSE:
            break
    return front + math.log(h)


def log_beta(a: float, b: float) -> float:
    """Log of the beta function, a and b > 0; absolute error about 1e-16 of log Gamma(a + b)."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def beta_log_cdf(x: float, a: float, b: float) -> float:
    """Log of I_x(a, b), the distribution function of Beta(a, b) at 0 < x < 1 (Abramowitz and Stegun 26.5)."""
    if x < (a + 1) / (a + b + 2):
        return _log_beta_fraction(a, b, x, 1 - x)
    above = math.exp(_log_beta_fraction(b, a, 1 - x, x))
    return math.log1p(-min(above, 1 - 1e-16))


def _log_beta_fraction(a: float, b: float, x: float, y: float) -> float:
    """Log I_x(a, b) for x below its mean, y = 1 - x, by the modified Lentz method."""
    front = a * math.log(x) + b * math.log(y) - log_beta(a, b)
    c, d = 1.0, 1.0 / _away(1 - (a + b) * x / (a + 1))
    h = d
    # Near the mean it takes about sqrt(max(a, b)) steps.
    for m in range(1, _STEPS + int(8 * math.sqrt(a + b))):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _away(1 + even * d), _away(1 + even / c)
        h *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _away(1 + odd * d), _away(1 + odd / c)
        h *= d * c
        if abs(d * c - 1) < _CLOSE:
            break
    return front - math.log(a) + math.log(h)


def _away(value: float) -> float:
    """The value, kept away from zero: Lentz's method divides by it."""
    return value if abs(value) > _TINY else _TINY
