"""Which features a model takes, seen from its traffic: for monitors that name none and have no profile."""

from __future__ import annotations

from collections.abc import Iterable

from driftline.errors import InvalidSpec
from driftline.spec import Feature, FeatureType

MAX_FEATURES = 1000
"""Names beyond are left out: an object with client-chosen keys must not make columns without end."""


def discover(records: Iterable[object]) -> tuple[Feature, ...]:
    """The features of these records, in the order in which they were first seen.

    Numeric where every value that isn't null is a number, categorical where it's text or a boolean.
    Nested objects and lists are no features (name them by `path` in the schema), nor are columns of
    nulls. Arrays give `feature_0`, `feature_1`, and so on.
    """
    kinds: dict[str, FeatureType | None] = {}
    for record in records:
        named = record if isinstance(record, dict) else None
        if isinstance(record, list | tuple):
            named = {f"feature_{index}": value for index, value in enumerate(record)}
        for name, value in (named or {}).items():
            if len(kinds) < MAX_FEATURES or name in kinds:
                kinds[name] = _wider(kinds.get(name), value)
    features = (_feature(name, kind) for name, kind in kinds.items() if kind is not None)
    return tuple(feature for feature in features if feature is not None)


def _wider(kind: FeatureType | None, value: object) -> FeatureType | None:
    if isinstance(value, str | bool):
        return "categorical"
    if isinstance(value, int | float):
        return kind or "numeric"
    return kind


def _feature(name: str, kind: FeatureType) -> Feature | None:
    try:
        return Feature(name=name, type=kind)
    except InvalidSpec:  # a name that no metric could bear
        return None
