"""From a window's counts to the measurements that `judge` decides on: PSI and shift of every column.

Made once per profile; the reference's bins are counted then, and a window costs tens of microseconds per
column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from driftline.binning import pool, shares_psi
from driftline.counts import CategoricalCounts, NumericCounts
from driftline.design_effect import Clusters, effective_rows
from driftline.grid import Grid
from driftline.judge import Measurement
from driftline.pane import FeatureAxis, PaneCounts
from driftline.profile import FeatureProfile, Profile
from driftline.shift import Score
from driftline.spec import Thresholds
from driftline.tails import chi2_log_sf

Ints = NDArray[np.int64]
Statistics = Mapping[str, Mapping[str, float | None]]

_NOISE = np.log(1e-3)
"""Noise alone stays below the floor in 99.9 % of windows."""


@dataclass(frozen=True, slots=True)
class _Column:
    feature: FeatureProfile
    bins: Ints
    rows: int
    """Values in the bins."""
    pooled: bool
    score: Score | None
    mean: float
    """The reference's mean score."""

    @classmethod
    def of(cls, feature: FeatureProfile) -> _Column:
        score = Score.of(feature.axis) if isinstance(feature.axis, Grid) else None
        bins = bin_counts(feature.axis, feature.counts)
        return cls(
            feature,
            bins,
            int(bins.sum()),
            pooled=not isinstance(feature.axis, Grid),
            score=score,
            mean=_mean(score, feature, feature.counts) or 0.0,
        )

    def effective_rows(self, counts: NumericCounts | CategoricalCounts, clusters: Clusters | None) -> float:
        """Ranks are made when requests of several rows need them: kept, they take as much as the grid."""
        return effective_rows(counts, clusters, None if clusters is None else self.feature.ranks())

    def shift(self, counts: NumericCounts | CategoricalCounts) -> float | None:
        """Of a window's mean from the reference's; None for categories and where there is no unit."""
        mean = _mean(self.score, self.feature, counts)
        return None if mean is None else mean - self.mean


class Measurer:
    """Measures windows against one profile."""

    def __init__(self, profile: Profile) -> None:
        self._columns = [_Column.of(feature) for feature in profile.features]
        self._unmeasured = tuple(_unmeasured(feature) for feature in profile.features)

    def measure(
        self,
        window: PaneCounts,
        thresholds: Thresholds,
        statistics: Statistics | None = None,
    ) -> tuple[Measurement, ...]:
        """Every column of the profile, in its order; columns the window lacks have no PSI.

        `statistics` per column by name, for the thresholds other than PSI that the user gave.
        """
        found = []
        every = [self._current(column, window) for column in self._columns]
        for column, current, psi in zip(self._columns, every, _psi(self._columns, every), strict=True):
            name = column.feature.name
            counts = window.features.get(name)
            effective = 0.0 if counts is None else column.effective_rows(counts, window.clusters.get(name))
            large = _large((statistics or {}).get(name, {}), thresholds)
            shift = None if counts is None else column.shift(counts)
            found.append(_measure(column, current, psi, effective, shift, large_elsewhere=large))
        return tuple(found)

    def _current(self, column: _Column, window: PaneCounts) -> Ints | None:
        counts = window.features.get(column.feature.name)
        return None if counts is None else bin_counts(column.feature.axis, counts)

    def unmeasured(self) -> tuple[Measurement, ...]:
        """Every column without a value: of a window that can't be judged."""
        return self._unmeasured


def _unmeasured(feature: FeatureProfile) -> Measurement:
    return Measurement(feature.name, feature.role.value, None, 0, 0, 0.0, feature.counts.valid)


def bin_counts(axis: FeatureAxis, counts: NumericCounts | CategoricalCounts) -> Ints:
    """The PSI's bins of one column: int64, (a, b] between deciles, or known categories and the others.

    A constant reference has one decile edge; its bins are below, at and above it, so that no change of
    it goes unseen.
    """
    if isinstance(counts, CategoricalCounts):
        return np.append(counts.known, counts.other + counts.new_rows)
    if not isinstance(axis, Grid):
        raise TypeError("numeric counts on the axis of a categorical column")
    at = axis.decile_index
    starts = np.append(0, 2 * at + 2)
    if len(at) == 1:
        starts = np.array([0, 2 * at[0] + 1, 2 * at[0] + 2])
    found: Ints = np.add.reduceat(counts.counts, starts, dtype=np.int64)
    return found


def _mean(
    score: Score | None, feature: FeatureProfile, counts: NumericCounts | CategoricalCounts
) -> float | None:
    if score is None or not isinstance(feature.axis, Grid) or not isinstance(counts, NumericCounts):
        return None
    return score.mean(counts, feature.axis)


def _psi(columns: Sequence[_Column], every: Sequence[Ints | None]) -> list[float]:
    """The PSI of each column, NaN where it has none. Columns with as many bins are computed at once."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for index, (column, current) in enumerate(zip(columns, every, strict=True)):
        if current is not None:
            groups.setdefault((len(column.bins), column.pooled), []).append(index)
    found = [math.nan] * len(columns)
    for (_, pooled), group in groups.items():
        reference = np.stack([columns[index].bins for index in group])
        current = np.stack([bins for index in group if (bins := every[index]) is not None])
        for index, psi in zip(group, shares_psi(reference, current, pooled=pooled).tolist(), strict=True):
            found[index] = psi
    return found


def _measure(
    column: _Column,
    current: Ints | None,
    psi: float,
    effective: float,
    shift: float | None,
    *,
    large_elsewhere: bool,
) -> Measurement:
    feature = column.feature
    rows = 0 if current is None else int(current.sum())
    reference, reference_rows = column.bins, column.rows
    if current is None or rows == 0 or reference_rows == 0:
        return Measurement(feature.name, feature.role.value, None, 0, rows, 0.0, reference_rows)
    bins = len(reference)
    if column.pooled:
        pooled, _ = pool(reference[None, :], current[None, :])
        bins = max(1, int(np.count_nonzero(pooled)))
    weight = 1 / rows + 1 / reference_rows
    floor = noise_quantile(bins - 1) * weight if column.pooled else 0.0
    return Measurement(
        name=feature.name,
        role=feature.role.value,
        psi=psi,
        bins=bins,
        rows=rows,
        effective_rows=effective,
        reference_rows=reference_rows,
        psi_expected=floor if column.pooled else (bins - 1) * weight,
        floor=floor,
        large_elsewhere=large_elsewhere,
        shift=shift,
    )


@lru_cache(maxsize=4096)
def noise_quantile(df: int) -> float:
    """The 99.9 % quantile of chi-squared, 0 for df below 1."""
    if df < 1:
        return 0.0
    low, high = 0.0, 20.0 + 10.0 * df
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if chi2_log_sf(middle, df) > _NOISE else (low, middle)
    return high


def _large(statistics: Mapping[str, float | None], thresholds: Thresholds) -> bool:
    """Whether a threshold other than the PSI's is given and reached."""
    given = (
        ("ks", thresholds.ks),
        ("wasserstein_normed", thresholds.wasserstein),
        ("jensen_shannon", thresholds.jensen_shannon),
    )
    return any(
        threshold is not None and (value := statistics.get(name)) is not None and value >= threshold
        for name, threshold in given
    )
