"""`driftline profile`: build, show, split."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
from driftline.profile_codec import decode_profile
from driftline_cli.profile_files import read_profile

from tests.support.commands import driftline

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights" / "flights.csv.gz"


def flights(directory: Path, rows: int = 6000) -> Path:
    with gzip.open(FLIGHTS, "rt") as file:
        lines = [next(file) for _ in range(rows + 1)]
    path = directory / "flights.csv"
    path.write_text("".join(lines))
    return path


def timed(directory: Path, rows: int = 3000) -> Path:
    rng = np.random.default_rng(0)
    at = np.datetime64("2026-01-01T00:00:00") + np.arange(rows) * np.timedelta64(600, "s")
    score = rng.uniform(size=rows)
    label = rng.uniform(size=rows) < score
    lines = ["at,x,score,label,group"]
    lines += [f"{at[i]},{rng.normal():.6f},{score[i]:.6f},{int(label[i])},{'ab'[i % 2]}" for i in range(rows)]
    path = directory / "timed.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_same_input_gives_the_same_file(tmp_path: Path) -> None:
    data, one, other = flights(tmp_path), tmp_path / "a.profile", tmp_path / "b.profile"
    assert driftline("profile", "build", data, "-o", one).code == 0
    assert driftline("profile", "build", data, "-o", other).code == 0
    assert one.read_bytes() == other.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"flights.csv", "a.profile", "b.profile"}


def test_an_old_profile_stays_when_a_build_fails(tmp_path: Path) -> None:
    profile = tmp_path / "a.profile"
    profile.write_bytes(b"the old one")
    bad = tmp_path / "bad.csv"
    bad.write_text("x,y\n1,2\n3\n")
    assert driftline("profile", "build", bad, "-o", profile).code == 65
    assert profile.read_bytes() == b"the old one"


def test_no_directory_for_the_output_is_told_before_the_work(tmp_path: Path) -> None:
    run = driftline("profile", "build", flights(tmp_path, 10), "-o", tmp_path / "none" / "a.profile")
    assert run.code == 73
    assert "there is no directory" in run.err


def test_show_for_eyes(tmp_path: Path) -> None:
    profile = tmp_path / "a.profile"
    built = driftline("profile", "build", flights(tmp_path), "-o", profile)
    assert "6,000 rows" in built.err
    assert "FewRows" in built.err
    shown = driftline("profile", "show", profile).out
    assert "calibrated" in shown
    assert any(line.startswith("temp ") and "█" in line for line in shown.splitlines())
    assert "note" in shown


def test_show_for_tools_is_strict_json(tmp_path: Path) -> None:
    profile = tmp_path / "a.profile"
    driftline("profile", "build", flights(tmp_path), "-o", profile)
    shown = driftline("profile", "show", profile, "--format", "json").json
    assert shown["format"] == 1
    assert shown["rows"] == 6000
    assert shown["hash"] == decode_profile(profile.read_bytes()).hash
    assert len(shown["features"]["temp"]["deciles"]) == 9
    assert sum(shown["features"]["origin"]["categories"].values()) == 6000
    assert shown["diagnostics"]["split_half_psi"].keys() == shown["features"].keys()
    assert shown["calibration"]


def test_times_order_the_rows_and_labels_are_counted(tmp_path: Path) -> None:
    profile = tmp_path / "a.profile"
    data = timed(tmp_path)
    lines = data.read_text().splitlines()
    shuffled = tmp_path / "shuffled.csv"
    order = np.random.default_rng(1).permutation(len(lines) - 1) + 1
    shuffled.write_text("\n".join([lines[0], *(lines[i] for i in order)]) + "\n")
    options = ("--score-column", "score", "--label-column", "label", "--season", "daily")
    run = driftline("profile", "build", data, "-o", profile, *options)
    assert run.code == 0, run.err
    assert "rows are ordered by column 'at'" in run.err
    shown = driftline("profile", "show", profile, "--format", "json").json
    assert shown["time_span"] == [1767225600.0, 1767225600.0 + 2999 * 600]
    assert shown["diagnostics"]["seasons"] > 20
    assert shown["labels"]["groups"] == [{"segment": None, "value": None}]
    assert "label" not in shown["features"]
    assert "at" not in shown["features"]
    again = tmp_path / "b.profile"
    os.utime(shuffled, (data.stat().st_atime, data.stat().st_mtime))
    driftline("profile", "build", shuffled, "-o", again, *options)
    assert read_profile([again]).hash == read_profile([profile]).hash


def test_labels_that_never_name_the_positive_class_are_refused(tmp_path: Path) -> None:
    data = timed(tmp_path)
    head, *lines = data.read_text().splitlines()
    place = head.split(",").index("label")
    named = []
    for line in lines:
        cells = line.split(",")
        cells[place] = "yes" if float(cells[place]) else "no"
        named.append(",".join(cells))
    data.write_text("\n".join([head, *named]) + "\n")
    options = ("--score-column", "score", "--label-column", "label")
    run = driftline("profile", "build", data, "-o", tmp_path / "a", *options)
    assert run.code == 65
    assert "no label in 'label' is '1', the positive class" in run.err
    assert driftline("profile", "build", data, "-o", tmp_path / "a", *options, "--positive", "yes").code == 0


def test_labels_without_a_score_are_refused(tmp_path: Path) -> None:
    run = driftline("profile", "build", timed(tmp_path), "-o", tmp_path / "a", "--label-column", "label")
    assert run.code == 65
    assert "--score-column" in run.err


def test_split_parts_are_read_from_their_directory(tmp_path: Path) -> None:
    profile, parts = tmp_path / "a.profile", tmp_path / "parts"
    driftline("profile", "build", flights(tmp_path), "-o", profile)
    parts.mkdir()
    assert driftline("profile", "split", profile, "-d", parts).code == 0
    assert [path.name for path in parts.iterdir()] == ["a.1-of-1"]
    assert driftline("profile", "show", parts).out == driftline("profile", "show", profile).out


def test_what_is_no_profile_is_refused(tmp_path: Path) -> None:
    data = flights(tmp_path, 10)
    run = driftline("profile", "show", data)
    assert run.code == 65
    assert "not a Driftline profile" in run.err
    assert driftline("profile", "show", tmp_path / "none.profile").code == 66


def test_ids_are_left_out_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    path.write_text("id,x\n" + "".join(f"row-{i},{i / 7}\n" for i in range(200)))
    run = driftline("profile", "build", path, "-o", tmp_path / "a.profile")
    assert "left out: 'id'" in run.err
    shown = driftline("profile", "show", tmp_path / "a.profile", "--format", "json").out
    assert list(json.loads(shown)["features"]) == ["x"]


def test_a_column_can_not_be_two_things(tmp_path: Path) -> None:
    data, profile = timed(tmp_path, 300), tmp_path / "a.profile"
    twice = ("--prediction-column", "x", "--score-column", "x")
    run = driftline("profile", "build", data, "-o", profile, *twice)
    assert run.code == 65
    assert "column 'x' can't have two roles" in run.err
