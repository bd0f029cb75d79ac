"""The aggregates of rows in memory: what the store's SQL must equal, and what files are judged with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.performance.aggregates import (
    NOT_PREDICTED,
    BinarySums,
    CoverageCounts,
    Integers,
    LabelMoments,
    MeanSums,
    MulticlassSums,
    PredictionCounts,
    RegressionSums,
    ScoreCounts,
)
from driftline.performance.bins import ScoreBins

Mask = NDArray[np.bool_]

LEAST_PROBABILITY = float(np.finfo(np.float64).eps)
"""A probability is never taken as less, nor as more than 1 - this, so that a log loss is finite (36)."""


LEAST_LABEL = 1e-12
"""Labels nearer to 0 count as 0 in relative errors: one of 1e-300 would overflow a database's SUM."""


def log_losses(scores: Floats) -> tuple[Floats, Floats]:
    """The log loss of each score, float64 (rows,): if the label is negative, and if it is positive.

    Scores are clipped as scikit-learn does. A store keeps both per row, or takes LN in its SQL.
    """
    p = np.clip(scores, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return -np.log1p(-p), -np.log(p)


def mean_sums(values: Floats, request: Integers | None = None) -> MeanSums:
    """Of float64 (rows,), all finite. `request`: integers naming the rows' requests; None: one row each."""
    if request is None:
        n = len(values)
        total = float(values.sum())
        return MeanSums(n, n, total, float(values @ values), total, n)
    _, place, sizes = np.unique(request, return_inverse=True, return_counts=True)
    sums = np.bincount(place, weights=values, minlength=len(sizes))
    return MeanSums(
        len(sizes),
        len(values),
        float(sums.sum()),
        float(sums @ sums),
        float(sizes @ sums),
        int(sizes @ sizes),
    )


def binary_sums(
    bins: ScoreBins,
    labels: Integers,
    predicted: Integers | None,
    scores: Floats | None = None,
    request: Integers | None = None,
) -> BinarySums:
    """`labels` 0 or 1; `predicted` 0, 1 or 2 (none given); `scores` NaN where there is none; each (rows,)."""
    said = np.full(len(labels), NOT_PREDICTED) if predicted is None else predicted
    found = np.full(len(labels), np.nan) if scores is None else scores
    place = bins.index(found)
    scored = place >= 0
    counts = np.zeros((3, 2, bins.count + 1), np.int64)
    np.add.at(counts, (said, labels, np.where(scored, place, bins.count)), 1)
    inside = scored & (found >= 0) & (found <= 1)
    if_negative, if_positive = log_losses(found[inside])
    positive = labels[inside] == 1
    given = said != NOT_PREDICTED
    return BinarySums(
        bins,
        counts,
        np.bincount(place[scored], weights=found[scored], minlength=bins.count).astype(np.float64),
        errors=mean_sums((said != labels)[given].astype(np.float64), _of(request, given)),
        log_loss=mean_sums(np.where(positive, if_positive, if_negative), _of(request, inside)),
        brier=mean_sums((found[inside] - labels[inside]) ** 2, _of(request, inside)),
        outside=int((scored & ~inside).sum()),
    )


def multiclass_sums(
    labels: NDArray[np.str_],
    predicted: NDArray[np.str_],
    probabilities: dict[str, Floats] | None = None,
    bins: ScoreBins | None = None,
    request: Integers | None = None,
) -> MulticlassSums:
    """`labels`, `predicted` (rows,) class names; `probabilities` by class, float64 (rows,) each."""
    classes = np.unique(np.concatenate([labels, predicted]))
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (np.searchsorted(classes, labels), np.searchsorted(classes, predicted)), 1)
    errors = mean_sums((labels != predicted).astype(np.float64), request)
    names = tuple(str(name) for name in classes)
    if not probabilities:
        return MulticlassSums(names, confusion, errors)
    used = bins or ScoreBins.default()
    of_label = np.full(len(labels), np.nan)
    for name, scores in probabilities.items():
        of_label[labels == name] = scores[labels == name]
    known = np.isfinite(of_label)
    return MulticlassSums(
        names,
        confusion,
        errors,
        log_loss=mean_sums(log_losses(of_label[known])[1], _of(request, known)),
        by_class={name: score_counts(used, labels == name, scores) for name, scores in probabilities.items()},
    )


def score_counts(bins: ScoreBins, positive: Mask, scores: Floats) -> ScoreCounts:
    """Rows by bin and label; rows without a finite score are left out."""
    place = bins.index(scores)
    held = [
        np.bincount(place[chosen & (place >= 0)], minlength=bins.count).astype(np.int64)
        for chosen in (~positive, positive)
    ]
    return ScoreCounts(bins, held[0], held[1])


def regression_sums(
    labels: Floats, predictions: Floats, shift: float = 0.0, request: Integers | None = None
) -> RegressionSums:
    """Of float64 (rows,) each; a row without both being finite is left out."""
    finite = np.isfinite(labels) & np.isfinite(predictions)
    y, e = labels[finite], predictions[finite] - labels[finite]
    of = _of(request, finite)
    nonzero = np.abs(y) >= LEAST_LABEL
    d = y - shift
    return RegressionSums(
        errors=mean_sums(e, of),
        absolute=mean_sums(np.abs(e), of),
        squares=mean_sums(e * e, of),
        percentage=mean_sums(np.abs(e[nonzero] / y[nonzero]), _of(of, nonzero)),
        labels=LabelMoments(
            shift,
            len(y),
            (float(d.sum()), float((d**2).sum()), float((d**3).sum()), float((d**4).sum())),
            (float((e * e * d).sum()), float((e * e * d * d).sum())),
            float((e * e).sum()),
            float((e**4).sum()),
        ),
        largest=float(np.abs(e).max(initial=0.0)),
    )


def coverage_counts(bins: ScoreBins, scores: Floats, labelled: Mask) -> CoverageCounts:
    """Predictions with (`labelled`) and without a label, by score bin."""
    place = bins.index(scores)
    place[place < 0] = bins.count
    held, missing = (
        np.bincount(place[chosen], minlength=bins.count + 1).astype(np.int64)
        for chosen in (labelled, ~labelled)
    )
    return CoverageCounts(bins, held, missing)


def prediction_counts(bins: ScoreBins, scores: Floats, predicted: Integers | None = None) -> PredictionCounts:
    """All predictions by what was predicted and score bin."""
    place = bins.index(scores)
    place[place < 0] = bins.count
    said = np.full(len(scores), NOT_PREDICTED) if predicted is None else predicted
    counts = np.zeros((3, bins.count + 1), np.int64)
    np.add.at(counts, (said, place), 1)
    return PredictionCounts(bins, counts)


def _of(request: Integers | None, rows: Mask) -> Integers | None:
    return None if request is None else request[rows]
