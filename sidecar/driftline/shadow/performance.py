"""The sides' performance on labels that came: differences of pairs, so that hard and easy requests cancel.

The hub joins labels with both answers; what it keeps of them here merges as everything else does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.shadow.rows import deltas
from driftline.shadow.sequences.blocks import Blocks
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
    """Of labelled rows, bool (rows,); `request` int64 (rows,) from 0, none left out."""
    loss = live_right.astype(np.float64) - candidate_right
    return Performance(accuracy=Values.of(_means(request, loss), 1.0, signed=True))


def of_numbers(
    request: NDArray[np.int64], label: Floats, live: Floats, candidate: Floats, clip: float
) -> Performance:
    """Of labelled rows, float64 (rows,); labels are finite."""
    rise = deltas(np.abs(live - label), np.abs(candidate - label), clip)
    return Performance(error=Values.of(_means(request, rise), clip, signed=True))


def _means(request: NDArray[np.int64], values: Floats) -> Floats:
    found: Floats = np.bincount(request, weights=values) / np.bincount(request)
    return found
