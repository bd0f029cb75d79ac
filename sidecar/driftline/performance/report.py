"""What the hub says of a model: `GET /v1/report`, of which the series and the monitor's conditions are made.

Metrics have the names of the spec (`averagePrecision`). A metric without a value says why in `reason`; a part
that can't be judged says why in `state`: no data is never a pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from driftline.performance.estimate import Estimate


class State(StrEnum):
    """Whether something could be judged, or why not. Closed: reasons of conditions and values of a label."""

    JUDGED = "Judged"
    NO_DATA = "NoData"
    """No predictions in the window."""
    NO_LABELS = "NoLabels"
    """Predictions, but not one label."""
    INSUFFICIENT_LABELS = "InsufficientLabels"
    UNKNOWN_CLASS = "UnknownClass"
    """Too few labels name a class that the monitor knows: `schema.prediction` must say which is positive."""
    NO_THRESHOLDS = "NoThresholds"
    """The spec says of nothing that it is too bad: figures are said, nothing is judged."""
    NO_REFERENCE = "NoReference"
    """A comparison with the reference needs a profile with labels."""
    UNSUPPORTED = "Unsupported"
    """The reference has too few labels where the rows are."""
    TOO_FEW_GROUPS = "TooFewGroups"
    """Fewer than two groups are large enough."""
    NOT_ASKED = "NotAsked"
    """The spec doesn't ask for it."""


class Metric(msgspec.Struct, frozen=True, omit_defaults=True):
    """One number with what it rests on."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str = ""
    """Why there is no value, or no interval."""
    method: str = ""
    reference: float | None = None
    """The same of the reference's own labels."""

    @classmethod
    def of(cls, estimate: Estimate, reference: float | None = None) -> Metric:
        """As it is said."""
        return cls(
            estimate.value,
            estimate.low,
            estimate.high,
            round(estimate.n),
            "" if estimate.reason is None else estimate.reason.value,
            estimate.method,
            reference,
        )


Metrics = dict[str, Metric]


class Slice(msgspec.Struct, frozen=True, omit_defaults=True):
    """The predictions of one version, or with one segment's value, or all."""

    predictions: int
    labels: int
    metrics: Metrics = {}
    auc_bound: float | None = None
    """By how much binning the scores can have moved the AUC."""
    coverage: Metric = Metric()
    """Share of the predictions with a label."""
    confusion: list[list[int]] | None = None
    """Rows by [label, predicted]; the classes are in `classes`."""
    classes: list[str] | None = None


class ReliabilityRow(msgspec.Struct, frozen=True):
    """Of rows of about one score: what was said, and what came true."""

    score: float
    share: Metric
    rows: int


class LabelledShare(msgspec.Struct, frozen=True):
    """Of predictions with scores above `low` and up to `high` (None: no such end): how many have a label."""

    low: float | None
    high: float | None
    predictions: int
    share: Metric


class Missing(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the labels that are missing are like those that came."""

    psi: float | None = None
    """Of the scores with label against those without."""
    reason: str = ""
    psi_expected: float | None = None
    """Its mean where labels are missing at random."""
    by_score: list[LabelledShare] = []
    """The share with a label by score: runs of score bins with about as many predictions."""
    post_stratified: Metrics = {}
    """The metrics if labels were missing at random within score bins."""
    bounds: dict[str, tuple[float, float]] = {}
    """By metric: worst and best case, whatever the missing labels are."""


class AtAge(msgspec.Struct, frozen=True, omit_defaults=True):
    """Performance of the predictions of one window, with the labels that came within `age` of each."""

    age: str
    window: str
    start: float
    end: float
    """Unix seconds, of prediction time: the newest window whose predictions are all that old."""
    state: State
    overall: Slice
    versions: dict[str, Slice] = {}
    segments: dict[str, dict[str, Slice]] = {}
    """By feature, by its value."""
    coverage: Metric = Metric()
    lag_median: float | None = None
    """Seconds from prediction to its first label, of all labels that came by now, whatever the age: the upper
    edge of a bin, at most 19 % too high."""
    lag_p95: float | None = None
    calibration: dict[str, Metric] = {}
    """`slope` (1 is right), `intercept` and `in_the_large` (0 is right) of the logistic recalibration."""
    calibration_noise: float | None = None
    """The calibration error that perfect probabilities would have on average with so many rows."""
    reliability: list[ReliabilityRow] = []
    missing: Missing = Missing()
    unknown_labels: int = 0
    """Labels that name a class which the monitor doesn't know: left out of all figures."""
    unknown_predictions: int = 0
    """The same of predictions."""


class Estimated(msgspec.Struct, frozen=True, omit_defaults=True):
    """Performance estimated before labels. Blind to changes of P(y | x): never a verdict."""

    window: str
    start: float
    end: float
    state: State
    message: str = ""
    rows: int = 0
    metrics: Metrics = {}
    compared: dict[str, tuple[float, float]] = {}
    """By metric, of the judged window's labelled rows: what is estimated of them, and what came true."""
    within: dict[str, bool] = {}
    """By metric: whether what came true lies in the estimate's interval; absent where it has none."""
    compared_end: float | None = None


class ConceptChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether what is right has changed: the detector and the window's test, which must agree."""

    state: State
    drifted: bool = False
    message: str = ""
    detector: str = ""
    detected_at: float | None = None
    """Prediction time of the newest change that the detector found, unix seconds."""
    watermark: float | None = None
    """Up to which prediction time labels are complete, unix seconds."""
    error: Metric = Metric()
    difference: Metric = Metric()
    """Of the window's error from the reference's."""


class GroupFigures(msgspec.Struct, frozen=True, omit_defaults=True):
    """One group."""

    rows: int
    """Predictions of the window."""
    selection_rate: Metric
    """Of all predictions; the other two rates are of labelled ones."""
    true_positive_rate: Metric
    false_positive_rate: Metric


class SegmentFairness(msgspec.Struct, frozen=True, omit_defaults=True):
    """The groups of one segment against each other."""

    state: State
    groups: dict[str, GroupFigures] = {}
    left_out: dict[str, int] = {}
    """Groups too small, with their rows: the largest of them."""
    left_out_groups: int = 0
    """All of them."""
    differences: Metrics = {}
    """`demographicParityDifference`, `demographicParityRatio`, `equalOpportunityDifference`, …"""


class KpiFigures(msgspec.Struct, frozen=True, omit_defaults=True):
    """One KPI of one variant over the window."""

    events: int
    sum: float
    mean: Metric
    rate: Metric
    """Share of the predictions that led to at least one event."""
    count: Metric = Metric()
    """`events` with the interval of what is behind them (Garwood)."""
    total: Metric = Metric()
    """`sum` with its interval (compound Poisson)."""
    per_second: Metric = Metric()


class FeedbackFigures(msgspec.Struct, frozen=True, omit_defaults=True):
    """What people said."""

    up: int
    down: int
    approval: Metric


class Found(msgspec.Struct, frozen=True, omit_defaults=True):
    """One condition: `Performance`, `Fairness`: True where all is well; `ConceptDrift`: where it drifts."""

    aspect: str
    status: str
    """True, False or Unknown."""
    reason: str
    message: str


class HubReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that the hub says of one monitor."""

    namespace: str
    monitor: str
    model: str
    at: float
    """When it was evaluated, unix seconds."""
    window: str = ""
    ages: list[AtAge] = []
    estimated: Estimated | None = None
    concept: ConceptChange | None = None
    fairness: dict[str, SegmentFairness] = {}
    kpis: dict[str, dict[str, KpiFigures]] = {}
    """By name, by variant (empty: none)."""
    feedback: dict[str, FeedbackFigures] = {}
    """By variant."""
    found: list[Found] = []
    due: float | None = None
    """When it is evaluated again, at the earliest."""


_HUMP: Final = re.compile("_([a-z])")


def spec_name(metric: str) -> str:
    """`average_precision` as the spec has it: `averagePrecision`."""
    return _HUMP.sub(lambda found: found[1].upper(), metric)


def metrics(found: Mapping[str, Estimate], reference: Mapping[str, float] | None = None) -> Metrics:
    """Estimates as they are said, by the spec's names. `reference`: values by the estimates' names."""
    known = reference or {}
    return {spec_name(name): Metric.of(each, known.get(name)) for name, each in found.items()}
