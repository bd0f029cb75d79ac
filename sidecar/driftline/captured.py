"""Rows of live traffic, captured for a reference: as bytes between pods and operator, and as a profile.

The rows are needed raw: a grid's edges are quantiles, and nothing less than the rows gives them exactly. What
comes from a pod is checked before anything is made of it: version, sizes, shapes and codes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.batches import concatenate
from driftline.columns import Batch, CategoricalColumn, Column, Floats, NumericColumn, State
from driftline.errors import DataError
from driftline.pane import Limits
from driftline.profile import ModelName, Profile, Role, Season
from driftline.profile_build import BuildPlan, MemoryRows, ReferenceColumn, build_profile
from driftline.spec import Feature, MonitorSpec

VERSION: Final = 1
MOST_BYTES: Final = 256 << 20
"""Inflated; a pod's own limit is a fifth of it (`analyzer.capture`)."""
_MOST_ROWS: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Captured:
    """The rows of one pod, or of several joined. `times`: when each row came, unix seconds, shape (rows,).

    `features`: what the columns are, by the schema or as the pod found them in its traffic.
    """

    features: tuple[Feature, ...]
    batch: Batch
    times: Floats

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.batch.rows


class _Column(msgspec.Struct, array_like=True):
    name: str
    numeric: bool
    values: bytes
    """float64, or int32 codes into the dictionary; little-endian."""
    dictionary: list[str] = []
    states: bytes | None = None


class _Wire(msgspec.Struct, array_like=True):
    version: int
    rows: int
    requests: int
    times: bytes
    features: list[dict[str, Any]]
    columns: list[_Column]
    request: bytes | None = None


def encode(captured: Captured) -> bytes:
    """Versioned, compressed."""
    batch = captured.batch
    wire = _Wire(
        VERSION,
        batch.rows,
        batch.requests,
        captured.times.astype("<f8").tobytes(),
        [msgspec.to_builtins(feature, enc_hook=str) for feature in captured.features],
        [_column(name, column) for name, column in batch.columns.items()],
        None if batch.request is None else batch.request.astype("<i4").tobytes(),
    )
    return zlib.compress(msgspec.msgpack.encode(wire), 1)


def decode(data: bytes) -> Captured:
    """Raises DataError, which says what is wrong; nothing of it is taken then."""
    wire = _inflated(data)
    if wire.version != VERSION:
        raise DataError(f"captured rows of version {wire.version}, this program reads {VERSION}")
    if not 0 <= wire.rows <= _MOST_ROWS or not 0 <= wire.requests <= wire.rows:
        raise DataError(f"captured rows: {wire.rows} rows in {wire.requests} requests")
    columns = {column.name: _read(column, wire.rows) for column in wire.columns}
    request = None if wire.request is None else _array(wire.request, "<i4", wire.rows, "request")
    if request is not None and wire.rows and not _counts_up(request, wire.requests):
        raise DataError("captured rows: the requests' numbers are not in order")
    times = _array(wire.times, "<f8", wire.rows, "times")
    if not np.isfinite(times).all():
        raise DataError("captured rows: a time is not finite")
    try:
        features = tuple(msgspec.convert(each, Feature) for each in wire.features)
    except (msgspec.ValidationError, DataError, ValueError) as error:
        raise DataError(f"captured rows: {error}") from error
    return Captured(features, Batch(wire.rows, columns, wire.requests, request), times)


def join(parts: Sequence[Captured]) -> Captured:
    """The rows of several pods as one, pod after pod.

    Features of the first part that has any under a name hold. Which request a row came with is kept.
    """
    known = [part for part in parts if part.rows]
    if not known:
        return Captured((), Batch(0, {}, 0), np.empty(0))
    features: dict[str, Feature] = {}
    for part in known:
        for feature in part.features:
            features.setdefault(feature.name, feature)
    return Captured(
        tuple(features.values()), concatenate([part.batch for part in known]),
        np.concatenate([part.times for part in known]),
    )  # fmt: skip


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


def build(spec: MonitorSpec, parts: Sequence[Captured], now: float) -> Profile:
    """The profile of those rows, over all pods in the order of time.

    Raises DataError where they make none.
    """
    known = sorted((part for part in parts if part.rows), key=lambda part: float(part.times[0]))
    if not known:
        raise DataError("no rows were captured")
    features = spec.schema.features or join(known).features
    batches = [(_complete(part.batch, spec, features), part.times) for part in known]
    rows = MemoryRows(_in_time(batches), requests=sum(batch.requests for batch, _ in batches))
    return build_profile(rows, _plan(spec, features, now))


def _in_time(batches: Sequence[tuple[Batch, Floats]]) -> list[tuple[Batch, Floats]]:
    """Rows in the order of time over all pods: the reference's blocks are stretches of time."""
    if len(batches) == 1:
        return list(batches)
    joined = concatenate([batch for batch, _ in batches])
    times = np.concatenate([each for _, each in batches])
    order = np.argsort(times, kind="stable")
    columns: dict[str, Column] = {}
    for name, column in joined.columns.items():
        states = None if column.states is None else column.states[order]
        if isinstance(column, NumericColumn):
            columns[name] = NumericColumn(column.values[order], states)
        else:
            columns[name] = CategoricalColumn(column.codes[order], column.dictionary, states)
    request = None
    if joined.request is not None:  # rows of a request have one time: they stay together
        came = joined.request[order]
        request = np.concatenate([[0], np.cumsum(came[1:] != came[:-1])]).astype(np.int32)
    return [(Batch(joined.rows, columns, joined.requests, request), times[order])]


def _plan(spec: MonitorSpec, features: Sequence[Feature], now: float) -> BuildPlan:
    limits = limits_of(features)
    columns = [
        ReferenceColumn(
            feature.name, feature.type == "numeric", Role.FEATURE, limits.get(feature.name, Limits())
        )
        for feature in features
    ]
    prediction = spec.schema.prediction
    columns.append(ReferenceColumn(prediction.name, spec.model.type != "classification", Role.PREDICTION))
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
        present = columns.get(column.name)
        if present is None or isinstance(present, NumericColumn) != column.numeric:
            state = State.MISSING if present is None else State.WRONG_TYPE
            states = np.full(batch.rows, state, dtype=np.uint8)
            columns[column.name] = (
                NumericColumn(np.full(batch.rows, np.nan), states)
                if column.numeric
                else CategoricalColumn(np.full(batch.rows, -1, dtype=np.int32), (), states)
            )
    return Batch(batch.rows, columns, batch.requests, batch.request)


def _column(name: str, column: Column) -> _Column:
    states = None if column.states is None else column.states.astype(np.uint8).tobytes()
    if isinstance(column, NumericColumn):
        return _Column(name, True, column.values.astype("<f8").tobytes(), [], states)
    codes = column.codes.astype("<i4").tobytes()
    return _Column(name, False, codes, list(column.dictionary), states)


def _read(column: _Column, rows: int) -> Column:
    states = None
    if column.states is not None:
        states = _array(column.states, "<u1", rows, column.name)
        if rows and int(states.max()) > max(State):
            raise DataError(f"captured rows: {column.name!r} has a state that doesn't exist")
    if column.numeric:
        return NumericColumn(_array(column.values, "<f8", rows, column.name), states)
    codes = _array(column.values, "<i4", rows, column.name)
    if rows and not -1 <= int(codes.min()) <= int(codes.max()) < len(column.dictionary):
        raise DataError(f"captured rows: {column.name!r} has a code beyond its dictionary")
    return CategoricalColumn(codes, tuple(column.dictionary), states)


def _array(data: bytes, kind: str, rows: int, name: str) -> NDArray[Any]:
    if len(data) != rows * np.dtype(kind).itemsize:
        raise DataError(f"captured rows: {name!r} has {len(data)} bytes for {rows} rows")
    return np.frombuffer(data, dtype=kind).astype(np.dtype(kind).newbyteorder("="))


def _counts_up(request: NDArray[Any], requests: int) -> bool:
    steps = np.diff(request)
    return bool(request[0] >= 0 and (steps >= 0).all() and request[-1] < requests)


def _inflated(data: bytes) -> _Wire:
    try:
        engine = zlib.decompressobj()
        raw = engine.decompress(data, MOST_BYTES)
        if engine.unconsumed_tail or not engine.eof:
            raise DataError(f"captured rows: cut off, or more than {MOST_BYTES} bytes")
        return msgspec.msgpack.decode(raw, type=_Wire)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"captured rows can't be read: {error}") from error
