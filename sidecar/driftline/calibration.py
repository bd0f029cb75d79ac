"""What blocks of the reference itself show: the yardstick that tells drift from this reference's unrest.

A reference is cut into consecutive blocks as long as the windows it will be compared with (in seconds
where its rows carry times, in rows otherwise). The PSI of every block against the rest of the reference
and, for numeric features, its shift (`shift`) are kept here in compact form, per feature and scale, with the
p-value of a window against them. `blocks` makes it; this module must not know how.

The p-value is conformal while a window stays within what the blocks show: (1 + blocks at or above it) /
(1 + blocks). Beyond the largest block it is the tail of a Student-t prediction interval for the log of
the PSI, or for the shift (two-sided), never above 1 / (1 + blocks). The smaller of the two counts twice
(Bonferroni). `docs/design/2026-11-23-few-blocks.md` says why and how good it is.
"""

from __future__ import annotations

import math
import operator
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np

from driftline.tails import student_log_sf

FLOOR = 1e-4
"""A PSI below this is as good as none; its log would be about nothing but its noise."""

MIN_BLOCKS = 5
"""Fewer blocks than this tell nothing about a tail: the scale is left out."""

_LEAST_SPREAD = 0.25
"""Of the log PSI. Independent rows on ten bins have 0.49; blocks that are all alike (a constant
feature) have 0, which would make any difference infinitely unusual."""


_LEAST_SHIFT_SPREAD = 0.05
"""In the shift's units, for the same reason."""

_MOST_SHIFT_DEGREES = 5.0
"""Means of delays, of visibility or of amounts have heavier tails than a normal's, and storms come alone:
beyond the blocks their tail is taken as no lighter than this t's (`docs/verdicts.md`)."""


class Tail(NamedTuple):
    """How unusual a window is. `extrapolated`: beyond every block, from the fitted tail."""

    p: float
    extrapolated: bool


class BlockDistribution(msgspec.Struct, frozen=True, gc=False):
    """The log PSI (or the shift) of one feature's blocks, centred per season slot.

    Arrays are little-endian bytes.
    """

    location: bytes
    """float32[slots]: mean of the slot's blocks."""
    kept: bytes
    """float32[k], descending: order statistics of the centred values (of the shift: of their amounts), the
    largest ones all."""
    ranks: bytes
    """uint32[k]: how many blocks are at or above each of `kept`."""
    spread: float
    """Standard deviation of the centred values."""
    blocks: int
    """Blocks that have values of the feature."""
    degrees: float
    """Degrees of freedom of `spread`."""
    effective_blocks: float
    """Blocks after their autocorrelation: neighbours that resemble each other count as fewer."""


class BlockScale(msgspec.Struct, frozen=True, gc=False):
    """Blocks of one length, of all features."""

    seconds: int
    """The length in time; 0 where the scale is in rows."""
    rows: int
    """The length in rows; the median where the scale is in time."""
    least_rows: int
    """The rows of a small block (10th percentile): smaller windows are noisier than these blocks."""
    blocks: int
    slot_seconds: int
    """The length of a season slot; 0 without season."""
    slot_blocks: bytes
    """uint32[slots]: blocks in each slot of the season; one slot without season."""
    features: dict[str, BlockDistribution]
    """Of the log PSI."""
    shifts: dict[str, BlockDistribution] = {}
    """Of the shift, for the numeric features whose outer deciles differ."""

    @property
    def name(self) -> str:
        """`1h`, `24h` or `1000 rows`."""
        return _duration(self.seconds) if self.seconds else f"{self.rows} rows"

    def tail(self, feature: str, psi: float, middle: float = 0.0, shift: float | None = None) -> Tail | None:
        """How unusual that PSI and that shift are; None where the reference has no blocks of the feature.

        `middle`: unix time of the middle of the window, which names its season slot. Without a `shift` (or
        without blocks' shifts) the PSI speaks alone.
        """
        distribution = self.features.get(feature)
        if distribution is None:
            return None
        sizes = _uint32(self.slot_blocks)
        slot = int(middle // self.slot_seconds) % len(sizes) if self.slot_seconds else 0
        value = math.log(max(psi, FLOOR))
        by_psi = _tail(_deviation(distribution, value, slot, sizes[slot]), distribution, _LEAST_SPREAD)
        shifts = self.shifts.get(feature)
        if shift is None or shifts is None:
            return by_psi
        moved = abs(_deviation(shifts, shift, slot, sizes[slot]))
        by_shift = _tail(moved, shifts, _LEAST_SHIFT_SPREAD, _MOST_SHIFT_DEGREES, sides=2)
        least = min(by_psi, by_shift)
        return least._replace(p=min(1.0, 2 * least.p))


class Calibration(msgspec.Struct, frozen=True, gc=False):
    """All scales, ascending: those in time first, then those in rows. `period`: of the season, seconds."""

    scales: tuple[BlockScale, ...]
    period: int = 0

    def scale(self, seconds: float, rows: int) -> BlockScale | None:
        """The blocks a window of that length and that many rows is compared with; None: uncalibrated.

        Those of the nearest duration not above the window's; where the window has fewer rows than such
        blocks (traffic fell) or the rows carry no times, those of the nearest size not above its own
        rows. Smaller blocks show larger values, so a missing scale costs power, not false alarms.
        """
        place = _choose([(s.seconds, s.rows, s.least_rows) for s in self.scales], seconds, rows)
        return None if place is None else self.scales[place]


class PackedCalibration(Calibration, frozen=True, gc=False, kw_only=True):
    """The same for who judges many monitors: scales are decoded when they are asked for, some 50 us each."""

    heads: tuple[tuple[int, int, int], ...]
    """Seconds, rows and least rows of each scale."""
    packed: tuple[bytes, ...]

    @classmethod
    def of(cls, calibration: Calibration) -> PackedCalibration:
        """Packed."""
        found = calibration.scales
        return cls(
            scales=(),
            period=calibration.period,
            heads=tuple((each.seconds, each.rows, each.least_rows) for each in found),
            packed=tuple(zlib.compress(msgspec.msgpack.encode(each), 6) for each in found),
        )

    def scale(self, seconds: float, rows: int) -> BlockScale | None:
        """As `Calibration.scale`."""
        place = _choose(self.heads, seconds, rows)
        return None if place is None else _scale.decode(zlib.decompress(self.packed[place]))


_scale = msgspec.msgpack.Decoder(BlockScale)


def _choose(heads: Sequence[tuple[int, int, int]], seconds: float, rows: int) -> int | None:
    """Which of the scales, by their seconds, rows and least rows."""
    timed = [n for n, (s, _, least) in enumerate(heads) if s and s <= seconds and least <= rows]
    if timed:
        return max(timed, key=lambda n: heads[n][0])
    sized = [n for n, (s, size, _) in enumerate(heads) if not s and size <= rows]
    return max(sized, key=lambda n: heads[n][1], default=None)


def _deviation(d: BlockDistribution, value: float, slot: int, slot_blocks: int) -> float:
    """From the slot's mean, rounded as the kept values are."""
    location = _float32(d.location)
    # With several slots each has its own mean from few blocks, and a new value deviates from that mean by
    # more than a block that took part in it: both are put on the scale of one free value.
    widen = math.sqrt(1 + 1 / max(1, slot_blocks)) if len(location) > 1 else 1.0
    return _rounded((value - location[slot]) / widen)


def _tail(
    z: float, d: BlockDistribution, least_spread: float, most_degrees: float = math.inf, sides: int = 1
) -> Tail:
    """Of a deviation (of its amount, where `sides` is 2)."""
    at_or_above = _at_or_above(_float32(d.kept), _uint32(d.ranks), z, d.blocks)
    effective = d.effective_blocks
    p = (1 + at_or_above * effective / d.blocks) / (1 + effective)
    if at_or_above:
        return Tail(min(1.0, p), extrapolated=False)
    seasonal = len(d.location) > 4
    spread = max(d.spread, least_spread) * (1.0 if seasonal else math.sqrt(1 + 1 / effective))
    beyond = sides * math.exp(max(-700.0, student_log_sf(z / spread, min(d.degrees, most_degrees))))
    return Tail(min(p, beyond), extrapolated=beyond < p)


def _at_or_above(kept: tuple[float, ...], ranks: tuple[int, ...], z: float, blocks: int) -> int:
    """Blocks at or above z; between two kept order statistics the larger count (a larger p)."""
    index = bisect_right(kept, -z, key=operator.neg)
    if index == 0:
        return 0
    return ranks[index] - 1 if index < len(kept) else blocks


def _rounded(value: float) -> float:
    """As the kept values were rounded, so that a window equal to a block ties with it."""
    return float(np.float32(value))


@lru_cache(maxsize=4096)
def _float32(raw: bytes) -> tuple[float, ...]:
    return tuple(np.frombuffer(raw, dtype="<f4").tolist())


@lru_cache(maxsize=4096)
def _uint32(raw: bytes) -> tuple[int, ...]:
    return tuple(np.frombuffer(raw, dtype="<u4").tolist())


def _duration(seconds: int) -> str:
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
