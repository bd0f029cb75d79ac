"""How late labels come: lags counted on a fixed scale, the watermark, and metrics at a fixed label age."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftline.performance.estimate import Estimate, Undefined, between, undefined
from driftline.performance.intervals import wilson_bounds

Integers = NDArray[np.int64]

EDGES: tuple[float, ...] = tuple(2.0 ** (k / 4) for k in range(97))
"""Seconds: from 1 s to 194 days, four bins an octave; bin i is (EDGES[i-1], EDGES[i]]."""

WATERMARK = 0.95
"""A bucket is closed once this share of its labels can be expected."""


def lag_bin(seconds: float) -> int:
    """The bin of a lag, in [0, 98); what came before its prediction (negative) is in the first."""
    return bisect_left(EDGES, seconds)


@dataclass(frozen=True, eq=False)
class LagCounts:
    """Labels by lag (label's time - prediction's). SQL: GROUP BY the integer that `lag_bin` gave."""

    counts: Integers = field(default_factory=lambda: np.zeros(len(EDGES) + 1, np.int64))

    @classmethod
    def of(cls, lags: Iterable[float]) -> LagCounts:
        """Of lags in seconds."""
        found = np.zeros(len(EDGES) + 1, np.int64)
        for lag in lags:
            found[lag_bin(lag)] += 1
        return cls(found)

    def __add__(self, other: LagCounts) -> LagCounts:
        """Both together."""
        return LagCounts(self.counts + other.counts)

    @property
    def labels(self) -> int:
        """How many labels."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float | None:
        """The lag in seconds within which at least `share` of the labels came: a bin's upper edge.

        So it is at most 19 % too long. None without labels; inf where it lies beyond the last edge.
        """
        if not self.labels:
            return None
        place = int(np.searchsorted(np.cumsum(self.counts), share * self.labels))
        return EDGES[place] if place < len(EDGES) else math.inf


def watermark(lags: LagCounts, now: float, share: float = WATERMARK) -> float | None:
    """Buckets that end at or before this time (unix seconds) are closed. None while no label has come.

    `lags` must be of predictions old enough to have their label: recent ones have only their fast labels,
    and would make every lag look short.
    """
    lag = lags.quantile(share)
    return None if lag is None else now - lag


def coverage(labelled: int, predictions: int) -> Estimate:
    """The share of predictions that have a label, with Wilson's interval."""
    if predictions <= 0:
        return undefined(Undefined.NO_ROWS)
    low, high = wilson_bounds(labelled, predictions)
    return between(labelled / predictions, low, high, predictions, "wilson")
