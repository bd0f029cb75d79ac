"""Parquet, Arrow IPC (file and stream) and Feather."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from driftline.errors import DataError

from driftline_cli.readers.table import CHUNK_ROWS, BytesRead, Chunk


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: damaged or not of the format its name says: {error}")


def _checked(path: Path, schema: pa.Schema) -> pa.Schema:
    repeated = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if repeated:
        raise DataError(f"{path}: column {repeated[0]!r} is there more than once")
    return schema


class ParquetDataFile:
    """A Parquet file, read by row group."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.schema = _checked(path, pq.read_schema(path))
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from None

    def chunks(self, columns: Sequence[str], read: BytesRead) -> Iterator[Chunk]:
        """All rows, those columns only."""
        row, size = 1, self.path.stat().st_size
        try:
            with pq.ParquetFile(self.path) as file:
                total = max(1, file.metadata.num_rows)
                for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=list(columns)):
                    yield Chunk(batch.select(list(columns)), self.path, row)
                    row += batch.num_rows
                    read(size * batch.num_rows // total)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.path, error) from None


class IpcFile:
    """An Arrow IPC file or stream, or a Feather (version 2) file: the first bytes tell which."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with pa.memory_map(str(path)) as source:
                self.schema = _checked(path, self._open(source).schema)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from None

    def chunks(self, columns: Sequence[str], read: BytesRead) -> Iterator[Chunk]:
        """All rows, those columns only."""
        row = 1
        try:
            with pa.memory_map(str(self.path)) as source:
                for batch in self._batches(source):
                    for start in range(0, batch.num_rows, CHUNK_ROWS):
                        rows = batch.slice(start, CHUNK_ROWS).select(list(columns))
                        yield Chunk(rows, self.path, row)
                        row += rows.num_rows
                    read(batch.nbytes)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.path, error) from None

    def _open(self, source: pa.NativeFile) -> pa.RecordBatchFileReader | pa.RecordBatchStreamReader:
        is_file = source.read(6) == b"ARROW1"
        source.seek(0)
        return pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)

    def _batches(self, source: pa.NativeFile) -> Iterator[pa.RecordBatch]:
        reader = self._open(source)
        if isinstance(reader, pa.RecordBatchFileReader):
            yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
        else:
            yield from reader
