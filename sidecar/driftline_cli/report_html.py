"""A run's report for people: one HTML file with tables and charts, and the same as JSON.

Self-contained: it can be mailed, attached to a ticket and opened in a closed network.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import msgspec
from driftline.report import FeatureReport, Report, WindowReport
from driftline_sidecar.analyzer.history import HistoryReport

from driftline_cli.chart import Level, line_chart
from driftline_cli.top_view import quality, ranked, verdict

_HTML = (".html", ".htm")
_LEVELS = (Level(0.1, "0.1"), Level(0.25, "0.25"))
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--dim:#5d6778;--rule:#d5dae2;--paper:#fff;--line:#2b6cb0;
--bad:#b3261e;--warn:#8a5a00;--good:#1f6f43}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#9aa4b5;--rule:#39414f;--paper:#14181f;
--line:#7db3ee;--bad:#ff8a80;--warn:#e7b556;--good:#7fd3a2}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;
margin:2rem auto;padding:0 1rem}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
.dim{color:var(--dim)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--rule);vertical-align:middle}
th{font-weight:600;color:var(--dim)}.n{text-align:right}.chart{width:20rem;height:3.5rem;display:block}
.chart polyline{fill:none;stroke:var(--line);stroke-width:1.4}.chart circle{fill:var(--line)}
.chart .level{stroke:var(--dim);stroke-width:.6;stroke-dasharray:3 3}
.chart text{font-size:8px;fill:var(--dim);text-anchor:end}
.Drifted{color:var(--bad);font-weight:600}.Warning,.NotSustained,.InsufficientEvidence{color:var(--warn)}
.Stable,.SmallEffect,.Ok{color:var(--good)}
"""


def write_report(path: Path, report: Report, history: HistoryReport) -> tuple[Path, Path]:
    """Write `path` and its sibling: JSON and HTML, whichever of the two `path` names. Raises OSError."""
    html = path if path.suffix in _HTML else path.with_suffix(".html")
    json = path if path.suffix not in _HTML else path.with_suffix(".json")
    json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    html.write_text(render(report, history), encoding="utf-8")
    return json, html


def render(report: Report, history: HistoryReport) -> str:
    """The whole page."""
    name = f"{report.namespace}/{report.monitor}"
    body = [
        f"<h1>Drift report: {escape(name)}</h1>",
        f'<p class="dim">{_about(report)}</p>',
        f'<p class="{escape(report.verdict.reason)}">Verdict: {escape(verdict(report))}</p>',
        "<h2>Traffic</h2>",
        _traffic(report, history),
        "<h2>Windows</h2>",
        _windows(report.windows),
        "<h2>Features</h2>",
        _features(report, history),
    ]
    if report.log:
        body += ["<h2>What changed when</h2>", _log(report)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Drift report: {escape(name)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _about(report: Report) -> str:
    model = f"Model {escape(report.model)} {escape(report.version)}, {_when(report.generated)}."
    if report.profile is None:
        return f"{model} There is no reference yet."
    calibrated = "" if report.profile.calibrated else ", uncalibrated (its rows have no time order)"
    reference = f"{report.profile.rows:,} rows, {escape(report.profile.hash[:12])}{calibrated}"
    return f"{model} Reference: {reference}."


def _traffic(report: Report, history: HistoryReport) -> str:
    requests, capture = report.requests, report.capture
    dropped = ", ".join(f"{escape(reason)} {count:,}" for reason, count in sorted(capture.dropped.items()))
    figures = _table(
        ("requests", "per second", "p50 ms", "p95 ms", "p99 ms", "errors", "analysed", "lost", "dropped"),
        [
            [
                f"{requests.total:,}",
                f"{requests.rate:,.1f}",
                _number(requests.p50_ms, 1),
                _number(requests.p95_ms, 1),
                _number(requests.p99_ms, 1),
                _percent(requests.error_ratio),
                f"{capture.captured:,}",
                f"{capture.lost:,}",
                dropped or "none",
            ]
        ],
    )
    charts: list[tuple[str, Sequence[float | None]]] = [
        ("p50, ms", history.traffic.p50_ms),
        ("p99, ms", history.traffic.p99_ms),
        ("requests per second", history.traffic.rate),
    ]
    drawn = [
        f"<td>{line_chart(values, title=title)}<span class='dim'>{title}</span></td>"
        for title, values in charts
    ]
    return f"{figures}<div class='wide'><table><tr>{''.join(drawn)}</tr></table></div>"


def _windows(windows: Sequence[WindowReport]) -> str:
    rows = [
        [
            escape(window.window),
            escape(window.role),
            f"{window.rows:,}",
            f"{window.requests:,}",
            _state(window.state),
            escape(window.reason),
            "-" if window.dataset is None else f"{window.dataset.share:.0%}",
            f"{_when(window.start)} to {_when(window.end)}",
        ]
        for window in windows
    ]
    names = ("window", "role", "rows", "requests", "state", "reason", "drifted features", "span")
    return _table(names, rows)


def _features(report: Report, history: HistoryReport) -> str:
    rows = [_feature(name, window, feature, history) for name, window, feature in ranked(report)]
    names = (
        "feature",
        "role",
        "window",
        "psi",
        "p",
        "missing",
        "out of range",
        "new",
        "psi over time",
        "verdict",
        "quality",
    )
    return _table(names, rows)


def _feature(name: str, window: WindowReport, feature: FeatureReport, history: HistoryReport) -> list[str]:
    past = history.windows.get(window.window)
    values = past.psi.get(name, []) if past is not None else []
    return [
        escape(name),
        escape(feature.role),
        escape(window.window),
        _number(feature.statistics.get("psi"), 3),
        "-" if feature.p is None else f"{feature.p:.2g}",
        _percent(feature.missing_ratio),
        _percent(feature.out_of_range_ratio),
        _percent(feature.new_category_ratio),
        line_chart(values, title=f"PSI of {name} over {window.window}", levels=_LEVELS),
        _state(feature.reason),
        escape(quality(feature)),
    ]


def _log(report: Report) -> str:
    rows = [
        [
            _when(change.at),
            escape(change.window),
            escape(change.feature),
            _state(change.before),
            _state(change.after),
            _number(change.psi, 3),
        ]
        for change in report.log
    ]
    return _table(("at", "window", "feature", "from", "to", "psi"), rows)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _state(word: str) -> str:
    return f'<span class="{escape(word)}">{escape(word)}</span>'


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
