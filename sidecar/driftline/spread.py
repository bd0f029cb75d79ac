"""From the PSI and the shifts of consecutive blocks to the compact distribution a calibration keeps."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.calibration import FLOOR, BlockDistribution

Floats = NDArray[np.float64]

_TOP = 12
"""The largest order statistics are all kept: small p-values come from them."""
_LEAST_FEATURES = 5
_LEAST_SPREAD = 0.05
_BORROWED = 2.0
_REST = 12
"""The others are thinned to this many."""


def distribution(psi: Floats, slots: NDArray[np.int64], slot_count: int) -> BlockDistribution:
    """`psi`: of consecutive blocks, shape (blocks,), in time order; `slots`: the season slot of each."""
    return _distribution(np.log(np.maximum(psi, FLOOR)), slots, slot_count, two_sided=False)


def shift_distribution(shift: Floats, slots: NDArray[np.int64], slot_count: int) -> BlockDistribution:
    """The same of their shifts, of which the amounts are kept: a mean may move either way."""
    return _distribution(shift, slots, slot_count, two_sided=True)


def _distribution(
    x: Floats, slots: NDArray[np.int64], slot_count: int, *, two_sided: bool
) -> BlockDistribution:
    sizes = np.bincount(slots, minlength=slot_count)
    location = _means(x, slots, sizes)
    centred = x - location[slots]
    if slot_count > 1:
        own = np.maximum(sizes[slots], 1)
        centred = np.where(own > 1, centred / np.sqrt(1 - 1 / np.maximum(own, 2)), 0.0)
    effective = effective_size(centred)
    free = max(1.0, len(x) - 1.0 if slot_count == 1 else float(np.count_nonzero(sizes[slots] > 1)))
    spread = float(np.sqrt(np.sum(centred**2) / free))
    kept, ranks = _order_statistics((np.abs(centred) if two_sided else centred).astype("<f4"))
    return BlockDistribution(
        location=location.astype("<f4").tobytes(),
        kept=kept.tobytes(),
        ranks=ranks.tobytes(),
        spread=spread,
        degrees=max(1.0, effective - slot_count),
        blocks=len(x),
        effective_blocks=effective,
    )


def shrink(found: Mapping[str, BlockDistribution]) -> dict[str, BlockDistribution]:
    """Let the spreads of a profile's features borrow from each other, as far as they are alike.

    With ten blocks a spread has nine degrees of freedom, and a t tail so wide that little is ever unusual.
    Smyth's moderated variance (2004, limma): s^2 = (d0 s0^2 + d s^2) / (d0 + d), with s0 and d0 from the
    scatter of the features' own log s^2. Features are correlated, so d0 counts at most twice d.
    """
    if len(found) < _LEAST_FEATURES:
        return dict(found)
    d = np.array([one.degrees for one in found.values()])
    logs = 2 * np.log(np.array([max(one.spread, _LEAST_SPREAD) for one in found.values()]))
    # The log of a mean square of d normals is low by about 1/d + 1/(3 d^2), with variance trigamma(d / 2).
    centred = logs + 1 / d + 1 / (3 * d**2)
    excess = float(centred.var(ddof=1) - (2 / d + 2 / d**2).mean())
    prior = np.minimum(_BORROWED * d, 2 / excess if excess > 0 else np.inf)
    variance = (prior * np.exp(centred.mean()) + d * np.exp(logs)) / (prior + d)
    return {
        name: msgspec.structs.replace(one, spread=float(np.sqrt(v)), degrees=float(own + borrowed))
        for (name, one), v, own, borrowed in zip(found.items(), variance, d, prior, strict=True)
    }


def effective_size(series: Floats) -> float:
    """How many independent values a stationary series is worth: n / (1 + 2 sum of its autocorrelations).

    Autocorrelations are summed up to the first that is within its own noise, 1 / sqrt(n) (Geyer's
    initial positive sequence, shortened: few blocks must not be called fewer for noise alone).
    """
    n = len(series)
    deviation = series - series.mean()
    variance = float(deviation @ deviation)
    if variance <= 0:
        return float(n)
    total = 0.0
    for lag in range(1, max(2, n // 3)):
        correlation = float(deviation[lag:] @ deviation[:-lag]) / variance
        if correlation <= 1.5 / np.sqrt(n):
            break
        total += correlation
    return max(2.0, n / (1 + 2 * total))


def _means(x: Floats, slots: NDArray[np.int64], sizes: NDArray[np.int64]) -> Floats:
    """The mean per slot; the overall mean for a slot without blocks."""
    sums = np.bincount(slots, weights=x, minlength=len(sizes))
    return np.where(sizes > 0, sums / np.maximum(sizes, 1), x.mean())


def _order_statistics(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
    """The kept values, descending, and how many values are at or above each."""
    ordered = np.sort(values)[::-1]
    n = len(ordered)
    rest = np.linspace(_TOP, n - 1, _REST).round().astype(np.int64) if n > _TOP + _REST else np.arange(n)
    index = np.unique(np.concatenate([np.arange(min(_TOP, n)), rest]))
    kept = ordered[index]
    at_or_above = n - np.searchsorted(ordered[::-1], kept, side="left")
    return kept, at_or_above.astype("<u4")
