from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from driftline.binning import Bins, shares_psi
from driftline.blocks import MAX_BLOCKS, BlockCollector, CalibrationPlan, ladder
from driftline.calibration import Calibration
from driftline.categories import Categories
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.errors import DataError
from driftline.grid import Grid
from numpy.typing import NDArray

Values = NDArray[np.float64]
Codes = NDArray[np.int32] | NDArray[np.int64]
HOUR = 3600.0
DAY = 24 * HOUR


def rows_of(
    values: Values,
    codes: NDArray[np.int32] | NDArray[np.int64],
    dictionary: tuple[str, ...] = ("a", "b", "c"),
) -> Batch:
    columns: dict[str, Column] = {
        "age": NumericColumn(values.astype(np.float64)),
        "kind": CategoricalColumn(codes.astype(np.int32), dictionary),
    }
    return Batch(len(values), columns, len(values))


def cut(batch: Batch, start: int, end: int) -> Batch:
    age, kind = batch.columns["age"], batch.columns["kind"]
    assert isinstance(age, NumericColumn)
    assert isinstance(kind, CategoricalColumn)
    return rows_of(age.values[start:end], kind.codes[start:end], kind.dictionary)


def data(rows: int, seed: int = 1) -> tuple[Batch, dict[str, Grid | Categories]]:
    rng = np.random.default_rng(seed)
    batch = rows_of(rng.normal(size=rows), rng.integers(0, 3, rows))
    age = batch.columns["age"]
    assert isinstance(age, NumericColumn)
    return batch, {"age": Grid.from_values(age.values), "kind": Categories(("a", "b", "c"))}


def calibrate(
    batch: Batch, axes: dict[str, Grid | Categories], plan: CalibrationPlan, *cuts: int
) -> Calibration | None:
    collector = BlockCollector(axes, plan)
    bounds = [0, *cuts, batch.rows]
    for start, end in pairwise(bounds):
        collector.add(cut(batch, start, end))
    return collector.finish()


def test_it_leaves_one_block_out_at_a_time() -> None:
    batch, axes = data(1000)
    found = calibrate(batch, axes, CalibrationPlan((), (100,)))
    assert found is not None
    scale = found.scales[0]
    codes = Bins.of(axes["age"]).codes(batch.columns["age"])
    blocks = np.stack([np.bincount(codes[i : i + 100], minlength=10) for i in range(0, 1000, 100)])
    psi = np.sort(shares_psi(blocks.sum(axis=0) - blocks, blocks, pooled=False))
    for rank, value in enumerate(psi[::-1], start=1):
        tail = scale.tail("age", float(value))
        assert tail is not None
        effective = scale.features["age"].effective_blocks
        assert tail.p == pytest.approx((1 + rank * effective / 10) / (1 + effective))


def test_batches_may_end_anywhere() -> None:
    batch, axes = data(3000)
    plan = CalibrationPlan((), (100, 200))
    assert calibrate(batch, axes, plan) == calibrate(batch, axes, plan, 7, 150, 151, 1999)


def test_rows_in_time_are_cut_by_the_clock() -> None:
    batch, axes = data(10 * 24 * 50)
    times = np.arange(batch.rows) * HOUR / 50
    collector = BlockCollector(axes, CalibrationPlan((int(HOUR), int(DAY)), (), least_rows=20))
    collector.add(batch, times)
    found = collector.finish()
    assert found is not None
    assert [(scale.name, scale.rows, scale.blocks) for scale in found.scales] == [
        ("1h", 50, 240),
        ("24h", 1200, 10),
    ]


def test_a_season_needs_two_cycles_and_keeps_every_hour() -> None:
    batch, axes = data(10 * 24 * 50)
    times = np.arange(batch.rows) * HOUR / 50
    for period, slots in ((int(DAY), 24), (7 * int(DAY), 1)):
        collector = BlockCollector(axes, CalibrationPlan((int(HOUR),), (), period, least_rows=20))
        collector.add(batch, times)
        found = collector.finish()
        assert found is not None
        assert len(found.scales[0].slot_blocks) // 4 == slots


def test_thinning_keeps_every_hour_of_the_day() -> None:
    hours = MAX_BLOCKS * 2
    batch, axes = data(hours * 20)
    collector = BlockCollector(axes, CalibrationPlan((int(HOUR),), (), int(DAY), least_rows=10))
    collector.add(batch, np.arange(batch.rows) * HOUR / 20)
    found = collector.finish()
    assert found is not None
    assert found.scales[0].blocks <= MAX_BLOCKS
    assert min(np.frombuffer(found.scales[0].slot_blocks, "<u4")) > 10


def test_rows_out_of_time_order_are_refused() -> None:
    batch, axes = data(1000)
    collector = BlockCollector(axes, CalibrationPlan((int(HOUR),), ()))
    with pytest.raises(DataError, match="time order"):
        collector.add(batch, np.arange(1000, 0, -1.0) * 60)


def test_durations_without_times_are_refused() -> None:
    batch, axes = data(1000)
    with pytest.raises(DataError, match="time per row"):
        BlockCollector(axes, CalibrationPlan((int(HOUR),), ())).add(batch)


def test_too_few_blocks_calibrate_nothing() -> None:
    batch, axes = data(400)
    assert calibrate(batch, axes, CalibrationPlan((), (100,))) is None


def test_missing_values_are_in_no_bin() -> None:
    bins = Bins.of(Grid.from_values(np.arange(100.0)))
    codes = bins.codes(NumericColumn(np.array([np.nan, np.inf, -np.inf, 5.0])))
    assert codes.tolist() == [-1, -1, -1, 0]


def test_unseen_categories_are_other() -> None:
    bins = Bins.of(Categories(("a", "b")))
    codes = bins.codes(CategoricalColumn(np.array([0, 1, 2, -1], np.int32), ("b", "zzz", "a")))
    assert codes.tolist() == [1, 2, 0, -1]


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [
        (799, ()),
        (1000, (100,)),
        (2000, (200,)),
        (8000, (200, 500, 1000)),
        (80_000, (200, 500, 1000, 2000, 5000, 10_000)),
    ],
)
def test_the_ladder(rows: int, sizes: tuple[int, ...]) -> None:
    assert ladder(rows) == sizes


def test_the_ladder_is_bounded() -> None:
    assert len(ladder(10**9)) == 8
    assert ladder(10**9)[0] == 200
