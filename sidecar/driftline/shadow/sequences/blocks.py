"""Approximate bounds of a difference of AUCs: blocks of events, each near normal, with Robbins' mixture.

An AUC is no mean, so there is no exact sequence for it. Blocks of 200 events a class or more each give a
difference and its variance (DeLong, DeLong and Clarke-Pearson 1988; midranks: Sun and Xu 2014); their
sum is taken for normal, and the normal mixture (Robbins 1970) makes it valid at all blocks together. It is
called approximate wherever it is shown.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.shadow.sequences.bound import Bound, Levels

EVENTS: Final = 200
"""Of each class, for a block."""

_PRIOR: Final = 1e-3
"""Intrinsic time at which the mixture is tightest: the variance of ten usual blocks. Of fewer a block's own
variance says little where the loss lies in few predictions: with a tenth of this, 7 % of passes were false.
"""


class Blocks(NamedTuple):
    """Sums over blocks: how many, of their differences, of those differences' variances. They add up."""

    blocks: int = 0
    total: float = 0.0
    variance: float = 0.0

    def plus(self, other: Blocks) -> Blocks:
        """Both together."""
        return Blocks(self.blocks + other.blocks, self.total + other.total, self.variance + other.variance)


def block(positive: NDArray[np.bool_], live: Floats, candidate: Floats) -> Blocks | None:
    """One block of the candidate's AUC less the live model's; None with less than 200 events in a class.

    `positive` (n,): the labels; `live`, `candidate` float64 (n,): scores of the same predictions, no NaN.
    """
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if min(ones, zeros) < EVENTS:
        return None
    sides = [_placements(positive, scores) for scores in (candidate, live)]
    of_ones, of_zeros = sides[0][0] - sides[1][0], sides[0][1] - sides[1][1]
    variance = float(of_ones.var(ddof=1)) / ones + float(of_zeros.var(ddof=1)) / zeros
    return Blocks(1, float(of_ones.mean()), variance)


def _placements(positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Of each positive, the share of negatives below it; of each negative, of positives above. Ties half."""
    ones, zeros = np.sort(scores[positive]), np.sort(scores[~positive])
    return _share_below(scores[positive], zeros), 1.0 - _share_below(scores[~positive], ones)


def _share_below(values: Floats, others: Floats) -> Floats:
    both = np.searchsorted(others, values, "left") + np.searchsorted(others, values, "right")
    found: Floats = both / (2 * len(others))
    return found


def blocks_bound(blocks: Blocks, levels: Levels = Levels()) -> Bound:  # noqa: B008
    """Bounds of the difference; without two blocks nothing is bounded."""
    if blocks.blocks < 2:
        return Bound(blocks.total if blocks.blocks else None, -1.0, 1.0)
    value = blocks.total / blocks.blocks
    lower, upper = (_radius(blocks, alpha) for alpha in (levels.rejecting, levels.passing))
    return Bound(value, max(-1.0, value - lower), min(1.0, value + upper))


def _radius(blocks: Blocks, alpha: float) -> float:
    """One side of Robbins' two-sided bound at 2 alpha: each side then errs alpha."""
    time = blocks.variance + _PRIOR
    return math.sqrt(time * (math.log(time / _PRIOR) - 2 * math.log(2 * alpha))) / blocks.blocks
