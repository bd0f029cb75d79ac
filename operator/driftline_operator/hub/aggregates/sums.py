"""Performance sums of a window, as `driftline.performance.from_rows` would make them of its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from driftline.performance.aggregates import (
    NEGATIVE,
    NOT_PREDICTED,
    POSITIVE,
    BinarySums,
    ErrorBucket,
    LabelMoments,
    MeanSums,
    MulticlassSums,
    PredictionCounts,
    RegressionSums,
)
from driftline.performance.from_rows import LEAST_LABEL, LEAST_PROBABILITY

from driftline_operator.hub.aggregates.classes import Classes
from driftline_operator.hub.aggregates.means import mean_sums, number
from driftline_operator.hub.aggregates.window import By, Cell, Window, first

Expression = sa.ColumnElement[Any]


def binary(window: Window, classes: Classes, by: By) -> dict[Cell, BinarySums]:
    """Of rows of a binary classifier whose label is a class that is known."""
    if window.single:
        return _binary_at_once(window, classes, by)
    rows, chosen = window.table.c, _known(window, classes, by)
    label = classes.place(rows.label)
    keys = {"said": _said(window, classes), "truth": label, "bin": rows.bin}
    added = {"n": window.rows, "scores": sa.func.sum(window.weighed(rows.score))}
    found: dict[Cell, BinarySums] = {}
    for *key, predicted, truth, place, count, total in window.connection.execute(
        window.folded(by, chosen, keys, added)
    ):
        cell = window.cell(by, tuple(key))
        sums = found.setdefault(cell, BinarySums.empty(window.bins, weighted=window.scale is not None))
        _count(sums, predicted, truth, place, number(count), total)
    means = mean_sums(window, by, chosen, _binary_numbers(window, classes, label))
    return {cell: _with_means(sums, means[cell]) for cell, sums in found.items()}


def _count(
    sums: BinarySums, predicted: int, truth: int, place: int | None, count: float, total: float | None
) -> None:
    sums.counts[predicted, truth, sums.bins.count if place is None else place] += count
    if place is not None:
        sums.scores[place] += total


def _binary_at_once(window: Window, classes: Classes, by: By) -> dict[Cell, BinarySums]:
    """Where every row is a request: the sums of each row's numbers come with the counts, in one pass.

    Rows are prepared in a subquery with OFFSET 0, which neither database merges with the question around
    it: else each logarithm would be taken once for every sum that it is in.
    """
    rows, label = window.table.c, classes.place(window.table.c.label)
    numbers = _binary_numbers(window, classes, label)
    made = (
        sa.select(
            rows.stratum_id,
            rows.at,
            rows.bin,
            rows.score,
            _said(window, classes).label("said"),
            label.label("truth"),
            *(numbers[name].label(name) for name in _IN_PASSING),
        )
        .where(_known(window, classes, by))
        .offset(0)
        .subquery("made")
    )
    of = made.c
    keys = {name: of[name] for name in ("said", "truth", "bin")}
    added = {"n": sa.func.count(), "scores": sa.func.sum(of.score), "inside": sa.func.count(of.brier)}
    added |= {"outside": sa.func.count(of.outside)}
    for name in ("log_loss", "brier"):
        added |= {name: sa.func.sum(of[name]), f"{name}_squares": sa.func.sum(of[name] * of[name])}
    found: dict[Cell, tuple[BinarySums, list[float]]] = {}
    for row in window.connection.execute(window.folded(by, sa.true(), keys, added, made)):
        cell = window.cell(by, tuple(row[:4]))
        sums, totals = found.setdefault(cell, (BinarySums.empty(window.bins), [0.0] * 6))
        predicted, truth, place, count, total, *more = row[4:]
        _count(sums, predicted, truth, place, int(count), total)
        totals[:] = (known + float(value or 0.0) for known, value in zip(totals, more, strict=True))
    return {cell: _with_totals(sums, *totals) for cell, (sums, totals) in found.items()}


_IN_PASSING: Final = ("log_loss", "brier", "outside")


def _with_totals(
    sums: BinarySums, inside: float, outside: float, loss: float, losses: float, brier: float, briers: float
) -> BinarySums:
    """`losses`, `briers`: sums of squares."""
    answered, n = int(sums.counts[:NOT_PREDICTED].sum()), int(inside)
    wrong = float(sums.counts[NEGATIVE, POSITIVE].sum() + sums.counts[POSITIVE, NEGATIVE].sum())
    return replace(
        sums,
        errors=MeanSums(answered, answered, wrong, wrong, wrong, answered),
        log_loss=MeanSums(n, n, loss, losses, loss, n),
        brier=MeanSums(n, n, brier, briers, brier, n),
        outside=int(outside),
    )


def _known(window: Window, classes: Classes, by: By) -> sa.ColumnElement[bool]:
    """Rows with a label of that age, of a class that is known."""
    return sa.and_(window.known_at(by.age), classes.knows(window.table.c.label))


def _said(window: Window, classes: Classes) -> Expression:
    """A class that isn't known is as good as no answer."""
    return sa.func.coalesce(classes.place(window.table.c["class"]), NOT_PREDICTED)


def _binary_numbers(window: Window, classes: Classes, label: Expression) -> dict[str, Expression]:
    rows, said = window.table.c, _said(window, classes)
    inside = rows.score.between(0.0, 1.0)
    if_positive = _clipped(rows.score)
    probability = sa.case((label == POSITIVE, if_positive), else_=1.0 - if_positive)
    error = rows.score - label
    return {
        "errors": sa.case((said == NOT_PREDICTED, None), (said == label, 0.0), else_=1.0),
        "log_loss": sa.case((inside, -sa.func.ln(probability)), else_=None),
        "brier": sa.case((inside, error * error), else_=None),
        "outside": sa.case((rows.score.is_(None), None), (inside, None), else_=1.0),
    }


def _clipped(score: Expression) -> Expression:
    least, most = LEAST_PROBABILITY, 1 - LEAST_PROBABILITY
    return sa.case((score < least, least), (score > most, most), else_=score)


def _with_means(sums: BinarySums, means: dict[str, MeanSums]) -> BinarySums:
    return BinarySums(
        sums.bins,
        sums.counts,
        sums.scores,
        errors=means["errors"],
        log_loss=means["log_loss"],
        brier=means["brier"],
        outside=means["outside"].rows,
    )


def multiclass(window: Window, classes: Classes, by: By) -> dict[Cell, MulticlassSums]:
    """Of a classifier of several classes, rows whose label and prediction are known ones."""
    rows = window.table.c
    chosen = sa.and_(_known(window, classes, by), classes.knows(rows["class"]))
    query = window.folded(by, chosen, {"truth": rows.label, "said": rows["class"]}, {"n": window.rows})
    confusions: dict[Cell, dict[tuple[str, str], int | float]] = {}
    for *key, label, said, count in window.connection.execute(query):
        confusions.setdefault(window.cell(by, tuple(key)), {})[label, said] = number(count)
    errors = sa.case((rows["class"] == rows.label, 0.0), else_=1.0)
    means = mean_sums(window, by, chosen, {"errors": errors})
    return {cell: _multiclass(counts, means[cell]["errors"]) for cell, counts in confusions.items()}


def _multiclass(counts: dict[tuple[str, str], int | float], errors: MeanSums) -> MulticlassSums:
    classes = tuple(sorted({name for pair in counts for name in pair}))
    place = {name: index for index, name in enumerate(classes)}
    exact = any(isinstance(count, float) for count in counts.values())
    confusion = np.zeros((len(classes), len(classes)), np.float64 if exact else np.int64)
    for (label, said), count in counts.items():
        confusion[place[label], place[said]] = count
    return MulticlassSums(classes, confusion, errors)


def regression(window: Window, by: By) -> dict[Cell, RegressionSums]:
    """Of labelled rows that have a prediction. Their labels' moments are about the window's mean label."""
    rows = window.table.c
    shift = float(window.connection.execute(sa.select(sa.func.avg(rows.truth))).scalar() or 0.0)
    chosen = sa.and_(window.known_at(by.age), rows.value.is_not(None), rows.truth.is_not(None))
    error = rows.value - rows.truth
    numbers = {
        "errors": error,
        "absolute": sa.func.abs(error),
        "squares": error * error,
        "percentage": sa.case(
            (sa.func.abs(rows.truth) < LEAST_LABEL, None), else_=sa.func.abs(error) / sa.func.abs(rows.truth)
        ),
    }
    means = mean_sums(window, by, chosen, numbers)
    moments = _moments(window, by, chosen, error, rows.truth - shift, shift)
    return {
        cell: RegressionSums(**found, labels=moments[cell][0], largest=moments[cell][1])
        for cell, found in means.items()
    }


def _moments(
    window: Window, by: By, chosen: sa.ColumnElement[bool], e: Expression, d: Expression, shift: float
) -> dict[Cell, tuple[LabelMoments, float]]:
    columns, source = window.grouped(by)
    of_errors = (e * e * d, e * e * d * d, e * e, e * e * e * e)
    powers = [sa.func.sum(window.weighed(x)) for x in (d, d * d, d * d * d, d * d * d * d, *of_errors)]
    query = (
        sa.select(*columns, window.rows, sa.func.max(sa.func.abs(e)), *powers)
        .select_from(source)
        .where(chosen)
        .group_by(*first(4))
    )
    found = {}
    for *key, count, largest, d1, d2, d3, d4, x1, x2, q2, q4 in window.connection.execute(query):
        moments = LabelMoments(shift, number(count), (d1, d2, d3, d4), (x1, x2), q2, q4)
        found[window.cell(by, tuple(key))] = (moments, float(largest))
    return found


def error_buckets(window: Window, by: By, classes: Classes) -> dict[Cell, list[ErrorBucket]]:
    """The error by slice of `by.bucket` seconds, in order of time, by cells without `bucket`.

    Without a positive class names are compared, numbers by |e|.
    """
    assert by.bucket is not None  # noqa: S101 - a bucket's width is what is asked for
    rows = window.table.c
    distance = sa.func.abs(rows.value - rows.truth)
    same = rows["class"] == rows.label
    if classes.positive:
        same = classes.place(rows["class"]) == classes.place(rows.label)
    usable = sa.and_(classes.knows(rows["class"]), classes.knows(rows.label))
    wrong = sa.case((sa.not_(usable), None), (same, 0.0), else_=1.0)
    errors = sa.case((rows.truth.is_not(None), distance), else_=wrong)
    means = mean_sums(window, by, window.known_at(by.age), {"errors": errors})
    found: dict[Cell, list[ErrorBucket]] = {}
    for cell, sums in sorted(means.items(), key=lambda item: item[0].bucket or 0.0):
        bucket = ErrorBucket(cell.bucket or 0.0, by.bucket, sums["errors"])
        found.setdefault(cell._replace(bucket=None), []).append(bucket)
    return found


def predicted(
    window: Window, by: By, classes: Classes, *, labelled: bool = False
) -> dict[Cell, PredictionCounts]:
    """All predictions, by what was predicted and bin; without a positive class only by bin.

    `labelled`: of a regression, only those with a label of that age.
    """
    rows = window.table.c
    said = _said(window, classes) if classes.positive else sa.literal(NOT_PREDICTED)
    keys = {"said": said, "bin": rows.bin}
    chosen = sa.and_(window.known_at(by.age), rows.truth.is_not(None)) if labelled else window.once()
    query = window.folded(by, chosen, keys, {"n": window.rows})
    kind = np.int64 if window.scale is None else np.float64
    found: dict[Cell, PredictionCounts] = {}
    empty = (3, window.bins.count + 1)
    for *key, place, bin_, count in window.connection.execute(query):
        cell = window.cell(by, tuple(key))
        counts = found.setdefault(cell, PredictionCounts(window.bins, np.zeros(empty, kind))).counts
        counts[place, window.bins.count if bin_ is None else bin_] += number(count)
    return found
