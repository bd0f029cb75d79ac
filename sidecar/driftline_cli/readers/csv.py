"""CSV, plain or compressed: every cell as it was written.

Cells stay bytes here, so that whoever converts them can say which cell of which row was wrong, and
floats are parsed once, correctly rounded.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv
from driftline.errors import DataError

from driftline_cli.readers.table import BytesRead, Chunk

_GZIP = b"\x1f\x8b"
_COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
_HEADER_BYTES = 1 << 20
_BLOCK_BYTES = 8 << 20
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


class CsvFile:
    """A text table. The separator is the comma, or what the header holds instead: ; tab |."""

    def __init__(self, path: Path, magic: bytes) -> None:
        self.path = path
        if magic.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise DataError(f"{path}: encoded as UTF-16; save it as UTF-8")
        self._compression = "gzip" if magic.startswith(_GZIP) else _COMPRESSED.get(path.suffix)
        head = self._head()
        self._delimiter = _delimiter(head)
        names = self._header(head)
        self.schema = pa.schema([(name, pa.binary()) for name in names])

    def chunks(self, columns: Sequence[str], read: BytesRead) -> Iterator[Chunk]:
        """All rows, those columns only. Blank lines are skipped, but a single column's are missing values."""
        ragged: list[str] = []
        row, seen = 1, 0
        with self.path.open("rb") as raw:
            try:
                reader = pacsv.open_csv(
                    self._stream(raw),
                    pacsv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
                    self._parse_options(ragged),
                    pacsv.ConvertOptions(
                        column_types={name: pa.binary() for name in columns},
                        include_columns=list(columns),
                        strings_can_be_null=False,
                    ),
                )
                for batch in reader:
                    yield Chunk(batch, self.path, row)
                    row += batch.num_rows
                    position = raw.tell()
                    read(position - seen)
                    seen = position
            except (pa.ArrowException, OSError) as error:
                raise self._failure(error, ragged) from None

    def _parse_options(self, ragged: list[str]) -> pacsv.ParseOptions:
        def refuse(row: pacsv.InvalidRow) -> str:
            where = f"row {row.number - 1}: " if row.number is not None else ""
            ragged.append(f"{where}{row.actual_columns} cells where the header has {row.expected_columns}")
            return "error"

        return pacsv.ParseOptions(
            delimiter=self._delimiter,
            newlines_in_values=True,
            ignore_empty_lines=len(self.schema) > 1,
            invalid_row_handler=refuse,
        )

    def _stream(self, raw: BinaryIO) -> pa.NativeFile:
        file = pa.PythonFile(raw, mode="r")
        return pa.CompressedInputStream(file, self._compression) if self._compression else file

    def _head(self) -> str:
        """The first part of the file as text, whole lines where it has any."""
        try:
            with self.path.open("rb") as raw:
                head: bytes = self._stream(raw).read(_HEADER_BYTES)
        except (pa.ArrowException, OSError) as error:
            raise self._failure(error, []) from None
        if not head.strip():
            raise DataError(f"{self.path}: the file is empty")
        line = head.split(b"\n", 1)[0]
        if b"\x00" in line:
            raise DataError(f"{self.path}: not a text file; CSV, Parquet and Arrow files are read")
        try:
            return head[: head.rfind(b"\n") + 1 or None].decode("utf-8-sig", errors="replace")
        finally:
            _utf8(self.path, line)

    def _header(self, head: str) -> list[str]:
        try:
            names = next(csv.reader(head.splitlines(keepends=True), delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            raise DataError(f"{self.path}: the header can't be read: {error}") from error
        if any(names) and all(_NUMBER.fullmatch(name) for name in names if name):
            raise DataError(
                f"{self.path}: no header: the first line is {','.join(names)[:60]!r}; "
                "the first line must name the columns"
            )
        repeated = [name for name in names if name and names.count(name) > 1]
        if repeated:
            raise DataError(f"{self.path}: column {repeated[0]!r} is there more than once in the header")
        return names

    def _failure(self, error: Exception, ragged: Sequence[str]) -> DataError:
        if ragged:
            return DataError(f"{self.path}: {ragged[0]}; quote cells that hold {self._delimiter!r}")
        if self._compression and isinstance(error, OSError):
            return DataError(f"{self.path}: the {self._compression} stream is damaged or cut short ({error})")
        return DataError(f"{self.path}: can't be read: {error}")


def _utf8(path: Path, line: bytes) -> None:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: the header is not UTF-8 (byte {error.start}); save the file as UTF-8"
        ) from error


def _delimiter(head: str) -> str:
    line = head.split("\n", 1)[0]
    return next((delimiter for delimiter in ",\t;|" if delimiter in line), ",")
