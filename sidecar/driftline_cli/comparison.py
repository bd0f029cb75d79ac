"""A data file against a reference: the statistics and verdicts of `driftline drift`.

The same judgement as for a pod's windows, once: there is one window, so nothing has to last, and all
its rows count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from driftline.categories import Categories, clip
from driftline.columns import Batch, CategoricalColumn
from driftline.counting import count
from driftline.counts import CategoricalCounts, ColumnCounts, NumericCounts
from driftline.episode import dataset
from driftline.errors import DataError
from driftline.judge import Window, conclude, judge
from driftline.measure import Measurer
from driftline.pane import Limits, PaneCounts
from driftline.profile import FeatureProfile, FeatureType, Profile
from driftline.report import DatasetReport
from driftline.spec import Drift
from driftline.stats import Statistic, statistics
from driftline.verdict import FeatureJudgement, Reason, WindowJudgement

from driftline_cli.readers.convert import Rows
from driftline_cli.readers.spool import MAX_CATEGORIES

NUMERIC = ("psi", "psi_expected", "ks", "ks_pvalue", "wasserstein", "wasserstein_normed", "jensen_shannon")
CATEGORICAL = (
    *("psi", "psi_expected", "chi2", "chi2_pvalue", "chi2_log_pvalue", "jensen_shannon"),
    *("l_infinity", "new_category_ratio"),
)


class Pair(msgspec.Struct, frozen=True):
    """A figure of both sides; None where a side has no rows."""

    reference: float | None
    current: float | None


class FeatureResult(msgspec.Struct, frozen=True):
    """One column. A statistic that can't be computed is None; `notes` says why."""

    type: str
    statistics: dict[str, float | None]
    missing_ratio: Pair
    drifted: bool
    reason: str


class RowPair(msgspec.Struct, frozen=True):
    """Rows of both sides."""

    reference: int
    current: int


class Result(msgspec.Struct, frozen=True):
    """What `driftline drift --format json` prints."""

    rows: RowPair
    features: dict[str, FeatureResult]
    dataset: DatasetReport


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result, and what the text for people needs besides."""

    result: Result
    judgement: WindowJudgement
    profile: Profile
    current: Mapping[str, ColumnCounts]
    notes: Mapping[str, Mapping[str, str]]
    lacking: tuple[str, ...] = ()
    """The reference's features that the current rows don't have: not compared, so no pass."""

    @property
    def drifted(self) -> list[str]:
        """The drifted columns, the prediction's too."""
        return [name for name, feature in self.result.features.items() if feature.drifted]


@dataclass(frozen=True, slots=True)
class Current:
    """The current rows, counted on the reference's axes. `seconds`: their time span, 0 where unknown."""

    counts: PaneCounts
    start: float = 0.0
    end: float = 0.0


def count_current(profile: Profile, rows: Iterable[Rows], limits: Mapping[str, Limits]) -> Current:
    """Count rows as they stream by; every unseen category by name, for exact tests.

    Raises DataError where a column has more categories than can be kept.
    """
    axes = profile.axes().limited(limits)
    total = PaneCounts.empty(axes)
    start, end = math.inf, -math.inf
    unseen: dict[str, dict[str, int]] = {}
    for chunk in rows:
        counts = count(axes, Batch(chunk.count, chunk.columns, chunk.count))
        total += counts
        if chunk.times is not None and chunk.times.size:
            start, end = min(start, float(chunk.times.min())), max(end, float(chunk.times.max()))
        for feature in profile.features:
            _collect_new(feature, chunk, unseen.setdefault(feature.name, {}))
    features = {name: _with_new(counts, unseen.get(name, {})) for name, counts in total.features.items()}
    found = msgspec.structs.replace(total, features=features)
    return Current(found, start, end) if end >= start else Current(found)


def compare(profile: Profile, current: Current, policy: Drift) -> Comparison:
    """Statistics and verdict per column, and the data set's."""
    counts = current.counts.features
    found = {f.name: _statistics(f, counts[f.name]) for f in profile.features}
    values = {name: {key: one.value for key, one in of.items()} for name, of in found.items()}
    measurements = Measurer(profile).measure(current.counts, policy.thresholds, values)
    rows = current.counts.rows
    window = Window(int(current.end - current.start), current.start, current.end, rows, rows)
    judgement = conclude(judge(window, measurements, profile.calibration, policy, once=True))
    judged = {feature.name: feature for feature in judgement.features}
    features = {f.name: _result(f, counts[f.name], values[f.name], judged[f.name]) for f in profile.features}
    shares = dataset(judgement, policy) or DatasetReport(
        drifted=False, share=0.0, threshold=policy.dataset_share
    )
    result = Result(RowPair(profile.rows, rows), features, shares)
    notes = {
        name: {key: one.reason.value for key, one in of.items() if one.reason is not None}
        for name, of in found.items()
    }
    return Comparison(result, judgement, profile, counts, notes)


def _statistics(feature: FeatureProfile, current: ColumnCounts) -> dict[str, Statistic]:
    found = statistics(feature.axis, feature.counts, current, feature.sd, feature.max_abs)
    return {name: found[name] for name in (NUMERIC if feature.type is FeatureType.NUMERIC else CATEGORICAL)}


def _result(
    feature: FeatureProfile,
    current: ColumnCounts,
    values: Mapping[str, float | None],
    judged: FeatureJudgement,
) -> FeatureResult:
    distance = values["jensen_shannon"]
    natural = None if distance is None else distance * math.sqrt(math.log(2))
    return FeatureResult(
        type=feature.type.value,
        statistics={**values, "jensen_shannon_base_e": natural},
        missing_ratio=Pair(missing_ratio(feature.counts), missing_ratio(current)),
        drifted=judged.reason is Reason.DRIFTED,
        reason=judged.reason.value,
    )


def missing_ratio(counts: ColumnCounts) -> float | None:
    """The share of rows without a value; NaN is one, as in every data frame."""
    if not counts.rows:
        return None
    nan = counts.nan if isinstance(counts, NumericCounts) else 0
    return (counts.missing + counts.null + nan) / counts.rows


def _collect_new(feature: FeatureProfile, chunk: Rows, unseen: dict[str, int]) -> None:
    """Add the chunk's rows of categories that the reference doesn't have."""
    column = chunk.columns.get(feature.name)
    if not isinstance(column, CategoricalColumn) or not isinstance(feature.axis, Categories):
        return
    held = np.bincount(column.codes[column.codes >= 0], minlength=len(column.dictionary))
    for value, rows in zip(column.dictionary, held.tolist(), strict=True):
        if rows and clip(value) not in feature.axis.index:
            unseen[clip(value)] = unseen.get(clip(value), 0) + rows
    if len(unseen) > MAX_CATEGORIES:
        raise DataError(f"column {feature.name!r}: more than {MAX_CATEGORIES:,} new values; is it an id?")


def _with_new(counts: ColumnCounts, unseen: Mapping[str, int]) -> ColumnCounts:
    if not isinstance(counts, CategoricalCounts) or counts.other or not unseen:
        return counts
    return msgspec.structs.replace(counts, new=dict(unseen), new_overflow=0)


def worst_first(comparison: Comparison) -> Sequence[FeatureProfile]:
    """Drifted columns first, then by PSI; those without a PSI last."""
    features = comparison.result.features

    def severity(feature: FeatureProfile) -> tuple[bool, float]:
        psi = features[feature.name].statistics["psi"]
        return not features[feature.name].drifted, -(psi if psi is not None else -1.0)

    return sorted(comparison.profile.features, key=severity)
