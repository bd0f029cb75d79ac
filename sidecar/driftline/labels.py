"""What held-out rows with labels leave in a profile: enough to estimate performance before labels come.

Classification: label counts by score bin. Regression: sums of residuals by prediction bin. Both
overall and per segment, and nothing of a single row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.columns import CategoricalColumn, Column, Floats
from driftline.isotonic import isotonic_steps

BINS = 1000
"""Score bins: 1,000 agree with row-wise estimates within 1e-4, where the calibration's steps are edges."""

STEPS = 200
"""Edges at most that are steps of the labels' isotonic fit."""

LOGIT_LIMIT = 14.0
"""The logit scale's ends: scores of 8e-7 and 1 - 8e-7."""

PREDICTION_BINS = 100
"""Prediction bins of a regression, by the reference's quantiles."""

GROUPS = 50
"""At most so many values of a segment, the most frequent ones; the rest is left out and overall counts it."""

BLOCKS = 40
"""Blocks of consecutive rows that are counted apart: what resamples of the reference are drawn from."""

BLOCK_BINS = 20
"""Bins of such a block, each with about as many labels: together 1,600 small integers."""

Counts = NDArray[np.int64]

_CLASS_MEASURES = 5
"""Sums of a classifier's group: by label, by label of those called positive, rows without an answer."""


@dataclass(frozen=True, slots=True)
class Group:
    """Which rows: those whose column `segment` says `value`; all rows where both are None."""

    segment: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreGroup:
    """Label counts of one group, int64 (bins,): rows by score bin whose label is (not) the positive one."""

    group: Group
    negatives: Counts
    positives: Counts
    said: tuple[Counts, Counts] | None = None
    """Those of them that the model called positive: (negatives, positives). None: a row has no answer."""


@dataclass(frozen=True, slots=True)
class LabelBlocks:
    """All rows by block of consecutive ones and coarse score bin: rows of a block resemble each other.

    `starts` int64 (coarse,): the first score bin of each, 0 first. `counts` int64 (2, blocks, coarse): by
    label, 0 or 1.
    """

    starts: Counts
    counts: Counts


@dataclass(frozen=True, slots=True)
class ScoreLabels:
    """Score bins x label counts. `edges` float64 (bins - 1,); bin i is (edges[i-1], edges[i]]."""

    edges: Floats
    groups: tuple[ScoreGroup, ...]
    blocks: LabelBlocks | None = None
    """None: too few rows, or a profile of an older version."""


@dataclass(frozen=True, slots=True)
class ResidualGroup:
    """Sums over one group's rows by prediction bin, (bins,): of residuals label - prediction."""

    group: Group
    rows: Counts
    sums: Floats
    absolute: Floats
    squares: Floats


@dataclass(frozen=True, slots=True)
class ResidualLabels:
    """Residual sums by prediction bin. `edges` float64 (bins - 1,); bin i is (edges[i-1], edges[i]]."""

    edges: Floats
    groups: tuple[ResidualGroup, ...]


Labels = ScoreLabels | ResidualLabels


def score_edges(scores: Floats, labels: Floats | None = None) -> Floats:
    """Edges of at most `BINS` bins: on the logit scale, the scores' quantiles, and the calibration's steps.

    The logit scale separates the ends, where rare positives live; quantiles separate where the rows
    are. Scores outside [0, 1] are no probabilities and get no logit scale. With `labels` (1.0 positive,
    0.0 not, NaN unknown) the isotonic fit's steps are edges too: the calibrated probability is then constant
    in a bin, so that an estimate from bins is that from rows.
    """
    finite = scores[np.isfinite(scores)]
    if not finite.size:
        return np.empty(0)
    steps = np.empty(0) if labels is None else isotonic_steps(scores, labels, STEPS)
    each = (BINS - steps.size) // 2
    parts = [steps, np.quantile(finite, np.arange(1, each) / each)]
    if finite.min() >= 0.0 and finite.max() <= 1.0:
        parts.append(1.0 / (1.0 + np.exp(-np.linspace(-LOGIT_LIMIT, LOGIT_LIMIT, each))))
    return np.unique(np.concatenate(parts))


def prediction_edges(predictions: Floats) -> Floats:
    """Edges of at most `PREDICTION_BINS` bins: the predictions' quantiles."""
    finite = predictions[np.isfinite(predictions)]
    if not finite.size:
        return np.empty(0)
    return np.unique(np.quantile(finite, np.arange(1, PREDICTION_BINS) / PREDICTION_BINS))


class LabelsBuilder:
    """Adds up held-out rows, batch by batch; the edges are fixed beforehand.

    `regression` False: predictions are scores, and a label is 1.0 (the positive class) or 0.0.
    """

    def __init__(self, edges: Floats, *, regression: bool, rows: int = 0) -> None:
        """`rows`: how many there are to come, in order; of an unknown number no blocks are made."""
        self._edges = edges
        self._regression = regression
        self._rows, self._place = rows, 0
        self._blocks = np.zeros((2, BLOCKS, edges.size + 1), np.int64)
        self._sums: dict[Group, Floats] = {}

    def add(
        self, predictions: Floats, labels: Floats, segments: Mapping[str, Column], said: Floats | None = None
    ) -> None:
        """Add rows: `predictions`, `labels` float64 (rows,); a row without both being finite is left out.

        `said`: of a classifier, float64 (rows,): 1.0 where it answered the positive class, 0.0 another, NaN
        where there is no answer.
        """
        finite = np.isfinite(predictions) & np.isfinite(labels)
        bins = np.searchsorted(self._edges, predictions, side="left")
        if self._rows and not self._regression:
            self._add_blocks(bins, labels, finite)
        measures = self._measures(predictions, labels, said)
        for group, rows in _groups(predictions.size, segments):
            chosen = rows & finite
            sums = self._sums.setdefault(group, np.zeros((len(measures), self._edges.size + 1)))
            for total, measure in zip(sums, measures, strict=True):
                total += np.bincount(bins[chosen], weights=measure[chosen], minlength=total.size)

    def _add_blocks(self, bins: NDArray[np.intp], labels: Floats, finite: NDArray[np.bool_]) -> None:
        places = np.arange(self._place, self._place + bins.size)
        self._place += bins.size
        block = np.minimum(places * BLOCKS // self._rows, BLOCKS - 1)
        for label, counts in enumerate(self._blocks):
            chosen = finite & (labels == label)
            np.add.at(counts, (block[chosen], bins[chosen]), 1)

    def build(self) -> Labels | None:
        """The sums so far, the largest groups of each segment; None where no row could be used."""
        kept = {group: self._sums[group] for group in _largest(self._sums)}
        if not kept:
            return None
        if self._regression:
            return ResidualLabels(self._edges, tuple(_residuals(*item) for item in kept.items()))
        groups = tuple(_scores(*item) for item in kept.items())
        return ScoreLabels(self._edges, groups, _coarse(self._blocks))

    def _measures(self, predictions: Floats, labels: Floats, said: Floats | None) -> list[Floats]:
        if not self._regression:
            classes = [(labels == 0.0).astype(np.float64), (labels == 1.0).astype(np.float64)]
            answers = np.full(labels.size, np.nan) if said is None else said
            answered = [each * (answers == 1.0) for each in classes]
            return [*classes, *answered, np.isnan(answers).astype(np.float64)]
        residuals = labels - predictions
        return [np.ones(labels.size), residuals, np.abs(residuals), residuals * residuals]


def _scores(group: Group, sums: Floats) -> ScoreGroup:
    negatives, positives, said_negatives, said_positives, silent = sums.astype(np.int64)
    said = None if silent.any() else (said_negatives, said_positives)
    return ScoreGroup(group, negatives, positives, said)


def _coarse(blocks: Counts) -> LabelBlocks | None:
    """Bins with about as many labels each; None where a block would have fewer labels than bins."""
    by_bin = blocks.sum(axis=(0, 1))
    total = int(by_bin.sum())
    if total < BLOCKS * BLOCK_BINS:
        return None
    before = np.cumsum(by_bin) - by_bin
    coarse = before * BLOCK_BINS // total
    starts = np.flatnonzero(np.diff(coarse, prepend=-1)).astype(np.int64)
    return LabelBlocks(starts, np.add.reduceat(blocks, starts, axis=2))


def _residuals(group: Group, sums: Floats) -> ResidualGroup:
    rows, residuals, absolute, squares = sums
    return ResidualGroup(group, rows.astype(np.int64), residuals, absolute, squares)


def _largest(sums: Mapping[Group, Floats]) -> list[Group]:
    """All rows first, then by segment the `GROUPS` with most rows; groups without rows are none."""
    rows = {
        group: float(total[0].sum() + (total[1].sum() if len(total) == _CLASS_MEASURES else 0))
        for group, total in sums.items()
    }
    by_size = sorted((group for group in sums if rows[group] > 0), key=lambda group: -rows[group])
    kept: dict[str | None, list[Group]] = {}
    for group in by_size:
        of_segment = kept.setdefault(group.segment, [])
        if len(of_segment) < GROUPS:
            of_segment.append(group)
    return [group for segment in sorted(kept, key=lambda name: name or "") for group in kept[segment]]


def _groups(rows: int, segments: Mapping[str, Column]) -> Iterator[tuple[Group, NDArray[np.bool_]]]:
    yield Group(), np.ones(rows, dtype=np.bool_)
    for segment, column in segments.items():
        if isinstance(column, CategoricalColumn):
            for code in np.unique(column.codes[column.codes >= 0]):
                yield Group(segment, column.dictionary[code]), column.codes == code
        else:
            for value in np.unique(column.values[np.isfinite(column.values)]):
                yield Group(segment, f"{value:g}"), column.values == value
