"""Requests' bodies into events: JSON (one, a list), NDJSON, and files of labels as CSV or Parquet.

All of it or nothing: what can't be taken raises Refusal, which names the field and its value.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from driftline.events import MOST_EVENTS, Label

from driftline_operator.hub.refusal import Refusal

JSON: Final = "application/json"
NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonlines")
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"

_T = TypeVar("_T")
_PATH = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def one(body: bytes, kind: type[_T]) -> _T:
    """A JSON document. Raises Refusal (400)."""
    try:
        found = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _refused(error, body, "") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, f"the body is no JSON: {error}") from error
    _check_text(body)
    return found


def several(body: bytes, content_type: str, kind: type[_T], name: str) -> list[_T]:
    """Events of one kind; `name` is what they are called in refusals. Raises Refusal (400, 413, 415)."""
    if content_type in NDJSON:
        events = _lines(body, kind, name)
    elif content_type == JSON:
        events = _array(body, kind, name)
    else:
        raise Refusal(415, f"must be {JSON} or {NDJSON[0]}", field="Content-Type", value=content_type)
    if len(events) > MOST_EVENTS:
        raise Refusal(413, f"at most {MOST_EVENTS} events in a request", field=name, value=len(events))
    _check_text(body)
    return events


def _array(body: bytes, kind: type[_T], name: str) -> list[_T]:
    single = body.lstrip()[:1] != b"["
    try:
        if single:
            return [msgspec.json.decode(body, type=kind)]
        return msgspec.json.decode(body, type=list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        raise _refused(error, body, f"{name}[0]" if single else name) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, f"the body is no JSON: {error}") from error


def _lines(body: bytes, kind: type[_T], name: str) -> list[_T]:
    decoder = msgspec.json.Decoder(kind)
    events: list[_T] = []
    for number, line in enumerate(body.splitlines()):
        if not line.strip():
            continue
        try:
            events.append(decoder.decode(line))
        except msgspec.ValidationError as error:
            raise _refused(error, line, f"{name}[{len(events)}]") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(400, f"line {number + 1} is no JSON: {error}") from error
    return events


def _refused(error: msgspec.ValidationError, body: bytes, root: str) -> Refusal:
    text = str(error)
    found = _PATH.search(text)
    path = found.group(1) if found else ""
    field = (root + path).removeprefix(".") or "body"
    return Refusal(400, text[: found.start()] if found else text, field=field, value=_value_at(body, path))


def _value_at(body: bytes, path: str) -> object:
    """What stands there; for refusals only, it decodes once more."""
    value: Any = msgspec.json.decode(body)
    for name, index in _STEP.findall(path):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            return None
    return None if isinstance(value, dict | list) else value


def _check_text(body: bytes) -> None:
    """PostgreSQL can't store NUL in a text; neither database shall. Raises Refusal (400)."""
    if b"\\u0000" in body and any("\0" in text for text in _texts(body)):
        raise Refusal(400, "texts must not hold the character NUL (\\u0000)")


def _texts(body: bytes) -> Iterator[str]:
    documents = [body] if body.lstrip()[:1] in b"[" else body.splitlines()
    try:
        trees = [msgspec.json.decode(each) for each in documents if each.strip()]
    except msgspec.DecodeError:  # one document over several lines
        trees = [msgspec.json.decode(body)]
    while trees:
        tree = trees.pop()
        if isinstance(tree, str):
            yield tree
        elif isinstance(tree, list):
            trees += tree
        elif isinstance(tree, dict):
            trees += [*tree, *tree.values()]


class Columns(NamedTuple):
    """Which columns of a file hold what."""

    id: str
    label: str
    time: str | None = None


def columns_of(query: Mapping[str, str]) -> Columns:
    """Of a request's query. Raises Refusal (400)."""
    for name in ("id-column", "label-column"):
        if not query.get(name):
            raise Refusal(400, "a file needs id-column and label-column in the query", field=name)
    return Columns(query["id-column"], query["label-column"], query.get("time-column") or None)


def file_of_labels(body: bytes, content_type: str, columns: Columns, most_rows: int) -> list[Label]:
    """Labels of a CSV or Parquet file. Raises Refusal (400, 413)."""
    rows = _csv(body, columns) if content_type == CSV else _parquet(body, columns, most_rows)
    labels: list[Label] = []
    for number, (identity, label, time) in enumerate(rows):
        if number >= most_rows:
            raise _too_long(most_rows)
        labels.append(_label(identity, label, time, columns, number))
    return labels


def _too_long(most_rows: int) -> Refusal:
    return Refusal(413, f"at most {most_rows} rows in a file: send it in parts", field="rows")


def _label(identity: Any, label: Any, time: Any, columns: Columns, number: int) -> Label:
    def refused(what: str, column: str | None, value: object) -> Refusal:
        return Refusal(400, what, field=f"row {number + 1}, column {column}", value=value)

    name = "" if identity is None else str(identity)
    if not name or len(name) > 512 or "\0" in name:
        raise refused("an id must have 1 to 512 characters, NUL not among them", columns.id, identity)
    if label is None or label == "":
        raise refused("there is no label", columns.label, label)
    if isinstance(label, str) and (len(label) > 256 or "\0" in label):
        raise refused("a label must have at most 256 characters, NUL not among them", columns.label, label)
    if not isinstance(label, str | bool):
        label = float(label)
        if not isfinite(label):
            raise refused("a label must be finite", columns.label, label)
    return Label(
        id=name, label=label, at=None if columns.time is None else _time(time, columns.time, refused)
    )


def _time(value: Any, column: str, refused: Any) -> float:
    """Unix seconds, or a date and time (UTC where it says nothing)."""
    try:
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        raise refused("must be unix seconds or an ISO 8601 time", column, value) from None
    if not 0 <= seconds <= 253_402_300_799:
        raise refused("must be between 1970 and 9999", column, value)
    return seconds


def _csv(body: bytes, columns: Columns) -> Iterator[tuple[Any, Any, Any]]:
    try:
        reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        header = next(reader, [])
        places = [_place(header, name) for name in (columns.id, columns.label, columns.time) if name]
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise Refusal(
                    400, f"line {reader.line_num} has {len(row)} cells, the first one {len(header)}"
                )
            cells = [row[place] for place in places]
            yield cells[0], cells[1], cells[2] if columns.time else None
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the file is not UTF-8: byte {error.start}") from error
    except csv.Error as error:
        raise Refusal(400, f"the file is no CSV: {error}") from error


def _place(header: list[str], name: str) -> int:
    if header.count(name) != 1:
        there = ", ".join(header)[:200]
        raise Refusal(400, f"the file must have the column once; it has {there}", field=name, value=name)
    return header.index(name)


def _parquet(body: bytes, columns: Columns, most_rows: int) -> Iterator[tuple[Any, Any, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(body))
        if file.metadata.num_rows > most_rows:
            raise _too_long(most_rows)
        header = list(file.schema_arrow.names)
        names = [name for name in (columns.id, columns.label, columns.time) if name]
        for name in names:
            _place(header, name)
        for batch in file.iter_batches(columns=names):
            cells = [batch.column(name).to_pylist() for name in names]
            yield from (
                zip(*cells, strict=True)
                if columns.time
                else ((*row, None) for row in zip(*cells, strict=True))
            )
    except pa.ArrowException as error:
        raise Refusal(400, f"the file is no Parquet that can be read: {str(error)[:200]}") from error
