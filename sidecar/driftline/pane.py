"""Panes: what was counted of the rows of one stretch of time, and what counting needs to know.

A pane names the profile it was counted against: panes of unlike hashes never merge, for their cells
mean different things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from driftline.categories import Categories
from driftline.columns import Floats
from driftline.counts import CategoricalCounts, ColumnCounts, NumericCounts
from driftline.design_effect import Clusters, effective_rows
from driftline.duplicates import RowSketch
from driftline.errors import IncompatiblePanes
from driftline.grid import Grid
from driftline.multivariate import PrincipalComponents

FeatureAxis = Grid | Categories
"""What a profile fixes per column: where its values are counted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the schema allows of a column, None where it doesn't say. Both ends are allowed themselves."""

    minimum: float | None = None
    maximum: float | None = None
    allowed: frozenset[str] | None = None


@dataclass(frozen=True)
class Axes:
    """What counting needs to know, and no more.

    `ranks`: per numeric column the reference's mid-distribution function (`Grid.ranks`), for the design
    effect; columns without have none. `multivariate`: components whose error is counted as one more column,
    under `multivariate.MULTIVARIATE`, where `features` has an axis for it.
    """

    features: Mapping[str, FeatureAxis]
    profile_hash: str
    multivariate: PrincipalComponents | None = None
    ranks: Mapping[str, Floats] = field(default_factory=dict)
    limits: Mapping[str, Limits] = field(default_factory=dict)

    def limited(self, limits: Mapping[str, Limits]) -> Axes:
        """The same axes with a schema's limits."""
        return replace(self, limits=limits)


class PaneCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of some rows. Merging is addition, whatever the rows' order."""

    rows: int
    requests: int
    features: Mapping[str, ColumnCounts]
    """Per column of the axes: features, prediction, score and the multivariate error."""
    clusters: Mapping[str, Clusters] = msgspec.field(default_factory=dict)
    """Per column, only where a request had several rows."""
    sketch: RowSketch = msgspec.field(default_factory=RowSketch.empty)
    """Hashes of whole rows, which show duplicates."""

    @classmethod
    def empty(cls, axes: Axes) -> PaneCounts:
        """No rows: the neutral element of merging."""
        features: dict[str, ColumnCounts] = {
            name: NumericCounts.empty(axis) if isinstance(axis, Grid) else CategoricalCounts.empty(axis)
            for name, axis in axes.features.items()
        }
        return cls(rows=0, requests=0, features=features)

    def effective_rows(self, axes: Axes) -> dict[str, float]:
        """Per column, the independent rows that its valid rows are worth (`design_effect`)."""
        return {
            name: effective_rows(counts, self.clusters.get(name), axes.ranks.get(name))
            for name, counts in self.features.items()
        }

    def __add__(self, other: PaneCounts) -> PaneCounts:
        """Both together. Raises IncompatiblePanes where columns or their cells differ."""
        if self.features.keys() != other.features.keys():
            odd = ", ".join(sorted(self.features.keys() ^ other.features.keys()))
            raise IncompatiblePanes(f"panes of unlike columns don't merge; only one of them has: {odd}")
        return PaneCounts(
            rows=self.rows + other.rows,
            requests=self.requests + other.requests,
            features={name: _add(name, own, other.features[name]) for name, own in self.features.items()},
            clusters=_add_clusters(self.clusters, other.clusters),
            sketch=self.sketch + other.sketch,
        )


class Pane(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of the rows from `start` (unix seconds) for `length` seconds, against one profile."""

    start: int
    length: int
    profile_hash: str
    counts: PaneCounts
    model_version: str = ""

    @property
    def end(self) -> int:
        """The first second after the pane."""
        return self.start + self.length

    def __add__(self, other: Pane) -> Pane:
        """One pane over both spans. Raises IncompatiblePanes where profile or model version differ."""
        if self.profile_hash != other.profile_hash:
            raise IncompatiblePanes(
                f"panes counted against unlike profiles don't merge: {self.profile_hash or '(none)'} and "
                f"{other.profile_hash or '(none)'}"
            )
        if self.model_version != other.model_version:
            raise IncompatiblePanes(
                f"panes of unlike model versions don't merge: {self.model_version!r} and "
                f"{other.model_version!r}"
            )
        start = min(self.start, other.start)
        return Pane(
            start=start,
            length=max(self.end, other.end) - start,
            profile_hash=self.profile_hash,
            counts=self.counts + other.counts,
            model_version=self.model_version,
        )


def _add(name: str, a: ColumnCounts, b: ColumnCounts) -> ColumnCounts:
    if isinstance(a, NumericCounts) and isinstance(b, NumericCounts):
        return a + b
    if isinstance(a, CategoricalCounts) and isinstance(b, CategoricalCounts):
        return a + b
    raise IncompatiblePanes(f"column {name!r} is numeric in one pane and categorical in the other")


def _add_clusters(a: Mapping[str, Clusters], b: Mapping[str, Clusters]) -> Mapping[str, Clusters]:
    if not b:
        return a
    merged = dict(a)
    for name, clusters in b.items():
        own = merged.get(name)
        merged[name] = clusters if own is None else own + clusters  # type: ignore[operator]
    return merged
