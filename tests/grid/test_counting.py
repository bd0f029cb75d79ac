"""Counting against the plain definition, row by row; and the grid itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driftline.categories import MAX_NEW, MAX_NEW_CHARACTERS, Categories
from driftline.columns import Batch, CategoricalColumn, Floats, NumericColumn, State
from driftline.counting import count, count_column
from driftline.counts import CategoricalCounts, Integers, NumericCounts
from driftline.errors import IncompatiblePanes
from driftline.grid import DECILE_QUANTILES, QUANTILES, Grid, equal_width_edges
from driftline.pane import Axes, Limits, Pane, PaneCounts
from hypothesis import given
from hypothesis import strategies as st

from tests.support.oracle import categorical_column, categorical_counts, numeric_counts

REFERENCES = {
    "normal": np.random.default_rng(0).normal(size=3000),
    "few values": np.repeat([0.0, 1.0, 5.0], [900, 90, 10]),
    "one value": np.full(10, 3.0),
    "no value": np.empty(0),
    "huge": np.array([-1.7e308, 0.0, 1.7e308]),
    "offset": 1e15 + np.arange(1000) * 0.125,
    "subnormal": np.arange(1000) * 5e-324,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_values_are_counted_in_the_cell_they_lie_in(name: str) -> None:
    grid = Grid.from_values(REFERENCES[name])
    rng = np.random.default_rng(1)
    between = (grid.edges[:-1] / 2 + grid.edges[1:] / 2)[:200]
    values = rng.permutation(np.concatenate([grid.edges, grid.edges, between, [-1e308, 1e308, 0.0, -0.0]]))
    found = numeric_counts(grid, values)
    counts, sums = counted_one_by_one(grid, values)
    assert found.counts.tolist() == counts.tolist()
    assert np.bincount(grid.cells_of(values), minlength=grid.cells).tolist() == counts.tolist()
    assert found.sums == pytest.approx(sums, rel=1e-12)
    assert (found.minimum, found.maximum) == (values.min(), values.max())


def counted_one_by_one(grid: Grid, values: Floats) -> tuple[Integers, Floats]:
    counts, sums = np.zeros(grid.cells, np.int64), np.zeros(len(grid.edges) + 1)
    for value in np.sort(values):
        below, at_or_below = int((grid.edges < value).sum()), int((grid.edges <= value).sum())
        counts[below + at_or_below] += 1
        if below == at_or_below:
            with np.errstate(over="ignore"):
                sums[below] += value - grid.centres[below]
    return counts, sums


def test_the_grid_has_about_400_edges_whatever_the_range() -> None:
    normal = REFERENCES["normal"]
    for values in (normal, np.append(normal, 1e9), normal * 1e300, np.arange(1e6)):
        assert 380 <= len(Grid.from_values(values).edges) <= 400


def test_deciles_are_numpys_and_among_the_edges() -> None:
    for values in REFERENCES.values():
        grid = Grid.from_values(values)
        with np.errstate(over="ignore", invalid="ignore"):
            deciles = np.quantile(values, DECILE_QUANTILES) if len(values) else np.empty(0)
        finite = np.unique(deciles[np.isfinite(deciles)])
        assert grid.decile_edges.tolist() == finite.tolist()
        assert grid.edges[grid.decile_index].tolist() == finite.tolist()


def test_few_distinct_values_are_the_edges() -> None:
    grid = Grid.from_values(np.repeat([0.0, 1.0, 5.0], 100))
    assert grid.edges.tolist() == [0, 1, 5]


def test_a_grid_from_summaries_is_the_grid_from_values() -> None:
    values = REFERENCES["normal"]
    built = Grid.build(
        np.quantile(values, QUANTILES), np.quantile(values, DECILE_QUANTILES), values.min(), values.max()
    )
    assert built == Grid.from_values(values)
    assert hash(built) == hash(Grid.from_values(values))


def test_equal_width_edges_keep_their_ends_where_the_range_overflows() -> None:
    edges = equal_width_edges(-1.7e308, 1.7e308)
    assert (edges[0], edges[-1]) == (-1.7e308, 1.7e308)
    assert np.isfinite(edges).all()


@pytest.mark.parametrize("edges", [[1.0, 1.0], [2.0, 1.0], [math.nan], [math.inf]])
def test_edges_that_dont_increase_are_refused(edges: list[float]) -> None:
    with pytest.raises(ValueError, match="strictly increasing"):
        Grid(np.array(edges), np.empty(0))


def test_ranks_are_the_middle_of_the_steps() -> None:
    grid = Grid.from_values(np.array([1.0, 1.0, 2.0, 3.0]))
    counts = numeric_counts(grid, np.array([1.0, 1.0, 2.0, 3.0])).counts
    assert [grid.ranks(counts)[2 * i + 1] for i in range(len(grid.edges)) if counts[2 * i + 1]] == [
        0.25,
        0.625,
        0.875,
    ]


def test_what_is_no_value_is_counted_apart() -> None:
    grid = Grid.from_values(REFERENCES["normal"])
    values = np.array([0.0, math.nan, math.inf, -math.inf, math.nan, math.nan, math.nan, 99.0])
    states = np.array([0, 0, 0, 0, State.MISSING, State.NULL, State.WRONG_TYPE, 0], np.uint8)
    found = count_column(grid, NumericColumn(values, states), 8, Limits(maximum=10))
    assert isinstance(found, NumericCounts)
    assert (found.valid, found.rows, found.nan, found.pos_inf, found.neg_inf) == (2, 8, 1, 1, 1)
    assert (found.missing, found.null, found.wrong_type, found.out_of_range) == (1, 1, 1, 1)


def test_ends_of_a_range_are_in_range() -> None:
    grid = Grid.from_values(REFERENCES["normal"])
    column = NumericColumn(np.array([-1.0, 0.0, 5.0, 5.1]))
    found = count_column(grid, column, 4, Limits(minimum=0, maximum=5))
    assert found.out_of_range == 2


def test_a_column_that_isnt_there_is_missing_and_one_of_the_other_kind_wrong() -> None:
    grid, categories = Grid.from_values(REFERENCES["normal"]), Categories(("a",))
    assert count_column(grid, None, 3).missing == 3
    assert count_column(categories, None, 3).missing == 3
    assert count_column(grid, categorical_column(["a", "", "b"]), 3).wrong_type == 2
    assert count_column(categories, NumericColumn(np.zeros(3)), 3).wrong_type == 3


def test_categories_are_known_new_or_other() -> None:
    values = ["a", "b", "b", "x", "y", "x", ""]
    found = categorical_counts(Categories(("b", "a")), values)
    assert found.known.tolist() == [2, 1]
    assert (dict(found.new), found.missing, found.valid, found.rows) == ({"x": 2, "y": 1}, 1, 6, 7)
    truncated = categorical_counts(Categories(("b", "a"), truncated=True), values)
    assert (truncated.other, truncated.new_rows) == (3, 0)


def test_only_the_allowed_categories_are_in_range() -> None:
    column = categorical_column(["a", "b", "c", "c"])
    found = count_column(Categories(("a", "b", "c")), column, 4, Limits(allowed=frozenset({"a", "b"})))
    assert found.out_of_range == 2


def test_a_flood_of_new_categories_is_bounded_and_counted() -> None:
    flood = categorical_counts(Categories(("a",)), [f"n{i}" for i in range(MAX_NEW + 500)])
    assert len(flood.new) <= MAX_NEW
    assert flood.new_rows == MAX_NEW + 500
    long = categorical_counts(Categories(("a",)), [f"{i:04}" + "x" * 500 for i in range(400)])
    assert sum(map(len, long.new)) <= MAX_NEW_CHARACTERS
    assert long.new_rows == 400


def test_the_most_frequent_categories_are_known() -> None:
    categories = Categories.from_counts({"b": 5, "a": 5, "c": 9, "d": 1}, limit=3)
    assert categories == Categories(("c", "a", "b"), truncated=True)


AXES = Axes({"x": Grid.from_values(REFERENCES["normal"]), "c": Categories(("a", "b"))}, "h")


def batch(rows: list[tuple[float, str]]) -> Batch:
    values = np.array([value for value, _ in rows], np.float64)
    return Batch(
        len(rows),
        {"x": NumericColumn(values), "c": categorical_column([name for _, name in rows])},
        len(rows),
    )


ROWS = st.lists(
    st.tuples(
        st.floats(width=64), st.sampled_from(["a", "b", "", "new", "newer", *(f"n{i}" for i in range(9))])
    )
)


@given(rows=ROWS, cuts=st.lists(st.integers(0, 50), min_size=2, max_size=2))
def test_counting_a_whole_is_merging_its_parts_in_any_order(
    rows: list[tuple[float, str]], cuts: list[int]
) -> None:
    first, second = sorted(cuts)
    parts = [count(AXES, batch(part)) for part in (rows[:first], rows[first:second], rows[second:])]
    whole = count(AXES, batch(rows))
    a, b, c = parts
    for merged in ((a + b) + c, a + (b + c), (c + a) + b, PaneCounts.empty(AXES) + (b + (a + c))):
        assert_same(merged, whole)


def assert_same(merged: PaneCounts, whole: PaneCounts) -> None:
    """Counts exactly; sums to 1e-12 of the sum of the absolute terms, which have one sign in a cell."""
    assert (merged.rows, merged.requests, merged.sketch) == (whole.rows, whole.requests, whole.sketch)
    assert merged.features["c"] == whole.features["c"]
    x, y = merged.features["x"], whole.features["x"]
    assert isinstance(x, NumericCounts)
    assert isinstance(y, NumericCounts)
    assert x.counts.tolist() == y.counts.tolist()
    assert x.sums == pytest.approx(y.sums, rel=1e-12, abs=0)
    for name in ("minimum", "maximum", "nan", "pos_inf", "neg_inf", "missing"):
        assert getattr(x, name) == getattr(y, name)


@given(rows=ROWS, cut=st.integers(0, 50))
def test_a_part_taken_away_leaves_the_rest(rows: list[tuple[float, str]], cut: int) -> None:
    finite = [(value, name) for value, name in rows if abs(value) < 1e6]
    whole, part, rest = (count(AXES, batch(r)).features for r in (finite, finite[:cut], finite[cut:]))
    x, y = whole["x"], rest["x"]
    assert isinstance(x, NumericCounts)
    assert isinstance(y, NumericCounts)
    assert isinstance(part["x"], NumericCounts)
    left = x - part["x"]
    assert left.counts.tolist() == y.counts.tolist()
    assert left.sums == pytest.approx(y.sums, abs=1e-12 * np.abs(x.sums).max(initial=1) * 4)
    assert isinstance(whole["c"], CategoricalCounts)
    assert isinstance(part["c"], CategoricalCounts)
    assert whole["c"] - part["c"] == rest["c"]


@given(names=st.lists(st.text(max_size=300), min_size=3, max_size=30))
def test_merging_floods_of_names_is_associative(names: list[str]) -> None:
    many = [name * 40 for name in names]
    third = len(many) // 3
    a, b, c = (
        categorical_counts(Categories(()), part)
        for part in (many[:third], many[third : 2 * third], many[2 * third :])
    )
    assert (a + b) + c == a + (b + c) == (c + b) + a == categorical_counts(Categories(()), many)


def pane(**changes: object) -> Pane:
    fields: dict[str, object] = {
        "start": 0,
        "length": 60,
        "profile_hash": "h",
        "counts": count(AXES, batch([(1, "a")])),
    }
    return Pane(**(fields | changes))  # type: ignore[arg-type]


def test_panes_add_up_over_both_spans() -> None:
    merged = pane() + pane(start=120)
    assert (merged.start, merged.length, merged.counts.rows) == (0, 180, 2)


@pytest.mark.parametrize("changes", [{"profile_hash": "other"}, {"model_version": "2"}])
def test_panes_of_unlike_profiles_or_versions_never_merge(changes: dict[str, object]) -> None:
    with pytest.raises(IncompatiblePanes, match="don't merge"):
        pane() + pane(**changes)


def test_counts_of_unlike_columns_never_merge() -> None:
    other = Axes({"x": Grid.from_values(np.arange(5.0)), "c": Categories(("a", "b"))}, "h")
    fewer = Axes({"x": AXES.features["x"]}, "h")
    swapped = Axes({"x": Categories(()), "c": AXES.features["x"]}, "h")
    for axes in (other, fewer, swapped):
        with pytest.raises(IncompatiblePanes):
            count(AXES, batch([(1, "a")])) + PaneCounts.empty(axes)


def test_no_bin_count_depends_on_the_range() -> None:
    column = NumericColumn(np.array([1e9, -1e300, 0.0]))
    assert isinstance(AXES.features["x"], Grid)
    found = count_column(AXES.features["x"], column, 3)
    assert isinstance(found, NumericCounts)
    assert len(found.counts) == AXES.features["x"].cells


def test_equal_rows_are_duplicates_whatever_the_dictionary() -> None:
    rows = [(1.0, "a"), (1.0, "b"), (1.0, "a"), (2.0, "a"), (-0.0, ""), (0.0, "")]
    first = count(AXES, batch(rows))
    assert first.sketch.duplicate_ratio == pytest.approx(2 / 6)
    again = first + count(AXES, batch(rows[1:2]))
    assert again.sketch.duplicate_ratio == pytest.approx(3 / 7)
    assert PaneCounts.empty(AXES).sketch.duplicate_ratio is None


def test_rows_of_zeros_and_ones_rarely_collide() -> None:
    bits = [f"f{i}" for i in range(16)]
    axes = Axes({name: Grid.from_values(np.array([0.0, 1.0])) for name in bits}, "h")
    number = np.arange(512)
    columns = {name: NumericColumn((number >> i & 1).astype(np.float64)) for i, name in enumerate(bits)}
    found = count(axes, Batch(512, dict(columns), 512)).sketch
    assert (len(found.hashes), found.duplicate_ratio) == (512, 0)


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_the_share_of_duplicates_is_estimated_beyond_what_is_kept(copies: int) -> None:
    values = np.random.default_rng(copies).normal(size=20_000)
    axes = Axes({"x": AXES.features["x"]}, "h")
    total = PaneCounts.empty(axes)
    for part in np.array_split(np.tile(values, copies), 20):
        total = total + count(axes, Batch(len(part), {"x": NumericColumn(part)}, len(part)))
    assert total.sketch.duplicate_ratio == pytest.approx(1 - 1 / copies, abs=0.01)


def test_codes_index_the_dictionary_of_their_batch() -> None:
    column = CategoricalColumn(np.array([1, 0, 1], np.int32), ("b", "a"))
    found = count_column(Categories(("a", "b")), column, 3)
    assert isinstance(found, CategoricalCounts)
    assert found.known.tolist() == [2, 1]
