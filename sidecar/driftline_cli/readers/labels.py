"""Labels of a data file, row by row: CSV, NDJSON, Parquet or Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
from driftline.columns import CategoricalColumn
from driftline.errors import DataError
from driftline.events import Label
from driftline.prediction_ids import id_problem, key_of, text_of

from driftline_cli.readers.convert import Kind, convert, parse_times
from driftline_cli.readers.table import Chunk, Table, hint, open_table

_LONGEST_LABEL = 256
_NDJSON = frozenset({".ndjson", ".jsonl"})


class Columns(NamedTuple):
    """Which columns hold what."""

    identity: tuple[str, ...]
    label: str
    time: str | None = None

    @property
    def names(self) -> list[str]:
        """All of them, once."""
        return list(dict.fromkeys((*self.identity, self.label, *([self.time] if self.time else ()))))


class LabelFile(Protocol):
    """A file that can be read again."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where it lies."""
        ...

    def labels(self) -> Iterator[Label | None]:
        """A label for each row; None for a row without one. Raises DataError that names the row."""
        ...


def open_labels(name: str, columns: Columns) -> LabelFile:
    """Open a file, or a quoted pattern of files. Raises DataError."""
    if Path(name).suffix in _NDJSON:
        return NdjsonLabels(Path(name), columns)
    table = open_table(name)
    table.require(columns.names)
    return TableLabels(table, columns)


class TableLabels:
    """Rows of CSV, Parquet and Arrow files."""

    def __init__(self, table: Table, columns: Columns) -> None:
        self.paths = tuple(file.path for file in table.files)
        self._table, self._columns = table, columns

    def labels(self) -> Iterator[Label | None]:
        """As LabelFile."""
        for chunk in self._table.chunks(self._columns.names):
            yield from self._of_chunk(chunk)

    def _of_chunk(self, chunk: Chunk) -> Iterator[Label | None]:
        names = dict.fromkeys((*self._columns.identity, self._columns.label))
        kinds = [(name, Kind.CATEGORICAL) for name in names]
        if self._columns.time is not None:
            kinds.append((self._columns.time, Kind.TIME))
        rows = convert(chunk, kinds)
        texts = {name: _texts(rows.columns[name]) for name in names}
        times = [None] * rows.count if rows.times is None else rows.times.tolist()
        labels = texts[self._columns.label]
        keys = zip(*(texts[name] for name in self._columns.identity), strict=True)
        for offset, (key, label, at) in enumerate(zip(keys, labels, times, strict=True)):
            where = f"{chunk.path}: row {chunk.first_row + offset}"
            yield _label(where, self._columns, key, label, at)


class NdjsonLabels:
    """Objects, one a line."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self.paths: tuple[Path, ...] = (path,)
        self._path, self._columns = path, columns
        if not path.is_file():
            raise DataError(f"{path}: no such file") from FileNotFoundError(str(path))

    def labels(self) -> Iterator[Label | None]:
        """As LabelFile."""
        decode = msgspec.json.Decoder(dict[str, object]).decode
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                where = f"{self._path}: line {number}"
                try:
                    row = decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise DataError(f"{where}: no JSON object: {error}") from None
                absent = [name for name in self._columns.identity if name not in row]
                if absent:
                    raise DataError(f"{where}: no field {hint(absent[0], list(row))}")
                key = [row[name] for name in self._columns.identity]
                at = None if self._columns.time is None else _time(where, row.get(self._columns.time))
                yield _label(where, self._columns, key, row.get(self._columns.label), at)


def _label(
    where: str, columns: Columns, key: Sequence[object], label: object, at: float | None
) -> Label | None:
    if label is None or label == "":
        return None
    # One column is the id itself; several are a key's fields.
    identity = text_of(key[0]) if len(key) == 1 else key_of(key)
    problem = id_problem(identity)
    if problem is not None or identity is None:
        raise DataError(f"{where}: the id of {' and '.join(map(repr, columns.identity))} {problem}")
    if not isinstance(label, str | int | float):
        raise DataError(f"{where}: column {columns.label!r}: a label must be text, a number or a boolean")
    if isinstance(label, str) and len(label) > _LONGEST_LABEL:
        raise DataError(f"{where}: column {columns.label!r}: a label has at most {_LONGEST_LABEL} characters")
    return Label(id=identity, label=label, at=at)


def _texts(column: object) -> list[str | None]:
    assert isinstance(column, CategoricalColumn)  # noqa: S101 - asked for as such
    names = [*column.dictionary, None]
    return [names[code] for code in column.codes.tolist()]


def _time(where: str, value: object) -> float:
    """Unix seconds, or ISO 8601 text; without a zone it is UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    found = parse_times(pa.array([value])) if isinstance(value, str) and value else None
    if found is None:
        raise DataError(f"{where}: {value!r} is not a time (ISO 8601, or unix seconds)")
    if pa.types.is_floating(found.type):
        return float(found[0].as_py())
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[found.type.unit]
    seconds: int = pc.cast(found, pa.int64())[0].as_py()
    return seconds / scale
