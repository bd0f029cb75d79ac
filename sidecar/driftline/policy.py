"""What a user decides about drift, as verdicts need it: `spec.drift` fits `DriftPolicy` as it is.

The rest is the method's own and no setting: it would be tuned until the alarm stops.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from driftline.errors import InvalidSpec, Problem

FALSE_DISCOVERIES = 0.05
"""Benjamini and Hochberg's q, over the features of one window."""

FALSE_PAGES = 1.0
"""A monitor's false episodes a month, over all windows, are held below this."""


class ThresholdPolicy(Protocol):
    """PSI at which an effect is moderate (`warning`) and large (`psi`)."""

    @property
    def psi(self) -> float:
        """Of an alert."""

    @property
    def warning(self) -> float:
        """Of a warning."""


class SustainPolicy(Protocol):
    """k of the last m disjoint windows."""

    @property
    def windows(self) -> int:
        """That must agree (k)."""

    @property
    def of(self) -> int:
        """That are looked at (m)."""


class DriftPolicy(Protocol):
    """`spec.drift`."""

    @property
    def thresholds(self) -> ThresholdPolicy:
        """The sizes of effects."""

    @property
    def sustain(self) -> SustainPolicy:
        """What lasting means."""

    @property
    def min_rows(self) -> int:
        """A window of fewer rows is `InsufficientData`."""

    @property
    def min_requests(self) -> int:
        """A window of fewer requests is `InsufficientRequests`."""

    @property
    def dataset_share(self) -> float:
        """The share of drifted features at which the dataset has drifted."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The usual bands of the PSI."""

    psi: float = 0.25
    warning: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.warning <= self.psi:
            raise InvalidSpec(
                [Problem("thresholds.warning", f"must be above 0 and at most psi ({self.psi})")]
            )


@dataclass(frozen=True, slots=True)
class Sustain:
    """Three of four: one quiet window doesn't hide a drift, two loud ones don't make one."""

    windows: int = 3
    of: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.windows <= self.of:
            raise InvalidSpec([Problem("sustain.windows", f"must be from 1 to `of` ({self.of})")])


@dataclass(frozen=True, slots=True)
class Policy:
    """The defaults, where no monitor says otherwise."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    sustain: Sustain = field(default_factory=Sustain)
    min_rows: int = 1000
    min_requests: int = 50
    dataset_share: float = 0.5
