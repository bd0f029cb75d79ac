"""Cuts a reference into blocks while its rows stream by, and makes the `Calibration` out of them.

Rows come once, in time order. Only the PSI's bins are counted per block (ten integers per numeric
feature) and the scores of its mean added up, and a scale keeps at most `MAX_BLOCKS` blocks, evenly thinned,
so memory doesn't grow with the reference. Leaving a block out is a subtraction: the rest of the reference is
its total minus the block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftline.binning import Bins, shares_psi
from driftline.calibration import MIN_BLOCKS, BlockDistribution, BlockScale, Calibration
from driftline.columns import Batch, NumericColumn
from driftline.errors import DataError
from driftline.grid import Grid
from driftline.pane import FeatureAxis
from driftline.shift import STEPS, Score
from driftline.spread import Floats, distribution, shift_distribution, shrink

MAX_BLOCKS = 2500
"""Per scale. More would sharpen p-values that the fitted tail gives anyway."""

THINNING = 5
"""Beyond that every fifth block is kept: five has no factor in common with the hours of a day or a week,
so that every hour of the season keeps its blocks."""

_BLOCKS_AT_TOP = 8
_FALLBACK_SIZES = 4
"""Where rows carry times, sizes in rows serve only windows of little traffic."""
_LEAST_VALUES = 20
"""A block with fewer values of a feature says nothing about it."""

Counts = NDArray[np.int32]
Totals = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """What to cut: `durations` (s, where rows carry times), `sizes` (rows), the season's `period` (s or 0).

    Blocks in time of fewer than `least_rows` rows are left out, as windows of so few rows are not judged.
    """

    durations: tuple[int, ...]
    sizes: tuple[int, ...]
    period: int = 0
    least_rows: int = 200

    @classmethod
    def for_reference(
        cls, rows: int, durations: Sequence[int] = (), period: int = 0, least_rows: int = 200
    ) -> CalibrationPlan:
        """Those durations, and a 1-2-5 ladder of sizes of which the largest gives eight blocks or more."""
        sizes = ladder(rows, least_rows, _FALLBACK_SIZES) if durations else ladder(rows, least_rows)
        return cls(tuple(sorted(set(durations))), sizes, period, least_rows)


def ladder(rows: int, least: int = 200, most: int = 8) -> tuple[int, ...]:
    """Block sizes for a reference of that many rows: at most `most` of 100, 200, 500, 1000, … or none.

    They begin with the largest not above `least`, the rows of the smallest window that is judged.
    """
    sizes = [m * 10**e for e in range(2, 10) for m in (1, 2, 5) if m * 10**e * _BLOCKS_AT_TOP <= rows]
    small = [size for size in sizes if size <= least]
    sizes = small[-1:] + [size for size in sizes if size > least]
    if len(sizes) <= most:
        return tuple(sizes)
    picks = np.linspace(0, len(sizes) - 1, most).round().astype(int)
    return tuple(sizes[pick] for pick in picks)


@dataclass(slots=True)
class _Scale:
    """The blocks of one length: the open one, and those that are complete and kept."""

    seconds: int
    size: int
    stride: int = 1
    closed: int = 0
    open_id: int | None = None
    open_rows: int = 0
    open_counts: Counts | None = None
    open_sums: Totals | None = None
    ids: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)
    sums: list[Totals] = field(default_factory=list)

    def block_of(self, first_row: int, rows: int, times: NDArray[np.float64] | None) -> NDArray[np.int64]:
        """The id of each row's block."""
        if self.seconds:
            if times is None:
                raise DataError("blocks in time need a time per row")
            return np.floor_divide(times, self.seconds).astype(np.int64)
        return (first_row + np.arange(rows, dtype=np.int64)) // self.size

    def push(self, block: int, rows: int, counts: Counts, sums: Totals) -> None:
        """Add rows to a block; a later block closes the open one."""
        if self.open_counts is not None and self.open_sums is not None and block == self.open_id:
            self.open_rows += rows
            self.open_counts += counts
            self.open_sums += sums
            return
        if self.open_id is not None and block < self.open_id:
            raise DataError("the rows of a reference must come in time order to be cut into blocks")
        self.close()
        self.open_id, self.open_rows, self.open_counts, self.open_sums = (
            block,
            rows,
            counts.copy(),
            sums.copy(),
        )

    def close(self) -> None:
        """Keep the open block, and thin the kept ones evenly when there are too many."""
        if self.open_id is None or self.open_counts is None or self.open_sums is None:
            return
        if self.closed % self.stride == 0:
            self.ids.append(self.open_id)
            self.rows.append(self.open_rows)
            self.counts.append(self.open_counts)
            self.sums.append(self.open_sums)
        self.closed += 1
        if len(self.ids) >= MAX_BLOCKS:
            self.ids, self.rows = self.ids[::THINNING], self.rows[::THINNING]
            self.counts, self.sums = self.counts[::THINNING], self.sums[::THINNING]
            self.stride *= THINNING
        self.open_id, self.open_counts, self.open_sums = None, None, None


class BlockCollector:
    """Give it the reference's rows in time order, batch by batch; `finish` returns the calibration."""

    def __init__(self, axes: Mapping[str, FeatureAxis], plan: CalibrationPlan) -> None:
        self._bins = {name: Bins.of(axis) for name, axis in axes.items()}
        self._slices = _slices(self._bins)
        self._width = sum(bins.count for bins in self._bins.values())
        self._scores = {
            name: score
            for name, axis in axes.items()
            if isinstance(axis, Grid) and (score := Score.of(axis)) is not None
        }
        self._plan = plan
        self._total: Totals = np.zeros(self._width, np.int64)
        self._total_sums: Totals = np.zeros(len(self._scores), np.int64)
        self._row = 0
        self._first: float | None = None
        self._last = 0.0
        self._scales = [_Scale(seconds, 0) for seconds in plan.durations]
        self._scales += [_Scale(0, size) for size in plan.sizes]

    def add(self, batch: Batch, times: NDArray[np.float64] | None = None) -> None:
        """Count those rows. `times`: unix seconds, shape (rows,), never decreasing; needed for durations.

        Raises DataError where times are missing or go back.
        """
        if batch.rows == 0 or not self._scales:
            return
        if times is not None:
            self._first = float(times[0]) if self._first is None else self._first
            self._last = float(times[-1])
        blocks = [scale.block_of(self._row, batch.rows, times) for scale in self._scales]
        starts = _starts(blocks, batch.rows)
        counts, sums = self._count(batch, starts), self._sum(batch, starts)
        lengths = np.diff(np.append(starts, batch.rows))
        for scale, block in zip(self._scales, blocks, strict=True):
            for index, start in enumerate(starts):
                scale.push(int(block[start]), int(lengths[index]), counts[index], sums[index])
        self._total += counts.sum(axis=0)
        self._total_sums += sums.sum(axis=0)
        self._row += batch.rows

    def finish(self) -> Calibration | None:
        """The calibration; None where no scale has blocks enough."""
        scales = [made for scale in self._scales if (made := self._finish(scale)) is not None]
        return Calibration(tuple(scales), self._plan.period) if scales else None

    def _count(self, batch: Batch, starts: NDArray[np.intp]) -> Counts:
        """Bin counts per run of rows that share all their blocks: int32 of shape (runs, all bins)."""
        runs = np.zeros(batch.rows, np.int64)
        runs[starts[1:]] = 1
        runs = np.cumsum(runs)
        counts = np.zeros((len(starts), self._width), np.int32)
        for name, bins in self._bins.items():
            column = batch.columns.get(name)
            if column is None:
                continue
            codes = bins.codes(column)
            held = codes >= 0
            flat = np.bincount(runs[held] * bins.count + codes[held], minlength=len(starts) * bins.count)
            counts[:, self._slices[name]] = flat.reshape(len(starts), bins.count)
        return counts

    def _sum(self, batch: Batch, starts: NDArray[np.intp]) -> Totals:
        """Sums of scores, in steps, per run of rows: int64 of shape (runs, columns with a score)."""
        sums = np.zeros((len(starts), len(self._scores)), np.int64)
        for index, (name, score) in enumerate(self._scores.items()):
            column = batch.columns.get(name)
            if isinstance(column, NumericColumn):
                sums[:, index] = np.add.reduceat(score.steps(column.values), starts)
        return sums

    def _finish(self, scale: _Scale) -> BlockScale | None:
        self._close_last(scale)
        keep = np.flatnonzero(np.asarray(scale.rows) >= (self._plan.least_rows if scale.seconds else 1))
        if scale.seconds and len(keep) and scale.ids[keep[0]] * scale.seconds < self._ragged_start(scale):
            keep = keep[1:]
        if len(keep) < MIN_BLOCKS:
            return None
        rows = np.asarray(scale.rows)[keep]
        counts = np.stack([scale.counts[index] for index in keep])
        sums = np.stack([scale.sums[index] for index in keep])
        slots, slot_seconds = self._slots(scale.seconds, np.asarray(scale.ids)[keep])
        blocks = {name: counts[:, part].astype(np.int64) for name, part in self._slices.items()}
        totals = {name: self._total[part] for name, part in self._slices.items()}
        pooled = {name: bins.pooled for name, bins in self._bins.items()}
        features = distributions(blocks, totals, pooled, slots)
        if not features:
            return None
        return BlockScale(
            seconds=scale.seconds,
            rows=int(np.median(rows)),
            least_rows=int(np.quantile(rows, 0.1)),
            blocks=len(keep),
            slot_seconds=slot_seconds,
            slot_blocks=np.bincount(slots).astype("<u4").tobytes(),
            features=features,
            shifts=shift_distributions(
                blocks,
                totals,
                {name: sums[:, index] for index, name in enumerate(self._scores)},
                dict(zip(self._scores, self._total_sums.tolist(), strict=True)),
                slots,
            ),
        )

    def _close_last(self, scale: _Scale) -> None:
        """The last block counts only when (nearly) all of it is there."""
        if scale.open_id is None:
            return
        whole = (
            self._last >= (scale.open_id + 0.9) * scale.seconds
            if scale.seconds
            else scale.open_rows == scale.size
        )
        if whole:
            scale.close()

    def _ragged_start(self, scale: _Scale) -> float:
        """A first block that begins before this time lacks more than a tenth of its rows."""
        return (self._first or 0.0) - 0.1 * scale.seconds

    def _slots(self, seconds: int, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
        """The season slot of each block, and a slot's length; one slot where no two cycles are covered."""
        slot_seconds = max(3600, seconds)
        if seconds and self._plan.period and self._plan.period % slot_seconds == 0:
            slots = self._plan.period // slot_seconds
            if slots > 1 and len(ids) >= 2 * slots:
                middle = ids * seconds + seconds // 2
                slot = middle // slot_seconds % slots
                if np.bincount(slot, minlength=slots).min() > 0:
                    return slot, slot_seconds
        return np.zeros(len(ids), np.int64), 0


def distributions(
    counts: Mapping[str, Totals], totals: Mapping[str, Totals], pooled: Mapping[str, bool], slots: Totals
) -> dict[str, BlockDistribution]:
    """Per feature the distribution of its blocks' PSI, each against the rest of the reference.

    `counts`: per feature of shape (blocks, bins), `totals` of shape (bins,), `slots` (blocks,). Features
    with values in fewer than `MIN_BLOCKS` blocks are left out.
    """
    found = {}
    for name, block in counts.items():
        rest = totals[name] - block
        held = _held(block.sum(axis=1), rest.sum(axis=1))
        if held.sum() >= MIN_BLOCKS:
            psi = shares_psi(rest[held], block[held], pooled=pooled[name])
            found[name] = distribution(psi, slots[held], int(slots.max()) + 1)
    return shrink(found)


def shift_distributions(
    counts: Mapping[str, Totals],
    totals: Mapping[str, Totals],
    sums: Mapping[str, Totals],
    total_sums: Mapping[str, int],
    slots: Totals,
) -> dict[str, BlockDistribution]:
    """The same of the shift: the mean score of each block, less that of the rest of the reference.

    `sums`: per feature that has a score, in steps, of shape (blocks,). Spreads don't borrow from each
    other: they are in the columns' own units, and one restless column says nothing of the next.
    """
    found = {}
    for name, block in sums.items():
        values = counts[name].sum(axis=1)
        rest = int(totals[name].sum()) - values
        held = _held(values, rest)
        if held.sum() >= MIN_BLOCKS:
            others: Floats = (total_sums[name] - block[held]) / rest[held]
            shift = (block[held] / values[held] - others) / STEPS
            found[name] = shift_distribution(shift, slots[held], int(slots.max()) + 1)
    return found


def _held(values: Totals, rest: Totals) -> NDArray[np.bool_]:
    """The blocks with values enough, and with some left to compare them with."""
    held: NDArray[np.bool_] = (values >= _LEAST_VALUES) & (rest > 0)
    return held


def _slices(bins: Mapping[str, Bins]) -> dict[str, slice]:
    found, start = {}, 0
    for name, one in bins.items():
        found[name] = slice(start, start + one.count)
        start += one.count
    return found


def _starts(blocks: Sequence[NDArray[np.int64]], rows: int) -> NDArray[np.intp]:
    """Where any scale's block changes: the first row of each run."""
    change = np.zeros(rows, np.bool_)
    change[0] = True
    for block in blocks:
        change[1:] |= block[1:] != block[:-1]
    return np.flatnonzero(change)
