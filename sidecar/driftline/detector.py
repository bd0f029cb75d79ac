"""The e-detector: bounds how often a monitor may page in a month when nothing has drifted.

Each disjoint window's p-value becomes an e-value, and the Shiryaev-Roberts sum of their products grows only
where evidence keeps coming. Without drift the sum reaches a threshold c on average not before c evaluations
(Shin, Ramdas and Rinaldo 2023, e-detectors: a nonparametric framework for sequential change detection).
That holds for p-values that are valid given the past. Ours share one reference, and its tail is fitted beyond
the largest block, so here it is a design and not a theorem: `docs/verdicts.md` has what was measured.
"""

from __future__ import annotations

import math

MONTH = 30 * 86400
"""Seconds; the period for which false pages are bounded."""

HEADROOM = 4.0
"""How far above its threshold the log of the sum may grow: beyond it only recovery would become slower."""


def log_e(p: float) -> float:
    """Log of the e-value p^(-1/2) / 2 of a p-value in (0, 1]: its mean is 1 or less without drift."""
    return -0.5 * math.log(max(p, 1e-300)) - math.log(2)


def advance(log_sum: float, p: float) -> float:
    """The log of the Shiryaev-Roberts sum after one more disjoint window: M' = (M + 1) e.

    `log_sum` is -inf before the first window.
    """
    grown = log_sum + math.log1p(math.exp(-log_sum)) if log_sum > 0 else math.log1p(math.exp(log_sum))
    return grown + log_e(p)


def log_threshold(window_seconds: float, false_pages: float, features: int) -> float:
    """Where the sum of one feature counts as evidence: log(evaluations a month x features / false pages).

    `false_pages`: those that this window may cause in a month over all `features`; above 0.
    """
    evaluations = max(1.0, MONTH / window_seconds)
    return math.log(evaluations * max(1, features) / false_pages)
