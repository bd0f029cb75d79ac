"""Which comparison a monitor and a shadow ask for, given the reference. Made once, when the shadow begins."""

from __future__ import annotations

from driftline.categories import Categories
from driftline.grid import Grid
from driftline.profile import Profile
from driftline.shadow.plan import MOST_OUTPUTS, MOST_VALUES, ComparisonPlan, Sort
from driftline.spec import Feature, MonitorSpec
from driftline.spec.shadow import Compare


def plan_of(spec: MonitorSpec, compare: Compare, profile: Profile | None) -> ComparisonPlan:
    """The plan. Without a reference all outputs are `other`; agreement is of the answers themselves anyway.

    Segments are told apart where they are categories that the reference knows.
    """
    sort = _sort(spec, compare)
    return ComparisonPlan(
        sort=sort,
        classes=_known(profile, spec.schema.prediction.name, MOST_OUTPUTS) if sort == "class" else (),
        edges=_edges(profile, spec.schema.prediction.name) if sort == "number" else (),
        clip=_clip(spec, compare, sort),
        tolerance=compare.tolerance,
        segments=_segments(spec, compare, profile),
    )


def _sort(spec: MonitorSpec, compare: Compare) -> Sort:
    if set(compare.outputs) == {"body"}:
        return "body"
    return "class" if spec.model.type == "classification" else "number"


def _clip(spec: MonitorSpec, compare: Compare, sort: Sort) -> float | None:
    if sort == "class":
        scored = spec.schema.prediction.score is not None and "score" in compare.outputs
        return (compare.clip or 1.0) if scored else None
    return compare.clip if sort == "number" else None


def _known(profile: Profile | None, name: str, most: int) -> tuple[str, ...]:
    """The most frequent categories, in alphabetical order."""
    column = None if profile is None else profile.feature(name)
    if column is None or not isinstance(column.axis, Categories):
        return ()
    return tuple(sorted(column.axis.known[:most]))


def _edges(profile: Profile | None, name: str) -> tuple[float, ...]:
    column = None if profile is None else profile.feature(name)
    if column is None or not isinstance(column.axis, Grid):
        return ()
    return tuple(float(edge) for edge in column.axis.decile_edges)


def _segments(
    spec: MonitorSpec, compare: Compare, profile: Profile | None
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    names = compare.segments or spec.schema.segments
    found = ((name, _known(profile, name, MOST_VALUES)) for name in names)
    return tuple((name, values) for name, values in found if values and not _is_hidden(spec, name))


def _is_hidden(spec: MonitorSpec, name: str) -> bool:
    """Its values would stand in every part and in the status."""
    declared = [feature for feature in spec.schema.features if feature.name == name]
    return spec.is_redacted(declared[0] if declared else Feature(name=name, type="categorical"))
