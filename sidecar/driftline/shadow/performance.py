"""The sides' performance on labels that came: differences of pairs, so that hard and easy requests cancel.

The hub joins labels with both answers; what it keeps of them here merges as everything else does.

A side that has no number or score where the other has one is as wrong as can be: a candidate that leaves hard
rows out must not gain by it, and a live model neither. Rows on which neither has one tell nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.errors import DataError
from driftline.shadow.sequences.blocks import EVENTS, Blocks, block
from driftline.shadow.values import Values


@dataclass(frozen=True, slots=True)
class Performance:
    """`accuracy`: a request's share of rows that the live model had right, less the candidate's. `error`: its
    mean of the candidate's |error| less the live model's, within the plan's clip. `auc`: blocks of the
    candidate's AUC less the live model's.
    """

    accuracy: Values = field(default_factory=lambda: Values.empty(1.0, signed=True))
    error: Values | None = None
    auc: Blocks = field(default_factory=Blocks)

    def __add__(self, other: Performance) -> Performance:
        """Both together."""
        error = self.error if other.error is None else other.error
        if self.error is not None and other.error is not None:
            error = self.error + other.error
        return Performance(self.accuracy + other.accuracy, error, self.auc.plus(other.auc))


def of_classes(
    request: NDArray[np.int64], live_right: NDArray[np.bool_], candidate_right: NDArray[np.bool_]
) -> Performance:
    """Of labelled rows, bool (rows,); `request` int64 (rows,) from 0."""
    loss = live_right.astype(np.float64) - candidate_right
    return Performance(accuracy=Values.of(_means(request, loss), 1.0, signed=True))


def of_numbers(
    request: NDArray[np.int64], label: Floats, live: Floats, candidate: Floats, clip: float
) -> Performance:
    """Of labelled rows, float64 (rows,), NaN where a side has no number; labels are finite.

    With one side's number alone the rise of the error is the largest there is, or the largest fall.
    """
    told = ~(np.isnan(live) & np.isnan(candidate))
    rise = np.clip(np.abs(candidate - label) - np.abs(live - label), -clip, clip)
    rise = np.where(np.isnan(candidate), clip, np.where(np.isnan(live), -clip, rise))
    return Performance(error=Values.of(_means(request[told], rise[told]), clip, signed=True))


def of_scores(positive: NDArray[np.bool_], live: Floats, candidate: Floats) -> Performance:
    """Of labelled predictions in the order of their time, (n,) each; NaN where a side has no score.

    A missing score ranks worst: a positive's below all others, a negative's above. A block ends where both
    classes have its events, so that those that are whole stay as they are when further labels come. What is
    left after the last one tells nothing yet.
    """
    told = ~(np.isnan(live) & np.isnan(candidate))
    positive, live, candidate = positive[told], live[told], candidate[told]
    worst = np.where(positive, -np.inf, np.inf)
    live, candidate = (np.where(np.isnan(each), worst, each) for each in (live, candidate))
    found, began = Blocks(), 0
    events = np.array([positive, ~positive]).cumsum(axis=1)
    while began < len(positive):
        before = events[:, began - 1] if began else np.zeros(2, np.int64)
        end = int(
            max(np.searchsorted(each, first + EVENTS) for each, first in zip(events, before, strict=True))
        )
        if end >= len(positive):
            break
        part = slice(began, end + 1)
        made = block(positive[part], live[part], candidate[part])
        found = found if made is None else found.plus(made)
        began = end + 1
    return Performance(auc=found)


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Signed values on their grid, as they are sent."""

    limit: float
    counts: list[int]
    sums: list[float]
    clipped: int = 0


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub tells of a shadow's labelled pairs."""

    rows: int
    """Predictions with a label and an answer of either side."""
    accuracy: Counted
    error: Counted | None = None
    auc: tuple[int, float, float] = (0, 0.0, 0.0)
    """Blocks, the sum of their differences, the sum of those differences' variances."""
    unanswered: int = 0
    """Predictions with a label, on which neither side gave a class or number: they are left out."""
    age: float = 0.0
    """The predictions' age, in seconds, at which labels counted: younger predictions are in none of it."""

    @classmethod
    def of(cls, rows: int, found: Performance, unanswered: int = 0, age: float = 0.0) -> Labelled:
        """As it is sent."""
        error = None if found.error is None else _counted(found.error)
        blocks, total, variance = found.auc
        auc = blocks, total, variance
        counted = _counted(found.accuracy)
        return cls(rows=rows, accuracy=counted, error=error, auc=auc, unanswered=unanswered, age=age)

    def performance(self) -> Performance:
        """As it is judged. Raises DataError where it is of another grid."""
        error = None if self.error is None else _values(self.error)
        return Performance(_values(self.accuracy), error, Blocks(*self.auc))


def _counted(values: Values) -> Counted:
    return Counted(
        limit=values.limit, counts=values.counts.tolist(), sums=values.sums.tolist(), clipped=values.clipped
    )


def _values(counted: Counted) -> Values:
    counts, sums = np.array(counted.counts, np.int64), np.array(counted.sums, np.float64)
    if not len(counts) == len(sums) == len(Values.empty(1.0, signed=True).counts):
        raise DataError("labelled pairs on another grid: use a hub and a controller of one release")
    return Values(counted.limit, True, counts, sums, counted.clipped)


def _means(request: NDArray[np.int64], values: Floats) -> Floats:
    sizes = np.bincount(request)
    sums = np.bincount(request, weights=values)
    found: Floats = sums[sizes > 0] / sizes[sizes > 0]
    return found
