"""What the reference's labels say of its own performance: what relative thresholds and tests compare with.

A profile keeps labels by score bin, and what the model answered where the reference rows had it. Where they
had not: a classifier decides by its score, so the share of positive predictions in each bin, as live
predictions show it, is applied to the reference's rows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.labels import Group, Labels, ResidualGroup, ScoreGroup
from driftline.performance.aggregates import NEGATIVE, POSITIVE, MeanSums, PredictionCounts, ScoreCounts
from driftline.performance.binary import Confusion, confusion_metrics
from driftline.performance.bins import ScoreBins
from driftline.performance.curves import auc, average_precision

MOST_UNSEEN = 0.05
"""The share of the reference's rows in bins without a live prediction above which nothing is decided."""


def reference_metrics(
    labels: Labels, predictions: PredictionCounts | None = None, group: Group | None = None
) -> dict[str, float]:
    """By name, those that the profile's labels give for a group of its rows (None: all).

    Classification: `auc`, `average_precision` and, with live `predictions` on the same bins, `accuracy`,
    `precision`, `recall`, `specificity` and `f1`. Regression: `mae`, `rmse` and `mean_error`.
    """
    held = _group(labels, group)
    if held is None:
        return {}
    if isinstance(held, ResidualGroup):
        return _residual_metrics(held)
    counts = ScoreCounts(ScoreBins(labels.edges), held.negatives, held.positives)
    found = {"auc": auc(counts).value, "average_precision": average_precision(counts).value}
    confusion = _confusion(counts, held, predictions)
    if confusion is not None:
        of = confusion_metrics(confusion)
        found |= {name: of[name].value for name in ("accuracy", "precision", "recall", "specificity", "f1")}
    return {name: value for name, value in found.items() if value is not None}


def reference_errors(
    labels: Labels, predictions: PredictionCounts | None = None, group: Group | None = None
) -> MeanSums | None:
    """The error of the reference's rows, as `ErrorBucket` has it; each row is a request of its own.

    None where there are no labels, or no live predictions that say how scores are decided.
    """
    held = _group(labels, group)
    if isinstance(held, ResidualGroup):
        n = int(held.rows.sum())
        total = float(held.absolute.sum())
        return MeanSums(n, n, total, float(held.squares.sum()), total, n) if n else None
    if held is None:
        return None
    counts = ScoreCounts(ScoreBins(labels.edges), held.negatives, held.positives)
    confusion = _confusion(counts, held, predictions)
    if confusion is None or not confusion.rows:
        return None
    wrong = float(confusion.fp + confusion.fn)
    rows = confusion.rows
    return MeanSums(round(rows), rows, wrong, wrong, wrong, rows)


def _group(labels: Labels, group: Group | None) -> ScoreGroup | ResidualGroup | None:
    groups: tuple[ScoreGroup | ResidualGroup, ...] = labels.groups
    return next((of for of in groups if of.group == (group or Group())), None)


def _residual_metrics(held: ResidualGroup) -> dict[str, float]:
    n = int(held.rows.sum())
    if not n:
        return {}
    return {
        "mae": float(held.absolute.sum()) / n,
        "rmse": math.sqrt(float(held.squares.sum()) / n),
        # A profile's residual is label - prediction; an error here is prediction - label.
        "mean_error": -float(held.sums.sum()) / n,
    }


def _confusion(
    counts: ScoreCounts, held: ScoreGroup, predictions: PredictionCounts | None
) -> Confusion | None:
    """As the model answered; else the rows decided as live ones are, None where too few bins show how."""
    if held.said is not None:
        return _of(counts, *(int(of.sum()) for of in held.said))
    if predictions is None or predictions.bins != counts.bins:
        return None
    said = predictions.counts[:2, :-1]
    rows = counts.negatives + counts.positives
    seen = said.sum(axis=0) > 0
    if not rows.any() or rows[~seen].sum() > MOST_UNSEEN * rows.sum():
        return None
    share = _filled(said[POSITIVE] / np.maximum(said[NEGATIVE] + said[POSITIVE], 1), seen)
    tp, fp = round(float(counts.positives @ share)), round(float(counts.negatives @ share))
    return _of(counts, fp, tp)


def _of(counts: ScoreCounts, fp: int, tp: int) -> Confusion:
    return Confusion(int(counts.negatives.sum()) - fp, fp, int(counts.positives.sum()) - tp, tp)


def _filled(share: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Bins without a live prediction lie between their neighbours."""
    places = np.arange(len(share))
    found: Floats = np.interp(places, places[seen], share[seen])
    return found
