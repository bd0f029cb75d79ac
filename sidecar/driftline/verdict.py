"""What a window is judged to be, in closed words: states, reasons, and the numbers behind them.

The same words stand in Events, conditions, log lines, metrics and reports. Nothing here decides;
`judge` does (one window), then `sustain` (over windows).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Whether a window can be judged at all. Only `OK` and `UNCALIBRATED` carry verdicts."""

    OK = "Ok"
    UNCALIBRATED = "Uncalibrated"
    """Judged by asymptotic p-values: the reference has no time order, or too few blocks."""
    INSUFFICIENT_DATA = "InsufficientData"
    """Fewer rows than `drift.minRows`: neither pass nor fail."""
    INSUFFICIENT_REQUESTS = "InsufficientRequests"
    """Rows enough, but from fewer requests than `drift.minRequests`: neither pass nor fail."""
    NO_REFERENCE = "NoReference"
    """There is no profile yet."""

    @property
    def judged(self) -> bool:
        """True where the window's features carry a verdict."""
        return self in (State.OK, State.UNCALIBRATED)


class Reason(StrEnum):
    """Why a feature is called what it is called."""

    STABLE = "Stable"
    """The effect is below the warning threshold, and not unusual."""
    SMALL_EFFECT = "SmallEffect"
    """Unusual for this reference, but below the warning threshold."""
    USUAL_FOR_REFERENCE = "UsualForReference"
    """The effect reaches a threshold, but blocks of the reference itself show the like."""
    NOT_SUSTAINED = "NotSustained"
    """Large and unusual in this window, but not in enough of the last disjoint windows."""
    INSUFFICIENT_EVIDENCE = "InsufficientEvidence"
    """Sustained, but the month's bound on false pages is not reached yet (the e-detector)."""
    WARNING = "Warning"
    """At or above the warning threshold, unusual and lasting."""
    DRIFTED = "Drifted"
    """Large, unusual and lasting."""
    INSUFFICIENT_DATA = "InsufficientData"
    """Too few values of this feature in the window (or too few rows at all)."""
    INSUFFICIENT_REQUESTS = "InsufficientRequests"
    """Too few requests in the window."""
    NO_REFERENCE = "NoReference"
    """No profile, or the reference has no value of this feature."""


class Effect(StrEnum):
    """The size of the effect against the user's thresholds."""

    SMALL = "small"
    MODERATE = "moderate"
    """At or above `drift.thresholds.warning`."""
    LARGE = "large"
    """At or above `drift.thresholds.psi`, or another threshold that is given."""


@dataclass(frozen=True, slots=True)
class FeatureJudgement:
    """One feature in one window.

    `psi_expected`: the mean PSI of independent rows without any drift (numeric), or the noise floor
    (categories). `p`: the probability of a PSI or a shift like this without drift; `p_adjusted` is
    Benjamini and Hochberg's; None where the feature can't be judged. `extrapolated`: the value lies beyond
    every block of the reference, and `p` comes from the fitted tail. `effective_rows`: rows after the
    design effect of requests, the valid rows where requests are unknown.
    """

    name: str
    role: str
    reason: Reason
    effect: Effect = Effect.SMALL
    unusual: bool = False
    psi: float | None = None
    psi_expected: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    extrapolated: bool = False
    effective_rows: float = 0.0

    @property
    def large(self) -> bool:
        """At or above the alert threshold."""
        return self.effect is Effect.LARGE

    @property
    def warns(self) -> bool:
        """At least moderate, and unusual: what `sustain` counts for a warning."""
        return self.unusual and self.effect is not Effect.SMALL

    @property
    def alarms(self) -> bool:
        """Large and unusual: what `sustain` counts for drift."""
        return self.unusual and self.effect is Effect.LARGE


@dataclass(frozen=True, slots=True)
class WindowJudgement:
    """One window, judged by itself. `start`, `end`: unix seconds.

    `scale` says against which blocks: `1h` or `1000 rows`; empty where asymptotic. `blocks`: how many.
    """

    seconds: int
    start: float
    end: float
    rows: int
    requests: int
    state: State
    features: tuple[FeatureJudgement, ...] = ()
    scale: str = ""
    blocks: int = 0

    def feature(self, name: str) -> FeatureJudgement | None:
        """The judgement of that feature, None where there is none."""
        return next((feature for feature in self.features if feature.name == name), None)
