"""What a person should know of a reference before trusting verdicts against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Concern(StrEnum):
    """Why a reference, or one of its features, is worth a second look."""

    FEW_ROWS = "FewRows"
    FEW_SEASONS = "FewSeasons"
    NO_TIME_ORDER = "NoTimeOrder"
    CONSTANT = "Constant"
    ALL_MISSING = "AllMissing"
    MANY_MISSING = "ManyMissing"
    ALMOST_UNIQUE = "AlmostUnique"
    HALVES_DIFFER = "HalvesDiffer"


@dataclass(frozen=True, slots=True)
class Finding:
    """A concern: about the feature, or about the whole reference where `feature` is None."""

    concern: Concern
    message: str
    feature: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """`seasons`: how many whole and part seasons the time span covers, None without times or season.

    `split_half_psi`: per feature the decile PSI of the second half of the rows against the first, in
    time order; None where it can't be computed.
    """

    seasons: float | None = None
    split_half_psi: Mapping[str, float | None] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
