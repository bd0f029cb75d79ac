"""What a monitor can see at all: the smallest shift a window finds, and the rows and days it needs.

Answers for `driftline check`, from the profile's own blocks: what the reference does by itself can't be
told from drift. Shifts are in standard deviations of a bell-shaped column; the effect must also reach the
user's threshold, so more rows don't help below that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import log
from statistics import NormalDist, median

from driftline.calibration import BlockScale, Calibration
from driftline.judge import Measurement, asymptotic
from driftline.policy import FALSE_DISCOVERIES
from driftline.spec import Drift

DAY = 86400
_SHARE_FLOOR = 1e-4
_MOST = 8.0
"""The PSI of deciles that share nothing is about 8.3."""


@dataclass(frozen=True, slots=True)
class Column:
    """A feature as detectability needs it."""

    name: str
    bins: int
    rows: int


@dataclass(frozen=True, slots=True)
class Detectable:
    """What one window of one segment ("" for the whole) finds.

    `rows` in the window; `psi` and `shift` (sd) of the median feature, `worst` the feature that hides most
    and `worst_shift` what it takes there, None where nothing is found; `days` from the shift to a verdict;
    `rows_per_day`: what the window needs to be judged at all. `reason` says why nothing is found.
    """

    seconds: int
    segment: str
    rows: int
    scale: str
    psi: float | None
    shift: float | None
    worst: str
    worst_shift: float | None
    days: float
    rows_per_day: float
    reason: str = ""


def detectability(
    columns: Sequence[Column],
    calibration: Calibration | None,
    policy: Drift,
    windows: Sequence[int],
    rows_per_day: float,
    segments: Mapping[str, float] | None = None,
) -> list[Detectable]:
    """One line per window (s) and segment. `segments`: the share of the rows each has."""
    shares = {"": 1.0, **(segments or {})}
    return [
        _window(columns, calibration, policy, seconds, segment, rows_per_day * share)
        for segment, share in shares.items()
        for seconds in sorted(windows)
    ]


def shifts_by_rows(
    columns: Sequence[Column], calibration: Calibration | None, policy: Drift, rows: Sequence[int]
) -> dict[int, float | None]:
    """The smallest shift (sd) of the median feature for windows of that many rows; None: nothing is found."""
    found: dict[int, float | None] = {}
    for count in rows:
        scale = calibration.scale(0, count) if calibration is not None else None
        least = [smallest_psi(c, scale, policy, count, len(columns)) for c in columns]
        middle = median(_MOST if psi is None else psi for psi in least)
        found[count] = shift_of(middle) if middle < _MOST and count >= policy.min_rows else None
    return found


def _window(
    columns: Sequence[Column],
    calibration: Calibration | None,
    policy: Drift,
    seconds: int,
    segment: str,
    rows_per_day: float,
) -> Detectable:
    rows = int(rows_per_day * seconds / DAY)
    scale = calibration.scale(seconds, rows) if calibration is not None else None
    needed = policy.min_rows * DAY / seconds
    days = policy.sustain.windows * seconds / DAY
    if rows < policy.min_rows or not columns:
        reason = "NoReference" if not columns else "InsufficientData"
        return Detectable(seconds, segment, rows, "", None, None, "", None, days, needed, reason)
    found = {c.name: smallest_psi(c, scale, policy, rows, len(columns)) for c in columns}
    hidden = max(found, key=lambda name: _MOST if found[name] is None else found[name] or 0.0)
    middle = median(_MOST if psi is None else psi for psi in found.values())
    seen = middle < _MOST
    return Detectable(
        seconds=seconds,
        segment=segment,
        rows=rows,
        scale=scale.name if scale is not None else "independent rows",
        psi=middle if seen else None,
        shift=shift_of(middle) if seen else None,
        worst=hidden,
        worst_shift=shift_of(worst) if (worst := found[hidden]) is not None else None,
        days=days,
        rows_per_day=needed,
        reason="" if seen else "UsualForReference",
    )


def smallest_psi(
    column: Column, scale: BlockScale | None, policy: Drift, rows: int, features: int
) -> float | None:
    """The PSI from which that feature, drifting alone among `features`, is large and unusual, if any is."""
    level = FALSE_DISCOVERIES / features
    low, high = policy.thresholds.psi, _MOST
    if _p(column, scale, rows, low) <= level:
        return low
    if _p(column, scale, rows, high) > level:
        return None
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if _p(column, scale, rows, middle) <= level else (middle, high)
    return high


def _p(column: Column, scale: BlockScale | None, rows: int, psi: float) -> float:
    """In the season slot where the reference is most restless."""
    if scale is not None and column.name in scale.features:
        slots = range(len(scale.slot_blocks) // 4)
        shift = shift_of(psi)
        tails = (scale.tail(column.name, psi, slot * scale.slot_seconds, shift) for slot in slots)
        return max(tail.p for tail in tails if tail is not None)
    measured = Measurement(column.name, "feature", psi, column.bins, rows, rows, column.rows)
    return asymptotic(measured, psi, once=False).p


@lru_cache(maxsize=1024)
def shift_of(psi: float) -> float:
    """The shift of a normal column, in sd, whose PSI over the reference's deciles is `psi`."""
    low, high = 0.0, 12.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _normal_psi(middle) < psi else (low, middle)
    return high


def _normal_psi(shift: float) -> float:
    """PSI of N(shift, 1) against N(0, 1) on the deciles of the latter."""
    normal = NormalDist()
    below = [0.0, *(normal.cdf(normal.inv_cdf(k / 10) - shift) for k in range(1, 10)), 1.0]
    shares = [max(_SHARE_FLOOR, b - a) for a, b in pairwise(below)]
    return sum((share - 0.1) * log(share / 0.1) for share in shares)
