"""The design effect: exact for single rows, Kish's formula for clustered ones, additive over panes."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.categories import Categories
from driftline.columns import Batch, CategoricalColumn, Column, Floats, NumericColumn
from driftline.counting import count
from driftline.design_effect import design_effect
from driftline.grid import Grid
from driftline.pane import Axes, PaneCounts
from numpy.typing import NDArray

from tests.support.oracle import numeric_counts

REFERENCE = np.random.default_rng(0).normal(size=20_000)
GRID = Grid.from_values(REFERENCE)
RANKS = GRID.ranks(numeric_counts(GRID, REFERENCE).counts)
LETTERS = ("a", "b", "c", "d")
AXES = Axes({"x": GRID, "c": Categories(LETTERS)}, "h", ranks={"x": RANKS})
ICC, SIZE = 0.3, 20


def clustered(requests: int, size: int, icc: float, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.normal(size=requests), size)
    values: Floats = np.sqrt(icc) * shared + np.sqrt(1 - icc) * rng.normal(size=requests * size)
    return values


def counted(values: Floats, request: NDArray[np.int32] | None) -> PaneCounts:
    codes = np.searchsorted([-0.7, 0.0, 0.7], values).astype(np.int32)
    columns: dict[str, Column] = {"x": NumericColumn(values), "c": CategoricalColumn(codes, LETTERS)}
    requests = len(values) if request is None else int(request[-1]) + 1
    return count(AXES, Batch(len(values), columns, requests, request))


def effect(window: PaneCounts, name: str) -> float:
    return design_effect(window.features[name], window.clusters.get(name), AXES.ranks.get(name))


@pytest.mark.parametrize("name", ["x", "c"])
@pytest.mark.parametrize("numbered", [True, False])
def test_single_row_requests_give_exactly_one(name: str, numbered: bool) -> None:
    request = np.arange(500, dtype=np.int32) if numbered else None
    window = counted(clustered(500, 1, ICC, 1), request)
    assert effect(window, name) == 1
    assert window.effective_rows(AXES)[name] == 500


def test_kishs_formula_for_clustered_rows() -> None:
    request = np.repeat(np.arange(400, dtype=np.int32), SIZE)
    effects = [effect(counted(clustered(400, SIZE, ICC, seed), request), "x") for seed in range(8)]
    # The ranks of normal values correlate by 6 / pi asin(icc / 2), a little less than the values do.
    expected = 1 + (SIZE - 1) * 6 / np.pi * np.arcsin(ICC / 2)
    assert np.mean(effects) == pytest.approx(expected, rel=0.06)
    assert expected == pytest.approx(1 + (SIZE - 1) * ICC, rel=0.06)


def test_rao_and_scotts_mean_effect_of_the_categories() -> None:
    request = np.repeat(np.arange(400, dtype=np.int32), SIZE)
    found, expected = [], []
    for seed in range(8):
        window = counted(clustered(400, SIZE, ICC, seed), request)
        found.append(effect(window, "c"))
        expected.append(mean_effect_of_proportions(clustered(400, SIZE, ICC, seed)))
    assert found == pytest.approx(expected, rel=1e-9)
    assert np.mean(found) > 2


def mean_effect_of_proportions(values: Floats) -> float:
    """The sum over categories of (1 - p) deff / (k - 1), with each proportion's variance between requests."""
    codes = np.searchsorted([-0.7, 0.0, 0.7], values).reshape(-1, SIZE)
    requests, n, k = len(codes), codes.size, len(LETTERS)
    total = 0.0
    for category in range(k):
        per_request = (codes == category).sum(axis=1)
        p = per_request.sum() / n
        variance = requests / (requests - 1) * ((per_request - p * SIZE) ** 2).sum() / n**2
        total += (1 - p) * variance / (p * (1 - p) / (n - 1))
    return total / (k - 1)


@pytest.mark.parametrize("name", ["x", "c"])
def test_effects_add_up_over_panes(name: str) -> None:
    values = clustered(60, SIZE, ICC, 3)
    request = np.repeat(np.arange(60, dtype=np.int32), SIZE)
    parts = [counted(part, request[: len(part)]) for part in (values[: 20 * SIZE], values[20 * SIZE :])]
    assert effect(parts[0] + parts[1], name) == pytest.approx(
        effect(counted(values, request), name), rel=1e-9
    )


def test_values_that_are_missing_are_of_no_request() -> None:
    values = clustered(300, 2, 0.5, 4)
    values[1::2] = np.nan
    window = counted(values, np.repeat(np.arange(300, dtype=np.int32), 2))
    assert effect(window, "x") == 1


def test_requests_never_add_rows() -> None:
    rng = np.random.default_rng(5)
    half = rng.normal(size=500)
    opposite = np.ravel(np.column_stack([half, -half]))
    window = counted(opposite, np.repeat(np.arange(500, dtype=np.int32), 2))
    assert effect(window, "x") < 0.1
    assert window.effective_rows(AXES)["x"] == 1000


@pytest.mark.parametrize("values", [np.zeros(40), clustered(1, 40, 0.5, 6)])
def test_a_constant_column_or_one_request_cant_tell(values: Floats) -> None:
    window = counted(values, np.zeros(40, np.int32))
    assert effect(window, "x") == 1
    assert effect(window, "c") == 1
