"""Looks a fresh profile over: what a person should know of it before trusting verdicts against it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from driftline.binning import shares_psi
from driftline.categories import Categories
from driftline.counts import CategoricalCounts, NumericCounts
from driftline.diagnostics import Concern, Diagnostics, Finding
from driftline.measure import bin_counts
from driftline.pane import PaneCounts
from driftline.profile import FeatureProfile, Profile

DAY = 86_400.0

SEASON_SECONDS = {"none": None, "daily": DAY, "weekly": 7 * DAY}
"""The length of a season in seconds."""

FEW_ROWS = 10_000
"""Windows count at most a tenth of the reference's rows, and the default minimum of a window is 1,000."""

FEW_SEASONS = 4.0
"""Fewer seasons than this say little about how one differs from the next."""

MISSING_SHARE = 0.5
UNIQUE_SHARE = 0.5
HALVES_PSI = 0.25


def diagnose(profile: Profile, halves: tuple[PaneCounts, PaneCounts], *, ordered: bool) -> Diagnostics:
    """What is worth knowing of a profile and the counts of its rows' first and second half."""
    psi = {feature.name: _halves_psi(feature, halves) for feature in profile.features}
    season = SEASON_SECONDS[profile.season]
    seasons = None if season is None or profile.span is None else profile.span.seconds / season
    findings = [*_of_reference(profile, seasons, ordered=ordered)]
    for feature in profile.features:
        findings += _of_feature(feature, psi[feature.name], ordered=ordered)
    return Diagnostics(seasons, psi, tuple(findings))


def _halves_psi(feature: FeatureProfile, halves: tuple[PaneCounts, PaneCounts]) -> float | None:
    first, second = (bin_counts(feature.axis, half.features[feature.name]) for half in halves)
    if not first.sum() or not second.sum():
        return None
    pooled = isinstance(feature.axis, Categories)
    return float(shares_psi(first[None, :], second[None, :], pooled=pooled)[0])


def _of_reference(profile: Profile, seasons: float | None, *, ordered: bool) -> Iterator[Finding]:
    if profile.rows < FEW_ROWS:
        yield Finding(
            Concern.FEW_ROWS,
            f"{profile.rows:,} rows: without calibration, a window counts as at most a tenth of them "
            f"({profile.rows // 10:,}); from {FEW_ROWS:,} rows on, the default minRows is of use in full",
        )
    if not ordered:
        yield Finding(
            Concern.NO_TIME_ORDER,
            "the rows' order is no time order: verdicts are Uncalibrated, and real traffic's own unrest "
            "will look like drift; give --time-column",
        )
    if profile.season != "none" and seasons is None:
        yield Finding(
            Concern.FEW_SEASONS, f"season is {profile.season}, but rows have no times: it has no effect"
        )
    if seasons is not None and seasons < FEW_SEASONS:
        yield Finding(
            Concern.FEW_SEASONS,
            f"{seasons:.1f} {profile.season} seasons are covered: fewer than {FEW_SEASONS:.0f} tell little "
            "about how one differs from the next",
        )


def _of_feature(feature: FeatureProfile, psi: float | None, *, ordered: bool) -> Iterator[Finding]:
    counts, name = feature.counts, feature.name
    if not counts.valid:
        yield Finding(Concern.ALL_MISSING, "no value at all: it can't be compared", name)
        return
    nothing = 1 - counts.valid / counts.rows
    if nothing > MISSING_SHARE:
        yield Finding(Concern.MANY_MISSING, f"{nothing:.0%} of the rows have no value", name)
    if _constant(counts):
        yield Finding(Concern.CONSTANT, "every value is the same", name)
    if (
        isinstance(counts, CategoricalCounts)
        and np.count_nonzero(counts.known) > UNIQUE_SHARE * counts.valid > 10
    ):
        yield Finding(
            Concern.ALMOST_UNIQUE,
            f"{np.count_nonzero(counts.known):,} categories in {counts.valid:,} values",
            name,
        )
    if ordered and psi is not None and psi >= HALVES_PSI and counts.rows >= 200:
        yield Finding(
            Concern.HALVES_DIFFER, f"PSI {psi:.2f} between the first and the second half of the rows", name
        )


def _constant(counts: NumericCounts | CategoricalCounts) -> bool:
    if isinstance(counts, NumericCounts):
        return counts.minimum == counts.maximum
    return int(np.count_nonzero(counts.known)) == 1 and not counts.other
