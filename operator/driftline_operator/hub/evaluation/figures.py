"""Metrics of gathered sums, as the report says them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from driftline.labels import ResidualLabels, ScoreLabels
from driftline.performance.aggregates import (
    BinarySums,
    Counts,
    FeedbackCounts,
    KpiSums,
    MulticlassSums,
    PredictionCounts,
    RankingSums,
    RegressionSums,
)
from driftline.performance.binary import Metrics, binary_performance
from driftline.performance.bins import ScoreBins
from driftline.performance.calibration import calibration_noise, recalibration, reliability
from driftline.performance.estimated import Calibrator, estimated_loss, estimated_performance
from driftline.performance.lag import coverage
from driftline.performance.missing import (
    ScoreStratum,
    missingness,
    post_stratified,
    weighted_coverage,
    worst_case,
)
from driftline.performance.multiclass import multiclass_performance
from driftline.performance.outcomes import approval, kpi_metrics
from driftline.performance.ranking import ranking_metrics
from driftline.performance.regression import regression_metrics
from driftline.performance.report import (
    FeedbackFigures,
    KpiFigures,
    LabelledShare,
    Metric,
    Missing,
    ReliabilityRow,
    Slice,
    metrics,
)
from driftline.profile import Profile

from driftline_operator.hub.aggregates import Sums
from driftline_operator.hub.evaluation.sums import AgedWindow, Part


def measured(sums: Sums | None) -> Metrics:
    """All metrics of the model's type, by the names of `driftline.performance`; empty without labels."""
    if sums is None:
        return {}
    if isinstance(sums, RegressionSums):
        return regression_metrics(sums)
    if isinstance(sums, RankingSums):
        return ranking_metrics(sums)
    if isinstance(sums, MulticlassSums):
        found = multiclass_performance(sums).metrics
        # A threshold on `f1` of several classes is one on their macro average.
        return found | {name: found[f"{name}_macro"] for name in ("precision", "recall", "f1")}
    return binary_performance(sums).metrics


def sliced(part: Part, reference: Mapping[str, float] | None = None) -> Slice:
    """One part of a window."""
    sums = part.sums
    if isinstance(sums, BinarySums):
        performance = binary_performance(sums)
        return Slice(
            part.predictions,
            part.labels,
            metrics(performance.metrics, reference),
            performance.auc_bound,
            covered(part),
            _whole(sums.confusion()),
            ["negative", "positive"],
        )
    said = metrics(measured(sums), reference)
    if isinstance(sums, MulticlassSums):
        confusion, classes = _whole(sums.confusion), list(sums.classes)
        return Slice(part.predictions, part.labels, said, None, covered(part), confusion, classes)
    return Slice(part.predictions, part.labels, said, coverage=covered(part))


def _whole(confusion: Counts) -> list[list[int]]:
    return [[round(count) for count in row] for row in confusion.tolist()]


def calibrated(sums: Sums | None) -> tuple[dict[str, Metric], list[ReliabilityRow]]:
    """Slope, intercept, and the reliability table of a binary classifier."""
    if not isinstance(sums, BinarySums):
        return {}, []
    fitted = recalibration(sums)
    rows = [
        ReliabilityRow(row.score, Metric.of(row.share), row.rows) for row in reliability(sums) if row.rows
    ]
    said = {name: Metric.of(getattr(fitted, name)) for name in ("slope", "intercept", "in_the_large")}
    return said, rows


def noise(sums: Sums | None) -> float | None:
    """What the calibration error of perfect probabilities would be; None where there are none."""
    return calibration_noise(sums) if isinstance(sums, BinarySums) else None


def missing(window: AgedWindow) -> Missing:
    """Whether the missing labels are like those that came."""
    counts, sums = window.overall.coverage, window.overall.sums
    if counts is None:
        return Missing(reason="NoData")
    found = missingness(counts)
    by_score = [_labelled_share(counts.bins, each) for each in found.strata]
    if not isinstance(sums, BinarySums):
        return Missing(found.psi, psi_expected=found.psi_expected, by_score=by_score)
    bounds = {} if window.predicted is None else worst_case(sums, window.predicted)
    if window.predicted is not None and window.predicted.counts.dtype.kind == "f":
        counts = weighted_coverage(sums, window.predicted)
    return Missing(
        found.psi,
        psi_expected=found.psi_expected,
        by_score=by_score,
        post_stratified=metrics(post_stratified(sums, counts).metrics),
        bounds={name: (each.low, each.high) for name, each in bounds.items()},
    )


def _labelled_share(bins: ScoreBins, of: ScoreStratum) -> LabelledShare:
    edges = bins.edges
    low = float(edges[of.first - 1]) if of.first else None
    high = float(edges[of.last]) if of.last < len(edges) else None
    return LabelledShare(low, high, of.predictions, Metric.of(of.probability))


def covered(part: Part) -> Metric:
    """The share of predictions that have a label."""
    return Metric.of(coverage(part.labels, part.predictions))


@dataclass(frozen=True)
class Reference:
    """A reference, and what is made of it once: it is read anew when another one is told."""

    profile: Profile

    @cached_property
    def estimate(self) -> Callable[[PredictionCounts], Metrics]:
        """What estimates before labels."""
        return estimator(self.profile)


def estimator(profile: Profile) -> Callable[[PredictionCounts], Metrics]:
    """What estimates before labels; nothing where the reference has none.

    It resamples the reference once: the dear part of it.
    """
    labels = profile.labels
    if isinstance(labels, ResidualLabels):
        return lambda predicted: estimated_loss(predicted, labels)
    calibrator = Calibrator.of(labels) if isinstance(labels, ScoreLabels) else None
    if calibrator is None:
        return lambda _: {}
    return lambda predicted: estimated_performance(predicted, calibrator).metrics


def kpi_figures(variants: Mapping[str, KpiSums], seconds: float) -> dict[str, KpiFigures]:
    """By variant."""
    found = {}
    for variant, sums in variants.items():
        said = kpi_metrics(sums, seconds)
        found[variant] = KpiFigures(
            round(sums.values.rows),
            sums.values.total,
            Metric.of(said["mean"]),
            Metric.of(said["rate"]),
            Metric.of(said["count"]),
            Metric.of(said["sum"]),
            Metric.of(said["per_second"]),
        )
    return found


def feedback_figures(variants: Mapping[str, FeedbackCounts]) -> dict[str, FeedbackFigures]:
    """By variant."""
    return {
        variant: FeedbackFigures(each.up, each.down, Metric.of(approval(each)))
        for variant, each in variants.items()
    }
