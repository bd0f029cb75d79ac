"""A report and its history, as a running Driftline would give them."""

from __future__ import annotations

from driftline.report import (
    CaptureReport,
    DatasetReport,
    FeatureReport,
    ProfileReport,
    Report,
    RequestReport,
    TransitionReport,
    VerdictReport,
    WindowReport,
    WorstFeature,
)
from driftline.verdict import Effect, Reason, State
from driftline_sidecar.analyzer.history import HistoryReport, TrafficHistory, WindowHistory

NOON = 1_795_435_200.0


def feature(psi: float | None, reason: Reason = Reason.STABLE) -> FeatureReport:
    return FeatureReport(
        type="numeric",
        role="feature",
        statistics={"psi": psi},
        p=0.5 if reason is Reason.STABLE else 1e-9,
        missing_ratio=0.125,
        effect=Effect.LARGE if reason is Reason.DRIFTED else Effect.SMALL,
        drifted=reason is Reason.DRIFTED,
        reason=reason,
    )


def report(*, drifted: bool = True, name: str = "temp") -> Report:
    """One window with a stable feature and, if wanted, a drifted one."""
    reason = Reason.DRIFTED if drifted else Reason.STABLE
    features = {"visib": feature(0.02), name: feature(1.25 if drifted else 0.01, reason)}
    window = WindowReport(
        window="1h",
        role="page",
        start=NOON - 3600,
        end=NOON,
        rows=12_345,
        requests=678,
        state=State.OK,
        features=features,
        dataset=DatasetReport(drifted=drifted, share=0.5 if drifted else 0.0, threshold=0.5),
    )
    change = TransitionReport(
        at=NOON,
        window="1h",
        feature=name,
        role="feature",
        before=Reason.NOT_SUSTAINED,
        after=Reason.DRIFTED,
        psi=1.25,
        p=1e-9,
    )
    return Report(
        monitor="flights",
        namespace="ml",
        model="late-arrivals",
        version="3",
        generated=NOON,
        profile=ProfileReport(hash="abcdef0123456789", rows=30_000, features=2, calibrated=True),
        requests=RequestReport(total=678, rate=11.3, p50_ms=1.5, p95_ms=4.25, p99_ms=9.0, error_ratio=0.01),
        capture=CaptureReport(seen=700, captured=690, lost=3, dropped={"queue_full": 7}),
        windows=(window,),
        verdict=VerdictReport(
            drifted=drifted,
            severity="page" if drifted else "none",
            since=NOON - 60 if drifted else None,
            features=(name,) if drifted else (),
            worst=(WorstFeature(feature=name, window="1h", psi=1.25, p=1e-9, reason=reason),),
            reason=reason.value,
        ),
        log=(change,) if drifted else (),
    )


def history(name: str = "temp") -> HistoryReport:
    traffic = TrafficHistory([NOON], [11.3], [1.5], [4.25], [9.0], [0.01])
    window = WindowHistory(
        [NOON - 600, NOON], [100, 12_345], ["Ok", "Ok"], {name: [0.05, 1.25], "visib": [None, 0.02]}
    )
    return HistoryReport(traffic, {"1h": window})
