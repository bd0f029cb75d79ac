"""Makes a profile out of a reference's rows, in passes: what fixes the counting first, then the counts.

Where the rows are (memory, disk) is `ReferenceRows`' business; everything here is the same for a file
of any size and for rows captured from live traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from driftline.blocks import BlockCollector, CalibrationPlan
from driftline.calibration import Calibration
from driftline.categories import MAX_KNOWN, Categories
from driftline.columns import Batch, CategoricalColumn, Column, Floats, NumericColumn
from driftline.counting import count
from driftline.diagnose import SEASON_SECONDS, diagnose
from driftline.errors import DataError
from driftline.grid import Grid
from driftline.labels import Labels, LabelsBuilder, ScoreLabels, prediction_edges, score_edges
from driftline.moments import Moments
from driftline.multivariate import MULTIVARIATE, ComponentsBuilder, PrincipalComponents
from driftline.pane import Axes, FeatureAxis, Limits, PaneCounts
from driftline.profile import FeatureProfile, ModelName, Profile, Role, Season, TimeSpan
from driftline.profile_codec import sealed

SAMPLE_ROWS = 1_000_000
"""Rows, evenly spaced, from which the edges of derived columns are taken where there are more."""

TimedBatch = tuple[Batch, Floats | None]


@dataclass(frozen=True, slots=True)
class NumericSummary:
    """The exact facts that fix a numeric column's counting."""

    grid: Grid
    moments: Moments


class ReferenceRows(Protocol):
    """All rows of a reference; can be read again and again, always in the same (time) order."""

    rows: int
    requests: int | None

    def batches(self) -> Iterator[TimedBatch]:
        """The rows, with unix seconds per row where they have times (never decreasing)."""
        ...

    def numeric(self, name: str) -> NumericSummary:
        """Summary of a numeric column's finite values."""
        ...

    def categories(self, name: str) -> Mapping[str, int]:
        """Rows per category of a categorical column."""
        ...


@dataclass(frozen=True, slots=True)
class ReferenceColumn:
    """One column to profile."""

    name: str
    numeric: bool
    role: Role = Role.FEATURE
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """Where labels are: the column `label` against the score (classification) or prediction `predicted`.

    `positive`: the positive class as it is written; a numeric label is compared as a number. `said`: the
    column of a classifier's answers, where there is one.
    """

    label: str
    predicted: str
    regression: bool = False
    positive: str = "1"
    segments: tuple[str, ...] = ()
    said: str | None = None


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What to build. `windows`: lengths in seconds to calibrate for, where rows have times.

    `ordered`: the rows come in the order of time; False: their order means nothing, so no verdict
    can be calibrated on it. `max_categories`: kept per column; the rest counts as `other`.
    """

    columns: tuple[ReferenceColumn, ...]
    model: ModelName = field(default_factory=ModelName)
    season: Season = Season.NONE
    windows: tuple[int, ...] = ()
    created: float | None = None
    ordered: bool = True
    labels: LabelPlan | None = None
    max_categories: int = MAX_KNOWN
    multivariate: bool = True


def build_profile(reference: ReferenceRows, plan: BuildPlan) -> Profile:
    """The profile of those rows. Raises DataError where there are none."""
    if reference.rows == 0:
        raise DataError("the reference has no rows")
    summaries = {c.name: reference.numeric(c.name) for c in plan.columns if c.numeric}
    axes = {
        c.name: summaries[c.name].grid
        if c.numeric
        else Categories.from_counts(reference.categories(c.name), plan.max_categories)
        for c in plan.columns
    }
    components = _components(reference, plan, summaries)
    if components is not None:
        summaries[MULTIVARIATE] = _error_summary(reference, components)
        axes[MULTIVARIATE] = summaries[MULTIVARIATE].grid
    counted = _count(reference, plan, axes, components)
    halves = (counted.first, counted.second)
    whole = counted.first + counted.second
    features = tuple(_feature(name, axis, plan, whole, summaries.get(name)) for name, axis in axes.items())
    profile = Profile(
        hash="",
        rows=reference.rows,
        features=features,
        created=plan.created,
        requests=reference.requests,
        model=plan.model,
        season=plan.season,
        span=counted.span,
        calibration=counted.calibration,
        labels=_labels(reference, plan.labels),
        components=components,
    )
    return sealed(replace(profile, diagnostics=diagnose(profile, halves, ordered=plan.ordered)))


class MemoryRows:
    """Rows that fit in memory, as batches in time order."""

    def __init__(self, batches: Sequence[TimedBatch], requests: int | None = None) -> None:
        self._batches = batches
        self.rows = sum(batch.rows for batch, _ in batches)
        self.requests = requests

    def batches(self) -> Iterator[TimedBatch]:
        """The rows as they were given."""
        return iter(self._batches)

    def numeric(self, name: str) -> NumericSummary:
        """Exact, by sorting."""
        parts = [_numbers(batch.columns[name]) for batch, _ in self._batches]
        values = np.concatenate([part[np.isfinite(part)] for part in parts] or [np.empty(0)])
        return NumericSummary(Grid.from_values(values), Moments.of(values))

    def categories(self, name: str) -> Mapping[str, int]:
        """Exact counts."""
        found: dict[str, int] = {}
        for batch, _ in self._batches:
            column = batch.columns[name]
            if isinstance(column, CategoricalColumn):
                held = np.bincount(column.codes[column.codes >= 0], minlength=len(column.dictionary))
                for value, rows in zip(column.dictionary, held.tolist(), strict=True):
                    if rows:
                        found[value] = found.get(value, 0) + rows
        return found


@dataclass(frozen=True, slots=True)
class _Counted:
    first: PaneCounts
    second: PaneCounts
    span: TimeSpan | None
    calibration: Calibration | None


def _count(
    reference: ReferenceRows,
    plan: BuildPlan,
    features: Mapping[str, FeatureAxis],
    components: PrincipalComponents | None,
) -> _Counted:
    """One pass: the counts of both halves, the blocks, the time span."""
    axes = Axes(features, "", limits={column.name: column.limits for column in plan.columns})
    first = second = PaneCounts.empty(axes)
    collector: BlockCollector | None = None
    span: TimeSpan | None = None
    place, middle = 0, reference.rows // 2
    for raw, times in reference.batches():
        batch = _with_error(raw, components)
        if collector is None and plan.ordered:
            collector = BlockCollector(
                features, _calibration_plan(reference.rows, plan, timed=times is not None)
            )
        if collector is not None:
            collector.add(batch, times)
        if times is not None and times.size:
            span = TimeSpan(float(times[0]) if span is None else span.start, float(times[-1]))
        cut = min(max(middle - place, 0), batch.rows)
        first += count(axes, slice_batch(batch, 0, cut))
        second += count(axes, slice_batch(batch, cut, batch.rows))
        place += batch.rows
    return _Counted(first, second, span, None if collector is None else collector.finish())


def slice_batch(batch: Batch, start: int, end: int) -> Batch:
    """Rows [start, end) of a batch."""
    if start == 0 and end == batch.rows:
        return batch
    request = None if batch.request is None else batch.request[start:end]
    requests = end - start if request is None else len(np.unique(request))
    columns = {name: _slice(column, start, end) for name, column in batch.columns.items()}
    return Batch(end - start, columns, requests, request)


def _slice(column: Column, start: int, end: int) -> Column:
    states = None if column.states is None else column.states[start:end]
    if isinstance(column, NumericColumn):
        return NumericColumn(column.values[start:end], states)
    return CategoricalColumn(column.codes[start:end], column.dictionary, states)


def _calibration_plan(rows: int, plan: BuildPlan, *, timed: bool) -> CalibrationPlan:
    if not timed:
        return CalibrationPlan.for_reference(rows)
    period = SEASON_SECONDS[plan.season]
    return CalibrationPlan.for_reference(rows, plan.windows, 0 if period is None else int(period))


def _components(
    reference: ReferenceRows, plan: BuildPlan, summaries: Mapping[str, NumericSummary]
) -> PrincipalComponents | None:
    names = [c.name for c in plan.columns if c.numeric and c.role is Role.FEATURE]
    if not plan.multivariate or len(names) < 2 or any(c.name == MULTIVARIATE for c in plan.columns):
        return None
    moments = [summaries[name].moments for name in names]
    builder = ComponentsBuilder(
        names,
        np.array([m.mean for m in moments]),
        np.array([m.sd for m in moments]),
        np.array([m.max_abs for m in moments]),
    )
    for batch, _ in reference.batches():
        builder.add(batch.columns, batch.rows)
    return builder.build()


def _error_summary(reference: ReferenceRows, components: PrincipalComponents) -> NumericSummary:
    """The error's grid and moments: edges from evenly spaced rows, for it exists only row by row."""
    kept: list[Floats] = []
    moments = Moments()
    for place, errors in _derived(reference, components):
        moments += Moments.of(errors)
        kept.append(_every(errors, place, reference.rows))
    return NumericSummary(Grid.from_values(np.concatenate(kept)), moments)


def _derived(reference: ReferenceRows, components: PrincipalComponents) -> Iterator[tuple[int, Floats]]:
    place = 0
    for batch, _ in reference.batches():
        yield place, components.error(batch.columns, batch.rows)
        place += batch.rows


def _every(values: Floats, place: int, rows: int) -> Floats:
    """The values at every k-th row of all, k such that at most `SAMPLE_ROWS` remain."""
    step = -(-rows // SAMPLE_ROWS)
    return values[-place % step :: step].copy()


def _with_error(batch: Batch, components: PrincipalComponents | None) -> Batch:
    if components is None:
        return batch
    error = NumericColumn(components.error(batch.columns, batch.rows))
    return replace(batch, columns={**batch.columns, MULTIVARIATE: error})


def _feature(
    name: str, axis: FeatureAxis, plan: BuildPlan, whole: PaneCounts, summary: NumericSummary | None
) -> FeatureProfile:
    role = next((c.role for c in plan.columns if c.name == name), Role.MULTIVARIATE)
    counts = whole.features[name]
    if summary is None or not summary.moments.count:
        return FeatureProfile(name, role, axis, counts)
    moments = summary.moments
    return FeatureProfile(name, role, axis, counts, moments.mean, moments.sd, moments.max_abs)


def _labels(reference: ReferenceRows, plan: LabelPlan | None) -> Labels | None:
    """Label sums of the rows that have a label."""
    if plan is None:
        return None
    edges = _label_edges(reference, plan)
    builder = LabelsBuilder(edges, regression=plan.regression, rows=reference.rows)
    for batch, _ in reference.batches():
        segments = {name: batch.columns[name] for name in plan.segments}
        said = None if plan.said is None else _is_positive(batch.columns[plan.said], plan.positive)
        builder.add(_numbers(batch.columns[plan.predicted]), _label_values(batch, plan), segments, said)
    found = builder.build()
    if isinstance(found, ScoreLabels) and not found.groups[0].positives.any():
        raise DataError(
            f"no label in {plan.label!r} is {plan.positive!r}, the positive class: name it "
            "(schema.prediction.positive, or --positive)"
        )
    return found


def _label_edges(reference: ReferenceRows, plan: LabelPlan) -> Floats:
    """From evenly spaced rows."""
    predictions, labels, place = [], [], 0
    for batch, _ in reference.batches():
        predictions.append(_every(_numbers(batch.columns[plan.predicted]), place, reference.rows))
        labels.append(_every(_label_values(batch, plan), place, reference.rows))
        place += batch.rows
    if plan.regression:
        return prediction_edges(np.concatenate(predictions))
    return score_edges(np.concatenate(predictions), np.concatenate(labels))


def _label_values(batch: Batch, plan: LabelPlan) -> Floats:
    """A regression's target; else 1 for the positive class, 0 for others, NaN without label."""
    column = batch.columns[plan.label]
    if plan.regression and isinstance(column, NumericColumn):
        return column.values
    return _is_positive(column, plan.positive)


def _is_positive(column: Column, positive: str) -> Floats:
    """1.0 for the positive class, 0.0 for others, NaN where there is no value."""
    if isinstance(column, CategoricalColumn):
        return np.array([*(float(value == positive) for value in column.dictionary), np.nan])[column.codes]
    return np.where(np.isnan(column.values), np.nan, (column.values == float(positive)).astype(np.float64))


def _numbers(column: Column) -> Floats:
    return column.values if isinstance(column, NumericColumn) else np.full(len(column.codes), np.nan)
