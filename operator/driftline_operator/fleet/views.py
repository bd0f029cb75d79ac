"""A fleet's book as a monitor's status says it: conditions with reasons, windows, worst features. Pure.

Which window drives which condition: DataDrift and PredictionDrift follow the episode over the warning and
page windows, DataQuality the shortest window. Where nothing could be judged the status is Unknown, never a
pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from driftline.report import VerdictReport, WorstFeature
from driftline.spec.status import DriftedFeature, Outlier, WindowStatus
from driftline.verdict import Reason

from driftline_operator.conditions import Aspect, DriftReason, Finding, Status
from driftline_operator.controller.plan.status import FleetView
from driftline_operator.fleet.book import LOW_COVERAGE, Book, Judged

_NAMED: Final = 3


def view(book: Book, answered: int | None) -> FleetView:
    """All of it. `answered`: pods whose panes came in the last round."""
    verdict = book.evaluator.verdict()
    windows = [judged for _, judged in sorted(book.windows.items())]
    return FleetView(
        findings=(
            _drift(Aspect.DATA_DRIFT, verdict, windows, drifted=bool(verdict.features)),
            _drift(Aspect.PREDICTION_DRIFT, verdict, windows, drifted=verdict.prediction_drifted),
            _quality(windows),
        ),
        windows=tuple(_window(each) for each in windows),
        worst=tuple(_worst(each) for each in verdict.worst),
        outliers=tuple(
            Outlier(pod=each.pod, feature=each.feature, psi=round(each.psi, 4)) for each in book.outliers
        ),
        rows=windows[-1].report.rows if windows else 0,
        profile_hash=book.profile.hash,
        answered=answered,
    )


def _drift(aspect: Aspect, verdict: VerdictReport, windows: Sequence[Judged], *, drifted: bool) -> Finding:
    if drifted:
        which = verdict.features if aspect is Aspect.DATA_DRIFT else ("the predictions",)
        numbers = ", ".join(_number(each) for each in verdict.worst if each.reason is Reason.DRIFTED)
        said = f"{', '.join(which)} drifted ({verdict.severity}){': ' + numbers if numbers else ''}"
        return Finding(aspect, Status.TRUE, DriftReason.DRIFT_DETECTED, said)
    judged = [each for each in windows if _is_judged(each)]
    if not judged:
        reason, said = _why_not(windows)
        return Finding(aspect, Status.UNKNOWN, reason, said)
    said = f"nothing lasting in {', '.join(each.report.window for each in judged)}"
    waiting = [each.report.window for each in windows if each not in judged]
    if waiting:
        said += f"; not judged yet: {', '.join(waiting)}"
    return Finding(aspect, Status.FALSE, DriftReason.NO_DRIFT, said)


def _quality(windows: Sequence[Judged]) -> Finding:
    aspect = Aspect.DATA_QUALITY
    shortest = windows[0] if windows else None
    if shortest is None or not shortest.report.rows:
        return Finding(aspect, Status.UNKNOWN, DriftReason.NO_DATA, "no rows in the shortest window")
    if shortest.coverage < LOW_COVERAGE:
        return Finding(aspect, Status.UNKNOWN, DriftReason.LOW_COVERAGE, _coverage(shortest))
    problems = [
        f"{name}: {each.reason.value}" + (f" {each.value:.1%}" if each.value is not None else "")
        for name, feature in shortest.report.features.items()
        for each in feature.quality
    ]
    if problems:
        more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        said = f"in {shortest.report.window}: {', '.join(problems[:_NAMED])}{more}"
        return Finding(aspect, Status.FALSE, DriftReason.LIMITS_EXCEEDED, said)
    if not shortest.report.state.judged:
        reason, said = _why_not([shortest])
        return Finding(aspect, Status.UNKNOWN, reason, said)
    said = f"{shortest.report.rows:,} rows in {shortest.report.window} within the limits"
    return Finding(aspect, Status.TRUE, DriftReason.WITHIN_LIMITS, said)


def _is_judged(each: Judged) -> bool:
    """By a whole window with rows enough, of pods enough, that warns or pages."""
    report = each.report
    return report.state.judged and not report.reason and report.role != "operations"


def _why_not(windows: Sequence[Judged]) -> tuple[DriftReason, str]:
    if not any(each.report.rows for each in windows):
        return DriftReason.NO_DATA, "no rows came in any window"
    low = [each for each in windows if each.coverage < LOW_COVERAGE]
    if len(low) == len(windows):
        return DriftReason.LOW_COVERAGE, _coverage(low[0])
    return DriftReason.INSUFFICIENT_DATA, "; ".join(_lacks(windows))


def _lacks(windows: Iterable[Judged]) -> Iterable[str]:
    for each in windows:
        report = each.report
        yield f"{report.window}: {report.rows:,} rows, {report.reason or report.state.value}"


def _coverage(each: Judged) -> str:
    return f"the counts of {each.coverage:.0%} of the pods' time are there ({each.report.window})"


def _window(each: Judged) -> WindowStatus:
    report = each.report
    state = "LowCoverage" if each.coverage < LOW_COVERAGE else report.reason or report.state.value
    drifted = sum([feature.drifted for feature in report.features.values()])
    coverage = round(each.coverage, 3)
    return _status(report.window, state, report.rows, report.requests, coverage, drifted)


@lru_cache(maxsize=2048)
def _status(window: str, state: str, rows: int, requests: int, coverage: float, drifted: int) -> WindowStatus:
    """Checked when it is made, which takes longer than all else; of three windows two are as they were."""
    return WindowStatus(
        window=window, state=state, rows=rows, requests=requests, coverage=coverage, drifted=drifted
    )


@lru_cache(maxsize=4096)
def _worst(each: WorstFeature) -> DriftedFeature:
    p = None if each.p is None else float(f"{each.p:.3g}")
    return DriftedFeature(
        feature=each.feature, window=each.window, psi=round(each.psi, 4), p=p, reason=each.reason.value
    )


def _number(each: WorstFeature) -> str:
    return f"{each.feature} PSI {each.psi:.2f} in {each.window}"
