"""Always-valid bounds of a share, from how many and of how many: the truncated beta-binomial mixture.

Against "the share is `limit` or more" stands the likelihood ratio of every smaller share, mixed by
Beta(1/2, 1/2) cut off at the limit. Under any share at or above the limit each ratio's mean is at most 1,
so the mixture is a nonnegative supermartingale, and by Ville's inequality it reaches 1 / alpha at *any*
time with probability alpha at most (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021). Only (n, k)
enter, so the counts of pods add up.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from driftline.shadow.sequences.bound import Bound, Levels
from driftline.tails import beta_log_cdf, log_beta

_HALVINGS = 60


def log_evidence_below(n: int, k: int, limit: float) -> float:
    """Log of the evidence that the share of `k` in `n` lies below `limit`, against at or above it.

    0 < limit < 1, 0 <= k <= n.
    """
    a, b = k + 0.5, n - k + 0.5
    mixed = log_beta(a, b) + beta_log_cdf(limit, a, b)
    prior = math.log(math.pi) + beta_log_cdf(limit, 0.5, 0.5)
    return mixed - prior - k * math.log(limit) - (n - k) * math.log1p(-limit)


def log_evidence_above(n: int, k: int, limit: float) -> float:
    """The same for the share above `limit`, against at or below it."""
    return log_evidence_below(n, n - k, 1.0 - limit)


def share_bound(n: int, k: int, levels: Levels = Levels()) -> Bound:  # noqa: B008 - a tuple
    """Bounds of the share of which `k` in `n` were seen."""
    if n == 0:
        return Bound(None, 0.0, 1.0)
    return Bound(k / n, 1.0 - _upper(n, n - k, levels.rejecting), _upper(n, k, levels.passing))


def _upper(n: int, k: int, alpha: float) -> float:
    """The least limit (to 1e-16 or so) that the evidence puts the share below, at level alpha."""
    if k == n:
        return 1.0
    wanted = -math.log(alpha)
    low, high = k / n, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if log_evidence_below(n, k, middle) >= wanted:
            high = middle
        else:
            low = middle
    return high


def most_below(n: int, limit: float, alpha: float) -> int:
    """The largest k of which (n, k) still proves at level alpha that the share is below `limit`; -1: none."""
    return _last(lambda k: log_evidence_below(n, k, limit) >= -math.log(alpha), n, limit)


def least_above(n: int, limit: float, alpha: float) -> int:
    """The smallest k of which (n, k) proves that the share is above `limit`; n + 1: none."""
    return n - most_below(n, 1.0 - limit, alpha)


def _last(proves: Callable[[int], bool], n: int, limit: float) -> int:
    """The largest k that proves; the evidence falls with k as long as k / n is below the limit."""
    low, high = -1, math.floor(n * limit) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if proves(middle) else (low, middle)
    return low
