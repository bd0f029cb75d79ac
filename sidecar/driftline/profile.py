"""The reference profile: everything that is ever asked of the rows a model is compared with.

A profile is made once (`profile_build`), stored (`profile_codec`) and only read after that. It holds
no row: per column a grid fixed by the reference, the counts on it, and what blocks of the reference
itself show, so that a verdict can tell drift from this reference's own unrest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from driftline.calibration import Calibration, PackedCalibration
from driftline.categories import Categories
from driftline.columns import Floats
from driftline.counts import CategoricalCounts, NumericCounts, PackedNumericCounts
from driftline.diagnostics import Diagnostics
from driftline.grid import Grid
from driftline.labels import Labels
from driftline.multivariate import PrincipalComponents
from driftline.pane import Axes, FeatureAxis

FORMAT = 1
"""The version of the profile's stored form."""


class Role(StrEnum):
    """What a column is to the model."""

    FEATURE = "feature"
    PREDICTION = "prediction"
    SCORE = "score"
    MULTIVARIATE = "multivariate"


class Season(StrEnum):
    """Which cycle of the reference a window is compared within."""

    NONE = "none"
    DAILY = "daily"
    WEEKLY = "weekly"


class FeatureType(StrEnum):
    """How a column is counted."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


@dataclass(frozen=True, slots=True)
class FeatureProfile:
    """One column of the reference: what fixes its counting, and what was counted.

    `mean`, `sd` (population, ddof 0) and `max_abs` are exact, over the finite values; None for
    categories and where there is no finite value.
    """

    name: str
    role: Role
    axis: FeatureAxis
    counts: NumericCounts | CategoricalCounts
    mean: float | None = None
    sd: float | None = None
    max_abs: float | None = None

    @property
    def type(self) -> FeatureType:
        """Numeric or categorical, as the axis is."""
        return FeatureType.CATEGORICAL if isinstance(self.axis, Categories) else FeatureType.NUMERIC

    def ranks(self) -> Floats | None:
        """The reference's mid-distribution function per cell of a numeric column, for the design effect."""
        if isinstance(self.axis, Grid) and isinstance(self.counts, NumericCounts):
            return self.axis.ranks(self.counts.counts)
        return None


@dataclass(frozen=True, slots=True)
class ModelName:
    """The model the reference was made for."""

    name: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """From the first to the last row's time, unix seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """The length, in seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Profile:
    """A reference. `hash` (hex) is of the content: equal hashes count on equal grids.

    `created`: unix seconds, of the data, not part of the hash. `requests` None: rows of unknown
    requests. `calibration` None: `Uncalibrated`.
    """

    hash: str
    rows: int
    features: tuple[FeatureProfile, ...]
    created: float | None = None
    requests: int | None = None
    model: ModelName = field(default_factory=ModelName)
    season: Season = Season.NONE
    span: TimeSpan | None = None
    calibration: Calibration | None = None
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    labels: Labels | None = None
    components: PrincipalComponents | None = None
    version: int = FORMAT

    def feature(self, name: str) -> FeatureProfile | None:
        """The column of that name, None where the reference has none."""
        return next((feature for feature in self.features if feature.name == name), None)

    def axes(self) -> Axes:
        """What counting a window needs to know of this reference."""
        return Axes(
            features={feature.name: feature.axis for feature in self.features},
            profile_hash=self.hash,
            multivariate=self.components,
            ranks={
                feature.name: ranks for feature in self.features if (ranks := feature.ranks()) is not None
            },
        )

    def for_judging(self) -> Profile:
        """With what verdicts need, in half of the memory. Not to be stored: its hash is the whole's."""
        packed = None if self.calibration is None else PackedCalibration.of(self.calibration)
        return replace(
            self, calibration=packed, diagnostics=Diagnostics(), labels=None,
            features=tuple(replace(each, counts=_narrow(each.counts)) for each in self.features),
        )  # fmt: skip

    def age(self, now: float) -> float | None:
        """Seconds since the last row (or since `created`, where rows have no time); None if unknown."""
        latest = self.span.end if self.span is not None else self.created
        return None if latest is None else now - latest


def _narrow(counts: NumericCounts | CategoricalCounts) -> NumericCounts | CategoricalCounts:
    return counts if isinstance(counts, CategoricalCounts) else PackedNumericCounts.of(counts)
