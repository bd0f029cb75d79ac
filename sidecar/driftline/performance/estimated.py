"""Performance before labels come, from what the reference's labels showed (CBPE; loss by prediction bin).

Of a classifier: scores are calibrated by the reference's isotonic fit, and a row with calibrated probability
q is expected to be positive with q. That is right as long as P(y given x) is as it was. It is blind to every
change of it, label shift included (with a fifth of the labels flipped the estimate stayed .901, the truth was
.745): an estimate never ends, and never holds back, a verdict on performance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.isotonic import isotonic
from driftline.labels import Group, LabelBlocks, ResidualGroup, ResidualLabels, ScoreLabels
from driftline.performance.aggregates import NEGATIVE, POSITIVE, Counts, PredictionCounts
from driftline.performance.binary import Metrics
from driftline.performance.bins import ScoreBins
from driftline.performance.curves import auc_value
from driftline.performance.estimate import Estimate, Undefined, between, clipped, interval, undefined
from driftline.performance.intervals import normal_quantile

LEAST_LABELS = 20
"""Reference labels that a bin needs, with its neighbours, to be estimated from."""

MOST_UNSUPPORTED = 0.05
"""The share of rows in bins without so many above which nothing is estimated."""

NEIGHBOURS = 5
"""Score bins on each side that count as a bin's own support: .3 on the logit scale where rows are few."""

PREDICTION_NEIGHBOURS = 1
"""The same of prediction bins, of which there are a tenth as many."""

REPLICATES = 200

METRICS = ("accuracy", "precision", "recall", "specificity", "f1", "auc")
_ONE_CLASS = {"precision": Undefined.NO_PREDICTED_POSITIVES, "auc": Undefined.ONE_CLASS}


@dataclass(frozen=True, eq=False)
class Calibrator:
    """A reference's calibration: made once, used for every window.

    `probability` float64 (bins,); `replicates` float64 (REPLICATES, bins): of resampled references;
    `labels` float64 (bins,): how many reference labels are in each bin and its neighbours.
    """

    bins: ScoreBins
    probability: Floats
    replicates: Floats
    labels: Floats

    @classmethod
    def of(cls, labels: ScoreLabels, group: Group | None = None, effect: float = 1.0) -> Calibrator | None:
        """Of a group of the reference's rows (all: None); None where the reference has no such group.

        Of all rows consecutive blocks are resampled, where the profile has them: rows of an hour resemble
        each other. Else single rows are, of which `effect` count as one.
        """
        held = next((of for of in labels.groups if of.group == (group or Group())), None)
        if held is None:
            return None
        positives, negatives = held.positives.astype(np.float64), held.negatives.astype(np.float64)
        rows = positives + negatives
        return cls(
            ScoreBins(labels.edges),
            isotonic(positives, rows),
            _resampled(positives, negatives, effect)
            if labels.blocks is None or group not in (None, Group())
            else _by_block(positives, negatives, labels.blocks),
            _around(rows, NEIGHBOURS),
        )


def _resampled(positives: Floats, negatives: Floats, effect: float) -> Floats:
    """Isotonic fits of multinomial resamples of the reference's cells."""
    rng = np.random.default_rng(0)
    cells = np.concatenate([positives, negatives])
    rows = max(1, round(float(cells.sum()) / effect))
    drawn = rng.multinomial(rows, cells / cells.sum(), REPLICATES).astype(np.float64)
    p, n = drawn[:, : len(positives)], drawn[:, len(positives) :]
    return np.array([isotonic(hits, hits + misses) for hits, misses in zip(p, n, strict=True)])


def _by_block(positives: Floats, negatives: Floats, blocks: LabelBlocks) -> Floats:
    """Isotonic fits of a block bootstrap: labels of a coarse bin grow or shrink as drawn blocks have them."""
    rng = np.random.default_rng(0)
    number = blocks.counts.shape[1]
    times = rng.multinomial(number, np.full(number, 1 / number), REPLICATES)
    coarse = np.repeat(np.arange(blocks.starts.size), np.diff(np.append(blocks.starts, positives.size)))
    n, p = (
        held * (times @ of / np.maximum(of.sum(axis=0), 1))[:, coarse]
        for held, of in zip((negatives, positives), blocks.counts, strict=True)
    )
    return np.array([isotonic(hits, hits + misses) for hits, misses in zip(p, n, strict=True)])


def _around(values: Floats, neighbours: int) -> Floats:
    """Sum of each and so many on each side."""
    total = np.concatenate([np.zeros(1), np.cumsum(values)])
    places = np.arange(len(values))
    upper = np.minimum(places + neighbours + 1, len(values))
    found: Floats = total[upper] - total[np.maximum(places - neighbours, 0)]
    return found


def unsupported_share(counts: PredictionCounts, labels: Floats) -> float | None:
    """Rows without a score, or in bins with fewer than `LEAST_LABELS`, over all; None without rows."""
    rows = counts.counts.sum(axis=0)
    total = float(rows.sum())
    if not total:
        return None
    return float(rows[:-1][labels < LEAST_LABELS].sum() + rows[-1]) / total


@dataclass(frozen=True, slots=True)
class EstimatedPerformance:
    """`confusion`: expected rows by [label, predicted]; `positives`: their expected share (None: no rows).

    `unsupported`: the share of rows for which the reference has too few labels.
    """

    rows: int
    metrics: Metrics
    confusion: tuple[tuple[float, float], tuple[float, float]]
    positives: float | None
    unsupported: float | None


def estimated_performance(counts: PredictionCounts, calibrator: Calibrator) -> EstimatedPerformance:
    """Of a window's predictions, labelled or not. Where the support is missing, all is `Unsupported`.

    Intervals are for the *realised* metric of these rows: labels are drawn with the calibrated probability
    (Bernoulli) under resampled calibrations, `REPLICATES` times, with a fixed seed.
    """
    rows = int(counts.counts.sum())
    share = unsupported_share(counts, calibrator.labels) if counts.bins == calibrator.bins else None
    reason = _reason(counts, calibrator, share)
    if reason is not None:
        empty = dict.fromkeys(METRICS, undefined(reason, rows))
        return EstimatedPerformance(rows, empty, ((0.0, 0.0), (0.0, 0.0)), None, share)
    held = counts.counts[:, :-1].astype(np.float64)
    positives = held * calibrator.probability
    negatives = held - positives
    drawn = _drawn(counts.counts[:, :-1], calibrator.replicates)
    metrics = {
        name: _estimate(name, _value(name, positives[None], negatives[None])[0], drawn[name], rows)
        for name in METRICS
    }
    expected = tuple((float(of[NEGATIVE].sum()), float(of[POSITIVE].sum())) for of in (negatives, positives))
    return EstimatedPerformance(
        rows, metrics, (expected[0], expected[1]), float(positives.sum() / held.sum()), share
    )


def _reason(counts: PredictionCounts, calibrator: Calibrator, share: float | None) -> Undefined | None:
    if counts.bins != calibrator.bins:
        return Undefined.UNLIKE_BINS
    if share is None:
        return Undefined.NO_ROWS
    return Undefined.UNSUPPORTED if share > MOST_UNSUPPORTED else None


def _drawn(counts: Counts, replicates: Floats) -> dict[str, Floats]:
    """Metrics of labels drawn under each resampled calibration: (replicates,) by name."""
    rng = np.random.default_rng(1)
    counts = _whole(counts, rng)
    positives = rng.binomial(counts[None], np.clip(replicates[:, None, :], 0.0, 1.0)).astype(np.float64)
    negatives = counts[None] - positives
    return {name: _value(name, positives, negatives) for name in METRICS}


def _whole(counts: Counts, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows with weights as whole ones: rounded up as often as their fraction says."""
    if counts.dtype.kind == "i":
        return counts
    found: NDArray[np.int64] = np.floor(counts + rng.random(counts.shape)).astype(np.int64)
    return found


def _value(name: str, positives: Floats, negatives: Floats) -> Floats:
    """Of (expected) counts (r, 3, bins) by [predicted, bin]: (r,), NaN where it isn't defined."""
    if name == "auc":
        p, n = positives.sum(axis=1), negatives.sum(axis=1)
        return np.array(
            [auc_value(a, b) if a.any() and b.any() else np.nan for a, b in zip(p, n, strict=True)]
        )
    tp, fp = positives[:, POSITIVE].sum(axis=1), negatives[:, POSITIVE].sum(axis=1)
    fn, tn = positives[:, NEGATIVE].sum(axis=1), negatives[:, NEGATIVE].sum(axis=1)
    top, bottom = {
        "accuracy": (tp + tn, tp + tn + fp + fn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "f1": (2 * tp, 2 * tp + fp + fn),
    }[name]
    found: Floats = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
    return found


def _estimate(name: str, value: float, drawn: Floats, rows: int) -> Estimate:
    if np.isnan(value):
        return undefined(_ONE_CLASS.get(name, Undefined.NO_ROWS), rows)
    finite = drawn[np.isfinite(drawn)]
    if not finite.size:
        return Estimate(float(value), n=rows, reason=Undefined.TOO_FEW_ROWS)
    low, high = np.quantile(finite, [0.025, 0.975]).tolist()
    return between(float(value), low, high, rows, "bootstrap")


def estimated_loss(counts: PredictionCounts, labels: ResidualLabels, group: Group | None = None) -> Metrics:
    """`mae` and `rmse` of a regression: the reference's loss by prediction bin at the window's predictions.

    The MAE's interval is for the realised one of these rows; the profile has no fourth powers, so the RMSE
    has none.
    """
    held = next((of for of in labels.groups if of.group == (group or Group())), None)
    rows = int(counts.counts.sum())
    if held is None or counts.bins != ScoreBins(labels.edges):
        missing = undefined(Undefined.NO_REFERENCE if held is None else Undefined.UNLIKE_BINS, rows)
        return {"mae": missing, "rmse": missing}
    around = _around(held.rows.astype(np.float64), PREDICTION_NEIGHBOURS)
    share = unsupported_share(counts, around)
    if share is None or share > MOST_UNSUPPORTED:
        missing = undefined(Undefined.NO_ROWS if share is None else Undefined.UNSUPPORTED, rows)
        return {"mae": missing, "rmse": missing}
    return _expected_loss(counts, held, around)


def _expected_loss(counts: PredictionCounts, held: ResidualGroup, around: Floats) -> Metrics:
    """Over the bins with support; an empty one borrows its neighbours' loss, one with rows keeps its own."""
    in_bin = counts.counts[:, :-1].sum(axis=0) * (around >= LEAST_LABELS)
    rows = in_bin.sum().item()
    weights = in_bin / rows
    own = held.rows > 0
    n = np.where(own, held.rows, np.maximum(around, 1.0))
    absolute, squares = (
        np.where(own, sums, _around(sums, PREDICTION_NEIGHBOURS)) / n
        for sums in (held.absolute, held.squares)
    )
    spread = np.maximum(squares - absolute**2, 0.0)
    variance = float(weights @ spread) / rows + float(weights**2 @ (spread / n))
    mae = interval(float(weights @ absolute), normal_quantile() * variance**0.5, rows, "delta")
    rmse = float(weights @ squares) ** 0.5
    return {
        "mae": clipped(mae, 0.0, float("inf")),
        "rmse": Estimate(rmse, n=rows, reason=Undefined.NO_MOMENTS),
    }


@dataclass(frozen=True, slots=True)
class EstimateError:
    """`difference`: estimated less realised. `within`: the realised value lay in the estimate's interval."""

    difference: float | None
    within: bool | None


def estimate_error(estimated: Estimate, realised: Estimate) -> EstimateError:
    """What labels showed of an estimate made for the same rows; None where either has no value."""
    if estimated.value is None or realised.value is None:
        return EstimateError(None, None)
    inside = None
    if estimated.low is not None and estimated.high is not None:
        inside = estimated.low <= realised.value <= estimated.high
    return EstimateError(estimated.value - realised.value, inside)
