"""NDCG, MAP and MRR at k, whatever the order in which a list's rows come.

Equal scores have no order. Each metric is its mean over all orders of the tied items (McSherry and Najork
2008), so no shuffle of the rows changes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.performance.aggregates import MeanSums, RankingSums
from driftline.performance.binary import Metrics
from driftline.performance.estimate import Undefined, clipped, undefined
from driftline.performance.from_rows import mean_sums
from driftline.performance.intervals import mean_estimate

DEFAULT_K = 10


@dataclass(frozen=True, slots=True)
class ListMeasures:
    """Of one ranked list that has a relevant item."""

    ndcg: float
    average_precision: float
    reciprocal_rank: float


def measure_list(scores: Floats, relevance: Floats, k: int = DEFAULT_K) -> ListMeasures | None:
    """One list: float64 (items,) each; relevance > 0 is relevant. None without a relevant item.

    NDCG: gains `relevance`, discounts 1 / log2(rank + 1), over those of the best order. Average precision:
    the sum of precision at the relevant ranks up to k, over min(k, relevant items), so that 1 can be reached.
    Reciprocal rank: of the first relevant item, 0 beyond k.
    """
    order = np.lexsort((relevance, -scores))
    gains = relevance[order]
    if k < 1 or not (gains > 0).any():
        return None
    ends = np.append(np.flatnonzero(np.diff(scores[order])) + 1, len(gains))
    sizes = np.diff(np.append(0, ends))
    starts = ends - sizes
    relevant = (gains > 0).astype(np.float64)
    hits = np.add.reduceat(relevant, starts)
    best = np.sort(gains)[::-1]
    return ListMeasures(
        ndcg=_dcg(np.repeat(np.add.reduceat(gains, starts) / sizes, sizes), k) / _dcg(best, k),
        average_precision=_precisions(sizes, hits, k) / min(k, int(relevant.sum())),
        reciprocal_rank=_reciprocal(sizes, hits, k),
    )


def ranking_sums(measured: list[ListMeasures | None]) -> RankingSums:
    """Of measured lists."""
    held = [of for of in measured if of is not None]
    return RankingSums(
        _sums([of.ndcg for of in held]),
        _sums([of.average_precision for of in held]),
        _sums([of.reciprocal_rank for of in held]),
        without_relevant=len(measured) - len(held),
    )


def ranking_metrics(sums: RankingSums) -> Metrics:
    """`ndcg`, `map`, `mrr`: means over the lists that have a relevant item, with Student's intervals."""
    named = {"ndcg": sums.ndcg, "map": sums.average_precision, "mrr": sums.reciprocal_rank}
    empty = undefined(Undefined.NO_RELEVANT if sums.without_relevant else Undefined.NO_ROWS)
    return {name: clipped(mean_estimate(of), 0.0, 1.0) if of.rows else empty for name, of in named.items()}


def _sums(values: list[float]) -> MeanSums:
    return mean_sums(np.array(values, np.float64))


def _dcg(gains: Floats, k: int) -> float:
    top = gains[:k]
    return float(top @ (1 / np.log2(np.arange(2, len(top) + 2))))


def _precisions(sizes: NDArray[np.intp], hits: Floats, k: int) -> float:
    """Expected sum of precision at the relevant ranks up to k.

    In a run of t tied items with r relevant ones, after c relevant ones above: the item at place i of the run
    is relevant with probability r / t, and then (i - 1)(r - 1) / (t - 1) of those before it are.
    """
    total, above, start = 0.0, 0.0, 0
    for t, r in zip(sizes.tolist(), hits.tolist(), strict=True):
        place = np.arange(1, min(t, k - start) + 1)
        within = (place - 1) * (r - 1) / (t - 1) if t > 1 else 0.0
        total += float((r / t * (above + 1 + within) / (start + place)).sum()) if r else 0.0
        above, start = above + r, start + t
        if start >= k:
            break
    return total


def _reciprocal(sizes: NDArray[np.intp], hits: Floats, k: int) -> float:
    """Expected 1 / rank of the first relevant item: within its run of ties it stands anywhere."""
    first = int(np.flatnonzero(hits)[0])
    start, t, r = int(sizes[:first].sum()), int(sizes[first]), int(hits[first])
    total, none_yet = 0.0, 1.0
    for place in range(1, min(t - r + 1, k - start) + 1):
        chance = none_yet * r / (t - place + 1)
        total += chance / (start + place)
        none_yet -= chance
    return total
