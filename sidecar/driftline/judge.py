"""The judgement of one window: is an effect large, and is it unusual for this reference?

A pure function of measurements, calibration and policy; whether it lasts is `sustain`'s question. The same
code judges a pod's window, a fleet's and two files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from driftline.calibration import BlockScale, Calibration, Tail
from driftline.policy import FALSE_DISCOVERIES
from driftline.spec import Drift
from driftline.tails import chi2_log_sf
from driftline.verdict import Effect, FeatureJudgement, Reason, State, WindowJudgement

OUTPUTS = frozenset({"prediction", "score"})
"""Roles judged apart from the features: prediction drift has its own family and its own condition."""

_CAP = 10
"""Asymptotic p-values count at most a tenth of the reference's rows: its own error is common to all
windows, so that with more one reference in twenty-five alarms for ever."""


@dataclass(frozen=True, slots=True)
class Window:
    """When, how long (`seconds`), how much."""

    seconds: int
    start: float
    end: float
    rows: int
    requests: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One feature of a window, measured. `psi` None: the window or the reference has no value of it.

    `bins`: of the PSI, after pooling; `floor`: the PSI that noise alone reaches (categories), 0 where the
    asymptotic p-value says it. `rows`: valid values; `effective_rows`: after the design effect of requests.
    `large_elsewhere`: another threshold the user gave is reached (PSI and shift say whether it is unusual).
    `shift`: of a numeric feature's mean, in the units of `shift.Score`; None where there is none.
    """

    name: str
    role: str
    psi: float | None
    bins: int
    rows: int
    effective_rows: float
    reference_rows: int
    psi_expected: float | None = None
    floor: float = 0.0
    large_elsewhere: bool = False
    shift: float | None = None


def judge(
    window: Window,
    measurements: Sequence[Measurement],
    calibration: Calibration | None,
    policy: Drift,
    *,
    once: bool = False,
) -> WindowJudgement:
    """Judge every feature of a window by itself.

    `once`: a single comparison of two data sets, not one of many against the same reference: the
    asymptotic p-value then counts all rows.
    """
    scale = None if calibration is None else calibration.scale(window.seconds, window.rows)
    state = _state(window, measurements, scale, policy)
    if state.judged:
        judged = [_judge(window, measurement, scale, policy, once=once) for measurement in measurements]
        features = tuple(_explain(feature) for feature in _correct(judged))
    else:
        reason = Reason(state.value)
        features = tuple([FeatureJudgement(m.name, m.role, reason, psi=m.psi) for m in measurements])
    return WindowJudgement(
        seconds=window.seconds,
        start=window.start,
        end=window.end,
        rows=window.rows,
        requests=window.requests,
        state=state,
        features=features,
        scale=scale.name if scale is not None else "",
        blocks=scale.blocks if scale is not None else 0,
    )


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: the smallest q at which each would be rejected."""
    order = sorted(range(len(p)), key=p.__getitem__, reverse=True)
    adjusted = [0.0] * len(p)
    least = 1.0
    for place, index in enumerate(order):
        least = min(least, p[index] * len(p) / (len(p) - place))
        adjusted[index] = least
    return adjusted


def conclude(judgement: WindowJudgement) -> WindowJudgement:
    """The verdict where nothing can last, because there is one window only: two files compared."""
    final = {True: Reason.DRIFTED, False: Reason.WARNING}
    features = tuple(
        replace(f, reason=final[f.alarms]) if f.reason is Reason.NOT_SUSTAINED else f
        for f in judgement.features
    )
    return replace(judgement, features=features)


def _state(
    window: Window, measurements: Sequence[Measurement], scale: BlockScale | None, policy: Drift
) -> State:
    if not measurements:
        return State.NO_REFERENCE
    if window.rows < policy.min_rows:
        return State.INSUFFICIENT_DATA
    if window.requests < policy.min_requests:
        return State.INSUFFICIENT_REQUESTS
    return State.OK if scale is not None else State.UNCALIBRATED


def _judge(
    window: Window, m: Measurement, scale: BlockScale | None, policy: Drift, *, once: bool
) -> FeatureJudgement:
    """Effect and raw p-value; the reason only where there can be no p-value."""
    if m.psi is None or m.reference_rows == 0 or 2 * m.rows < policy.min_rows:
        # Under half of the rows a verdict needs, the noise has doubled, and the blocks don't show it.
        reason = Reason.NO_REFERENCE if m.reference_rows == 0 else Reason.INSUFFICIENT_DATA
        return FeatureJudgement(m.name, m.role, reason, psi=m.psi, effective_rows=m.effective_rows)
    tail = None if scale is None else scale.tail(m.name, m.psi, (window.start + window.end) / 2, m.shift)
    if tail is None:
        tail = asymptotic(m, m.psi, once=once)
    return FeatureJudgement(
        name=m.name,
        role=m.role,
        reason=Reason.STABLE,
        effect=_effect(m, m.psi, policy),
        psi=m.psi,
        psi_expected=m.psi_expected,
        p=tail.p,
        extrapolated=tail.extrapolated,
        effective_rows=m.effective_rows,
    )


def _effect(m: Measurement, psi: float, policy: Drift) -> Effect:
    if psi >= policy.thresholds.psi or m.large_elsewhere:
        return Effect.LARGE
    return Effect.MODERATE if psi >= policy.thresholds.warning else Effect.SMALL


def asymptotic(m: Measurement, psi: float, *, once: bool) -> Tail:
    """PSI x n N / (n + N) is chi-squared with bins - 1 degrees of freedom for independent rows.

    (Yurdakul and Naranjo 2020, Statistical properties of the population stability index.) n and N are
    divided by the window's design effect. The logarithm makes the PSI of few rows heavier than that, by
    about 2 bins / n in the tail (measured: `docs/verdicts.md`), which is taken off.
    """
    if m.bins < 2 or psi < m.floor:
        return Tail(1.0, extrapolated=False)
    rows = m.effective_rows if once else min(m.effective_rows, m.reference_rows / _CAP)
    reference = m.reference_rows * m.effective_rows / m.rows
    weight = rows * reference / (rows + reference) / (1 + 2 * m.bins / m.effective_rows)
    return Tail(math.exp(max(-700.0, chi2_log_sf(psi * weight, m.bins - 1))), extrapolated=False)


def _correct(judged: Sequence[FeatureJudgement]) -> list[FeatureJudgement]:
    """Benjamini-Hochberg within the features and within the outputs."""
    found = {feature.name: feature for feature in judged}
    for outputs in (False, True):
        family = [f for f in judged if f.p is not None and (f.role in OUTPUTS) is outputs]
        adjusted = benjamini_hochberg([f.p for f in family if f.p is not None])
        for feature, p in zip(family, adjusted, strict=True):
            found[feature.name] = replace(feature, p_adjusted=p, unusual=p <= FALSE_DISCOVERIES)
    return [found[feature.name] for feature in judged]


def _explain(feature: FeatureJudgement) -> FeatureJudgement:
    """The reason, as far as one window can give it."""
    if feature.p is None:
        return feature
    if feature.effect is Effect.SMALL:
        reason = Reason.SMALL_EFFECT if feature.unusual else Reason.STABLE
    else:
        reason = Reason.NOT_SUSTAINED if feature.unusual else Reason.USUAL_FOR_REFERENCE
    return replace(feature, reason=reason)
