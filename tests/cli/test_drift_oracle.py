"""`driftline drift` on every oracle case: its numbers are SciPy's."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2_contingency, wasserstein_distance

from tests.support.commands import driftline
from tests.support.oracle import CASES


def cases(kind: str) -> list[str]:
    found = [json.loads(path.read_text()) for path in sorted(CASES.glob("*.json"))]
    return [case["id"] for case in found if case["kind"] == kind]


def case(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CASES / f"{name}.json").read_text())
    return loaded


def write_csv(path: Path, values: list[str]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["value"], *([value] for value in values)])
    return path


def numeric_files(name: str, directory: Path) -> tuple[Path, Path]:
    arrays = np.load(CASES / f"{name}.npz")
    ref, cur = (
        write_csv(directory / f"{side}.csv", [repr(value) for value in arrays[side].tolist()])
        for side in ("ref", "cur")
    )
    return ref, cur


def categorical_files(name: str, directory: Path) -> tuple[Path, Path]:
    with gzip.open(CASES / f"{name}.csv.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    sides = {side: [row["value"] for row in rows if row["side"] == side] for side in ("ref", "cur")}
    ref, cur = (write_csv(directory / f"{side}.csv", values) for side, values in sides.items())
    return ref, cur


def number(value: Any) -> float:
    return float(value)


@pytest.mark.parametrize("name", cases("numeric"))
def test_numeric(name: str, tmp_path: Path) -> None:
    of = case(name)
    run = driftline("drift", *numeric_files(name, tmp_path), "--format", "json")
    assert run.code in (0, 3, 4), run.err
    feature = run.json["features"]["value"]
    assert feature["type"] == "numeric"
    got, scipy = feature["statistics"], of["expected"]["scipy"]
    moments = of["moments"]["ref"]
    sd = moments["std0"]
    # A constant column's sd may be rounding noise instead of 0: 4e-16 of .42.
    constant = moments["min"] == moments["max"]
    if not constant:
        assert got["psi"] == pytest.approx(of["expected"]["textbook"]["psi_10_quantile"]["value"], abs=1e-9)
    assert got["ks"] == pytest.approx(scipy["ks_2samp"]["statistic"], abs=0.005)
    if constant:
        assert got["wasserstein_normed"] is None
    else:
        wanted = number(scipy["wasserstein"]) / sd
        assert got["wasserstein_normed"] == pytest.approx(wanted, abs=0.01)
        assert got["wasserstein"] == pytest.approx(number(scipy["wasserstein"]), abs=0.01 * sd)
    assert got["jensen_shannon_base_e"] == pytest.approx(got["jensen_shannon"] * math.sqrt(math.log(2)))
    assert run.json["rows"] == {"reference": of["n_ref"], "current": of["n_cur"]}
    assert feature["missing_ratio"]["current"] == pytest.approx(of["nan_cur"] / of["n_cur"])


@pytest.mark.parametrize("name", cases("categorical"))
def test_categorical(name: str, tmp_path: Path) -> None:
    of = case(name)
    files = categorical_files(name, tmp_path)
    run = driftline("drift", *files, "--format", "json")
    assert run.code in (0, 3, 4), run.err
    feature = run.json["features"]["value"]
    assert feature["type"] == "categorical"
    got, scipy = feature["statistics"], of["expected"]["scipy"]
    # The cases' own chi2_contingency has the continuity correction where there are two categories.
    counts = [Counter(line.strip('"') for line in file.read_text().splitlines()[1:]) for file in files]
    values = sorted({*counts[0], *counts[1]} - {""})
    table = [[side[value] for value in values] for side in counts]
    statistic, p = chi2_contingency(table, correction=False)[:2]
    if p > 0:
        assert got["chi2_log_pvalue"] == pytest.approx(math.log(p), abs=1e-6)
        assert math.log(got["chi2_pvalue"]) == pytest.approx(math.log(p), abs=1e-6)
    assert got["chi2"] == pytest.approx(statistic, rel=1e-9)
    assert got["jensen_shannon"] == pytest.approx(scipy["js_distance_base_2"], abs=1e-9)
    assert got["jensen_shannon_base_e"] == pytest.approx(scipy["js_distance_base_e"], abs=1e-9)
    assert got["l_infinity"] == pytest.approx(scipy["l_infinity"], abs=1e-12)
    valid = of["n_cur"] - of["missing_cur"]
    assert got["new_category_ratio"] == pytest.approx(of["unseen_rows_cur"] / valid)
    assert feature["missing_ratio"]["reference"] == pytest.approx(of["missing_ref"] / of["n_ref"])


def test_an_offset_of_1e15_loses_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    ref, cur = 1e15 + rng.normal(0, 3000, 5000), 1e15 + rng.normal(1000, 3000, 5000)
    files = [
        write_csv(tmp_path / f"{i}.csv", [repr(v) for v in x.tolist()]) for i, x in enumerate((ref, cur))
    ]
    got = driftline("drift", *files, "--format", "json").json["features"]["value"]["statistics"]
    assert got["wasserstein_normed"] == pytest.approx(wasserstein_distance(ref, cur) / ref.std(), abs=0.01)
