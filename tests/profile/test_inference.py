"""What columns are taken for, where no monitor says."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from driftline.schema_inference import Decision, infer
from driftline_cli.readers.survey import survey
from driftline_cli.readers.table import open_table


@pytest.mark.parametrize(
    ("cells", "decision"),
    [
        (["1.5", "2.5", "nan"], Decision.NUMERIC),
        (["7.0"] * 100, Decision.NUMERIC),
        (["7"] * 100, Decision.NUMERIC),
        (["0", "1"] * 50, Decision.CATEGORICAL),
        ([str(i % 12) for i in range(1000)], Decision.CATEGORICAL),
        ([str(i % 41) for i in range(1000)], Decision.NUMERIC),
        ([str(i % 12) for i in range(30)], Decision.NUMERIC),
        ([str(i) for i in range(100)], Decision.SKIPPED),
        ([str(i) for i in range(5)], Decision.NUMERIC),
        (["a", "b", ""], Decision.CATEGORICAL),
        (["21", "22", "x"], Decision.CATEGORICAL),
        (["True", "False"], Decision.CATEGORICAL),
        ([f"id-{i}" for i in range(100)], Decision.SKIPPED),
        (["", ""], Decision.SKIPPED),
        (["2013-01-01 05:00:00", "2013-01-02"], Decision.TIME),
        (["2013-01-01T05:00:00Z"], Decision.TIME),
        (["NA", "1.5"], Decision.NUMERIC),
    ],
)
def test_text_cells(cells: list[str], decision: Decision, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{cell},0\n" for cell in cells))
    (facts,) = survey(open_table(str(path)), ["x"])
    assert infer(facts).decision is decision


@pytest.mark.parametrize(
    ("array", "decision"),
    [
        (pa.array([1.0, None]), Decision.NUMERIC),
        (pa.array([1, 2] * 100), Decision.CATEGORICAL),
        (pa.array([True, None]), Decision.CATEGORICAL),
        (pa.array(["a", "b"]).dictionary_encode(), Decision.CATEGORICAL),
        (pa.array([[1], [2]]), Decision.SKIPPED),
        (pa.array([None, None]), Decision.SKIPPED),
        (pa.array([0, 1], pa.timestamp("us")), Decision.TIME),
    ],
)
def test_typed_cells(array: pa.Array, decision: Decision, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": array}), tmp_path / "t.parquet")
    (facts,) = survey(open_table(str(tmp_path / "t.parquet")), ["x"])
    assert infer(facts).decision is decision
