"""What is in a set of data files: column names, and chunks of raw rows that can be read again."""

from __future__ import annotations

import difflib
import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from driftline.errors import DataError

CHUNK_ROWS = 65_536

_OTHERS = frozenset(
    {".json", ".jsonl", ".ndjson", ".xls", ".xlsx", ".avro", ".orc", ".pkl", ".pickle", ".yaml"}
)
"""Suffixes of what would be read as a text table full of nonsense."""

BytesRead = Callable[[int], None]
"""Told how many more bytes of the files have been read."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of one file. `first_row` counts from 1, without the header."""

    rows: pa.RecordBatch
    path: Path
    first_row: int


class DataFile(Protocol):
    """One file of rows; `schema` holds the types as stored (`binary`: text as written)."""

    path: Path
    schema: pa.Schema

    def chunks(self, columns: Sequence[str], read: BytesRead) -> Iterator[Chunk]:
        """All rows, those columns only."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """One or more files with the same columns, read one after the other. `name` as the user wrote it."""

    name: str
    files: tuple[DataFile, ...]

    @property
    def schema(self) -> pa.Schema:
        """The first file's; the others hold the same columns, perhaps in another order."""
        return self.files[0].schema

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in the file's order; nameless ones (a saved row index) are none."""
        return tuple(name for name in self.schema.names if name)

    @property
    def size(self) -> int:
        """Bytes of all files, as stored."""
        return sum(file.path.stat().st_size for file in self.files)

    def chunks(self, columns: Sequence[str], read: BytesRead = lambda _: None) -> Iterator[Chunk]:
        """All rows of all files, those columns only."""
        for file in self.files:
            yield from file.chunks(columns, read)

    def require(self, columns: Sequence[str]) -> None:
        """Raise DataError naming every column that isn't there, with the nearest that is."""
        absent = [name for name in columns if name not in self.columns]
        if absent:
            raise DataError(
                "\n".join(f"{self.name}: no column {hint(name, self.columns)}" for name in absent)
            )


def hint(name: str, known: Sequence[str]) -> str:
    """`'tmep'; did you mean 'temp'?`, or the list of what there is."""
    near = difflib.get_close_matches(name, known, n=1) or [
        other for other in known if other.casefold() == name.casefold()
    ]
    if near:
        return f"{name!r}; did you mean {near[0]!r}?"
    shown = ", ".join(repr(other) for other in known[:12]) + (", …" if len(known) > 12 else "")
    return f"{name!r}; there are {shown}" if known else f"{name!r}"


def open_table(name: str) -> Table:
    """Open a file, or all files of a glob (`data/*.parquet`, `data/**/*.csv.gz`) in name order.

    Raises DataError where there is no such file, its format isn't known, or files differ in columns.
    """
    files = tuple(_open_file(path) for path in _paths(name))
    for file in files[1:]:
        _same_columns(files[0], file)
    return Table(name, files)


def _paths(name: str) -> list[Path]:
    if Path(name).is_dir():
        raise DataError(
            f"{name}: a directory; name its files with a pattern, as in {name.rstrip('/')}/*.parquet"
        )
    if Path(name).exists():
        return [Path(name)]
    if not glob.has_magic(name):
        raise DataError(f"{name}: no such file") from FileNotFoundError(name)
    matches = glob.iglob(name, recursive=True)  # noqa: PTH207 - the pattern may be absolute
    found = sorted(Path(path) for path in matches if Path(path).is_file())
    if not found:
        raise DataError(f"{name}: no file matches this pattern") from FileNotFoundError(name)
    return found


def _open_file(path: Path) -> DataFile:
    from driftline_cli.readers.arrow import IpcFile, ParquetDataFile
    from driftline_cli.readers.csv import CsvFile

    try:
        with path.open("rb") as file:
            magic = file.read(8)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}") from error
    if not magic:
        raise DataError(f"{path}: the file is empty")
    if magic.startswith(b"PAR1"):
        return ParquetDataFile(path)
    if magic.startswith((b"ARROW1", b"\xff\xff\xff\xff")) or path.suffix in {".arrow", ".arrows", ".feather"}:
        return IpcFile(path)
    if path.suffix in {".parquet", ".pq"}:
        raise DataError(f"{path}: not a Parquet file (it doesn't begin with PAR1)")
    if path.suffix in _OTHERS or magic.lstrip().startswith((b"{", b"[")):
        raise DataError(
            f"{path}: {path.suffix or 'this format'} is not read; CSV (also .gz), Parquet and Arrow are"
        )
    return CsvFile(path, magic)


def _same_columns(first: DataFile, other: DataFile) -> None:
    here, there = set(first.schema.names), set(other.schema.names)
    if here == there:
        return
    problems = [f"has no column {name!r}" for name in sorted(here - there)]
    problems += [f"has a column {name!r} besides" for name in sorted(there - here)]
    raise DataError(
        f"{other.path}: {problems[0]}, unlike {first.path}; files of one pattern must have the same columns"
    )
