"""Quality findings: against the reference's own shares, and never a pass without data."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.categories import Categories
from driftline.columns import CategoricalColumn, Column, NumericColumn, State
from driftline.counting import count_column
from driftline.counts import ColumnCounts
from driftline.grid import Grid
from driftline.pane import FeatureAxis, Limits
from driftline.quality import Finding, QualityReason, check, ratios
from driftline.spec import Quality

NORMAL = np.random.default_rng(0).normal(size=1000)
GRID = Grid.from_values(NORMAL)
LETTERS = Categories(("a", "b"))
LIMITS = Limits(minimum=-10, maximum=10, allowed=frozenset("ab"))


def counts(axis: FeatureAxis, column: Column | None, rows: int) -> ColumnCounts:
    return count_column(axis, column, rows, LIMITS)


def numeric(
    values: np.ndarray[tuple[int], np.dtype[np.float64]], bad: State = State.VALUE, share: float = 0
) -> ColumnCounts:
    """`share` of the rows in the state `bad`."""
    states = np.where(np.arange(len(values)) < share * len(values), bad, State.VALUE).astype(np.uint8)
    return counts(GRID, NumericColumn(np.where(states == 0, values, np.nan), states), len(values))


def letters(text: str) -> ColumnCounts:
    dictionary = tuple(sorted(set(text)))
    codes = np.array([dictionary.index(letter) for letter in text], np.int32)
    return counts(LETTERS, CategoricalColumn(codes, dictionary), len(text))


def findings(reference: ColumnCounts, current: ColumnCounts) -> tuple[Finding, ...]:
    return check(reference, current, ratios(current), Quality())


def reasons(reference: ColumnCounts, current: ColumnCounts) -> list[QualityReason]:
    return [finding.reason for finding in findings(reference, current)]


def test_a_window_like_the_reference_has_no_findings() -> None:
    assert reasons(numeric(NORMAL), numeric(NORMAL[:300])) == []
    assert reasons(letters("ab" * 50), letters("ab" * 20)) == []


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.MISSING, QualityReason.MISSING),
        (State.NULL, QualityReason.MISSING),
        (State.WRONG_TYPE, QualityReason.WRONG_TYPE),
    ],
)
def test_what_is_no_value_is_found_above_its_limit(state: State, reason: QualityReason) -> None:
    limit = Quality().missing_ratio if reason is QualityReason.MISSING else Quality().wrong_type_ratio
    assert reasons(numeric(NORMAL), numeric(NORMAL, state, limit)) == []
    found = findings(numeric(NORMAL), numeric(NORMAL, state, 0.25))
    assert found == (Finding(reason, 0.25, limit),)


def test_what_the_reference_lacks_too_is_no_news() -> None:
    assert reasons(numeric(NORMAL, State.MISSING, 0.3), numeric(NORMAL, State.MISSING, 0.34)) == []
    assert reasons(numeric(NORMAL, State.MISSING, 0.3), numeric(NORMAL, State.MISSING, 0.36)) == [
        QualityReason.MISSING
    ]


def test_nan_infinities_and_values_out_of_range_are_found() -> None:
    values = NORMAL.copy()
    values[:100] = np.nan
    values[100:150] = np.inf
    values[150:200] = 11.0
    found = findings(numeric(NORMAL), numeric(values))
    assert [finding.reason for finding in found] == [QualityReason.NON_FINITE, QualityReason.OUT_OF_RANGE]
    assert [finding.value for finding in found] == [0.15, pytest.approx(50 / 850)]


def test_unseen_categories_are_found_and_those_not_allowed() -> None:
    assert reasons(letters("ab" * 50), letters("ab" * 50 + "xxyy")) == [
        QualityReason.OUT_OF_RANGE,
        QualityReason.NEW_CATEGORY,
    ]


def test_no_rows_are_no_pass() -> None:
    assert reasons(numeric(NORMAL), counts(GRID, None, 0)) == [QualityReason.NO_DATA]
    assert ratios(counts(GRID, None, 0)).missing is None


def test_a_column_that_turned_constant_is_found() -> None:
    assert reasons(numeric(NORMAL), numeric(np.full(50, 0.1))) == [QualityReason.CONSTANT]
    assert reasons(letters("ab" * 50), letters("a" * 50)) == [QualityReason.CONSTANT]


def test_a_window_that_may_well_be_constant_is_not_found() -> None:
    rare = letters("a" * 999 + "b")
    assert reasons(rare, letters("a" * 500)) == []
    assert reasons(letters("a" * 50), letters("a" * 500)) == []
    assert reasons(numeric(NORMAL), numeric(np.full(1, 0.1))) == []


def test_a_column_all_missing_is_missing_not_constant() -> None:
    assert reasons(numeric(NORMAL), counts(GRID, None, 100)) == [QualityReason.MISSING]
