"""A Parquet file's rows, in little memory whatever it unpacks to.

Three kilobytes may stand for gigabytes: a text that all rows share is written once. So texts are read as
dictionaries, checked before a single row is made of them, and equal ones are one object.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from driftline_operator.hub.label_files import Columns, Rows, place, too_long
from driftline_operator.hub.limits import Limits
from driftline_operator.hub.refusal import Refusal

_BATCH: Final = 1_000
_LONGEST: Final = 4 * 512
"""Bytes of a text: 512 characters of UTF-8."""


def rows(body: bytes, columns: Columns, limits: Limits) -> Rows:
    """Id, label, time. Raises Refusal (400, 413)."""
    try:
        yield from _rows(body, columns, limits)
    except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
        raise Refusal(400, f"the file is no Parquet that can be read: {str(error)[:200]}") from error


def _rows(body: bytes, columns: Columns, limits: Limits) -> Rows:
    source = pa.BufferReader(body)
    whole = parquet.ParquetFile(source)
    names, schema = columns.names, whole.schema_arrow
    _check_size(whole.metadata, names, limits)
    for name in names:
        place(list(schema.names), name)
    _check_types(schema, columns)
    texts = [name for name in names if _is_text(schema.field(name).type)]
    file = parquet.ParquetFile(source, read_dictionary=texts)
    known: dict[Any, Any] = {}
    for batch in file.iter_batches(_BATCH, columns=names):
        cells = [_cells(batch.column(name), name, known) for name in names]
        for row in zip(*cells, strict=True):
            yield row if columns.time else (*row, None)


def _check_size(metadata: Any, names: list[str], limits: Limits) -> None:
    if metadata.num_rows > limits.upload_rows:
        raise too_long(limits)
    size = 0
    for group in range(metadata.num_row_groups):
        found = metadata.row_group(group)
        parts = [found.column(index) for index in range(found.num_columns)]
        size += sum(each.total_uncompressed_size for each in parts if each.path_in_schema in names)
    if size > limits.upload:
        raise Refusal(
            413, f"at most {limits.upload} bytes in the columns, unpacked", field="body", value=size
        )


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value))


def _check_types(schema: pa.Schema, columns: Columns) -> None:
    """Raises Refusal (400) for columns of which it isn't plain what they say."""
    is_integer, is_float = pa.types.is_integer, pa.types.is_floating
    _check(schema, columns.id, "texts or whole numbers", is_integer)
    others = (pa.types.is_boolean, pa.types.is_null)
    _check(schema, columns.label, "texts, numbers or booleans", is_integer, is_float, *others)
    if columns.time:
        times = (pa.types.is_timestamp, pa.types.is_date)
        _check(schema, columns.time, "times, dates, texts or unix seconds", is_integer, is_float, *times)


def _check(schema: pa.Schema, name: str, said: str, *kinds: Any) -> None:
    kind = schema.field(name).type
    if not _is_text(kind) and not any(each(kind) for each in kinds):
        raise Refusal(400, f"must be a column of {said}", field=name, value=str(kind))


def _cells(column: pa.Array, name: str, known: dict[Any, Any]) -> list[Any]:
    if not pa.types.is_dictionary(column.type):
        return list(column.to_pylist())
    longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
    if longest > _LONGEST:
        raise Refusal(400, f"a text must have at most {_LONGEST} bytes", field=name, value=f"{longest} bytes")
    return [known.setdefault(each, each) for each in column.dictionary_decode().to_pylist()]
