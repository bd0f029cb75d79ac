"""What `/v1/report` returns: windows, statistics and verdicts, for `driftline top`, scripts and people.

Wire types only. Names are snake_case as in the command line's JSON; times are unix seconds, durations
as named; a value that can't be computed is null, never NaN.
"""

from __future__ import annotations

import msgspec

from driftline.quality import QualityReason
from driftline.verdict import Effect, Reason, State


class ProfileReport(msgspec.Struct, frozen=True, kw_only=True):
    """The reference in force."""

    hash: str
    rows: int
    features: int = 0
    season: str = "none"
    created: float | None = None
    calibrated: bool = False


class RequestReport(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of the shortest window. `rate`: a second; latencies in ms; `error_ratio`: of 5xx."""

    total: int
    rate: float
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    error_ratio: float | None = None


class CaptureReport(msgspec.Struct, frozen=True, kw_only=True):
    """seen = captured + dropped by reason + lost, since the analyzer began."""

    seen: int = 0
    captured: int = 0
    lost: int = 0
    dropped: dict[str, int] = {}


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """One quality problem of a column: `value` is above `limit`; both null for NoData and Constant."""

    reason: QualityReason
    value: float | None = None
    limit: float | None = None


class FeatureReport(msgspec.Struct, frozen=True, kw_only=True):
    """One feature in one window. `statistics` by name; None where undefined (the reason is in `notes`)."""

    type: str
    role: str
    statistics: dict[str, float | None]
    p: float | None = None
    p_adjusted: float | None = None
    extrapolated: bool = False
    effective_rows: float | None = None
    missing_ratio: float | None = None
    out_of_range_ratio: float | None = None
    new_category_ratio: float | None = None
    quality: tuple[QualityReport, ...] = ()
    """What is wrong with its values, by the monitor's `quality` limits; () where nothing is."""
    effect: Effect = Effect.SMALL
    large: bool = False
    unusual: bool = False
    warned: bool = False
    drifted: bool = False
    reason: Reason = Reason.NO_REFERENCE
    notes: dict[str, str] = {}
    """Why a statistic is null, by its name: `{"wasserstein_normed": "ConstantReference"}`."""


class DatasetReport(msgspec.Struct, frozen=True, kw_only=True):
    """The share of drifted features (role feature) among those judged, against its threshold."""

    drifted: bool
    share: float
    threshold: float


class WindowReport(msgspec.Struct, frozen=True, kw_only=True):
    """One window. `role`: operations, warning or page. `scale`: the blocks it was compared with."""

    window: str
    role: str
    start: float
    end: float
    rows: int
    requests: int
    state: State
    reason: str = ""
    scale: str = ""
    blocks: int = 0
    features: dict[str, FeatureReport] = {}
    dataset: DatasetReport | None = None
    prediction_drifted: bool = False
    duplicate_ratio: float | None = None
    """Rows that repeat an earlier one of the window, as a share (`driftline.duplicates`)."""


class WorstFeature(msgspec.Struct, frozen=True, kw_only=True):
    """One of the features that moved most, with its numbers."""

    feature: str
    window: str
    psi: float
    p: float | None
    reason: Reason


class VerdictReport(msgspec.Struct, frozen=True, kw_only=True):
    """The monitor's verdict over all windows: one episode, from `since` until it ends."""

    drifted: bool
    severity: str = "none"
    """none, warning (a warning window drifted) or page (a page window did)."""
    since: float | None = None
    features: tuple[str, ...] = ()
    prediction_drifted: bool = False
    worst: tuple[WorstFeature, ...] = ()
    reason: str = ""


class TransitionReport(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a feature's verdict: what an Event, a log line and `drift ended` are made of."""

    at: float
    window: str
    feature: str
    role: str
    before: Reason
    after: Reason
    psi: float | None = None
    p: float | None = None


class RefusalReport(msgspec.Struct, frozen=True, kw_only=True):
    """A changed file that is not in force: the content before it is."""

    file: str
    reason: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `generated`: when, unix seconds."""

    monitor: str
    namespace: str
    model: str
    version: str
    generated: float
    profile: ProfileReport | None = None
    requests: RequestReport
    capture: CaptureReport
    undecoded: dict[str, int] = {}
    """Exchanges that gave no rows, or rows without their answer, by the decoders' reason."""
    unwatched_requests: int = 0
    """Requests to the same port whose path is no monitor's (`endpoint.paths`): relayed, never analysed."""
    unwatched_features: tuple[str, ...] = ()
    """Features that the monitor names and the reference doesn't have: nothing to compare them with."""
    refused: tuple[RefusalReport, ...] = ()
    windows: tuple[WindowReport, ...] = ()
    verdict: VerdictReport
    log: tuple[TransitionReport, ...] = ()
