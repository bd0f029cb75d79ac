"""All rows of a reference, converted once, to be asked twice: for exact order statistics, then in order.

What fits is kept in memory. What doesn't goes into a DuckDB file in the temporary directory, whose sorts
spill to disk: memory stays flat, whatever the size of the data.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import duckdb
import numpy as np
import pyarrow as pa
from driftline.columns import Batch, CategoricalColumn, Column, Floats, NumericColumn
from driftline.errors import DataError
from numpy.typing import NDArray

from driftline_cli.readers.convert import Kind, Rows

MEMORY = "1GB"
"""DuckDB's memory limit; beyond it, it spills."""

BATCH_ROWS = 65_536

MAX_CATEGORIES = 1_000_000
"""More distinct values than this are no categories; an exact comparison of fewer needs them all."""


class DiskSpool:
    """Rows in a DuckDB file of its own. Use as a context manager: leaving it removes the file.

    Categories are stored as codes of one dictionary per column, in order of first appearance.
    """

    def __init__(self, kinds: Sequence[tuple[str, Kind]]) -> None:
        self._features = [(name, kind) for name, kind in kinds if kind is not Kind.TIME]
        self._timed = len(self._features) < len(kinds)
        self._dictionaries: dict[str, dict[str, int]] = {
            name: {} for name, kind in self._features if kind is Kind.CATEGORICAL
        }
        self._last = -np.inf
        self._sorted = True
        self.rows = 0
        self._directory = tempfile.TemporaryDirectory(prefix="driftline-")
        self._database = duckdb.connect(str(Path(self._directory.name) / "rows.duckdb"))
        self._database.execute(f"SET memory_limit = '{MEMORY}'; SET preserve_insertion_order = true")
        self._database.execute("SET threads = 2")
        spill = str(Path(self._directory.name) / "spill").replace("'", "''")
        self._database.execute(f"SET temp_directory = '{spill}'")
        self._database.execute(f"CREATE TABLE reference ({', '.join(self._declared())})")

    def __enter__(self) -> DiskSpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._directory.cleanup()

    def add(self, rows: Rows) -> None:
        """Append rows. Raises DataError where a column has more than `MAX_CATEGORIES` values."""
        arrays: list[pa.Array] = []
        for name, _ in self._features:
            column = rows.columns[name]
            arrays.append(
                pa.array(column.values if isinstance(column, NumericColumn) else self._codes(name, column))
            )
            states = np.zeros(rows.count, np.uint8) if column.states is None else column.states
            arrays.append(pa.array(states))
        if rows.times is not None:
            arrays.append(pa.array(rows.times))
            self._note_order(rows.times)
        arrays.append(pa.array(np.arange(self.rows, self.rows + rows.count)))
        chunk = pa.table(arrays, names=[f"a{index}" for index in range(len(arrays))])
        self._database.register("chunk", chunk)
        self._database.execute("INSERT INTO reference SELECT * FROM chunk")
        self._database.unregister("chunk")
        self.rows += rows.count

    def batches(self) -> Iterator[tuple[Batch, Floats | None]]:
        """All rows in time order (as added, where they have no times), with their times."""
        order = "" if self._sorted else " ORDER BY seconds, place"
        reader = self._read(f"SELECT * FROM reference{order}")  # noqa: S608
        dictionaries = {name: tuple(known) for name, known in self._dictionaries.items()}
        for chunk in reader:
            columns = {
                name: _column(chunk.column(2 * index), chunk.column(2 * index + 1), dictionaries.get(name))
                for index, (name, _) in enumerate(self._features)
            }
            times = _array(chunk.column("seconds")) if self._timed else None
            yield Batch(chunk.num_rows, columns, chunk.num_rows), times

    def finite(self, name: str) -> int:
        """How many finite values a numeric column has."""
        query = f"SELECT count(*) FROM reference WHERE isfinite(v{self._place(name)})"  # noqa: S608
        found = self._database.execute(query).fetchone()
        return 0 if found is None else int(found[0])

    def sorted_values(self, name: str) -> Iterator[Floats]:
        """The finite values of a numeric column in ascending order, piece by piece (an external sort)."""
        place = self._place(name)
        query = f"SELECT v{place} AS v FROM reference WHERE isfinite(v{place}) ORDER BY v"  # noqa: S608
        for chunk in self._read(query):
            yield _array(chunk.column(0))

    def categories(self, name: str) -> dict[str, int]:
        """How often each category of a column came, in order of first appearance."""
        place = self._place(name)
        query = f"SELECT v{place}, count(*) FROM reference WHERE v{place} >= 0 GROUP BY 1"  # noqa: S608
        counts = dict(self._database.execute(query).fetchall())
        return {value: counts[code] for value, code in self._dictionaries[name].items()}

    def _read(self, query: str) -> Iterator[pa.RecordBatch]:
        # A cursor of its own: several readings may be under way. `sql` streams, `execute` would copy.
        with self._database.cursor() as cursor:
            reader: pa.RecordBatchReader = cursor.sql(query).to_arrow_reader(BATCH_ROWS)
            yield from reader

    def _declared(self) -> Iterator[str]:
        for index, (_, kind) in enumerate(self._features):
            yield f"v{index} {'DOUBLE' if kind is Kind.NUMERIC else 'INTEGER'}"
            yield f"s{index} UTINYINT"
        if self._timed:
            yield "seconds DOUBLE"
        yield "place BIGINT"

    def _place(self, name: str) -> int:
        return next(index for index, (feature, _) in enumerate(self._features) if feature == name)

    def _codes(self, name: str, column: CategoricalColumn) -> NDArray[np.int32]:
        known = self._dictionaries[name]
        mapped = [known.setdefault(value, len(known)) for value in column.dictionary]
        if len(known) > MAX_CATEGORIES:
            raise DataError(f"column {name!r}: more than {MAX_CATEGORIES:,} different values; is it an id?")
        return np.array([*mapped, -1], np.int32)[column.codes]

    def _note_order(self, times: Floats) -> None:
        if times.size:
            self._sorted = self._sorted and times[0] >= self._last and bool((np.diff(times) >= 0).all())
            self._last = float(times[-1])


def _array(column: pa.Array) -> Floats:
    return np.array(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _column(values: pa.Array, states: pa.Array, dictionary: tuple[str, ...] | None) -> Column:
    of = np.array(states.to_numpy(zero_copy_only=False), np.uint8)
    state = None if not of.any() else of
    if dictionary is None:
        return NumericColumn(_array(values), state)
    return CategoricalColumn(np.array(values.to_numpy(zero_copy_only=False), np.int32), dictionary, state)
