"""`driftline labels push`: files of labels to a hub, whole, in part, twice, wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from driftline.events import Label

from tests.support.children import child, eventually, free_port
from tests.support.commands import Run, driftline
from tests.support.fake_hub import TOKEN, FakeHub, hub

PATH = "/v1/labels"
ROWS = [("id-1", "yes"), ("id-2", "no"), ("id-3", ""), ("id-4", "yes")]
CSV = "id,late\n" + "".join(f"{identity},{label}\n" for identity, label in ROWS)


@pytest.fixture
def taking() -> Iterator[FakeHub]:
    with hub() as found:
        yield found


def command(
    directory: Path, file: object, url: str, *options: object, columns: Any = ("id", "late")
) -> list[str]:
    token = directory / "token"
    token.write_text(TOKEN + "\n")
    given = ["labels", "push", file, "--url", url, "--token-file", token, "--namespace", "ml"]
    given += ["--monitor", "census", "--id-column", columns[0], "--label-column", columns[1], *options]
    return [str(each) for each in given]


def push(directory: Path, file: object, url: str, *options: object, columns: Any = ("id", "late")) -> Run:
    return driftline(*command(directory, file, url, *options, columns=columns))


def written(directory: Path, text: str, name: str = "truth.csv") -> Path:
    (directory / name).write_text(text)
    return directory / name


def marks(directory: Path) -> list[Path]:
    return list(directory.glob(".*.pushed"))


def test_a_csv_file_arrives(tmp_path: Path, taking: FakeHub) -> None:
    done = push(tmp_path, written(tmp_path, CSV), taking.url)
    assert (done.code, done.out) == (0, "")
    assert "3 labels sent, 3 of them new or changed; 1 rows have no label yet" in done.err
    assert taking.events[PATH] == [Label(id=i, label=label) for i, label in ROWS if label]
    assert taking.targets == {("ml", "census")}
    assert marks(tmp_path) == []
    again = push(tmp_path, tmp_path / "truth.csv", taking.url)
    assert "3 labels sent, 0 of them new or changed" in again.err


def test_ndjson_and_parquet_keep_their_types(tmp_path: Path, taking: FakeHub) -> None:
    rows = [{"id": 7, "late": True, "at": 5}, {"id": "b", "late": 1.5, "at": "1970-01-01T00:00:09Z"}]
    lines = "".join(json.dumps(row) + "\n" for row in [*rows, {"id": "c", "late": None, "at": 1}])
    done = push(tmp_path, written(tmp_path, lines, "truth.ndjson"), taking.url, "--time-column", "at")
    assert done.code == 0, done.err
    assert taking.events[PATH] == [Label(id="7", label=True, at=5.0), Label(id="b", label=1.5, at=9.0)]
    pq.write_table(pa.table({"id": [1, 2], "late": [2.0, 3.5]}), tmp_path / "truth.parquet")
    assert push(tmp_path, tmp_path / "truth.parquet", taking.url).code == 0
    assert taking.events[PATH][2:] == [Label(id="1", label="2"), Label(id="2", label="3.5")]


def test_a_key_of_several_columns(tmp_path: Path, taking: FakeHub) -> None:
    file = written(tmp_path, "flight,date,late\nUA/15,2013-01-01,true\n")
    done = push(tmp_path, file, taking.url, "--id-column", "date", columns=("flight", "late"))
    assert done.code == 0, done.err
    assert taking.events[PATH] == [Label(id="UA%2F15/2013-01-01", label="true")]


def test_a_broken_run_goes_on_where_it_was(tmp_path: Path, taking: FakeHub) -> None:
    file = written(
        tmp_path, "id,late\n" + "".join(f"id-{i},{'yes' if i % 3 else ''}\n" for i in range(1, 301))
    )
    taking.refuse_after = 80
    broken = push(tmp_path, file, taking.url, "--batch", "40", "--patience", "0")
    assert broken.code == 69
    assert "119 of 300 rows are dealt with" in broken.err  # 80 labels, and 39 rows without one
    assert len(marks(tmp_path)) == 1
    taking.refuse_after = 0
    done = push(tmp_path, file, taking.url, "--batch", "40")
    assert "going on after row 119 of 300" in done.err
    assert done.code == 0
    assert [each.id for each in taking.events[PATH]] == [f"id-{i}" for i in range(1, 301) if i % 3]
    assert marks(tmp_path) == []


def test_another_file_or_another_monitor_begins_anew(tmp_path: Path, taking: FakeHub) -> None:
    file = written(tmp_path, "id,late\n" + "".join(f"id-{i},yes\n" for i in range(100)))
    taking.refuse_after = 40
    assert push(tmp_path, file, taking.url, "--batch", "40", "--patience", "0").code == 69
    taking.refuse_after = 0
    other = push(tmp_path, file, taking.url, "--monitor", "another")
    assert "100 labels sent" in other.err
    file.write_text(file.read_text().replace("id-99,yes", "id-99,no"))
    assert "100 labels sent" in push(tmp_path, file, taking.url).err


def test_restart_sends_everything(tmp_path: Path, taking: FakeHub) -> None:
    file = written(tmp_path, "id,late\n" + "".join(f"id-{i},yes\n" for i in range(100)))
    taking.refuse_after = 40
    assert push(tmp_path, file, taking.url, "--batch", "40", "--patience", "0").code == 69
    taking.refuse_after = 0
    done = push(tmp_path, file, taking.url, "--restart")
    assert "100 labels sent, 60 of them new or changed" in done.err


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, taking: FakeHub) -> None:
    file = written(tmp_path, "id,late\n" + "".join(f"id-{i},yes\n" for i in range(400)))
    taking.delay = 0.05
    started = [
        sys.executable,
        "-m",
        "driftline_cli.main",
        *command(tmp_path, file, taking.url, "--batch", "10"),
    ]
    with child(started, tmp_path / "push.log") as process:
        eventually(lambda: len(taking.events[PATH]) >= 50, 30)
        process.kill()
        process.wait(10)
    taking.delay = 0.0
    before = len(taking.events[PATH])
    assert before < 400
    done = push(tmp_path, file, taking.url, "--batch", "10")
    assert "going on after row" in done.err
    assert done.code == 0
    assert {each.id for each in taking.events[PATH]} == {f"id-{i}" for i in range(400)}
    assert len(taking.events[PATH]) <= 400 + 10  # the batch whose answer it didn't live to see came twice


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,late\na,yes\n,no\n", "truth.csv: row 2: the id of 'id' is empty"),
        ("id,late\na,yes\n" + "x" * 513 + ",no\n", "row 2: the id of 'id' has more than 512 characters"),
        ("id,late\na,yes,more\n", "row 1: 3 cells where the header has 2"),
        ("id,lat\na,yes\n", "no column 'late'; did you mean 'lat'?"),
        ("id,late\na," + "y" * 257 + "\n", "row 1: column 'late': a label has at most 256 characters"),
        ("id,late\na,\n", "no row has a label"),
    ],
)
def test_a_bad_file_is_said_with_its_row_before_anything_is_sent(
    tmp_path: Path, taking: FakeHub, text: str, said: str
) -> None:
    done = push(tmp_path, written(tmp_path, text), taking.url, "--batch", "1")
    assert done.code == 65
    assert said in done.err
    assert taking.events[PATH] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": "a", "late": true}\n{"id": \n', "truth.ndjson: line 2: no JSON object"),
        ('{"id": "a", "late": true}\n\n{"late": true}\n', "line 3: no field 'id'"),
        ('{"id": "a", "late": [1]}\n', "line 1: column 'late': a label must be text, a number or a boolean"),
        ('{"id": {}, "late": true}\n', "line 1: the id of 'id' is empty"),
    ],
)
def test_a_bad_line_is_said(tmp_path: Path, taking: FakeHub, text: str, said: str) -> None:
    done = push(tmp_path, written(tmp_path, text, "truth.ndjson"), taking.url)
    assert (done.code, taking.events[PATH]) == (65, [])
    assert said in done.err


def test_what_the_hub_refuses_is_said_with_the_file_s_row(tmp_path: Path, taking: FakeHub) -> None:
    taking.bad_label = "maybe"
    file = written(tmp_path, "id,late\na,yes\nb,\nc,no\nd,maybe\n")
    done = push(tmp_path, file, taking.url, "--batch", "2")
    assert done.code == 65
    assert "row 4: the hub answers 400: labels[0].label: no such class (got 'maybe')" in done.err
    assert "3 of 4 rows are dealt with" in done.err


def test_wrong_usage_and_a_hub_that_is_not_there(tmp_path: Path, taking: FakeHub) -> None:
    file = written(tmp_path, CSV)
    assert push(tmp_path, file, "hub:8444").code == 64
    assert push(tmp_path, file, taking.url, "--batch", "0").code == 64
    assert push(tmp_path, tmp_path / "none.csv", taking.url).code == 66
    away = push(tmp_path, file, f"http://127.0.0.1:{free_port()}", "--patience", "0")
    assert (away.code, "the hub can't be reached" in away.err) == (69, True)
    given = command(tmp_path, file, taking.url)
    (tmp_path / "token").write_text("wrong")
    wrong = driftline(*given)
    assert (wrong.code, "401: no such token" in wrong.err) == (69, True)
    (tmp_path / "token").write_text("")
    assert "holds no token" in driftline(*given).err
    (tmp_path / "token").unlink()
    assert driftline(*given).code == 66
