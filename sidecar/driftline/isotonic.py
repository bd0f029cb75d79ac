"""Isotonic regression of a share of positives on ordered cells, by pooling adjacent violators."""

from __future__ import annotations

import numpy as np

from driftline.columns import Floats

CELLS = 50_000
"""More distinct scores than this are first put into so many cells of equal size: pooling is a plain loop."""


def isotonic(positives: Floats, rows: Floats) -> Floats:
    """The non-decreasing shares nearest to positives / rows, weighted by rows: float64 (cells,).

    Pool adjacent violators (Barlow et al. 1972). Cells without rows get the value of the cell before them,
    those before the first the first one's; 0 where no cell has rows.
    """
    held = np.flatnonzero(rows > 0)
    if not held.size:
        return np.zeros(len(rows))
    hits: list[float] = []
    weights: list[float] = []
    first: list[int] = []
    for place, (hit, weight) in enumerate(zip(positives[held].tolist(), rows[held].tolist(), strict=True)):
        start = place
        while weights and hits[-1] * weight >= hit * weights[-1]:
            hit, weight, start = hit + hits.pop(), weight + weights.pop(), first.pop()
        hits.append(hit)
        weights.append(weight)
        first.append(start)
    sizes = np.diff([*first, held.size])
    fitted = np.repeat(np.array(hits) / np.array(weights), sizes)
    before = np.searchsorted(held, np.arange(len(rows)), side="right") - 1
    found: Floats = fitted[np.maximum(before, 0)]
    return found


def isotonic_steps(scores: Floats, labels: Floats, most: int) -> Floats:
    """Where the isotonic fit of 0/1 `labels` on `scores`, (rows,) each, rises: ascending.

    At most `most` values, each in the middle between two scores. Where there are more, those with the largest
    rise in rows are kept: a step's height times the rows beside it is what an edge elsewhere would misplace.
    """
    known = np.isfinite(scores) & np.isfinite(labels)
    if not known.any():
        return np.empty(0)
    values, place = np.unique(scores[known], return_inverse=True)
    lower = upper = values
    if values.size > CELLS:
        ranks = np.sort(scores[known])[:: -(-int(known.sum()) // CELLS)]
        edges = np.unique(ranks)
        place = np.searchsorted(edges, scores[known], side="right") - 1
        lower, upper = edges, np.append(values[np.searchsorted(values, edges[1:]) - 1], values[-1])
    rows = np.bincount(place, minlength=lower.size).astype(np.float64)
    hits = np.bincount(place, weights=labels[known], minlength=lower.size).astype(np.float64)
    fitted = isotonic(hits, rows)
    rises = np.diff(fitted)
    steps = np.flatnonzero(rises > 0)
    if steps.size > most:
        heaviest = np.argsort(rises[steps] * (rows[steps] + rows[steps + 1]))[::-1][:most]
        steps = np.sort(steps[heaviest])
    middle: Floats = (upper[steps] + lower[steps + 1]) / 2
    return middle
