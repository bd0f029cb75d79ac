"""Files of labels, CSV or Parquet, into events. All or nothing; rows without label are passed over."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from math import isfinite
from typing import Any, Final, NamedTuple

from driftline.events import Label

from driftline_operator.hub.limits import Limits
from driftline_operator.hub.refusal import Refusal
from driftline_operator.hub.requests import LAST

CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
TYPES: Final = (CSV, PARQUET)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
Rows = Iterator[tuple[Any, Any, Any]]


class Columns(NamedTuple):
    """Which columns of a file hold what."""

    id: str
    label: str
    time: str | None = None

    @property
    def names(self) -> list[str]:
        """Those that there are."""
        return [name for name in self if name]


def columns_of(query: Mapping[str, str]) -> Columns:
    """Of a request's query. Raises Refusal (400)."""
    for name in ("id-column", "label-column"):
        if not query.get(name):
            raise Refusal(400, "a file needs id-column and label-column in the query", field=name)
    return Columns(query["id-column"], query["label-column"], query.get("time-column") or None)


def read(body: bytes, content_type: str, columns: Columns, limits: Limits) -> list[Label]:
    """Labels of a CSV or Parquet file. Raises Refusal (400, 413)."""
    from driftline_operator.hub import parquet_labels

    rows = _csv(body, columns) if content_type == CSV else parquet_labels.rows(body, columns, limits)
    labels: list[Label] = []
    for number, (identity, label, at) in enumerate(rows):
        if number >= limits.upload_rows:
            raise too_long(limits)
        if label is not None and label != "":  # else it isn't known yet
            labels.append(_label(identity, label, at, columns, number))
    return labels


def too_long(limits: Limits) -> Refusal:
    """For a file with too many rows."""
    return Refusal(413, f"at most {limits.upload_rows} rows in a file: send it in parts", field="rows")


def place(header: list[str], name: str) -> int:
    """Where a column is. Raises Refusal (400) where it isn't, or is twice."""
    if header.count(name) != 1:
        there = ", ".join(header)[:200]
        raise Refusal(400, f"the file must have the column once; it has {there}", field=name, value=name)
    return header.index(name)


def _label(identity: Any, label: Any, at: Any, columns: Columns, number: int) -> Label:
    def refused(what: str, column: str | None, value: object) -> Refusal:
        return Refusal(400, what, field=f"row {number + 1}, column {column}", value=value)

    name = "" if identity is None else str(identity)
    if not name or len(name) > 512 or "\0" in name:
        raise refused("an id must have 1 to 512 characters, NUL not among them", columns.id, identity)
    if isinstance(label, str) and (len(label) > 256 or "\0" in label):
        raise refused("a label must have at most 256 characters, NUL not among them", columns.label, label)
    if not isinstance(label, str | bool):
        label = float(label)
        if not isfinite(label):
            raise refused("a label must be finite", columns.label, label)
    return Label(id=name, label=label, at=None if columns.time is None else _time(at, columns.time, refused))


def _time(value: Any, column: str, refused: Any) -> float:
    """Unix seconds, or a date, or a date and time (UTC where it says nothing)."""
    try:
        seconds = _seconds(value)
    except (TypeError, ValueError, OverflowError):
        raise refused("must be unix seconds or an ISO 8601 time", column, value) from None
    if not 0 <= seconds <= LAST:
        raise refused("must be between 1970 and 9999", column, value)
    return seconds


def _seconds(value: Any) -> float:
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value) else datetime.fromisoformat(value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return float(value)


def _lines(body: bytes) -> io.TextIOWrapper:
    """Without a second copy of it: as one text it would take four times as much."""
    return io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")


def _csv(body: bytes, columns: Columns) -> Rows:
    reader = csv.reader(_lines(body), strict=True)
    try:
        header = next(reader, [])
        places = [place(header, name) for name in columns.names]
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise Refusal(
                    400, f"line {reader.line_num} has {len(row)} cells, the first one {len(header)}"
                )
            cells = [row[index] for index in places]
            yield cells[0], cells[1], cells[2] if columns.time else None
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the file is not UTF-8: after line {reader.line_num}") from error
    except csv.Error as error:
        raise Refusal(400, f"the file is no CSV: {error}") from error
