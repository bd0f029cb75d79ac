"""What a store must add up, per (monitor, model version, segment, prediction-time bucket, label age).

All of it is additive over buckets, pods and replicas, in any order. `from_rows` makes the same from rows in
numpy: it is the definition that a store's SQL is tested against. Segments add up too where every request is
one row; a request of several rows may lie in several segments, so that the whole has its own aggregate.

Unit: the request. Rows of one request resemble each other, so a mean's variance is taken between requests;
`MeanSums` keeps what that needs. A store without multi-row requests has requests = rows, and then
squares = sum of x^2, products = total, sizes = rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.errors import IncompatiblePanes
from driftline.performance.bins import ScoreBins

Integers = NDArray[np.int64]
Counts = NDArray[Any]
"""int64; of rows that have weights float64."""

NEGATIVE, POSITIVE, NOT_PREDICTED = 0, 1, 2
"""Places of a prediction in `BinarySums.counts`; the first two are a label's places too."""


@dataclass(frozen=True, slots=True)
class MeanSums:
    """Of one number x per row. Per request r: m its rows that have x, s the sum of their x.

    SQL: an inner GROUP BY request giving m and s, an outer SUM; or, where every request is one row,
    COUNT(*), SUM(x), SUM(x * x).

    Rows that were sampled with probability 1 / w count w times: m and s are then sums of w and w x. The
    mean is Hájek's, its variance between requests that of the linearised ratio (Särndal, Swensson and
    Wretman 1992, 5.7).
    """

    requests: int = 0
    rows: float = 0
    """Sum of m; an integer where no row has a weight."""
    total: float = 0.0
    """Sum of s."""
    squares: float = 0.0
    """Sum of s^2."""
    products: float = 0.0
    """Sum of m s."""
    sizes: float = 0
    """Sum of m^2."""

    def __add__(self, other: MeanSums) -> MeanSums:
        """Both together; a request never spans two."""
        return MeanSums(
            self.requests + other.requests,
            self.rows + other.rows,
            self.total + other.total,
            self.squares + other.squares,
            self.products + other.products,
            self.sizes + other.sizes,
        )


@dataclass(frozen=True, eq=False)
class ScoreCounts:
    """Labelled rows by score bin, int64 (bins,) each. Rows without a score are not here."""

    bins: ScoreBins
    negatives: Counts
    positives: Counts

    @classmethod
    def empty(cls, bins: ScoreBins) -> ScoreCounts:
        """No rows: the neutral element of adding."""
        return cls(bins, np.zeros(bins.count, np.int64), np.zeros(bins.count, np.int64))

    def __add__(self, other: ScoreCounts) -> ScoreCounts:
        """Both together. Raises IncompatiblePanes for unlike bins."""
        same_bins(self.bins, other.bins)
        return ScoreCounts(self.bins, self.negatives + other.negatives, self.positives + other.positives)


@dataclass(frozen=True, eq=False)
class BinarySums:
    """Of labelled rows of a binary classifier.

    SQL: GROUP BY score bin, predicted, label. The prediction is the one that the model gave, never the
    score compared with 0.5.
    """

    bins: ScoreBins
    counts: Counts
    """(3, 2, bins + 1): rows by [predicted, label, bin]; the last bin: rows without a score."""
    scores: Floats
    """float64 (bins,): sum of the scores by bin."""
    errors: MeanSums = field(default_factory=MeanSums)
    """x = 1 where the prediction isn't the label, else 0; rows that have a prediction."""
    log_loss: MeanSums = field(default_factory=MeanSums)
    """x = `from_rows.log_losses` of the label; rows that have a score in [0, 1]."""
    brier: MeanSums = field(default_factory=MeanSums)
    """x = (score - label)^2; rows that have a score in [0, 1]."""
    outside: float = 0
    """Rows whose score is finite and outside [0, 1]."""

    @classmethod
    def empty(cls, bins: ScoreBins, *, weighted: bool = False) -> BinarySums:
        """No rows: the neutral element of adding."""
        kind = np.float64 if weighted else np.int64
        return cls(bins, np.zeros((3, 2, bins.count + 1), kind), np.zeros(bins.count))

    def __add__(self, other: BinarySums) -> BinarySums:
        """Both together. Raises IncompatiblePanes for unlike bins."""
        same_bins(self.bins, other.bins)
        return BinarySums(
            self.bins,
            self.counts + other.counts,
            self.scores + other.scores,
            self.errors + other.errors,
            self.log_loss + other.log_loss,
            self.brier + other.brier,
            self.outside + other.outside,
        )

    @property
    def rows(self) -> int:
        """Labelled rows."""
        return round(float(self.counts.sum()))

    def by_score(self) -> ScoreCounts:
        """Labels by score bin, whatever was predicted."""
        negatives, positives = self.counts[:, :, :-1].sum(axis=0)
        return ScoreCounts(self.bins, negatives, positives)

    def confusion(self) -> Counts:
        """(2, 2): rows by [label, predicted], as scikit-learn has it; only rows with a prediction."""
        found: Counts = self.counts[:2].sum(axis=2).T
        return found


@dataclass(frozen=True, eq=False)
class MulticlassSums:
    """Of labelled rows of a classifier of several classes.

    SQL: GROUP BY label, predicted; and for each class that has a score, GROUP BY bin, label = class.
    """

    classes: tuple[str, ...]
    """Sorted; those seen as a label or a prediction."""
    confusion: Counts
    """(k, k): rows by [label, predicted]."""
    errors: MeanSums = field(default_factory=MeanSums)
    """x = 1 where the prediction isn't the label."""
    log_loss: MeanSums = field(default_factory=MeanSums)
    """x = -ln of the label's probability; rows that have one."""
    by_class: Mapping[str, ScoreCounts] = field(default_factory=dict)
    """Per class: its score's bins, positive where the label is this class."""

    def __add__(self, other: MulticlassSums) -> MulticlassSums:
        """Both together; the classes are the union."""
        classes = tuple(sorted({*self.classes, *other.classes}))
        by_class = dict(self.by_class)
        for name, counts in other.by_class.items():
            by_class[name] = by_class[name] + counts if name in by_class else counts
        return MulticlassSums(
            classes,
            _widened(self, classes) + _widened(other, classes),
            self.errors + other.errors,
            self.log_loss + other.log_loss,
            by_class,
        )


@dataclass(frozen=True, slots=True)
class LabelMoments:
    """Of numeric labels y about a fixed `shift`, d = y - shift, with e the error of each row.

    The shift is any number near the labels, such as the reference's mean: it keeps the digits.
    """

    shift: float = 0.0
    rows: float = 0
    sums: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Sums of d, d^2, d^3, d^4."""
    cross: tuple[float, float] = (0.0, 0.0)
    """Sums of e^2 d and e^2 d^2."""
    squared_errors: float = 0.0
    """Sum of e^2."""
    fourth_errors: float = 0.0
    """Sum of e^4 over rows."""

    def __add__(self, other: LabelMoments) -> LabelMoments:
        """Both together, about this shift (the other's where this has no rows)."""
        if not self.rows or not other.rows:
            return self if self.rows else other
        moved = other.about(self.shift)
        first, second, third, fourth = (a + b for a, b in zip(self.sums, moved.sums, strict=True))
        return LabelMoments(
            self.shift,
            self.rows + other.rows,
            (first, second, third, fourth),
            (self.cross[0] + moved.cross[0], self.cross[1] + moved.cross[1]),
            self.squared_errors + moved.squared_errors,
            self.fourth_errors + moved.fourth_errors,
        )

    def about(self, shift: float) -> LabelMoments:
        """The same rows about another shift."""
        c = self.shift - shift
        if c == 0:
            return self
        s1, s2, s3, s4 = self.sums
        n = self.rows
        sums = (
            s1 + c * n,
            s2 + 2 * c * s1 + c * c * n,
            s3 + 3 * c * s2 + 3 * c * c * s1 + c * c * c * n,
            s4 + 4 * c * s3 + 6 * c * c * s2 + 4 * c * c * c * s1 + c * c * c * c * n,
        )
        x1, x2 = self.cross
        q = self.squared_errors
        return replace(self, shift=shift, sums=sums, cross=(x1 + c * q, x2 + 2 * c * x1 + c * c * q))


@dataclass(frozen=True, slots=True)
class RegressionSums:
    """Of labelled rows of a regression. e = prediction - label; rows where both are finite."""

    errors: MeanSums = field(default_factory=MeanSums)
    """x = e."""
    absolute: MeanSums = field(default_factory=MeanSums)
    """x = |e|."""
    squares: MeanSums = field(default_factory=MeanSums)
    """x = e^2."""
    percentage: MeanSums = field(default_factory=MeanSums)
    """x = |e| / |label|; rows whose |label| is at least `from_rows.LEAST_LABEL`."""
    labels: LabelMoments = field(default_factory=LabelMoments)
    largest: float = 0.0
    """The largest |e|."""

    def __add__(self, other: RegressionSums) -> RegressionSums:
        """Both together."""
        return RegressionSums(
            self.errors + other.errors,
            self.absolute + other.absolute,
            self.squares + other.squares,
            self.percentage + other.percentage,
            self.labels + other.labels,
            max(self.largest, other.largest),
        )


@dataclass(frozen=True, slots=True)
class RankingSums:
    """Of ranked lists (one per request or query), each measured by `ranking.measure_list` at one k.

    A list is one unit: in each MeanSums requests = rows = lists that have a relevant item.
    """

    ndcg: MeanSums = field(default_factory=MeanSums)
    average_precision: MeanSums = field(default_factory=MeanSums)
    reciprocal_rank: MeanSums = field(default_factory=MeanSums)
    without_relevant: int = 0
    """Lists without any relevant item: left out, and said."""

    @property
    def errors(self) -> MeanSums:
        """x = 1 - NDCG."""
        of = self.ndcg
        total = of.rows - of.total
        return MeanSums(of.requests, of.rows, total, of.rows - 2 * of.total + of.squares, total, of.sizes)

    def __add__(self, other: RankingSums) -> RankingSums:
        """Both together."""
        return RankingSums(
            self.ndcg + other.ndcg,
            self.average_precision + other.average_precision,
            self.reciprocal_rank + other.reciprocal_rank,
            self.without_relevant + other.without_relevant,
        )


@dataclass(frozen=True, slots=True)
class ErrorBucket:
    """The error of the predictions made in [start, start + seconds), unix seconds, whenever labels came.

    `errors`: x = 1 where the prediction isn't the label (classification), x = |e| (regression).
    """

    start: float
    seconds: float
    errors: MeanSums

    def __add__(self, other: ErrorBucket) -> ErrorBucket:
        """The same bucket of another pod or segment."""
        if (self.start, self.seconds) != (other.start, other.seconds):
            raise IncompatiblePanes("error buckets of unlike times don't add up")
        return ErrorBucket(self.start, self.seconds, self.errors + other.errors)


@dataclass(frozen=True, eq=False)
class CoverageCounts:
    """Predictions old enough to have a label, by score bin: with and without one. int64 (bins + 1,) each.

    The last bin: predictions without a score.
    """

    bins: ScoreBins
    labelled: Counts
    unlabelled: Counts

    def __add__(self, other: CoverageCounts) -> CoverageCounts:
        """Both together. Raises IncompatiblePanes for unlike bins."""
        same_bins(self.bins, other.bins)
        return CoverageCounts(self.bins, self.labelled + other.labelled, self.unlabelled + other.unlabelled)


@dataclass(frozen=True, eq=False)
class PredictionCounts:
    """All predictions, labelled or not, by what was predicted and score bin: what estimates read.

    Classification: (3, bins + 1), by [predicted, bin] as in `BinarySums`. Regression: the same with
    everything in `NOT_PREDICTED` and the bins of `ResidualLabels`.
    """

    bins: ScoreBins
    counts: Counts

    def __add__(self, other: PredictionCounts) -> PredictionCounts:
        """Both together. Raises IncompatiblePanes for unlike bins."""
        same_bins(self.bins, other.bins)
        return PredictionCounts(self.bins, self.counts + other.counts)


@dataclass(frozen=True, slots=True)
class FeedbackCounts:
    """Thumbs of people. A prediction judged twice counts with the newest."""

    up: int = 0
    down: int = 0

    def __add__(self, other: FeedbackCounts) -> FeedbackCounts:
        """Both together."""
        return FeedbackCounts(self.up + other.up, self.down + other.down)


@dataclass(frozen=True, slots=True)
class KpiSums:
    """Events of one KPI in one window and variant. `values`: x = an event's value, a request = its id.

    Where predictions were sampled all of it is of the traffic that they stand for: sums of weights.
    """

    values: MeanSums = field(default_factory=MeanSums)
    converted: float = 0
    """Predictions that have at least one event."""
    predictions: float = 0
    """Predictions that could have one."""
    sizes: float = 0
    """Sum of their weights' squares; the same as `predictions` where all were kept."""

    def __add__(self, other: KpiSums) -> KpiSums:
        """Both together."""
        return KpiSums(
            self.values + other.values,
            self.converted + other.converted,
            self.predictions + other.predictions,
            self.sizes + other.sizes,
        )


def same_bins(a: ScoreBins, b: ScoreBins) -> None:
    """Raises IncompatiblePanes where they are unlike."""
    if a != b:
        raise IncompatiblePanes(
            f"score bins {a.id} and {b.id} don't add up; the reference has changed between"
        )


def _widened(sums: MulticlassSums, classes: tuple[str, ...]) -> Counts:
    """Its confusion counts on more classes."""
    place = [classes.index(name) for name in sums.classes]
    wide = np.zeros((len(classes), len(classes)), sums.confusion.dtype)
    wide[np.ix_(place, place)] = sums.confusion
    return wide
