"""Where a monitor's reference comes from: a profile's file, or the first rows of live traffic."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
from driftline.columns import Batch, CategoricalColumn, NumericColumn, State
from driftline.errors import DriftlineError
from driftline.pane import Limits
from driftline.profile import ModelName, Profile, Role, Season
from driftline.profile_build import BuildPlan, MemoryRows, ReferenceColumn, build_profile
from driftline.profile_codec import decode_profile, encode_profile
from driftline.spec import Feature, ModelMonitor, MonitorSpec

from driftline_sidecar.analyzer.capture import CaptureBuffer
from driftline_sidecar.logs import event


class ReferenceState(StrEnum):
    """A closed set: label values of `reference_state`."""

    NO_REFERENCE = "NoReference"
    """None is configured, or its file can't be read: `/v1/config` says which."""
    CAPTURING = "Capturing"
    """The first rows of live traffic are being kept."""
    READY = "Ready"
    """There is a profile, and windows are judged against it."""


def features_of(spec: MonitorSpec, profile: Profile | None) -> tuple[Feature, ...]:
    """The schema's features, else the profile's; none where neither has any."""
    if spec.schema.features or profile is None:
        return spec.schema.features
    return tuple(
        Feature(name=column.name, type=column.type.value)
        for column in profile.features
        if column.role is Role.FEATURE
    )


def limits_of(features: Iterable[Feature]) -> dict[str, Limits]:
    """What the schema allows of each feature, for those of which it says anything."""
    found = {}
    for feature in features:
        low, high = (feature.range.min, feature.range.max) if feature.range is not None else (None, None)
        allowed = frozenset(feature.categories) if feature.categories is not None else None
        limits = Limits(low, high, allowed)
        if limits != Limits():
            found[feature.name] = limits
    return found


def build_captured(
    spec: MonitorSpec, features: Sequence[Feature], buffer: CaptureBuffer, now: float
) -> Profile:
    """The profile of the rows that were kept. Raises DataError where they make none."""
    batch = _complete(buffer.batch(), spec, features)
    rows = MemoryRows([(batch, buffer.times())], requests=batch.requests)
    return build_profile(rows, _plan(spec, features, now))


def load(raw: bytes, path: Path) -> Profile:
    """Decode a profile's bytes; raises ProfileError with the file's name."""
    return decode_profile(raw, str(path))


def state_path(directory: Path, monitor: ModelMonitor) -> Path:
    """Where a captured reference of this monitor is kept over restarts."""
    return directory / f"{monitor.metadata.namespace}.{monitor.metadata.name}.profile"


def save(profile: Profile, path: Path) -> None:
    """Write the profile so that a reader sees all of it or nothing. A full disk is told, not raised."""
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(encode_profile(profile))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        event(
            logging.ERROR,
            "reference_not_saved",
            "the captured reference is not saved",
            error=error,
            file=path,
        )


def saved(path: Path) -> Profile | None:
    """The profile captured before a restart; None where there is none that can be read."""
    try:
        return load(path.read_bytes(), path)
    except FileNotFoundError:
        return None
    except (OSError, DriftlineError) as error:
        event(logging.WARNING, "reference_not_restored", "capturing anew", error=error, file=path)
        return None


def _plan(spec: MonitorSpec, features: Sequence[Feature], now: float) -> BuildPlan:
    limits = limits_of(features)
    columns = [
        ReferenceColumn(
            feature.name, feature.type == "numeric", Role.FEATURE, limits.get(feature.name, Limits())
        )
        for feature in features
    ]
    prediction = spec.schema.prediction
    columns.append(ReferenceColumn(prediction.name, spec.model.type == "regression", Role.PREDICTION))
    if prediction.score is not None:
        columns.append(ReferenceColumn(prediction.score, True, Role.SCORE))
    return BuildPlan(
        columns=tuple(columns),
        model=ModelName(spec.model.name, spec.model.version),
        season=Season(spec.reference.season),
        windows=tuple(int(window) for window in spec.windows),
        created=now,
    )


def _complete(batch: Batch, spec: MonitorSpec, features: Sequence[Feature]) -> Batch:
    """The batch with every column of the plan: one that never came is missing in every row."""
    columns = dict(batch.columns)
    for column in _plan(spec, features, 0.0).columns:
        if column.name not in columns:
            states = np.full(batch.rows, State.MISSING, dtype=np.uint8)
            columns[column.name] = (
                NumericColumn(np.full(batch.rows, np.nan), states)
                if column.numeric
                else CategoricalColumn(np.full(batch.rows, -1, dtype=np.int32), (), states)
            )
    return Batch(batch.rows, columns, batch.requests, batch.request)
