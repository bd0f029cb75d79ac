"""Which comparison a monitor and a shadow ask for, given the reference. Made once, when the shadow begins."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from driftline.categories import Categories
from driftline.errors import DataError
from driftline.grid import Grid
from driftline.profile import Profile
from driftline.shadow.fit import outputs_problem
from driftline.shadow.plan import MOST_OUTPUTS, MOST_VALUES, ComparisonPlan, Sort
from driftline.spec import Feature, MonitorSpec
from driftline.spec.shadow import Compare


def plan_of(spec: MonitorSpec, compare: Compare, profile: Profile | None) -> ComparisonPlan:
    """The plan. With neither a reference nor declared classes all outputs are `other`; agreement is of the
    answers themselves anyway. Segments are told apart where they are categories that the reference knows.

    Raises DataError where nothing that the monitor knows would be compared.
    """
    if wrong := outputs_problem(spec, compare):
        raise DataError(f"compare.outputs: {wrong}")
    sort = _sort(spec, compare)
    return ComparisonPlan(
        sort=sort,
        classes=_classes(spec, profile) if sort == "class" else (),
        edges=_edges(profile, spec.schema.prediction.name) if sort == "number" else (),
        clip=_clip(spec, compare, sort),
        tolerance=compare.tolerance,
        segments=_segments(spec, compare, profile),
        reading=reading_of(spec),
    )


def reading_of(spec: MonitorSpec) -> str:
    """The same for monitors that capture, send and decode alike: the first 128 bits of a SHA-256, in hex.

    Pairs of unlike ones are answers to different questions. What is left at its default isn't
    written, so that programs of two releases agree.
    """
    endpoint, capture = spec.endpoint, spec.capture
    said = (
        spec.model.type,
        spec.schema.prediction,
        [(each.name, each.type, each.path) for each in spec.schema.features],
        (endpoint.port, endpoint.protocol, sorted(endpoint.paths), endpoint.json),
        (sorted(capture.redact), sorted(map(str.lower, capture.redact_headers)), int(capture.max_body_bytes)),
    )
    return sha256(msgspec.json.encode(said)).hexdigest()[:32]


def untold(spec: MonitorSpec, compare: Compare, plan: ComparisonPlan) -> dict[str, str]:
    """The segments that are asked for and that the plan doesn't tell apart, each with the reason."""
    told = {name for name, _ in plan.segments}
    numeric = {feature.name for feature in spec.schema.features if feature.type == "numeric"}
    return {
        name: "is redacted"
        if _is_hidden(spec, name)
        else ("is numeric" if name in numeric else "is no category of the reference")
        for name in _asked(spec, compare)
        if name not in told
    }


def _asked(spec: MonitorSpec, compare: Compare) -> tuple[str, ...]:
    return compare.segments or spec.schema.segments


def _classes(spec: MonitorSpec, profile: Profile | None) -> tuple[str, ...]:
    prediction = spec.schema.prediction
    known = _known(profile, prediction.name, MOST_OUTPUTS)
    return known or tuple(sorted(prediction.classes[:MOST_OUTPUTS]))


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
    found = ((name, _known(profile, name, MOST_VALUES)) for name in _asked(spec, compare))
    return tuple((name, values) for name, values in found if values and not _is_hidden(spec, name))


def _is_hidden(spec: MonitorSpec, name: str) -> bool:
    """Its values would stand in every part and in the status."""
    declared = [feature for feature in spec.schema.features if feature.name == name]
    return spec.is_redacted(declared[0] if declared else Feature(name=name, type="categorical"))
