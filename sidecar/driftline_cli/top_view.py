"""What `driftline top` shows: a frame for a terminal, or a line where there is none.

Pure: report and history in, renderables and text out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from driftline.report import FeatureReport, Report, WindowReport
from driftline.verdict import Effect, Reason
from driftline_sidecar.analyzer.history import HistoryReport
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from driftline_cli.sparkline import ASCII_BARS, BARS, sparkline

FEATURES = 12
TRANSITIONS = 4
_SPARK = 24
_ALERT = 0.25

_STYLES = {
    Reason.DRIFTED: "bold red",
    Reason.WARNING: "yellow",
    Reason.INSUFFICIENT_EVIDENCE: "yellow",
    Reason.NOT_SUSTAINED: "yellow",
    Reason.USUAL_FOR_REFERENCE: "cyan",
    Reason.STABLE: "green",
    Reason.SMALL_EFFECT: "green",
}


def frame(report: Report, history: HistoryReport, *, ascii_only: bool = False) -> RenderableType:
    """Everything that fits one look: traffic, windows, the features that moved most, what changed."""
    bars = ASCII_BARS if ascii_only else BARS
    parts: list[RenderableType] = [
        _header(report),
        _traffic(report, history, bars),
        _capture(report),
        _windows(report),
    ]
    parts[1:1] = [Text(said, style="bold red") for said in warnings(report)]
    if any(window.features for window in report.windows):
        parts.append(_features(report, history, bars))
    if report.log:
        parts.append(_transitions(report))
    return Group(*parts)


def line(report: Report) -> str:
    """One line for logs and pipes."""
    requests = report.requests
    parts = [
        clock(report.generated),
        f"{requests.rate:.0f}/s",
        f"p50 {_ms(requests.p50_ms)} p95 {_ms(requests.p95_ms)} p99 {_ms(requests.p99_ms)}",
        f"errors {_percent(requests.error_ratio)}",
        " ".join(f"{window.window}:{window.state}({window.rows:,})" for window in report.windows),
        f"verdict {verdict(report)}",
    ]
    if report.verdict.worst:
        worst = report.verdict.worst[0]
        parts.append(f"worst {worst.feature} psi {worst.psi:.2f} ({worst.window}, {worst.reason})")
    dropped = sum(report.capture.dropped.values()) + report.capture.lost
    if dropped:
        parts.append(f"dropped {dropped:,}")
    if report.undecoded:
        parts.append(f"not decoded {_counted(report.undecoded)}")
    if report.unwatched_requests:
        parts.append(f"not watched {report.unwatched_requests:,}")
    parts += warnings(report)
    return "  ".join(part for part in parts if part)


def verdict(report: Report) -> str:
    """The verdict in a few words."""
    said = report.verdict
    if not said.drifted:
        return said.reason or "Stable"
    outputs = ["the prediction"] if said.prediction_drifted else []
    since = f" since {clock(said.since)}" if said.since is not None else ""
    return f"{said.reason or 'Drifted'} ({said.severity}){since}: {', '.join([*said.features, *outputs])}"


def clock(at: float) -> str:
    """A time of day in UTC."""
    return time.strftime("%H:%M:%SZ", time.gmtime(at))


def _header(report: Report) -> Text:
    version = f" version {report.version}" if report.version else ""
    text = Text(f"driftline  {report.namespace}/{report.monitor}  {report.model}{version}  ", style="bold")
    text.append(clock(report.generated) + "\n", style="dim")
    style = "bold red" if report.verdict.drifted else "green"
    text.append(f"verdict  {verdict(report)}\n", style=style)
    if report.profile is None:
        text.append("reference  none yet", style="yellow")
    else:
        calibrated = "" if report.profile.calibrated else ", uncalibrated: rows without time order"
        text.append(
            f"reference  {report.profile.rows:,} rows, {report.profile.features} columns, "
            f"{report.profile.hash[:12]}{calibrated}",
            style="dim",
        )
    return text


def _traffic(report: Report, history: HistoryReport, bars: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("requests", "rate/s", "p50 ms", "p95 ms", "p99 ms", "errors"):
        table.add_column(name, justify="right")
    table.add_column("p95 over time")
    requests = report.requests
    table.add_row(
        f"{requests.total:,}",
        f"{requests.rate:,.1f}",
        _number(requests.p50_ms),
        _number(requests.p95_ms),
        _number(requests.p99_ms),
        _percent(requests.error_ratio),
        sparkline(history.traffic.p95_ms, _SPARK, 0.0, bars),
    )
    return table


def _capture(report: Report) -> Text:
    capture = report.capture
    dropped, undecoded = _counted(capture.dropped), _counted(report.undecoded)
    text = f"capture  seen {capture.seen:,}  analysed {capture.captured:,}  lost {capture.lost:,}  dropped "
    text += dropped or "none"
    if undecoded:
        text += f"  not decoded {undecoded}"
    if report.unwatched_requests:
        text += f"  on other paths, not watched {report.unwatched_requests:,}"
    return Text(text, style="yellow" if dropped or undecoded or capture.lost else "dim")


def warnings(report: Report) -> list[str]:
    """What is not as its user wrote it."""
    found = [f"refused, the older content stays: {each.file}: {each.reason}" for each in report.refused]
    if report.unwatched_features:
        names = ", ".join(report.unwatched_features)
        found.append(f"not watched, the reference was made without: {names} (make a new reference)")
    return found


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()) if count)


def _windows(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("window")
    table.add_column("role")
    for name in ("rows", "requests"):
        table.add_column(name, justify="right")
    table.add_column("state")
    table.add_column("drifted features", justify="right")
    table.add_column("until")
    for window in report.windows:
        share = "-" if window.dataset is None else f"{window.dataset.share:.0%}"
        state = Text(window.state, style="green" if window.state.judged else "yellow")
        if window.reason and window.reason != window.state:
            state.append(f" {window.reason}")
        table.add_row(
            window.window,
            window.role,
            f"{window.rows:,}",
            f"{window.requests:,}",
            state,
            share,
            clock(window.end),
        )
    return table


def _features(report: Report, history: HistoryReport, bars: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("feature")
    table.add_column("window")
    for name in ("psi", "p", "missing"):
        table.add_column(name, justify="right")
    table.add_column("psi over time")
    table.add_column("verdict")
    table.add_column("quality")
    for name, window, feature in ranked(report)[:FEATURES]:
        past = history.windows.get(window.window)
        values = past.psi.get(name, []) if past is not None else []
        psi = feature.statistics.get("psi")
        table.add_row(
            name if feature.role == "feature" else f"{name} ({feature.role})",
            window.window,
            Text(_number(psi, 3), style="red" if feature.effect is Effect.LARGE else ""),
            _p(feature.p),
            _percent(feature.missing_ratio),
            sparkline(values, _SPARK, _ALERT, bars),
            Text(feature.reason, style=_STYLES.get(feature.reason, "dim")),
            Text(quality(feature), style="yellow"),
        )
    return table


def quality(feature: FeatureReport) -> str:
    """What is wrong with a feature's values: `Missing 12%, Constant`; empty where nothing is."""
    return ", ".join(
        problem.reason + ("" if problem.value is None else f" {_percent(problem.value)}")
        for problem in feature.quality
    )


def ranked(report: Report) -> list[tuple[str, WindowReport, FeatureReport]]:
    """Each feature once, in its longest judged window, else the shortest: drifted first, then by PSI."""
    found: dict[str, tuple[WindowReport, FeatureReport]] = {}
    for window in report.windows:
        for name, feature in window.features.items():
            if window.state.judged or name not in found:
                found[name] = (window, feature)
    rows = [(name, window, feature) for name, (window, feature) in found.items()]
    return sorted(rows, key=lambda row: (not row[2].drifted, -(row[2].statistics.get("psi") or 0.0)))


def _transitions(report: Report) -> Text:
    return Text("\n").join(_told(report))


def _told(report: Report) -> Iterator[Text]:
    for change in report.log[-TRANSITIONS:]:
        psi = "" if change.psi is None else f"  psi {change.psi:.3f}"
        text = Text(
            f"{clock(change.at)}  {change.window}  {change.feature}: {change.before} -> ", style="dim"
        )
        text.append(change.after + psi, style=_STYLES.get(change.after, ""))
        yield text


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}ms"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
