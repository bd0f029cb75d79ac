"""The population stability index: the sum of (c - r) ln(c / r) over the shares of bins.

Siddiqi 2006, Credit Risk Scorecards; it is the symmetrised Kullback-Leibler divergence (Jeffreys).
Shares are floored at 1e-4 and not renormalised. Numeric columns: the reference's deciles, (a, b].
Categories expected fewer than five times in the window are pooled with the unseen: without that a
thousand categories in a thousand rows have a PSI of .52 without any drift.
"""

from __future__ import annotations

import math
from functools import lru_cache
from zlib import crc32

import numpy as np

from driftline.categories import Categories
from driftline.counts import CategoricalCounts, Integers, NumericCounts
from driftline.grid import Grid
from driftline.stats.bins import decile_bins
from driftline.stats.result import Statistic, finite, unavailable

FLOOR = 1e-4
"""The least share of a bin."""

LEAST_EXPECTED = 5.0
"""Categories expected fewer times than this in the window are pooled."""

LEVEL = 0.999
"""Of the noise floor: without drift, one window in a thousand is above it."""

_CELLS = 400_000
_MOST_DRAWS, _ENOUGH_DRAWS, _LEAST_DRAWS = 20_000, 2_000, 100
_NORMAL_QUANTILE = 3.0902323061678132  # of LEVEL


def psi(reference: NumericCounts, current: NumericCounts, grid: Grid) -> Statistic:
    """The decile PSI; exact, for the deciles are edges of the grid.

    By its definition it doesn't see values below a constant reference; KS and Jensen-Shannon do.
    """
    missing = unavailable(reference.valid, current.valid)
    return missing or finite(shares_psi(decile_bins(reference, grid), decile_bins(current, grid)))


def psi_expected(reference: NumericCounts, current: NumericCounts, grid: Grid) -> Statistic:
    """Its mean without any drift, for independent rows: (bins - 1)(1/n + 1/N) (Yurdakul and Naranjo 2020)."""
    n, m = current.valid, reference.valid
    bins = len(grid.decile_edges) + 1
    return unavailable(m, n) or finite((bins - 1) * (1 / n + 1 / m))


def categorical_psi(
    reference: CategoricalCounts, current: CategoricalCounts, categories: Categories
) -> Statistic:
    """The PSI over the categories, rare and unseen ones pooled."""
    missing = unavailable(reference.valid, current.valid)
    return missing or finite(shares_psi(*pooled(reference, current)))


def categorical_psi_expected(
    reference: CategoricalCounts, current: CategoricalCounts, categories: Categories
) -> Statistic:
    """The noise floor: the 99.9 % bootstrap quantile of the PSI of windows without any drift."""
    missing = unavailable(reference.valid, current.valid)
    if missing:
        return missing
    bins, _ = pooled(reference, current)
    kept = bins[bins > 0]
    return finite(noise_floor(kept.astype(np.int64).tobytes(), _rounded(current.valid)))


def shares_psi(reference: Integers, current: Integers) -> float:
    """The PSI of two aligned vectors of counts, neither of them all zero."""
    r = np.maximum(reference / reference.sum(), FLOOR)
    c = np.maximum(current / current.sum(), FLOOR)
    return float(np.sum((c - r) * np.log(c / r)))


def pooled(reference: CategoricalCounts, current: CategoricalCounts) -> tuple[Integers, Integers]:
    """Rows per category expected at least `LEAST_EXPECTED` times in the window, then of all others."""
    expected = reference.known * (current.valid / reference.valid)
    kept = expected >= LEAST_EXPECTED
    first, second = (
        np.append(side.known[kept], side.valid - int(side.known[kept].sum())) for side in (reference, current)
    )
    return first, second


@lru_cache(maxsize=1024)
def noise_floor(reference: bytes, rows: int) -> float:
    """The `LEVEL` quantile of the PSI between two independent samples of the reference's shares.

    `reference`: int64 counts of its bins, all positive; `rows`: of the window. Deterministic: seeded
    from the arguments. At most `_CELLS` cells are drawn per sample (5,000 categories: 100 draws); where
    that leaves too few draws for an order statistic, the quantile is Cornish and Fisher's of their
    first three moments: a sum over so many bins is near normal.
    """
    counts = np.frombuffer(reference, np.int64)
    if len(counts) < 2:
        return 0.0
    rng = np.random.default_rng([crc32(reference), rows])
    size = int(counts.sum())
    draws = max(_LEAST_DRAWS, min(_MOST_DRAWS, _CELLS // len(counts)))
    share = counts / size
    r = np.maximum(rng.multinomial(size, share, draws) / size, FLOOR)
    c = np.maximum(rng.multinomial(rows, share, draws) / rows, FLOOR)
    values = np.sum((c - r) * np.log(c / r), axis=1)
    return float(np.quantile(values, LEVEL)) if draws >= _ENOUGH_DRAWS else _cornish_fisher(values)


def _cornish_fisher(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    mean, sd = float(values.mean()), float(values.std())
    if sd == 0:
        return mean
    # The skewness of a chi-squared with the same mean and sd: a third moment of so few draws is noise.
    skew = 2 * sd / mean
    z = _NORMAL_QUANTILE
    return mean + sd * (z + (z * z - 1) * skew / 6 - (2 * z**3 - 5 * z) * skew**2 / 36)


def _rounded(rows: int) -> int:
    """Down to two significant digits: windows of nearly one size share a floor, at most 10 % too high."""
    unit: int = 10 ** max(0, int(math.log10(rows)) - 1)
    return rows // unit * unit
