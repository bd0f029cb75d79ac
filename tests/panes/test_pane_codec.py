"""Panes as bytes: nothing is lost, and damage is refused."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.categories import Categories
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.counting import count
from driftline.errors import DataError
from driftline.grid import Grid
from driftline.pane import Axes, Pane
from driftline.pane_codec import MAGIC, decode_pane, encode_pane
from hypothesis import given, settings
from hypothesis import strategies as st

GRID = Grid.from_values(np.random.default_rng(0).normal(size=500))
AXES = Axes(
    features={"x": GRID, "c": Categories(("a", "b"))},
    profile_hash="abc",
    ranks={"x": np.linspace(0, 1, GRID.cells)},
)
Cells = list[tuple[float, str, int]]
cells = st.lists(
    st.tuples(st.floats(width=32), st.sampled_from(["a", "b", "unseen", "ünseen"]), st.integers(0, 3)),
    max_size=40,
)


def pane(rows: Cells, multi: bool) -> Pane:
    states = np.array([state for _, _, state in rows], np.uint8)
    values = np.array([np.nan if state else value for value, _, state in rows], float)
    names = tuple(dict.fromkeys(name for _, name, _ in rows))
    codes = np.array([-1 if state else names.index(name) for _, name, state in rows], np.int32)
    columns: dict[str, Column] = {
        "x": NumericColumn(values, states),
        "c": CategoricalColumn(codes, names, states),
    }
    request = np.arange(len(rows), dtype=np.int32) // 3 if multi and rows else None
    requests = len(rows) if request is None else int(request[-1]) + 1
    counts = count(AXES, Batch(len(rows), columns, requests, request))
    return Pane(start=60, length=60, profile_hash="abc", counts=counts, model_version="3")


@given(rows=cells, multi=st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_was_written_is_read(rows: Cells, multi: bool) -> None:
    written = pane(rows, multi)
    assert decode_pane(encode_pane(written)) == written


@given(rows=cells, place=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_a_flipped_bit_is_refused(rows: Cells, place: int, bit: int) -> None:
    data = bytearray(encode_pane(pane(rows, multi=True)))
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(DataError):
        decode_pane(bytes(data))


@pytest.mark.parametrize("cut", [0, 3, len(MAGIC), len(MAGIC) + 3, 30])
def test_what_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(DataError, match="pane"):
        decode_pane(encode_pane(pane([(1.0, "a", 0)], multi=False))[:cut])


def test_an_unknown_version_says_what_to_do() -> None:
    data = bytearray(encode_pane(pane([], multi=False)))
    data[len(MAGIC)] = 9
    with pytest.raises(DataError, match="version 9, this program reads 1: use programs of one release"):
        decode_pane(bytes(data))


def test_a_quiet_pane_is_small() -> None:
    assert len(encode_pane(pane([(0.5, "a", 0), (0.25, "b", 0)], multi=False))) < 400
