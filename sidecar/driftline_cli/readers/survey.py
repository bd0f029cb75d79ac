"""A first look at a table: the facts from which `driftline.schema_inference` decides what columns are."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from driftline.schema_inference import ColumnFacts, Content

from driftline_cli.readers.convert import NOTHING, as_text, is_text, parse_times
from driftline_cli.readers.table import Chunk, Table

LOOK_ROWS = 200_000
"""Rows looked at. What comes later and doesn't fit is an error that names its row."""

_BOOLEANS = pa.array(["true", "false", "True", "False", "TRUE", "FALSE"])


def survey(table: Table, columns: Sequence[str]) -> list[ColumnFacts]:
    """Facts about those columns, from the first `LOOK_ROWS` rows."""
    chunks: list[Chunk] = []
    for chunk in table.chunks(columns):
        chunks.append(chunk)
        if chunk.first_row + chunk.rows.num_rows > LOOK_ROWS:
            break
    return [_facts(name, [(chunk, chunk.rows.column(name)) for chunk in chunks]) for name in columns]


def _facts(name: str, parts: Sequence[tuple[Chunk, pa.Array]]) -> ColumnFacts:
    if not parts:
        return ColumnFacts(name, Content.NOTHING)
    if is_text(parts[0][1].type):
        cells = pa.chunked_array([as_text(chunk, name, array) for chunk, array in parts], pa.string())
        return _text_facts(name, cells)
    cells = pa.chunked_array([array for _, array in parts])
    return _typed_facts(name, cells)


def _text_facts(name: str, cells: pa.ChunkedArray) -> ColumnFacts:
    written = cells.filter(pc.not_equal(cells, "")).drop_null()
    trimmed = pc.utf8_trim_whitespace(written)
    numbers = trimmed.filter(pc.invert(pc.is_in(trimmed, pa.array(NOTHING))))
    if not len(numbers):
        return ColumnFacts(name, Content.TEXT if len(written) else Content.NOTHING, len(written))
    if pc.all(pc.is_in(numbers, _BOOLEANS)).as_py():
        return ColumnFacts(name, Content.BOOLEANS, len(written), 2)
    distinct = pc.unique(numbers)
    for kind in (pa.int64(), pa.float64()):
        try:
            return _number_facts(name, numbers, pc.cast(distinct, kind))
        except pa.ArrowInvalid:
            continue
    stamps = parse_times(distinct)
    if stamps is not None:
        return ColumnFacts(name, Content.TIMES, len(written), len(distinct))
    return ColumnFacts(name, Content.TEXT, len(written), len(pc.unique(written)))


def _number_facts(name: str, cells: pa.ChunkedArray, distinct: pa.Array) -> ColumnFacts:
    whole = pa.types.is_integer(distinct.type)
    counting = whole and len(distinct) == len(cells) and _counting(pc.cast(cells, pa.int64()))
    return ColumnFacts(
        name, Content.INTEGERS if whole else Content.NUMBERS, len(cells), len(distinct), counting
    )


def _typed_facts(name: str, cells: pa.ChunkedArray) -> ColumnFacts:
    kind, values = cells.type, len(cells) - cells.null_count
    if not values:
        return ColumnFacts(name, Content.NOTHING)
    if pa.types.is_boolean(kind):
        return ColumnFacts(name, Content.BOOLEANS, values, 2)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return ColumnFacts(name, Content.TIMES, values)
    if pa.types.is_integer(kind):
        written = cells.drop_null()
        return _number_facts(name, written, pc.unique(written))
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return ColumnFacts(name, Content.NUMBERS, values)
    return ColumnFacts(name, Content.OTHER, values)


def _counting(cells: pa.ChunkedArray) -> bool:
    steps = pc.pairwise_diff(cells.combine_chunks())
    return bool(pc.all(pc.equal(steps, 1)).as_py())
