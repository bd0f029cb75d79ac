"""Always-valid bounds of a quantile from counts on a fixed grid, and of the ratio of two.

For the true quantile q the values at or below q are a share of p at least, and those below it of p at most:
the binary evidence at p bounds how many of n that can be, at all times together (Howard and Ramdas 2022,
theorem 1, with the beta-binomial mixture). The bounds are edges of the grid, rounded outwards.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.shadow.sequences.binary import least_above, most_below
from driftline.shadow.sequences.bound import Bound, Levels

Counts = NDArray[np.int64]


def quantile_bound(edges: Floats, counts: Counts, p: float, levels: Levels = Levels()) -> Bound:  # noqa: B008
    """Bounds of the p-quantile of nonnegative values. Cell i of `counts` is (edges[i-1], edges[i]].

    edges float64 (k,), ascending; counts int64 (k + 1,), the first cell from 0 on, the last one open.
    The value is the upper edge of the quantile's cell.
    """
    n = int(counts.sum())
    if n == 0:
        return Bound(None, 0.0, np.inf)
    below = np.cumsum(counts)[:-1]  # how many are at or below each edge
    uppers = np.append(edges, np.inf)
    enough = int(np.searchsorted(below, least_above(n, p, levels.passing)))
    few = int(np.searchsorted(below, most_below(n, p, levels.rejecting), side="right"))
    middle = int(np.searchsorted(below, np.ceil(p * n)))
    lower = 0.0 if few == 0 else float(edges[few - 1])
    return Bound(float(uppers[middle]), lower, float(uppers[enough]))


def ratio_bound(edges: Floats, above: Counts, below: Counts, p: float, levels: Levels = Levels()) -> Bound:  # noqa: B008
    """Bounds of the p-quantile of `above` over that of `below`: each side gets half of the error."""
    halves = Levels(levels.passing / 2, levels.rejecting / 2)
    swapped = Levels(halves.rejecting, halves.passing)
    first, second = quantile_bound(edges, above, p, halves), quantile_bound(edges, below, p, swapped)
    value = None if first.value is None or second.value is None else _over(first.value, second.value)
    return Bound(value, _over(first.lower, second.upper), _over(first.upper, second.lower))


def _over(a: float, b: float) -> float:
    """a / b where either may be 0 or infinite: what can't be told is infinite above, 0 below."""
    if b == np.inf:
        return 0.0 if a < np.inf else np.inf
    return a / b if b > 0 else np.inf
