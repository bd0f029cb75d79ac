"""Decoded answers of both sides as what a tally counts: row-aligned, with the request each row is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.shadow.plan import ComparisonPlan
from driftline.spec.shadow import Tolerance

Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """Pairs whose answers were decoded. `request` int64 (rows,): 0 .. requests - 1, each at least once.

    `differ` float64 (rows,): 1 where the sides disagree. `live`, `candidate`: output bins of the plan, None
    for bodies. `delta` float64 (rows,): candidate less live, NaN where neither side has a number; None where
    nothing numeric is compared. `beyond` bool (rows,): where it is more than the plan's clip, which it was
    counted as.
    `segments`: by feature the plan's value codes, the last of them `other`.
    """

    request: Codes
    differ: Floats
    live: Codes | None = None
    candidate: Codes | None = None
    delta: Floats | None = None
    beyond: Flags | None = None
    segments: Mapping[str, Codes] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many pairs."""
        return int(self.request[-1]) + 1 if len(self.request) else 0

    def means(self, values: Floats) -> Floats:
        """Means over each request's rows, float64 (requests,): the request is the unit."""
        return means(self.request, values)


def means(request: Codes, values: Floats) -> Floats:
    """Means over each request's rows that have a value, not NaN, in the requests' order: float64 (requests
    with one,). `request` int64 (rows,) ascends and may leave numbers out.
    """
    known = ~np.isnan(values)
    _, numbers = np.unique(request[known], return_inverse=True)
    found: Floats = np.bincount(numbers, weights=values[known]) / np.bincount(numbers)
    return found


def class_rows(
    plan: ComparisonPlan,
    request: Codes,
    live: Sequence[str],
    candidate: Sequence[str],
    scores: tuple[Floats, Floats] | None = None,
    segments: Mapping[str, Codes] | None = None,
) -> Rows:
    """Rows of a classifier. `scores`: (live, candidate), float64 (rows,), NaN where a side gives none."""
    differ = np.array([a != b for a, b in zip(live, candidate, strict=True)], np.float64)
    delta, beyond = _deltas(scores, plan.clip)
    if scores is not None and delta is not None:
        delta[np.isnan(scores[0]) & np.isnan(scores[1])] = np.nan
    return Rows(
        request,
        differ,
        plan.class_codes(list(live)),
        plan.class_codes(list(candidate)),
        delta,
        beyond,
        segments or {},
    )


def number_rows(
    plan: ComparisonPlan,
    request: Codes,
    live: Floats,
    candidate: Floats,
    segments: Mapping[str, Codes] | None = None,
) -> Rows:
    """Rows of a regression: float64 (rows,) both."""
    agree = numbers_agree(live, candidate, plan.tolerance)
    delta, beyond = _deltas((live, candidate), plan.clip)
    bins = plan.bins(live), plan.bins(candidate)
    return Rows(request, (~agree).astype(np.float64), *bins, delta, beyond, segments or {})


def numbers_agree(first: Floats, second: Floats, tolerance: Tolerance) -> NDArray[np.bool_]:
    """Whether numbers are equal within the tolerance, bool (rows,); its relative part is of the first."""
    with np.errstate(invalid="ignore"):
        near = np.abs(second - first) <= tolerance.absolute + tolerance.relative * np.abs(first)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    found: NDArray[np.bool_] = same | (near & np.isfinite(first) & np.isfinite(second))
    return found


def deltas(live: Floats, candidate: Floats, clip: float) -> Floats:
    """Candidate less live within +-clip, float64 (rows,); where one side is no number, the largest there is.

    A candidate that answers NaN where the live model has a value must not look close to it.
    """
    same = (live == candidate) | (np.isnan(live) & np.isnan(candidate))
    with np.errstate(invalid="ignore"):
        found = np.where(same, 0.0, candidate - live)
    return np.clip(np.where(np.isnan(found), clip, found), -clip, clip)


def _deltas(sides: tuple[Floats, Floats] | None, clip: float | None) -> tuple[Floats | None, Flags | None]:
    """Within the clip, and where they would not be; None where there are none, or they have no clip."""
    if sides is None or clip is None:
        return None, None
    return deltas(*sides, clip), np.abs(deltas(*sides, np.inf)) > clip
