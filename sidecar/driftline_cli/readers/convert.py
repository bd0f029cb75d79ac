"""Raw chunks to columns: numbers, categories and times, each cell with its state.

An empty cell, a null, and in numeric columns the usual words for nothing are missing; `nan` and `inf`
are values that were written. Anything else that isn't what its column needs is an error that names
file, column, row and value: a reference must not be built around a hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from driftline.columns import CategoricalColumn, Column, Floats, NumericColumn, State, States
from driftline.errors import DataError

from driftline_cli.readers.table import Chunk

NOTHING = ("", "NA", "N/A", "n/a", "null", "NULL", "None", "none")
"""What a numeric cell may say instead of a number."""

_TIMES = (
    pa.timestamp("us"),
    pa.timestamp("ns"),
    pa.timestamp("us", "UTC"),
    pa.timestamp("ns", "UTC"),
    pa.float64(),
)

_EPOCH_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Numbers as times: above 1e11 they count milliseconds, above 1e14 micro-, above 1e17 nanoseconds."""


class Kind(StrEnum):
    """What to read a column as."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows, converted. `times`: unix seconds per row, None where no column is the time."""

    count: int
    columns: dict[str, Column]
    times: Floats | None = None


def convert(chunk: Chunk, kinds: Sequence[tuple[str, Kind]]) -> Rows:
    """Convert the chunk's columns. Raises DataError at the first cell that doesn't fit."""
    columns: dict[str, Column] = {}
    times = None
    for name, kind in kinds:
        cells = chunk.rows.column(name)
        if kind is Kind.TIME:
            times = _times(chunk, name, cells)
        else:
            columns[name] = (
                numeric(chunk, name, cells) if kind is Kind.NUMERIC else categorical(chunk, name, cells)
            )
    return Rows(chunk.rows.num_rows, columns, times)


def numeric(chunk: Chunk, name: str, cells: pa.Array) -> NumericColumn:
    """A column of numbers; booleans are 0 and 1."""
    if is_text(cells.type):
        text = pc.utf8_trim_whitespace(as_text(chunk, name, cells))
        cells = pc.if_else(pc.is_in(text, pa.array(NOTHING)), None, text)
    elif not is_number(cells.type):
        raise DataError(f"{chunk.path}: column {name!r}: {cells.type} is not a number")
    try:
        values = pc.cast(
            cells.cast(pa.uint8()) if pa.types.is_boolean(cells.type) else cells, pa.float64(), safe=False
        )
    except pa.ArrowInvalid:
        raise _first_misfit(chunk, name, cells, pa.float64(), "a number") from None
    return NumericColumn(_floats(values), _states(cells))


def categorical(chunk: Chunk, name: str, cells: pa.Array) -> CategoricalColumn:
    """A column of categories, dictionary-coded as it is written; whole numbers without a point."""
    if is_text(cells.type):
        text = as_text(chunk, name, cells)
        text = pc.if_else(pc.equal(text, ""), None, text)
        # pandas writes True where JSON has true: one spelling, so that files and requests agree.
        for written, spelled in (("True", "true"), ("False", "false")):
            text = pc.if_else(pc.equal(text, written), spelled, text)
    else:
        text = _spelled(chunk, name, cells)
    coded = text.dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return CategoricalColumn(codes, tuple(coded.dictionary.to_pylist()), _states(text))


def is_text(kind: pa.DataType) -> bool:
    """Text as written, or a string type; dictionaries of them too."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
    )


def is_number(kind: pa.DataType) -> bool:
    """Integers, floats, decimals, booleans; a column of nothing but nulls too."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def as_text(chunk: Chunk, name: str, cells: pa.Array) -> pa.Array:
    """Cells as UTF-8 strings. Raises DataError at the first that isn't UTF-8."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    try:
        return pc.cast(cells, pa.string())
    except pa.ArrowInvalid:
        raise _first_misfit(chunk, name, cells, pa.string(), "UTF-8; save the file as UTF-8") from None


def _times(chunk: Chunk, name: str, cells: pa.Array) -> Floats:
    """Unix seconds; times without a zone are UTC. Every row needs one."""
    if is_text(cells.type):
        text = pc.utf8_trim_whitespace(as_text(chunk, name, cells))
        text = pc.if_else(pc.equal(text, ""), None, text)
        stamps = parse_times(text)
        if stamps is None:
            raise _first_misfit(chunk, name, text, _time_type(text), "a time like the others (ISO 8601)")
        cells = stamps
    if pa.types.is_date(cells.type):
        cells = pc.cast(cells, pa.timestamp("us"))
    if pa.types.is_timestamp(cells.type):
        unit = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[cells.type.unit]
        seconds = _floats(pc.cast(pc.cast(cells, pa.int64()), pa.float64(), safe=False)) / unit
    elif is_number(cells.type):
        seconds = _epoch(_floats(pc.cast(cells, pa.float64(), safe=False)))
    else:
        raise DataError(f"{chunk.path}: column {name!r}: {cells.type} is not a time")
    unknown = np.flatnonzero(~np.isfinite(seconds))
    if unknown.size:
        raise DataError(
            f"{chunk.path}: column {name!r}: row {chunk.first_row + unknown[0]}: no time; each row needs one"
        )
    return seconds


def parse_times(text: pa.Array) -> pa.Array | None:
    """ISO 8601 text as timestamps, all with a zone or all without; unix seconds as text; None if neither."""
    for kind in _TIMES:
        try:
            return pc.cast(text, kind)
        except pa.ArrowInvalid:
            continue
    return None


def _time_type(text: pa.Array) -> pa.DataType:
    """How the first time is written; the others have to be like it."""
    first = text.drop_null().slice(0, 1)
    parsed = parse_times(first)
    return _TIMES[0] if parsed is None else parsed.type


def _epoch(values: Floats) -> Floats:
    largest = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    return values / next((unit for limit, unit in _EPOCH_UNITS if largest > limit), 1.0)


def _spelled(chunk: Chunk, name: str, cells: pa.Array) -> pa.Array:
    """Typed cells as the text a request would hold."""
    if not is_number(cells.type) and not pa.types.is_temporal(cells.type):
        raise DataError(f"{chunk.path}: column {name!r}: {cells.type} is not a category")
    if pa.types.is_floating(cells.type):
        text = pc.cast(pc.if_else(pc.is_nan(cells), None, cells), pa.string())
        return pc.replace_substring_regex(text, r"\.0$", "")
    return pc.cast(cells, pa.string())


def _floats(values: pa.Array) -> Floats:
    return np.array(pc.fill_null(values, np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)


def _states(cells: pa.Array) -> States | None:
    if not cells.null_count:
        return None
    return np.where(cells.is_null().to_numpy(zero_copy_only=False), State.MISSING, State.VALUE).astype(
        np.uint8
    )


def _first_misfit(chunk: Chunk, name: str, cells: pa.Array, kind: pa.DataType, what: str) -> DataError:
    low, high = 0, len(cells)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            pc.cast(cells.slice(low, middle - low), kind)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    value = cells[low].as_py()
    shown = repr(value if len(str(value)) <= 60 else value[:60])
    return DataError(f"{chunk.path}: column {name!r}: row {chunk.first_row + low}: {shown} is not {what}")
