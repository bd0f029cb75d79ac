"""A profile's stored structure: plain, typed, arrays as bytes. `profile_codec` seals it.

What can be derived isn't stored: the equal-width edges follow from minimum and maximum, deciles are
places among the edges, and sums are float32 (their rounding, 6e-8 of a cell's sum, is far below what
the grid itself leaves open).
"""

from __future__ import annotations

import msgspec
import numpy as np

from driftline.calibration import Calibration
from driftline.categories import Categories
from driftline.columns import Floats
from driftline.counts import CategoricalCounts, NumericCounts
from driftline.diagnostics import Concern, Diagnostics, Finding
from driftline.grid import Grid, equal_width_edges
from driftline.labels import (
    BLOCKS,
    Group,
    LabelBlocks,
    Labels,
    ResidualGroup,
    ResidualLabels,
    ScoreGroup,
    ScoreLabels,
)
from driftline.multivariate import PrincipalComponents
from driftline.packing import pack_floats, pack_integers, unpack_floats, unpack_integers
from driftline.profile import FeatureProfile, ModelName, Profile, Role, Season, TimeSpan


class GridWire(msgspec.Struct, frozen=True):
    """`ends`: first and last edge, where the equal-width edges between them are left out of `edges`."""

    ends: tuple[float, float] | None
    edges: bytes
    deciles: bytes


class NumericWire(msgspec.Struct, frozen=True, tag="numeric"):
    """A numeric column. `cells` and `on_edges`: the counts of open cells and of edges."""

    grid: GridWire
    cells: bytes
    on_edges: bytes
    sums: bytes
    extremes: tuple[float, float]
    others: tuple[int, int, int, int, int, int, int]
    """nan, pos_inf, neg_inf, missing, null, wrong_type, out_of_range."""


class CategoricalWire(msgspec.Struct, frozen=True, tag="categorical"):
    """A categorical column."""

    known: tuple[str, ...]
    truncated: bool
    counts: bytes
    others: tuple[int, int, int, int, int]
    """other, missing, null, wrong_type, out_of_range."""


class FeatureWire(msgspec.Struct, frozen=True):
    """One column. `moments`: mean, sd, max |x|."""

    name: str
    role: Role
    column: NumericWire | CategoricalWire
    moments: tuple[float, float, float] | None


class LabelsWire(msgspec.Struct, frozen=True):
    """Label sums: `measures` in the order of the group's fields, floats or integers."""

    regression: bool
    edges: bytes
    groups: tuple[tuple[str | None, str | None, tuple[bytes, ...]], ...]
    blocks: tuple[bytes, ...] = ()
    """Of consecutive rows: the coarse bins' starts, then counts by label; none in a profile of before."""


class ComponentsWire(msgspec.Struct, frozen=True):
    """Principal components, row by row."""

    features: tuple[str, ...]
    mean: bytes
    sd: bytes
    components: bytes
    explained: float


class DiagnosticsWire(msgspec.Struct, frozen=True):
    """Diagnostics; a finding is concern, message, feature."""

    seasons: float | None
    split_half_psi: dict[str, float | None]
    findings: tuple[tuple[Concern, str, str | None], ...]


class ProfileWire(msgspec.Struct, frozen=True):
    """All of a profile but its version, its hash and `created`."""

    rows: int
    requests: int | None
    model: tuple[str, str]
    season: Season
    span: tuple[float, float] | None
    features: tuple[FeatureWire, ...]
    calibration: Calibration | None
    diagnostics: DiagnosticsWire
    labels: LabelsWire | None
    components: ComponentsWire | None


def to_wire(profile: Profile) -> ProfileWire:
    """What is stored of a profile."""
    diagnostics = profile.diagnostics
    return ProfileWire(
        rows=profile.rows,
        requests=profile.requests,
        model=(profile.model.name, profile.model.version),
        season=profile.season,
        span=None if profile.span is None else (profile.span.start, profile.span.end),
        features=tuple(_feature_to_wire(feature) for feature in profile.features),
        calibration=profile.calibration,
        diagnostics=DiagnosticsWire(
            diagnostics.seasons,
            dict(diagnostics.split_half_psi),
            tuple((f.concern, f.message, f.feature) for f in diagnostics.findings),
        ),
        labels=None if profile.labels is None else _labels_to_wire(profile.labels),
        components=None if profile.components is None else _components_to_wire(profile.components),
    )


def from_wire(wire: ProfileWire, content_hash: str, created: float | None) -> Profile:
    """The profile; the inverse of `to_wire`. Raises ValueError where parts don't fit together."""
    return Profile(
        hash=content_hash,
        rows=wire.rows,
        features=tuple(_feature_from_wire(feature) for feature in wire.features),
        created=created,
        requests=wire.requests,
        model=ModelName(*wire.model),
        season=wire.season,
        span=None if wire.span is None else TimeSpan(*wire.span),
        calibration=wire.calibration,
        diagnostics=Diagnostics(
            wire.diagnostics.seasons,
            wire.diagnostics.split_half_psi,
            tuple(Finding(*finding) for finding in wire.diagnostics.findings),
        ),
        labels=None if wire.labels is None else _labels_from_wire(wire.labels),
        components=None if wire.components is None else _components_from_wire(wire.components),
    )


def _feature_to_wire(feature: FeatureProfile) -> FeatureWire:
    moments = None
    if feature.mean is not None and feature.sd is not None and feature.max_abs is not None:
        moments = (feature.mean, feature.sd, feature.max_abs)
    return FeatureWire(feature.name, feature.role, _column_to_wire(feature), moments)


def _column_to_wire(feature: FeatureProfile) -> NumericWire | CategoricalWire:
    axis, counts = feature.axis, feature.counts
    if isinstance(axis, Grid) and isinstance(counts, NumericCounts):
        return NumericWire(
            grid=_grid_to_wire(axis),
            cells=pack_integers(counts.counts[::2]),
            on_edges=pack_integers(counts.counts[1::2]),
            sums=pack_floats(counts.sums, "<f4"),
            extremes=(counts.minimum, counts.maximum),
            others=(
                *(counts.nan, counts.pos_inf, counts.neg_inf),
                *(counts.missing, counts.null, counts.wrong_type, counts.out_of_range),
            ),
        )
    if isinstance(axis, Categories) and isinstance(counts, CategoricalCounts):
        return CategoricalWire(
            known=axis.known,
            truncated=axis.truncated,
            counts=pack_integers(counts.known),
            others=(counts.other, counts.missing, counts.null, counts.wrong_type, counts.out_of_range),
        )
    raise TypeError(f"column {feature.name!r}: counts and axis are of unlike kinds")


def _feature_from_wire(wire: FeatureWire) -> FeatureProfile:
    mean, sd, max_abs = wire.moments if wire.moments is not None else (None, None, None)
    column = wire.column
    if isinstance(column, CategoricalWire):
        known = unpack_integers(column.counts)
        _fits(len(known) == len(column.known))
        other, missing, null, wrong, outside = column.others
        counts = CategoricalCounts(
            known=known, other=other, missing=missing, null=null, wrong_type=wrong, out_of_range=outside
        )
        axis = Categories(column.known, column.truncated)
        return FeatureProfile(wire.name, wire.role, axis, counts, mean, sd, max_abs)
    grid = _grid_from_wire(column.grid)
    return FeatureProfile(wire.name, wire.role, grid, _numeric_from_wire(column, grid), mean, sd, max_abs)


def _numeric_from_wire(wire: NumericWire, grid: Grid) -> NumericCounts:
    cells, on_edges = unpack_integers(wire.cells), unpack_integers(wire.on_edges)
    sums = unpack_floats(wire.sums, "<f4")
    edges = len(grid.edges)
    _fits(len(cells) == edges + 1 and len(on_edges) == edges and len(sums) == edges + 1)
    counts = np.empty(grid.cells, np.int64)
    counts[::2], counts[1::2] = cells, on_edges
    nan, pos_inf, neg_inf, missing, null, wrong, outside = wire.others
    return NumericCounts(
        counts=counts,
        sums=sums,
        minimum=wire.extremes[0],
        maximum=wire.extremes[1],
        nan=nan,
        pos_inf=pos_inf,
        neg_inf=neg_inf,
        missing=missing,
        null=null,
        wrong_type=wrong,
        out_of_range=outside,
    )


def _grid_to_wire(grid: Grid) -> GridWire:
    deciles = pack_integers(np.asarray(grid.decile_index, np.int64))
    if len(grid.edges):
        ends = float(grid.edges[0]), float(grid.edges[-1])
        wide = _derived(*ends)
        if np.isin(wide, grid.edges).all():
            explicit = grid.edges[~np.isin(grid.edges, wide)]
            return GridWire(ends, pack_floats(explicit), deciles)
    return GridWire(None, pack_floats(grid.edges), deciles)


def _grid_from_wire(wire: GridWire) -> Grid:
    edges = unpack_floats(wire.edges)
    if wire.ends is not None:
        edges = np.union1d(edges, _derived(*wire.ends))
    places = unpack_integers(wire.deciles)
    _fits(not len(places) or (places.min() >= 0 and places.max() < len(edges)))
    return Grid(edges, edges[places])


def _derived(minimum: float, maximum: float) -> Floats:
    return np.unique(equal_width_edges(minimum, maximum) + 0.0)


def _labels_to_wire(labels: Labels) -> LabelsWire:
    groups: list[tuple[str | None, str | None, tuple[bytes, ...]]] = []
    for of in labels.groups:
        if isinstance(of, ScoreGroup):
            counts = (of.negatives, of.positives, *(of.said or ()))
            measures: tuple[bytes, ...] = tuple(map(pack_integers, counts))
        else:
            sums = (of.sums, of.absolute, of.squares)
            measures = (pack_integers(of.rows), *(pack_floats(each) for each in sums))
        groups.append((of.group.segment, of.group.value, measures))
    blocks = None if isinstance(labels, ResidualLabels) else labels.blocks
    packed = (
        () if blocks is None else tuple(map(pack_integers, (blocks.starts, *blocks.counts.reshape(2, -1))))
    )
    return LabelsWire(isinstance(labels, ResidualLabels), pack_floats(labels.edges), tuple(groups), packed)


def _labels_from_wire(wire: LabelsWire) -> Labels:
    edges = unpack_floats(wire.edges)
    if not wire.regression:
        scores = []
        for segment, value, measures in wire.groups:
            _fits(len(measures) in (2, 4))
            negatives, positives, *said = (unpack_integers(measure) for measure in measures)
            _fits(all(len(each) == len(edges) + 1 for each in (negatives, positives, *said)))
            answered = (said[0], said[1]) if said else None
            scores.append(ScoreGroup(Group(segment, value), negatives, positives, answered))
        return ScoreLabels(edges, tuple(scores), _blocks_from_wire(wire.blocks, len(edges) + 1))
    residuals = []
    for segment, value, measures in wire.groups:
        _fits(len(measures) == 4)
        rows, sums = unpack_integers(measures[0]), [unpack_floats(measure) for measure in measures[1:]]
        _fits(all(len(each) == len(edges) + 1 for each in (rows, *sums)))
        residuals.append(ResidualGroup(Group(segment, value), rows, *sums))
    return ResidualLabels(edges, tuple(residuals))


def _blocks_from_wire(packed: tuple[bytes, ...], bins: int) -> LabelBlocks | None:
    if not packed:
        return None
    _fits(len(packed) == 3)
    starts, *flat = (unpack_integers(each) for each in packed)
    _fits(len(starts) > 0 and starts[0] == 0 and starts[-1] < bins and bool((np.diff(starts) > 0).all()))
    _fits(all(len(each) == BLOCKS * len(starts) for each in flat))
    return LabelBlocks(starts, np.array(flat).reshape(2, BLOCKS, len(starts)))


def _components_to_wire(of: PrincipalComponents) -> ComponentsWire:
    flat = of.components.ravel().astype(np.float64)
    return ComponentsWire(
        of.features, pack_floats(of.mean), pack_floats(of.sd), pack_floats(flat, "<f4"), of.explained
    )


def _components_from_wire(wire: ComponentsWire) -> PrincipalComponents:
    mean, sd = unpack_floats(wire.mean), unpack_floats(wire.sd)
    _fits(len(mean) == len(sd) == len(wire.features) > 0)
    flat = unpack_floats(wire.components, "<f4").astype(np.float32)
    return PrincipalComponents(wire.features, mean, sd, flat.reshape(-1, len(wire.features)), wire.explained)


def _fits(condition: bool) -> None:
    if not condition:
        raise ValueError("the parts of a column don't fit together")
