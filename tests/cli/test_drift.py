"""`driftline drift`: exit codes, what is said, and JSON that every tool reads."""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driftline_cli.exits import NO_VERDICT

from tests.support.commands import Run, driftline

MONITOR = """\
apiVersion: driftline.io/v1alpha1
kind: ModelMonitor
metadata: {name: census}
spec:
  selector: {matchLabels: {app: census}}
  endpoint: {port: 8080}
  model: {name: census, type: classification}
  schema:
    features:
      - {name: age, type: numeric, range: {min: 0, max: 120}}
      - {name: code, type: categorical}
    prediction: {name: employed, score: score}
  drift: {thresholds: {psi: 0.25}, minRows: 500}
"""


def table(path: Path, rows: int = 2000, seed: int = 0, shift: float = 0.0, **columns: Any) -> Path:
    """A CSV of `age` (numbers), `code` (two hundred whole numbers) and whatever else."""
    rng = np.random.default_rng(seed)
    held = {"age": rng.normal(40 + 10 * shift, 10, rows), "code": rng.integers(0, 20, rows), **columns}
    lines = [",".join(held), *(",".join(map(str, row)) for row in zip(*held.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def compared(directory: Path, *arguments: object, shift: float = 0.0, rows: int = 2000) -> Run:
    reference = table(directory / "ref.csv")
    return driftline("drift", reference, table(directory / "cur.csv", rows, 1, shift), *arguments)


def test_no_drift_is_exit_0(tmp_path: Path) -> None:
    run = compared(tmp_path)
    assert run.code == 0
    assert "No drift: none of 2 columns" in run.out


def test_drift_is_exit_3_and_names_the_column(tmp_path: Path) -> None:
    run = compared(tmp_path, shift=1.0)
    assert run.code == 3
    assert "1 of 2 columns drifted: age." in run.out
    lines = run.out.splitlines()
    assert lines[3].startswith("age ")
    assert "Drifted" in lines[3]


def test_json_is_exactly_this(tmp_path: Path) -> None:
    found = compared(tmp_path, "--format", "json", shift=1.0).json
    assert found.keys() == {"rows", "features", "dataset"}
    assert found["rows"] == {"reference": 2000, "current": 2000}
    assert found["features"].keys() == {"age", "code"}
    for feature in found["features"].values():
        assert feature.keys() == {"type", "statistics", "missing_ratio", "drifted", "reason"}
    assert {"psi", "psi_expected", "ks", "ks_pvalue", "wasserstein", "wasserstein_normed"} <= found[
        "features"
    ]["age"]["statistics"].keys()
    assert {"psi", "chi2", "chi2_pvalue", "l_infinity", "new_category_ratio"} <= found["features"]["code"][
        "statistics"
    ].keys()
    assert found["dataset"] == {"drifted": True, "share": 0.5, "threshold": 0.5}


def test_too_few_rows_is_no_pass(tmp_path: Path) -> None:
    run = compared(tmp_path, "--format", "json", rows=200, shift=2.0)
    assert run.code == NO_VERDICT
    assert {f["reason"] for f in run.json["features"].values()} == {"InsufficientData"}
    assert run.json["features"]["age"]["statistics"]["psi"] > 1
    text = compared(tmp_path, rows=200)
    assert text.code == NO_VERDICT
    assert "neither pass nor fail" in text.out
    assert compared(tmp_path, "--min-rows", 100, rows=200, shift=2.0).code == 3


def test_a_column_without_values_is_no_pass(tmp_path: Path) -> None:
    reference = table(tmp_path / "ref.csv")
    empty = table(tmp_path / "cur.csv", age=[""] * 2000, code=[""] * 2000)
    run = driftline("drift", reference, empty, "--format", "json")
    assert run.code == NO_VERDICT
    assert run.json["features"]["age"]["statistics"]["psi"] is None
    assert run.json["features"]["age"]["missing_ratio"] == {"reference": 0.0, "current": 1.0}


def test_one_column_that_lost_its_values_is_no_pass(tmp_path: Path) -> None:
    run = driftline("drift", table(tmp_path / "ref.csv"), table(tmp_path / "cur.csv", age=[""] * 2000))
    assert run.code == NO_VERDICT
    assert "Without a verdict, for lack of values: age" in run.out


def test_columns_of_one_file_only_are_told(tmp_path: Path) -> None:
    reference = table(tmp_path / "ref.csv", height=["1.5"] * 2000)
    current = table(tmp_path / "cur.csv", weight=["1.5"] * 2000)
    run = driftline("drift", reference, current, "--format", "json")
    assert run.json["features"].keys() == {"age", "code"}
    assert "lacks columns of" in run.err
    assert run.code == NO_VERDICT, "a feature that is gone is no pass"
    assert driftline("drift", reference, current, "--ignore", "height").code == 0
    assert "'height'" in run.err
    assert "not in the reference, so not compared: 'weight'" in run.err


def test_nothing_in_common_is_an_error(tmp_path: Path) -> None:
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("x\n1.5\n")
    other.write_text("y\n1.5\n")
    run = driftline("drift", one, other)
    assert run.code == 65
    assert "no column in common" in run.err


def test_an_empty_current_file_is_no_pass(tmp_path: Path) -> None:
    empty = tmp_path / "cur.csv"
    empty.write_text("age,code\n")
    run = driftline("drift", table(tmp_path / "ref.csv"), empty, "--format", "json")
    assert run.code == NO_VERDICT
    assert run.json["rows"]["current"] == 0


def test_a_bad_cell_names_file_column_row_and_value(tmp_path: Path) -> None:
    current = table(tmp_path / "cur.csv")
    current.write_text(current.read_text() + "old,3\n")
    run = driftline("drift", table(tmp_path / "ref.csv"), current)
    assert run.code == 65
    assert "cur.csv: column 'age': row 2001: 'old' is not a number" in run.err


def test_a_missing_file_is_exit_66(tmp_path: Path) -> None:
    run = driftline("drift", tmp_path / "none.csv", tmp_path / "none.csv")
    assert run.code == 66
    assert "no such file" in run.err


def test_other_formats_are_told_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"age": 1}]')
    run = driftline("drift", tmp_path / "rows.json", tmp_path / "rows.json")
    assert run.code == 65
    assert "rows.json: .json is not read; CSV (also .gz), Parquet and Arrow are" in run.err


def test_rows_below_one_are_wrong_usage() -> None:
    run = driftline("drift", "a.csv", "b.csv", "--min-rows", "-3")
    assert run.code == 64
    assert "a whole number of rows above 0, not '-3'" in run.err


def test_the_monitor_names_columns_and_policy(tmp_path: Path) -> None:
    monitor = tmp_path / "monitor.yaml"
    monitor.write_text(MONITOR)
    run = compared(tmp_path, "-f", monitor, "--format", "json", rows=600, shift=1.0)
    assert run.code == 3
    assert run.json["features"].keys() == {"age", "code"}
    assert "no column 'employed'" in run.err
    bad = tmp_path / "other.csv"
    bad.write_text("agee,code\n1,2\n")
    assert "no column 'age'; did you mean 'agee'?" in driftline("drift", bad, bad, "-f", monitor).err


def test_the_prediction_is_compared_too(tmp_path: Path) -> None:
    monitor = tmp_path / "monitor.yaml"
    monitor.write_text(MONITOR)
    rng = np.random.default_rng(3)
    sides = [
        table(tmp_path / f"{i}.csv", employed=rng.choice(["yes", "no"], 2000, p=[p, 1 - p]))
        for i, p in enumerate((0.2, 0.6))
    ]
    run = driftline("drift", *sides, "-f", monitor, "--format", "json")
    assert run.code == 3
    assert run.json["features"]["employed"]["drifted"]
    assert run.json["dataset"]["share"] == 0.0


def test_a_profile_and_a_data_file(tmp_path: Path) -> None:
    profile = tmp_path / "ref.profile"
    assert driftline("profile", "build", table(tmp_path / "ref.csv"), "-o", profile).code == 0
    same = driftline("drift", profile, table(tmp_path / "same.csv", seed=5), "--format", "json")
    assert same.code == 0, same.out
    shifted = driftline("drift", profile, table(tmp_path / "cur.csv", seed=5, shift=1.5), "--format", "json")
    assert shifted.code == 3
    assert shifted.json["features"]["age"]["drifted"]
    ignored = driftline("drift", profile, tmp_path / "cur.csv", "--ignore", "age", "--format", "json")
    assert ignored.code == 0
    assert "age" not in ignored.json["features"]
    assert "no column 'agee'" in driftline("drift", profile, tmp_path / "cur.csv", "--ignore", "agee").err


def test_both_formats_give_the_same_numbers_from_profile_and_file(tmp_path: Path) -> None:
    reference, current = table(tmp_path / "ref.csv"), table(tmp_path / "cur.csv", seed=2, shift=0.3)
    profile = tmp_path / "ref.profile"
    driftline("profile", "build", reference, "-o", profile)
    files = driftline("drift", reference, current, "--format", "json").json["features"]
    stored = driftline("drift", profile, current, "--format", "json").json["features"]
    for name in ("age", "code"):
        assert stored[name]["statistics"] == pytest.approx(files[name]["statistics"], abs=1e-6)


def test_output_goes_to_a_file(tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    run = compared(tmp_path, "--format", "json", "-o", out, shift=1.0)
    assert run.code == 3
    assert run.out == ""
    assert Run(0, out.read_text(), "").json["features"]["age"]["drifted"]
    nowhere = compared(tmp_path, "-o", tmp_path / "none" / "x.txt")
    assert nowhere.code == 73


def test_infinite_and_constant_columns_are_strict_json(tmp_path: Path) -> None:
    constant = table(tmp_path / "ref.csv", flat=["7.5"] * 2000, huge=["1e308", "-1e308"] * 1000)
    current = table(tmp_path / "cur.csv", flat=["7.6"] * 2000, huge=["inf"] * 2000)
    run = driftline("drift", constant, current, "--format", "json")
    flat = run.json["features"]["flat"]
    assert flat["statistics"]["wasserstein_normed"] is None
    assert flat["statistics"]["ks"] == 1.0
    assert flat["drifted"]
    assert run.json["features"]["huge"]["statistics"]["psi"] is None


def test_as_a_program() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "driftline_cli.main", "drift", "--help"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0
    assert "4   no verdict" in found.stdout


FLIGHTS = Path(__file__).parents[2] / "examples" / "flights" / "flights.csv.gz"
COLUMNS = ("sched_dep_time", "distance", "temp", "humid", "wind_speed", "pressure", "carrier", "origin")


def months(directory: Path, name: str, first: tuple[int, int], last: tuple[int, int]) -> Path:
    """The flights of those days (month, day), both included, in the order of time."""
    with gzip.open(FLIGHTS, "rt", newline="") as file:
        rows = [r for r in csv.DictReader(file) if first <= (int(r["month"]), int(r["day"])) <= last]
    path = directory / name
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_summer_is_found_though_winters_own_weeks_reach_its_psi(tmp_path: Path) -> None:
    winter = months(tmp_path, "winter.csv", (1, 1), (3, 31))
    july = driftline(
        "drift", "--ordered", winter, months(tmp_path, "july.csv", (7, 1), (7, 31)), "--format", "json"
    )
    assert july.code == 3
    assert [name for name, f in july.json["features"].items() if f["drifted"]] == ["temp"]
    april = driftline(
        "drift", "--ordered", winter, months(tmp_path, "april.csv", (4, 1), (4, 7)), "--format", "json"
    )
    assert april.code == 0
    assert april.json["features"]["temp"]["reason"] == "UsualForReference"


@pytest.mark.parametrize("option", [["--time-column", "t"], ["--prediction-column", "p"], ["--ordered"]])
def test_a_profile_is_not_read_anew(tmp_path: Path, option: list[str]) -> None:
    data, profile = table(tmp_path / "ref.csv"), tmp_path / "ref.profile"
    assert driftline("profile", "build", data, "-o", profile).code == 0
    run = driftline("drift", profile, data, *option)
    assert run.code == 64
    assert f"{option[0]}: {profile} is a profile" in run.err
