"""What is told of a monitor: its report, and its configuration in force."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from driftline.decoding import to_wire
from driftline.episode import label
from driftline.report import (
    CaptureReport,
    ProfileReport,
    RefusalReport,
    Report,
    RequestReport,
    VerdictReport,
    WindowReport,
)
from driftline.verdict import State

from driftline_sidecar.analyzer.history import error_ratio, milliseconds
from driftline_sidecar.analyzer.monitor import Analysis
from driftline_sidecar.reload import Refusal


def report_of(analysis: Analysis, now: float, refusals: Iterable[Refusal] = ()) -> Report:
    """Windows and verdicts as of the last step; `refusals`: of the files that it is made from."""
    traffic = analysis.traffic.read(now)
    metadata, model = analysis.monitor.metadata, analysis.spec.model
    return Report(
        monitor=metadata.name,
        namespace=metadata.namespace,
        model=model.name,
        version=model.version,
        generated=now,
        profile=_profile(analysis),
        requests=RequestReport(
            total=traffic.requests,
            rate=traffic.rate,
            p50_ms=milliseconds(traffic.p50),
            p95_ms=milliseconds(traffic.p95),
            p99_ms=milliseconds(traffic.p99),
            error_ratio=error_ratio(traffic),
        ),
        capture=CaptureReport(seen=analysis.tally.exchanges, captured=analysis.tally.exchanges),
        undecoded=dict(sorted(analysis.tally.decode_errors.items())),
        unwatched_features=unwatched(analysis),
        refused=tuple(RefusalReport(file=each.path, reason=each.reason) for each in refusals),
        windows=_windows(analysis, now),
        verdict=_verdict(analysis),
        log=() if analysis.counting is None else tuple(analysis.counting.log),
    )


def unwatched(analysis: Analysis) -> tuple[str, ...]:
    """Features of the monitor that its reference lacks: they came after it was made."""
    profile = analysis.profile
    if profile is None:
        return ()
    spec = analysis.spec
    return tuple(
        feature.name
        for feature in spec.schema.features
        if profile.feature(feature.name) is None and not spec.is_redacted(feature)
    )


def _profile(analysis: Analysis) -> ProfileReport | None:
    profile = analysis.profile
    if profile is None:
        return None
    return ProfileReport(
        hash=profile.hash,
        rows=profile.rows,
        features=len(profile.features),
        season=profile.season.value,
        created=profile.created,
        calibrated=profile.calibration is not None,
    )


def _windows(analysis: Analysis, now: float) -> tuple[WindowReport, ...]:
    if analysis.counting is not None:
        return tuple(window for _, window in sorted(analysis.counting.windows.items()))
    reason = analysis.reference_state.value
    if analysis.capture is not None:
        reason = f"{reason} ({analysis.capture.rows} of {analysis.capture.wanted})"
    return tuple(
        WindowReport(
            window=label(int(window)),
            role="",
            start=now - window,
            end=now,
            rows=0,
            requests=0,
            state=State.NO_REFERENCE,
            reason=reason,
        )
        for window in analysis.spec.windows
    )


def _verdict(analysis: Analysis) -> VerdictReport:
    if analysis.counting is None:
        return VerdictReport(drifted=False, reason=analysis.reference_state.value)
    return analysis.counting.verdict()


class ReferenceConfig(msgspec.Struct, frozen=True):
    """The reference in force."""

    state: str
    rows: int
    hash: str | None


class MonitorConfig(msgspec.Struct, frozen=True):
    """A monitor as it is in force, with its defaults filled in."""

    monitor: str
    document: dict[str, Any]
    reference: ReferenceConfig


def config_of(analysis: Analysis) -> MonitorConfig:
    """The monitor and reference in force."""
    profile = analysis.profile
    reference = ReferenceConfig(
        analysis.reference_state.value, analysis.reference_rows, None if profile is None else profile.hash
    )
    return MonitorConfig(analysis.monitor.key, to_wire(analysis.monitor), reference)
