"""Traffic without drift (and with known shifts), as counts on the PSI's bins, for the simulation of verdicts.

Counts are drawn on the bins directly: the bins are the population's deciles, the reference's shares are
counted. That equals counting rows, but for which of the two, edges or shares, carries the reference's noise.
A row's score is its bin's mean score, unless sums of scores come with the counts (as from flights).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from driftline.binning import shares_psi
from driftline.blocks import MAX_BLOCKS, THINNING, distributions, ladder, shift_distributions
from driftline.calibration import BlockScale, Calibration
from driftline.shift import STEPS
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEATURES = 30
SHIFTED = 3
NAMES = tuple(f"f{index:02d}" for index in range(FEATURES))
_NORMAL = NormalDist()
DECILES = np.array([_NORMAL.inv_cdf(k / 10) for k in range(1, 10)])
_GRID = np.linspace(-8.0, 8.0, 16001)
_CDF = np.array([_NORMAL.cdf(x) for x in _GRID])


_DENSITY = np.array([0.0, *(_NORMAL.pdf(x) for x in DECILES), 0.0])
SCORES = np.rint(-np.diff(_DENSITY) / 0.1 * STEPS).astype(np.int64)
"""The mean of a standard normal in each of its decile bins, in steps."""


def phi(x: Floats) -> Floats:
    """The standard normal distribution function."""
    found: Floats = np.interp(x, _GRID, _CDF)
    return found


def bin_probabilities(mean: Floats, sd: float = 1.0, edges: Floats = DECILES) -> Floats:
    """Of N(mean, sd^2) on the bins between `edges`; shape mean.shape + (bins,)."""
    below = phi((edges - mean[..., None]) / sd)
    whole = np.concatenate([np.zeros((*mean.shape, 1)), below, np.ones((*mean.shape, 1))], axis=-1)
    return np.diff(whole, axis=-1)


@dataclass(frozen=True)
class Reference:
    """Counted bins per feature, and the calibration from its blocks."""

    totals: dict[str, Ints]
    rows: int
    calibration: Calibration | None
    sums: dict[str, Ints]
    """Of scores, per numeric feature: shape (1,)."""


def sums_of(counts: Mapping[str, Ints]) -> dict[str, Ints]:
    """Sums of scores from counts on ten bins: (blocks, bins) to (blocks, 1)."""
    return {name: (block @ SCORES)[:, None] for name, block in counts.items()}


def scale(
    blocks: Mapping[str, Ints],
    *,
    rows: int,
    seconds: int = 0,
    slots: Ints | None = None,
    slot_seconds: int = 0,
    pooled: Mapping[str, bool] | None = None,
    sums: Mapping[str, Ints] | None = None,
) -> BlockScale:
    """A scale from consecutive blocks' counts and sums of scores: (blocks, bins), (blocks, 1) per feature."""
    scored = sums_of(blocks) if sums is None else sums
    count = len(next(iter(blocks.values())))
    stride = THINNING if count >= MAX_BLOCKS else 1
    slot = (np.zeros(count, np.int64) if slots is None else slots)[::stride]
    kept = {name: counts[::stride] for name, counts in blocks.items()}
    totals = {name: counts.sum(axis=0) for name, counts in blocks.items()}
    found = distributions(kept, totals, pooled or dict.fromkeys(blocks, False), slot)
    shifts = shift_distributions(
        kept,
        totals,
        {name: values[::stride, 0] for name, values in scored.items()},
        {name: int(values.sum()) for name, values in scored.items()},
        slot,
    )
    return BlockScale(
        seconds=seconds,
        rows=rows,
        least_rows=int(0.8 * rows),
        blocks=len(slot),
        slot_seconds=slot_seconds,
        slot_blocks=np.bincount(slot).astype("<u4").tobytes(),
        features=found,
        shifts=shifts,
    )


def by_name(counts: Ints) -> dict[str, Ints]:
    """(blocks, features, bins) as one matrix per feature."""
    return {name: counts[:, i] for i, name in enumerate(NAMES)}


def merged(blocks: Mapping[str, Ints], per: int) -> dict[str, Ints]:
    """Runs of `per` consecutive blocks, added up."""
    return {
        name: counts[: len(counts) // per * per].reshape(-1, per, counts.shape[1]).sum(axis=1)
        for name, counts in blocks.items()
    }


def reference_in_rows(
    base: Mapping[str, Ints],
    base_rows: int,
    *,
    calibrated: bool = True,
    pooled: Mapping[str, bool] | None = None,
    sums: Mapping[str, Ints] | None = None,
) -> Reference:
    """From consecutive base blocks of `base_rows` rows: counts (blocks, bins), sums (blocks, 1)."""
    scored = sums_of(base) if sums is None else sums
    rows = len(next(iter(base.values()))) * base_rows
    sizes = [size for size in ladder(rows) if size % base_rows == 0] if calibrated else []
    scales = [
        scale(
            merged(base, size // base_rows), rows=size, pooled=pooled, sums=merged(scored, size // base_rows)
        )
        for size in sizes
    ]
    return Reference(
        {name: counts.sum(axis=0) for name, counts in base.items()},
        rows,
        Calibration(tuple(scales)) if scales else None,
        {name: values.sum(axis=0) for name, values in scored.items()},
    )


def independent(rng: np.random.Generator, windows: int, rows: int, shift: float = 0.0) -> Ints:
    """Windows of independent rows, the first `SHIFTED` features shifted: (windows, features, bins)."""
    means = np.zeros(FEATURES)
    means[:SHIFTED] = shift
    return rng.multinomial(rows, bin_probabilities(means), size=(windows, FEATURES)).astype(np.int64)


REQUEST_ROWS = 20
_INTRA_CLASS = 0.3


class Requests:
    """Requests of 20 rows with an intra-class correlation of .3, drawn from a library of 200,000 of them."""

    def __init__(self, rng: np.random.Generator, size: int = 200_000) -> None:
        own = rng.standard_normal(size) * np.sqrt(_INTRA_CLASS)
        self.library = rng.multinomial(
            REQUEST_ROWS, bin_probabilities(own, np.sqrt(1 - _INTRA_CLASS))
        ).astype(np.int16)

    def draw(self, rng: np.random.Generator, windows: int, rows: int) -> Ints:
        """Windows of whole requests: (windows, features, bins)."""
        found = np.empty((windows, FEATURES, 10), np.int64)
        for window in range(windows):
            index = rng.integers(len(self.library), size=(FEATURES, rows // REQUEST_ROWS))
            found[window] = self.library[index].sum(axis=1, dtype=np.int64)
        return found

    def design_effect(self) -> float:
        """Of a mid-rank: between-request variance over that of as many independent rows."""
        ranks = (np.arange(10) - 4.5) / 10
        sums = self.library @ ranks
        return float(sums.var() / (REQUEST_ROWS * (ranks**2).mean()))


class DailyCycle:
    """A daily cycle of .7 sd, each feature with its own phase, at `rate` rows an hour."""

    def __init__(self, rng: np.random.Generator, rate: int = 1000, amplitude: float = 0.7) -> None:
        self.rate = rate
        self.phase = rng.uniform(0, 2 * np.pi, FEATURES)
        self.amplitude = amplitude
        hours = np.linspace(0, 24, 240, endpoint=False)
        levels = amplitude * np.sin(2 * np.pi * hours / 24)
        grid = np.linspace(-4, 4, 4001)
        mixture = phi((grid[:, None] - levels) / 1.0).mean(axis=1)
        self.edges = np.interp(np.arange(1, 10) / 10, mixture, grid)

    def draw(self, rng: np.random.Generator, starts: Floats, hours: float) -> Ints:
        """Windows that start at those hours: (windows, features, bins)."""
        steps = max(2, int(hours * 4))
        at = starts[:, None] + (np.arange(steps) + 0.5) * hours / steps
        p = np.zeros((len(starts), FEATURES, 10))
        for step in range(steps):
            means = self.amplitude * np.sin(2 * np.pi * at[:, step, None] / 24 + self.phase)
            p += bin_probabilities(means, edges=self.edges) / steps
        return rng.multinomial(round(hours * self.rate), p / p.sum(axis=-1, keepdims=True)).astype(np.int64)


def psi(
    reference: Mapping[str, Ints], windows: Mapping[str, Ints], pooled: Mapping[str, bool] | None = None
) -> Floats:
    """(windows, features), from the reference's totals and windows' counts per feature."""
    rare = pooled or dict.fromkeys(reference, False)
    return np.stack(
        [
            shares_psi(np.broadcast_to(totals, windows[name].shape), windows[name], pooled=rare[name])
            for name, totals in reference.items()
        ],
        axis=1,
    )


def shifts(
    reference: Reference, windows: Mapping[str, Ints], sums: Mapping[str, Ints] | None = None
) -> Floats:
    """(windows, features): mean score less the reference's, NaN where a feature has no scores or values."""
    scored = sums_of(windows) if sums is None else sums
    found = []
    for name, totals in reference.totals.items():
        if name not in scored:
            found.append(np.full(len(windows[name]), np.nan))
            continue
        values = windows[name].sum(axis=1)
        mean = np.where(values > 0, scored[name][:, 0] / np.maximum(values, 1), np.nan)
        found.append((mean - reference.sums[name][0] / totals.sum()) / STEPS)
    return np.stack(found, axis=1)
