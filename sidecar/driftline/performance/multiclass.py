"""Metrics of a classifier of several classes from `MulticlassSums`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from driftline.columns import Floats
from driftline.performance.aggregates import MulticlassSums
from driftline.performance.binary import Confusion, Metrics, confusion_metrics
from driftline.performance.curves import auc
from driftline.performance.estimate import Estimate, Undefined, clipped, interval, undefined
from driftline.performance.intervals import design_effect, mean_estimate, normal_quantile, proportion

AVERAGED = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class MulticlassPerformance:
    """`metrics`: overall, `_macro` and `_weighted`. `by_class`: each against the rest.

    `counted_as_zero`: by averaged metric the classes where it is undefined, which count as 0 in the averages,
    as scikit-learn does (a class that was never predicted has no precision).
    """

    rows: int
    metrics: Metrics
    by_class: Mapping[str, Metrics]
    counted_as_zero: Mapping[str, tuple[str, ...]]
    design_effect: float


def multiclass_performance(sums: MulticlassSums) -> MulticlassPerformance:
    """All metrics; averages run over the classes seen as a label or a prediction."""
    effect = design_effect(sums.errors)
    confusion = sums.confusion
    rows = confusion.sum().item()
    by_class = {
        name: confusion_metrics(_against_rest(sums, place), effect) for place, name in enumerate(sums.classes)
    }
    for name, counts in sums.by_class.items():
        by_class.setdefault(name, confusion_metrics(Confusion(rows, 0, 0, 0), effect))["auc"] = auc(
            counts, effect
        )
    metrics: Metrics = {"accuracy": proportion(np.trace(confusion).item(), rows, effect)}
    for name in AVERAGED:
        macro, weighted = _averages(sums, name, effect)
        metrics |= {f"{name}_macro": macro, f"{name}_weighted": weighted}
    metrics |= _auc_averages(sums, effect)
    metrics["log_loss"] = (
        clipped(mean_estimate(sums.log_loss), 0.0, math.inf)
        if sums.log_loss.rows
        else undefined(Undefined.NO_SCORES if rows else Undefined.NO_ROWS)
    )
    zero = {name: tuple(of for of in sums.classes if by_class[of][name].value is None) for name in AVERAGED}
    return MulticlassPerformance(round(rows), metrics, by_class, zero, effect)


def _against_rest(sums: MulticlassSums, place: int) -> Confusion:
    c = sums.confusion
    tp = c[place, place].item()
    fp, fn = c[:, place].sum().item() - tp, c[place].sum().item() - tp
    return Confusion(c.sum().item() - tp - fp - fn, fp, fn, tp)


def _averages(sums: MulticlassSums, name: str, effect: float) -> tuple[Estimate, Estimate]:
    """Macro and weighted by the labels' frequency, with the multinomial's delta method."""
    c = sums.confusion.astype(np.float64)
    rows = c.sum()
    if rows == 0:
        missing = undefined(Undefined.NO_ROWS)
        return missing, missing
    top, bottom = _fractions(c, name)
    values = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
    labels = c.sum(axis=1)
    slopes = _slopes(values, bottom, name)
    macro = slopes.mean(axis=0)
    # The weights are counts too: row l's weight grows with each of its cells.
    weighted = np.tensordot(labels / rows, slopes, axes=1)
    value = float(labels / rows @ values)
    weighted = weighted + (values[:, None] - value) / rows
    return (
        _delta(float(values.mean()), macro, c, effect),
        _delta(value, weighted, c, effect),
    )


def _fractions(c: Floats, name: str) -> tuple[Floats, Floats]:
    """Per class numerator and denominator, (k,) each."""
    hits, labels, predicted = np.diag(c), c.sum(axis=1), c.sum(axis=0)
    if name == "precision":
        return hits, predicted
    return (hits, labels) if name == "recall" else (2 * hits, labels + predicted)


def _slopes(values: Floats, bottom: Floats, name: str) -> Floats:
    """Derivatives of each class's value by each cell of the confusion matrix: (k, k, k) by [class, l, p]."""
    k = len(values)
    found = np.zeros((k, k, k))
    for place in np.flatnonzero(bottom > 0):
        if name in ("recall", "f1"):
            found[place, place, :] -= values[place] / bottom[place]
        if name in ("precision", "f1"):
            found[place, :, place] -= values[place] / bottom[place]
        found[place, place, place] += (2.0 if name == "f1" else 1.0) / bottom[place]
    return found


def _delta(value: float, slopes: Floats, c: Floats, effect: float) -> Estimate:
    """Variance: sum of count x derivative^2, less the square of their mean (multinomial)."""
    rows = c.sum()
    variance = float((c * slopes**2).sum() - (c * slopes).sum() ** 2 / rows) * effect
    half = normal_quantile() * math.sqrt(max(0.0, variance))
    return clipped(interval(value, half, int(rows), "delta"), 0.0, 1.0)


def _auc_averages(sums: MulticlassSums, effect: float) -> Metrics:
    """One against the rest, over the classes that have a score and both kinds of labels.

    No interval: the classes' curves share their rows. Each class's own has one.
    """
    found = {name: auc(counts, effect) for name, counts in sums.by_class.items()}
    defined = {name: estimate for name, estimate in found.items() if estimate.value is not None}
    if not defined:
        reason = Undefined.ONE_CLASS if found else Undefined.NO_SCORES
        return {"auc_macro": undefined(reason), "auc_weighted": undefined(reason)}
    weights = np.array([float(sums.by_class[name].positives.sum()) for name in defined])
    values = np.array([estimate.value for estimate in defined.values()], np.float64)
    rows = max(estimate.n for estimate in defined.values())
    return {
        "auc_macro": Estimate(float(values.mean()), n=rows, reason=Undefined.SHARED_ROWS),
        "auc_weighted": Estimate(
            float(weights @ values / weights.sum()), n=rows, reason=Undefined.SHARED_ROWS
        ),
    }
