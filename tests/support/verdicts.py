"""Builders for judgements: `window(rows=…)`, `measured("age", psi=…)`, `blocks_of([...])`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from driftline.calibration import BlockScale, Calibration
from driftline.judge import Measurement, Window
from driftline.spread import distribution
from driftline.verdict import Effect, FeatureJudgement, Reason, State, WindowJudgement

HOUR = 3600


def window(end: float = HOUR, *, rows: int = 5000, requests: int = 5000, seconds: int = HOUR) -> Window:
    """An hour of single-row requests."""
    return Window(seconds, end - seconds, end, rows, requests)


def measured(name: str, psi: float | None, *, role: str = "feature", rows: int = 5000) -> Measurement:
    """A numeric feature of independent rows, against a reference of 100,000."""
    return Measurement(name, role, psi, 10, rows, rows, 100_000)


def calibration_of(values: dict[str, Sequence[float]], *, rows: int = 1000) -> Calibration:
    """One scale, in rows, from the PSI of each feature's blocks."""
    found = {
        name: distribution(np.asarray(psi), np.zeros(len(psi), np.int64), 1) for name, psi in values.items()
    }
    count = max(len(psi) for psi in values.values())
    return Calibration((BlockScale(0, rows, rows, count, 0, np.array([count], "<u4").tobytes(), found),))


def said(
    end: float,
    effect: Effect,
    *,
    unusual: bool = True,
    p: float = 1e-6,
    seconds: int = HOUR,
    name: str = "age",
    state: State = State.OK,
    role: str = "feature",
) -> WindowJudgement:
    """A judged window that says this of one feature."""
    reason = Reason.NOT_SUSTAINED if unusual and effect is not Effect.SMALL else Reason.STABLE
    psi = {Effect.SMALL: 0.02, Effect.MODERATE: 0.15, Effect.LARGE: 0.9}[effect]
    feature = FeatureJudgement(name, role, reason, effect, unusual=unusual, psi=psi, p=p, p_adjusted=p)
    return WindowJudgement(seconds, end - seconds, end, 5000, 5000, state, (feature,))
