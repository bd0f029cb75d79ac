"""What each rule of the gate measures, as bounds that are small where the candidate is good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np

from driftline.shadow.account import Account
from driftline.shadow.latency import EDGES
from driftline.shadow.performance import Performance
from driftline.shadow.rules import RuleReason
from driftline.shadow.sequences.binary import share_bound
from driftline.shadow.sequences.blocks import blocks_bound
from driftline.shadow.sequences.bound import Bound, Levels
from driftline.shadow.sequences.bounded import mean_bound, size_bound
from driftline.shadow.sequences.quantile import quantile_bound, ratio_bound
from driftline.shadow.tally import Slice, Tally
from driftline.shadow.values import MAGNITUDES, Values

_SIDES: Final = np.array([-1.0, 0.0, 1.0])
_TOLD_APART: Final = 2
"""Least number of outputs between which a share can shift."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of the pairs up to some moment, over all pods."""

    account: Account
    tally: Tally
    performance: Performance = field(default_factory=Performance)

    def without_worst(self) -> Snapshot:
        """As if the candidate had failed in no request of its worst ten minutes."""
        errors = self.tally.errors.copy()
        spared = min(self.account.worst, int(errors[0, 1]))
        errors[0] += (spared, -spared)
        return replace(self, tally=replace(self.tally, errors=errors))


class Measured(NamedTuple):
    """`bound` of what must be small, or why there is none."""

    bound: Bound | None
    missing: RuleReason = RuleReason.NO_DATA
    approximate: bool = False


def measure(rule: str, found: Snapshot, levels: Levels) -> Measured:
    """What that rule measures. Raises KeyError for a rule that is none."""
    name, _, part = rule.partition(".")
    if name == "latencyRatio":
        return _latency(found.tally, float(part[1:]) / 100, levels)
    return _MEASURES[rule](found, levels)


def disagreement(of: Slice, levels: Levels) -> Bound:
    """Of requests of one row the exact mixture of their counts, else the bounds of a mean over requests."""
    if of.several == 0:
        return share_bound(of.requests, int(of.differ.counts[-1]), levels)
    return _mean(of.differ, levels)


def _agreement(found: Snapshot, levels: Levels) -> Measured:
    return _known(disagreement(found.tally.all, levels))


def _error_rate(found: Snapshot, levels: Levels) -> Measured:
    """Of paired outcomes: only those that fail on one side tell, and one that fails offsets another.

    What the candidate was spared while it was away counts as failed, so that a pass holds even so. But not
    for a rejection, which rests on what was asked: one outage must not reject by what nobody saw.
    """
    (fine, candidate_only), (live_only, both) = found.tally.errors.astype(np.float64)
    seen = mean_bound(_SIDES, np.array([live_only, fine + both, candidate_only]), 1.0, levels)
    if seen.value is None:
        return Measured(None)
    failed = candidate_only + found.account.unserved
    at_worst = mean_bound(_SIDES, np.array([live_only, fine + both, failed]), 1.0, levels)
    return Measured(Bound(at_worst.value, seen.lower, at_worst.upper))


def _mean_delta(found: Snapshot, levels: Levels) -> Measured:
    delta = found.tally.all.delta
    if delta is None:
        return _without_deltas(found.tally)
    return _known(size_bound(delta.points, delta.weights, delta.limit, levels))


def _p95_delta(found: Snapshot, levels: Levels) -> Measured:
    size = found.tally.all.size
    if size is None:
        return _without_deltas(found.tally)
    return _known(quantile_bound(MAGNITUDES * size.limit, np.append(size.counts, 0), 0.95, levels))


def _without_deltas(tally: Tally) -> Measured:
    """Numbers lack a largest difference; classes and bodies have none without scores."""
    return Measured(None, RuleReason.NO_CLIP if tally.plan.sort == "number" else RuleReason.NOT_COMPARED)


def largest_shift(tally: Tally, levels: Levels) -> Bound | None:
    """The largest shift of any output's share. To pass all must be small, so each has the full level.

    Within `other` answers may take each other's place unseen. The share of none of them shifts by more than
    the mean share of a request's rows in which a side gave one: the upper bound is no less than that one's.
    """
    shifts = tally.shifts
    each = Levels(levels.passing, levels.rejecting / len(shifts))
    bounds = [size_bound(s.points, s.weights, s.limit, each) for s in shifts]
    values = [bound.value for bound in bounds if bound.value is not None]
    if not values:
        return None
    uppers = [bound.upper for bound in bounds]
    if tally.plan.sort == "class":
        uppers.append(_mean(tally.hidden, each).upper)
    return Bound(max(values), max(b.lower for b in bounds), max(uppers))


def _output_drift(found: Snapshot, levels: Levels) -> Measured:
    if found.tally.plan.outputs < _TOLD_APART:
        return Measured(None, RuleReason.NO_REFERENCE)
    return _known(largest_shift(found.tally, levels))


def _systematic(found: Snapshot, levels: Levels) -> Measured:
    bound = found.tally.twice.systematic(levels)
    return Measured(None, RuleReason.NO_REPEATS) if bound.value is None else Measured(bound)


def _latency(tally: Tally, p: float, levels: Levels) -> Measured:
    if not tally.live_latency.sum():
        return Measured(None, RuleReason.NO_BASELINE)
    return _known(ratio_bound(EDGES, tally.candidate_latency, tally.live_latency, p, levels))


def _accuracy(found: Snapshot, levels: Levels) -> Measured:
    return _labelled(_mean(found.performance.accuracy, levels))


def _mae(found: Snapshot, levels: Levels) -> Measured:
    error, plan = found.performance.error, found.tally.plan
    if error is not None and error.count:
        return _known(_mean(error, levels))
    unlabelled = plan.sort == "body" or (plan.sort == "number" and plan.clip is not None)
    return Measured(None, RuleReason.NO_LABELS) if unlabelled else _without_deltas(found.tally)


def _auc(found: Snapshot, levels: Levels) -> Measured:
    gain = blocks_bound(found.performance.auc, Levels(levels.rejecting, levels.passing))
    if gain.value is None:
        return Measured(None, RuleReason.NO_LABELS)
    return Measured(Bound(-gain.value, -gain.upper, -gain.lower), approximate=True)


def _mean(values: Values, levels: Levels) -> Bound:
    return mean_bound(values.points, values.weights, values.limit, levels)


def _known(bound: Bound | None) -> Measured:
    return Measured(None) if bound is None or bound.value is None else Measured(bound)


def _labelled(bound: Bound) -> Measured:
    return Measured(None, RuleReason.NO_LABELS) if bound.value is None else Measured(bound)


_MEASURES: Final[dict[str, Callable[[Snapshot, Levels], Measured]]] = {
    "errorRate": _error_rate,
    "agreement": _agreement,
    "meanDelta": _mean_delta,
    "p95Delta": _p95_delta,
    "outputDrift": _output_drift,
    "systematicDifference": _systematic,
    "performance.accuracy": _accuracy,
    "performance.auc": _auc,
    "performance.mae": _mae,
}
