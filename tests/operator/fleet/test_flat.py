"""Flat counts are a sidecar's counts: merging, packing and reading back change no count and no verdict."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from driftline.counts import CategoricalCounts, NumericCounts
from driftline.errors import DataError
from driftline.grid import Grid
from driftline.pane import PaneCounts
from driftline.pane_codec import inflate
from driftline.profile import Profile
from driftline_operator.fleet.flat import Flat, pack_pane
from driftline_operator.fleet.layout import Layout
from driftline_operator.fleet.packing import TIGHT
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fleets import DAY_START, counted, encoded, reference, rows

PROFILE = reference()
AXES = PROFILE.axes()
LAYOUT = Layout(AXES.features)


@pytest.fixture(scope="module")
def profile() -> Profile:
    return PROFILE


def equal(found: PaneCounts, wanted: PaneCounts) -> None:
    """All but the sketch, which a fleet doesn't keep; sums as bfloat16, each part rounded, and the whole."""
    assert (found.rows, found.requests) == (wanted.rows, wanted.requests)
    for name, column in wanted.features.items():
        mine = found.features[name]
        if isinstance(column, CategoricalCounts):
            assert mine == column
            continue
        assert isinstance(mine, NumericCounts)
        np.testing.assert_array_equal(mine.counts, column.counts)
        most = np.abs(column.sums).max(initial=0)
        np.testing.assert_allclose(mine.sums, column.sums, rtol=0, atol=most * 2**-7)
        for counter in ("nan", "pos_inf", "neg_inf", "missing", "null", "wrong_type", "out_of_range"):
            assert getattr(mine, counter) == getattr(column, counter)
        assert mine.minimum == column.minimum
        assert mine.maximum == column.maximum
    assert found.effective_rows(AXES) == pytest.approx(wanted.effective_rows(AXES))


def flat_of(*parts: PaneCounts) -> Flat:
    whole = Flat(LAYOUT)
    for part in parts:
        whole.add_bytes(pack_pane(LAYOUT, inflate(encoded(PROFILE, part, DAY_START))))
    return whole


@given(
    st.lists(st.tuples(st.integers(0, 2**32), st.integers(1, 300), st.integers(1, 7)), min_size=1, max_size=5)
)
@settings(max_examples=60, deadline=None)
def test_merging_flat_is_merging(parts: list[tuple[int, int, int]]) -> None:
    counts = [
        counted(AXES, rows(np.random.default_rng(seed), number, per_request=size))
        for seed, number, size in parts
    ]
    wanted = counts[0]
    for each in counts[1:]:
        wanted = wanted + each
    equal(flat_of(*counts).counts(), wanted)
    # Packed once more, one by one, and added in the other order.
    whole = Flat(LAYOUT)
    for each in reversed(counts):
        whole.add_bytes(flat_of(each).pack())
    equal(whole.counts(), wanted)


@given(st.integers(0, 2**32), st.integers(1, 3000))
@settings(max_examples=40, deadline=None)
def test_what_stays_has_sums_within_a_62nd_of_their_cells(seed: int, number: int) -> None:
    flat = flat_of(counted(AXES, rows(np.random.default_rng(seed), number)))
    tight, loose = Flat(LAYOUT), flat.counts()
    tight.add_bytes(flat.pack(TIGHT))
    np.testing.assert_array_equal(tight.ints, flat.ints)
    for name in LAYOUT.numeric:
        mine, theirs = tight.counts().features[name], loose.features[name]
        assert isinstance(mine, NumericCounts)
        assert isinstance(theirs, NumericCounts)
        grid = AXES.features[name]
        assert isinstance(grid, Grid)
        most = theirs.counts[2:-1:2] * np.diff(grid.edges) / 62 * (1 + 1e-9)
        assert (np.abs(mine.sums - theirs.sums)[1:-1] <= most).all()
        np.testing.assert_allclose(mine.sums[[0, -1]], theirs.sums[[0, -1]], rtol=2**-8)


def test_large_counts_and_far_cells_are_packed_whole() -> None:
    flat = Flat(LAYOUT)
    flat.ints[[0, 1, 40, LAYOUT.size - 1]] = [2**40, 255, 254, 70_000]
    again = Flat(LAYOUT)
    again.add_bytes(flat.pack())
    np.testing.assert_array_equal(again.ints, flat.ints)


@pytest.mark.parametrize("level", [1, TIGHT])
def test_extreme_sums_stay_what_they_are(level: int) -> None:
    flat = Flat(LAYOUT)
    places = np.arange(LAYOUT.size)
    cells = places[LAYOUT.with_sums(places)][:6]
    flat.ints[cells] = 1
    flat.floats[LAYOUT.sums_of(cells)] = [0.0, -1e-30, 1e30, np.inf, -np.inf, 1e300]
    again = Flat(LAYOUT)
    again.add_bytes(flat.pack(level))
    found = again.floats[LAYOUT.sums_of(cells)]
    np.testing.assert_allclose(found, [0.0, -1e-30, 1e30, np.inf, -np.inf, np.inf], rtol=2**-8)


@pytest.mark.parametrize("damage", ["places", "beyond", "sums", "size", "kind", "columns", "negative"])
def test_a_damaged_pane_is_refused(profile: Profile, damage: str) -> None:
    pane = inflate(encoded(profile, counted(AXES, rows(np.random.default_rng(2), 50)), DAY_START))
    age = pane.features["age"]
    replaced = msgspec.structs.replace
    match damage:
        case "places":
            other = replaced(age, cells=replaced(age.cells, places=age.cells.places[::-1]))  # type: ignore[union-attr]
        case "beyond":
            far = np.full(len(age.cells.places) // 4, 10**6, "<u4").tobytes()  # type: ignore[union-attr]
            other = replaced(age, cells=replaced(age.cells, places=far))  # type: ignore[union-attr]
        case "sums":
            other = replaced(age, sums=age.sums[:-8])  # type: ignore[union-attr]
        case "size":
            other = replaced(age, cells=replaced(age.cells, size=7))  # type: ignore[union-attr]
        case "negative":
            most = np.full(len(age.cells.places) // 4, 2**64 - 1, "<u8").tobytes()  # type: ignore[union-attr]
            other = replaced(age, cells=replaced(age.cells, counts=most, count_bytes=8))  # type: ignore[union-attr]
        case _:
            other = pane.features["job"]
    name = "other" if damage == "columns" else "age"
    features = {**{k: v for k, v in pane.features.items() if k != "age"}, name: other}
    with pytest.raises(DataError):
        pack_pane(LAYOUT, replaced(pane, features=features))


def test_packed_bytes_that_are_damaged_or_of_another_layout_are_refused() -> None:
    data = flat_of(counted(AXES, rows(np.random.default_rng(2), 50))).pack()
    small = Layout({"job": AXES.features["job"]})
    for layout, bad in ((LAYOUT, data[:-9]), (LAYOUT, b""), (LAYOUT, data[5:]), (small, data)):
        with pytest.raises(DataError):
            Flat(layout).add_bytes(bad)
