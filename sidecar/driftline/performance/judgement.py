"""A metric against a threshold: Pass, Degraded or InsufficientData. No data is never a pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from driftline.performance.estimate import Estimate
from driftline.spec import Sustain
from driftline.sustain import disjoint

LEAST_ROWS = 100
"""Labelled rows below which a window is not judged."""

HIGHER_IS_BETTER = frozenset(
    {
        *("accuracy", "precision", "recall", "specificity", "f1", "auc", "average_precision", "r2"),
        *("ndcg", "map", "mrr", "approval", "coverage"),
        *(f"{name}_{of}" for name in ("precision", "recall", "f1", "auc") for of in ("macro", "weighted")),
        *(
            f"{name}_ratio{of}"
            for name in ("demographic_parity", "equal_opportunity", "equalized_odds")
            for of in ("", "_to_overall")
        ),
    }
)
"""Metrics of which more is better; of all others less is, `mean_error` by its amount."""


class State(StrEnum):
    """What a threshold says of a window."""

    PASS = "Pass"  # noqa: S105  (a verdict, no password)
    DEGRADED = "Degraded"
    INSUFFICIENT_DATA = "InsufficientData"


class Reason(StrEnum):
    """Why; where a metric is undefined, the `Undefined` word stands instead."""

    WITHIN_LIMIT = "WithinLimit"
    """The value keeps the limit."""
    BEYOND_LIMIT = "BeyondLimit"
    """The value and its whole interval lie beyond the limit."""
    UNCERTAIN = "Uncertain"
    """The value is beyond the limit, but its interval reaches across: neither pass nor fail."""
    TOO_FEW_ROWS = "TooFewRows"
    """Fewer rows than the policy asks for."""
    NO_REFERENCE = "NoReference"
    """The limit is relative to the reference, which has no such metric."""
    NOT_SUSTAINED = "NotSustained"
    """The newest window is beyond the limit, but too few of the last are."""
    SUSTAINED = "Sustained"
    """Enough of the last disjoint windows are beyond the limit."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit of one metric: exactly one of the three is given.

    `limit`: the value itself. `drop`: how much worse than the reference, in the metric's units. `share`: the
    same as a share of the reference's value (.1: a tenth). `least`: whether the limit is a least good
    value, where the metric's own sense isn't meant: a mean error may have one on each side of 0.
    """

    metric: str
    limit: float | None = None
    drop: float | None = None
    share: float | None = None
    least: bool | None = None

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.limit, self.drop, self.share)) != 1:
            raise ValueError(f"{self.metric}: give one of limit, drop or share")

    @property
    def higher_is_better(self) -> bool:
        """Which side of the limit is the good one."""
        return self.metric in HIGHER_IS_BETTER if self.least is None else self.least

    def at(self, reference: float | None) -> float | None:
        """The limit in the metric's units; None where it is relative and there is no reference."""
        if self.limit is not None:
            return self.limit
        if reference is None:
            return None
        base = self._amount(reference)
        allowed = self.drop if self.drop is not None else (self.share or 0.0) * abs(base)
        return base - allowed if self.higher_is_better else base + allowed

    def _amount(self, value: float) -> float:
        return abs(value) if self._by_amount else value

    @property
    def _by_amount(self) -> bool:
        return self.metric == "mean_error" and self.least is None

    def beyond(self, value: float, limit: float) -> bool:
        """Strictly worse than the limit."""
        amount = self._amount(value)
        return amount < limit if self.higher_is_better else amount > limit

    def wholly_beyond(self, estimate: Estimate, limit: float) -> bool:
        """The better end of the interval is beyond as well; a value without an interval stands for itself."""
        if estimate.value is None or estimate.low is None or estimate.high is None:
            return estimate.value is not None and self.beyond(estimate.value, limit)
        if self._by_amount and estimate.low <= 0.0 <= estimate.high:
            return False
        return self.beyond(estimate.low, limit) and self.beyond(estimate.high, limit)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One window against one threshold, with its numbers. `reason`: of `Reason` or of `Undefined`."""

    metric: str
    state: State
    reason: str
    estimate: Estimate
    limit: float | None
    reference: float | None = None


def judge(
    threshold: Threshold, estimate: Estimate, reference: float | None = None, least_rows: int = LEAST_ROWS
) -> Judgement:
    """Of one window. `reference`: the metric's value in the reference."""
    limit = threshold.at(reference)
    state, reason = _judged(threshold, estimate, limit, least_rows)
    return Judgement(threshold.metric, state, reason, estimate, limit, reference)


def _judged(
    threshold: Threshold, estimate: Estimate, limit: float | None, least_rows: int
) -> tuple[State, str]:
    if estimate.value is None:
        return State.INSUFFICIENT_DATA, str(estimate.reason)
    if estimate.n < least_rows:
        return State.INSUFFICIENT_DATA, Reason.TOO_FEW_ROWS
    if limit is None:
        return State.INSUFFICIENT_DATA, Reason.NO_REFERENCE
    if not threshold.beyond(estimate.value, limit):
        return State.PASS, Reason.WITHIN_LIMIT
    if not threshold.wholly_beyond(estimate, limit):
        return State.INSUFFICIENT_DATA, Reason.UNCERTAIN
    return State.DEGRADED, Reason.BEYOND_LIMIT


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """`start`, `end`: of the predictions, unix seconds."""

    start: float
    end: float
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Verdict:
    """What lasts. `degraded` of the `of` last disjoint windows that could be judged were beyond the limit."""

    state: State
    reason: str
    degraded: int
    of: int
    newest: Judgement | None


def sustained(windows: Sequence[JudgedWindow], sustain: Sustain) -> Verdict:
    """Over one metric's windows, ascending by end. Those without data leave no mark, and are no pass.

    The newest window's own state shows where nothing lasts; without data in the newest window the verdict
    is InsufficientData, unless the windows before it are degraded already.
    """
    newest = windows[-1].judgement if windows else None
    held = [window for window in windows if window.judgement.state is not State.INSUFFICIENT_DATA]
    last = disjoint(held, sustain.of)
    degraded = sum(window.judgement.state is State.DEGRADED for window in last)
    if degraded >= sustain.windows:
        return Verdict(State.DEGRADED, Reason.SUSTAINED, degraded, len(last), newest)
    if newest is None or newest.state is State.INSUFFICIENT_DATA:
        reason = Reason.TOO_FEW_ROWS if newest is None else newest.reason
        return Verdict(State.INSUFFICIENT_DATA, reason, degraded, len(last), newest)
    reason = Reason.NOT_SUSTAINED if newest.state is State.DEGRADED else newest.reason
    return Verdict(State.PASS, reason, degraded, len(last), newest)
