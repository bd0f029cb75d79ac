"""What labels that never came do to the figures of those that did.

Labels that depend on the score (a loan that was refused never shows its outcome) are told by the scores and
can be corrected by them: within a stratum of scores the labelled rows stand for all. Labels that depend on
the outcome itself can't be corrected by anything known; there only the bounds hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.binning import shares_psi
from driftline.columns import Floats
from driftline.performance.aggregates import (
    NEGATIVE,
    POSITIVE,
    BinarySums,
    Counts,
    CoverageCounts,
    PredictionCounts,
    same_bins,
)
from driftline.performance.binary import Confusion, Metrics
from driftline.performance.curves import auc_value
from driftline.performance.estimate import Estimate, Undefined, clipped, interval, undefined
from driftline.performance.intervals import normal_quantile, proportion

STRATA = (20, 10, 5)
"""Runs of score bins with about equal numbers of predictions: the finest whose strata have labels."""

LEAST_LABELS = 10
"""Labels that a stratum needs to stand for all of its predictions."""

MOST_UNCOVERED = 0.05
"""The share of predictions in strata without so many labels above which nothing is post-stratified."""

Cells = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ScoreStratum:
    """A run of score bins: [first, last]; `probability`: of a prediction in it to have a label."""

    first: int
    last: int
    predictions: int
    probability: Estimate


@dataclass(frozen=True, slots=True)
class Missingness:
    """`psi`: of the scores with a label against those without; None where either is empty.

    `psi_expected`: its mean where labels are missing at random. `coverage`: the share with a label.
    """

    coverage: Estimate
    psi: float | None
    psi_expected: float | None
    strata: tuple[ScoreStratum, ...]


def missingness(coverage: CoverageCounts, strata: int = 10) -> Missingness:
    """Of predictions old enough to have their label."""
    labelled, unlabelled = int(coverage.labelled.sum()), int(coverage.unlabelled.sum())
    place = _places(coverage, strata)
    held, lacking = _by(place, coverage.labelled[:-1]), _by(place, coverage.unlabelled[:-1])
    with_score, without = int(held.sum()), int(lacking.sum())
    psi = expected = None
    if with_score and without:
        psi = float(shares_psi(held[None], lacking[None], pooled=False)[0])
        used = int(np.count_nonzero(held + lacking))
        expected = (used - 1) * (1 / with_score + 1 / without)
    return Missingness(
        proportion(labelled, labelled + unlabelled),
        psi,
        expected,
        tuple(
            ScoreStratum(int(bins[0]), int(bins[-1]), int(n + m), proportion(int(n), int(n + m)))
            for k, (n, m) in enumerate(zip(held, lacking, strict=True))
            if n + m and (bins := np.flatnonzero(place == k)).size
        ),
    )


@dataclass(frozen=True, slots=True)
class PostStratified:
    """`uncovered`: the share of scored predictions in strata with too few labels to stand for them."""

    metrics: Metrics
    uncovered: float | None


def post_stratified(sums: BinarySums, coverage: CoverageCounts) -> PostStratified:
    """Accuracy, precision, recall, F1, base rate and AUC as if all predictions had labels.

    Each labelled row counts as often as its stratum has predictions per label. That is right where, within a
    stratum, having a label tells nothing of it. The intervals are the delta method's within strata. Where
    rows have weights, `coverage` must be of weighted rows too: see `weighted_coverage`.
    """
    same_bins(sums.bins, coverage.bins)
    cells = sums.counts[:2, :, :-1]
    labelled = cells.sum().item()
    if not labelled:
        return PostStratified(dict.fromkeys(_METRICS, undefined(Undefined.NO_ROWS)), None)
    uncovered = 1.0
    for strata in STRATA:
        weighted, uncovered = _weighted(cells, coverage, strata)
        if uncovered <= MOST_UNCOVERED:
            return PostStratified({name: weighted.metric(name) for name in _METRICS}, uncovered)
    return PostStratified(dict.fromkeys(_METRICS, undefined(Undefined.UNSUPPORTED, labelled)), uncovered)


def weighted_coverage(sums: BinarySums, predictions: PredictionCounts) -> CoverageCounts:
    """Predictions with and without a label as they count by their weights, float64 (bins + 1,) each."""
    same_bins(sums.bins, predictions.bins)
    labelled = sums.counts.sum(axis=(0, 1)).astype(np.float64)
    return CoverageCounts(sums.bins, labelled, np.maximum(predictions.counts.sum(axis=0) - labelled, 0.0))


def _weighted(cells: Counts, coverage: CoverageCounts, strata: int) -> tuple[_Weighted, float]:
    """The cells with their weights, and the share of predictions that no stratum of labels stands for."""
    place = _places(coverage, strata)
    everyone = _by(place, coverage.labelled[:-1] + coverage.unlabelled[:-1])
    labelled = _by(place, cells.sum(axis=(0, 1)))
    usable = labelled >= LEAST_LABELS
    weights = np.where(usable, everyone / np.maximum(labelled, 1), 0.0)
    return _Weighted(cells, place, weights), float(everyone[~usable].sum() / max(1, everyone.sum()))


_METRICS = ("accuracy", "precision", "recall", "f1", "base_rate", "auc")

# Cells [predicted, label] of a ratio's numerator and denominator.
_RATIOS: Mapping[str, tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]] = {
    "accuracy": (((1, 0), (0, 1)), ((1, 1), (1, 1))),
    "precision": (((0, 0), (0, 1)), ((0, 0), (1, 1))),
    "recall": (((0, 0), (0, 1)), ((0, 1), (0, 1))),
    "f1": (((0, 0), (0, 2)), ((0, 1), (1, 2))),
    "base_rate": (((0, 1), (0, 1)), ((1, 1), (1, 1))),
}
_EMPTY = {"precision": Undefined.NO_PREDICTED_POSITIVES, "auc": Undefined.ONE_CLASS}


@dataclass(frozen=True, eq=False)
class _Weighted:
    """Labelled cells (2, 2, bins) by [predicted, label, bin], each bin's stratum, each stratum's weight."""

    cells: Counts
    place: Cells
    weights: Floats

    def metric(self, name: str) -> Estimate:
        n = (self.cells * (self.weights[self.place] > 0)).sum().item()
        counts = self.cells * self.weights[self.place]
        if name == "auc":
            return self._auc(counts, n)
        top, bottom = (np.array(cells, np.float64)[:, :, None] for cells in _RATIOS[name])
        whole = float((counts * bottom).sum())
        if whole <= 0:
            return undefined(_EMPTY.get(name, Undefined.NO_POSITIVES), n)
        value = float((counts * top).sum()) / whole
        return self._estimate(value, (top - value * bottom) / whole + 0 * counts, n)

    def _auc(self, counts: Floats, n: float) -> Estimate:
        negatives, positives = counts.sum(axis=0)
        p, q = float(positives.sum()), float(negatives.sum())
        if p <= 0 or q <= 0:
            return undefined(Undefined.ONE_CLASS, n)
        value = auc_value(positives, negatives)
        below = (np.cumsum(negatives) - negatives / 2) / q
        above = (p - np.cumsum(positives) + positives / 2) / p
        slopes = np.stack([(above - value) / q, (below - value) / p])
        return self._estimate(value, np.broadcast_to(slopes, counts.shape), n)

    def _estimate(self, value: float, slopes: Floats, n: float) -> Estimate:
        """The delta method within and between strata.

        Between them because another window of the same traffic would have other numbers in each.
        """
        bins = len(self.weights)
        squares = np.bincount(self.place, weights=(self.cells * slopes**2).sum(axis=(0, 1)), minlength=bins)
        sums = np.bincount(self.place, weights=(self.cells * slopes).sum(axis=(0, 1)), minlength=bins)
        rows = np.maximum(_by(self.place, self.cells.sum(axis=(0, 1)), bins), 1)
        # rows / (rows - 1): strata of ten labels know their own spread badly.
        free = rows / np.maximum(rows - 1, 1)
        within = self.weights**2 @ (free * np.maximum(squares - sums**2 / rows, 0.0))
        variance = float(within + self.weights @ (sums**2 / rows))
        half = normal_quantile() * math.sqrt(variance)
        return clipped(interval(value, half, n, "stratified"), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the metric could be whatever the missing labels are (Manski 1989). No statistics in it."""

    low: float
    high: float


def worst_case(sums: BinarySums, predictions: PredictionCounts) -> dict[str, Bounds]:
    """Of accuracy, precision, recall, F1 and base rate over *all* predictions, labelled or not.

    `predictions`: all of them, old enough to have a label. Metrics that nothing bounds are left out.
    """
    c = Confusion.of(sums)
    said = predictions.counts[:2].sum(axis=1)
    lacking_negative = max(0, said[NEGATIVE].item() - c.tn - c.fn)
    lacking_positive = max(0, said[POSITIVE].item() - c.tp - c.fp)
    lacking = lacking_negative + lacking_positive
    hits, errors = c.tp + lacking_positive, c.fp + c.fn
    found = {
        "accuracy": _bounds(c.tp + c.tn, c.rows + lacking, c.tp + c.tn + lacking, c.rows + lacking),
        "precision": _bounds(c.tp, c.tp + c.fp + lacking_positive, hits, hits + c.fp),
        "recall": _bounds(c.tp, c.tp + c.fn + lacking_negative, hits, hits + c.fn),
        "f1": _bounds(2 * c.tp, 2 * c.tp + errors + lacking, 2 * hits, 2 * hits + errors),
        "base_rate": _bounds(c.tp + c.fn, c.rows + lacking, c.tp + c.fn + lacking, c.rows + lacking),
    }
    return {name: bounds for name, bounds in found.items() if bounds is not None}


def _bounds(low: float, of_low: float, high: float, of_high: float) -> Bounds | None:
    return Bounds(low / of_low, high / of_high) if of_low and of_high else None


def _places(coverage: CoverageCounts, strata: int) -> Cells:
    """The stratum of each bin: runs with about equal numbers of predictions; int64 (bins,)."""
    rows = (coverage.labelled + coverage.unlabelled)[:-1].astype(np.float64)
    middle = np.cumsum(rows) - rows / 2
    found: Cells = np.minimum((middle * strata / max(rows.sum(), 1.0)).astype(np.int64), strata - 1)
    return found


def _by(place: Cells, values: Counts, strata: int = 0) -> Counts:
    """Sums by stratum, of the values' own kind: rows with weights aren't whole numbers."""
    found = np.bincount(place, weights=values, minlength=strata or int(place.max()) + 1)
    return found.astype(values.dtype)
