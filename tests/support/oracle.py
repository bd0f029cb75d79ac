"""The oracle cases as columns, counts and expected values."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from driftline.categories import Categories
from driftline.columns import CategoricalColumn, Floats, NumericColumn, State
from driftline.counting import count_column
from driftline.counts import CategoricalCounts, NumericCounts
from driftline.grid import Grid
from numpy.typing import ArrayLike

CASES = Path(__file__).parent.parent / "cases"


@dataclass(frozen=True)
class NumericPair:
    """Two samples counted on the reference's grid."""

    reference: NumericCounts
    current: NumericCounts
    grid: Grid
    sd: float
    max_abs: float


@dataclass(frozen=True)
class CategoricalPair:
    """Two samples counted on the reference's categories."""

    reference: CategoricalCounts
    current: CategoricalCounts
    categories: Categories


def numeric_pair(reference: ArrayLike, current: ArrayLike) -> NumericPair:
    """Counts both; what the profile knows exactly of the reference goes with them."""
    ref = np.asarray(reference, np.float64)
    grid = Grid.from_values(ref)
    finite = ref[np.isfinite(ref)]
    with np.errstate(over="ignore", invalid="ignore"):
        sd = float(finite.std()) if len(finite) else float("nan")
    max_abs = float(np.abs(finite).max(initial=0))
    return NumericPair(numeric_counts(grid, ref), numeric_counts(grid, current), grid, sd, max_abs)


def numeric_counts(grid: Grid, values: ArrayLike) -> NumericCounts:
    x: Floats = np.asarray(values, np.float64)
    counts = count_column(grid, NumericColumn(x), len(x))
    assert isinstance(counts, NumericCounts)
    return counts


def categorical_pair(reference: list[str], current: list[str]) -> CategoricalPair:
    """Counts both; an empty string is a missing value."""
    held = {value: reference.count(value) for value in set(reference) if value}
    categories = Categories.from_counts(held)
    return CategoricalPair(
        categorical_counts(categories, reference), categorical_counts(categories, current), categories
    )


def categorical_counts(categories: Categories, values: list[str]) -> CategoricalCounts:
    counts = count_column(categories, categorical_column(values), len(values))
    assert isinstance(counts, CategoricalCounts)
    return counts


def categorical_column(values: list[str]) -> CategoricalColumn:
    dictionary = tuple(sorted({value for value in values if value}))
    place = {value: code for code, value in enumerate(dictionary)}
    codes = np.array([place.get(value, -1) for value in values], np.int32)
    states = np.where(codes < 0, State.MISSING, State.VALUE).astype(np.uint8)
    return CategoricalColumn(codes, dictionary, states)


def case_ids(kind: str) -> list[str]:
    """The cases of that kind that are here."""
    return sorted(path.stem for path in CASES.glob("*.json") if _json(path.stem)["kind"] == kind)


def expected(case: str) -> dict[str, Any]:
    """What the libraries said of a case, the moments of its data, and the rows of its smaller side."""
    found = _json(case)
    rows = min(found.get("n_ref_finite", 0), found.get("n_cur_finite", 0))
    return {**found["expected"], "moments": found.get("moments", {}), "rows": rows}


def numeric_case(case: str) -> NumericPair:
    with np.load(CASES / f"{case}.npz") as data:
        return numeric_pair(data["ref"], data["cur"])


def categorical_case(case: str) -> CategoricalPair:
    sides: dict[str, list[str]] = {"ref": [], "cur": []}
    with gzip.open(CASES / f"{case}.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            sides[row["side"]].append(row["value"])
    return categorical_pair(sides["ref"], sides["cur"])


def _json(case: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CASES / f"{case}.json").read_text())
    return found
