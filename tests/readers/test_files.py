"""Readers: every format gives the same columns, and what is wrong with a file is said precisely."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from driftline.columns import CategoricalColumn, NumericColumn, State
from driftline.errors import DataError
from driftline_cli.readers.convert import Kind, Rows, convert
from driftline_cli.readers.table import open_table


def read(name: object, **kinds: Kind) -> list[Rows]:
    table = open_table(str(name))
    table.require(list(kinds))
    return [convert(chunk, list(kinds.items())) for chunk in table.chunks(list(kinds))]


def numbers(rows: list[Rows], name: str) -> list[float]:
    columns = [chunk.columns[name] for chunk in rows]
    return [x for column in columns if isinstance(column, NumericColumn) for x in column.values.tolist()]


def categories(rows: list[Rows], name: str) -> list[str | None]:
    found: list[str | None] = []
    for chunk in rows:
        column = chunk.columns[name]
        assert isinstance(column, CategoricalColumn)
        found += [None if code < 0 else column.dictionary[code] for code in column.codes]
    return found


def csv_file(directory: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = directory / name
    raw = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def complaint(path: object, **kinds: Kind) -> str:
    with pytest.raises(DataError) as caught:
        read(path, **kinds)
    return str(caught.value)


TABLE = pa.table({"x": [1.5, None, -2.0], "c": ["a", None, "b"], "n": [1, 2, 3]})


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def write_ipc(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv", lambda t, p: p.write_text("x,c,n\n1.5,a,1\n,,2\n-2.0,b,3\n")),
        ("t.csv.gz", lambda t, p: p.write_bytes(gzip.compress(b"x,c,n\n1.5,a,1\n,,2\n-2.0,b,3\n"))),
        ("t.tsv", lambda t, p: p.write_text("x\tc\tn\n1.5\ta\t1\n\t\t2\n-2.0\tb\t3\n")),
        ("t.parquet", pq.write_table),
        ("t.arrow", write_ipc),
        ("t.arrows", write_stream),
        ("t.feather", lambda t, p: feather.write_feather(t, str(p))),
    ],
)
def test_every_format_gives_the_same_columns(name: str, write: Any, tmp_path: Path) -> None:
    write(TABLE, tmp_path / name)
    rows = read(tmp_path / name, x=Kind.NUMERIC, c=Kind.CATEGORICAL, n=Kind.NUMERIC)
    np.testing.assert_array_equal(numbers(rows, "x"), [1.5, np.nan, -2.0])
    assert categories(rows, "c") == ["a", None, "b"]
    assert numbers(rows, "n") == [1.0, 2.0, 3.0]
    states = rows[0].columns["x"].states
    assert states is not None
    assert states.tolist() == [State.VALUE, State.MISSING, State.VALUE]


def test_floats_survive_the_way_through_csv(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2**63, 20_000, dtype=np.int64).view(np.float64)
    values = bits[np.isfinite(bits)]
    path = csv_file(tmp_path, "x\n" + "\n".join(repr(v) for v in values.tolist()))
    np.testing.assert_array_equal(numbers(read(path, x=Kind.NUMERIC), "x"), values)


def test_what_cells_may_say_instead_of_a_number(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "x,y\nnan,1\ninf,1\n-inf,1\n,1\nNA,1\n 2 ,1\n+1e3,1\nnull,1\n")
    (chunk,) = read(path, x=Kind.NUMERIC)
    column = chunk.columns["x"]
    assert isinstance(column, NumericColumn)
    np.testing.assert_array_equal(
        column.values, [np.nan, np.inf, -np.inf, np.nan, np.nan, 2.0, 1000.0, np.nan]
    )
    assert column.states is not None
    assert column.states.tolist() == [0, 0, 0, 1, 1, 0, 0, 1]


def test_blank_lines_are_missing_values_of_a_single_column(tmp_path: Path) -> None:
    assert len(numbers(read(csv_file(tmp_path, "x\n1\n\n2\n"), x=Kind.NUMERIC), "x")) == 3
    assert len(numbers(read(csv_file(tmp_path, "x,y\n1,1\n\n2,2\n"), x=Kind.NUMERIC), "x")) == 2


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = csv_file(tmp_path, b"\xef\xbb\xbfx,y\n1,2\n")
    assert open_table(str(path)).columns == ("x", "y")
    assert numbers(read(path, x=Kind.NUMERIC), "x") == [1.0]


def test_quoted_cells_may_hold_separators_and_lines(tmp_path: Path) -> None:
    path = csv_file(tmp_path, 'c,x\n"a,\nb",1\n"say ""no""",2\n')
    assert categories(read(path, c=Kind.CATEGORICAL), "c") == ["a,\nb", 'say "no"']


def test_a_nameless_index_column_is_none(tmp_path: Path) -> None:
    path = csv_file(tmp_path, ",x\n0,1.5\n1,2.5\n")
    assert open_table(str(path)).columns == ("x",)
    assert numbers(read(path, x=Kind.NUMERIC), "x") == [1.5, 2.5]


def test_truth_has_one_spelling(tmp_path: Path) -> None:
    text = csv_file(tmp_path, "b,x\nTrue,1\nfalse,2\n")
    pq.write_table(pa.table({"b": [True, False]}), tmp_path / "b.parquet")
    assert categories(read(text, b=Kind.CATEGORICAL), "b") == ["true", "false"]
    assert categories(read(tmp_path / "b.parquet", b=Kind.CATEGORICAL), "b") == ["true", "false"]


def test_whole_numbers_as_categories_have_no_point(tmp_path: Path) -> None:
    pq.write_table(pa.table({"f": [1.0, None, 2.5], "i": [1, 2, 3]}), tmp_path / "t.parquet")
    rows = read(tmp_path / "t.parquet", f=Kind.CATEGORICAL, i=Kind.CATEGORICAL)
    assert categories(rows, "f") == ["1", None, "2.5"]
    assert categories(rows, "i") == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2013-01-01 05:00:00", 1357016400.0),
        ("2013-01-01T05:00:00Z", 1357016400.0),
        ("2013-01-01T07:00:00+02:00", 1357016400.0),
        ("2013-01-01", 1356998400.0),
        ("2013-01-01 05:00:00.250", 1357016400.25),
        ("1357016400", 1357016400.0),
        ("1357016400250", 1357016400.25),
    ],
)
def test_times(written: str, seconds: float, tmp_path: Path) -> None:
    (chunk,) = read(csv_file(tmp_path, f"t,x\n{written},1\n"), t=Kind.TIME)
    assert chunk.times is not None
    assert chunk.times.tolist() == [seconds]


def test_a_pattern_reads_all_its_files_in_order(tmp_path: Path) -> None:
    csv_file(tmp_path, "x,y\n3,0\n", "b.csv")
    csv_file(tmp_path, "y,x\n0,1\n0,2\n", "a.csv")
    assert numbers(read(tmp_path / "*.csv", x=Kind.NUMERIC), "x") == [1.0, 2.0, 3.0]


def test_files_of_a_pattern_must_agree(tmp_path: Path) -> None:
    csv_file(tmp_path, "x,y\n3,0\n", "a.csv")
    csv_file(tmp_path, "x\n1\n", "b.csv")
    assert "b.csv: has no column 'y'" in complaint(tmp_path / "*.csv", x=Kind.NUMERIC)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("x,y\n1,2\n3\n", "row 2: 1 cells where the header has 2"),
        ("x,y\n1,2,3\n", "row 1: 3 cells where the header has 2"),
        ("x,y,x\n1,2,3\n", "column 'x' is there more than once"),
        ("1,2\n3,4\n", "no header"),
        ("x,y\n1,2\nabc,3\n", "column 'x': row 2: 'abc' is not a number"),
        ("x,y\n1,2\n1_000,3\n", "column 'x': row 2: '1_000' is not a number"),
        (b"x,y\n1,2\n\xff\xfe,3\n", "column 'x': row 2: b'\\xff\\xfe' is not UTF-8"),
        ("x,y\n1,2\n".encode("utf-16"), "encoded as UTF-16"),
        (b"x,\xe9\n1,2\n", "the header is not UTF-8"),
        (b"PK\x03\x04\x00\x00junk", "not a text file"),
    ],
)
def test_what_is_wrong_with_a_text_file(text: str | bytes, said: str, tmp_path: Path) -> None:
    path = csv_file(tmp_path, text)
    message = complaint(path, x=Kind.NUMERIC)
    assert said in message
    assert "data.csv" in message


def test_the_row_is_found_in_a_large_file_too(tmp_path: Path) -> None:
    cells = [str(i) for i in range(1_500_000)]
    cells[1_234_566] = "oops"
    path = csv_file(tmp_path, "x,y\n" + ",0\n".join(cells) + ",0\n")
    assert "row 1234567: 'oops' is not a number" in complaint(path, x=Kind.NUMERIC)


def test_a_damaged_gzip_stream(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = gzip.compress(b"x\n" + b"\n".join(b"%d" % v for v in rng.integers(0, 10**9, 50_000)))
    path = tmp_path / "d.csv.gz"
    path.write_bytes(whole[:-1000])
    assert "gzip stream is damaged or cut short" in complaint(path, x=Kind.NUMERIC)
    path.write_bytes(whole[:5000] + b"junk" + whole[5004:])
    assert "gzip stream is damaged or cut short" in complaint(path, x=Kind.NUMERIC)


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "t.parquet")
    raw = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(raw[:-20])
    assert "t.parquet: damaged" in complaint(tmp_path / "t.parquet", x=Kind.NUMERIC)


def test_a_text_file_by_the_name_of_parquet(tmp_path: Path) -> None:
    assert "not a Parquet file" in complaint(csv_file(tmp_path, "x\n1\n", "t.parquet"), x=Kind.NUMERIC)


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "temp,humid\n1,2\n")
    assert "no column 'tmep'; did you mean 'temp'?" in complaint(path, tmep=Kind.NUMERIC)
    assert "there are 'temp', 'humid'" in complaint(path, zzz=Kind.NUMERIC)


def test_a_missing_file() -> None:
    assert complaint("/nowhere/x.csv") == "/nowhere/x.csv: no such file"
    assert "no file matches" in complaint("/nowhere/*.csv")


def test_a_row_without_a_time(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "t,x\n2013-01-01,1\n,2\n")
    assert "column 't': row 2: no time" in complaint(path, t=Kind.TIME)
    path = csv_file(tmp_path, "t,x\n2013-01-01T00:00:00Z,1\nsoon,2\n")
    assert "column 't': row 2: 'soon' is not a time" in complaint(path, t=Kind.TIME)
