"""A profile for eyes (a table) and for tools (JSON)."""

from __future__ import annotations

import io
import sys
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from driftline.categories import Categories
from driftline.counts import NumericCounts
from driftline.grid import Grid
from driftline.profile import FeatureProfile, Profile
from rich.console import Console
from rich.table import Table

from driftline_cli.comparison import missing_ratio
from driftline_cli.histogram import spark

_PLAIN_WIDTH = 132


def as_json(profile: Profile) -> str:
    """Everything but the grids' cells: strict JSON, keys in snake_case, times in unix seconds."""
    diagnostics = profile.diagnostics
    content = {
        "format": profile.version,
        "hash": profile.hash,
        "created": profile.created,
        "rows": profile.rows,
        "requests": profile.requests,
        "model": {"name": profile.model.name, "version": profile.model.version},
        "season": profile.season.value,
        "time_span": None if profile.span is None else [profile.span.start, profile.span.end],
        "calibration": _scales(profile),
        "diagnostics": {
            "seasons": diagnostics.seasons,
            "split_half_psi": dict(diagnostics.split_half_psi),
            "findings": [
                {"concern": f.concern.value, "feature": f.feature, "message": f.message}
                for f in diagnostics.findings
            ],
        },
        "labels": _labels(profile),
        "components": _components(profile),
        "features": {feature.name: _feature(feature) for feature in profile.features},
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def as_text(profile: Profile) -> str:
    """Head, a table with each column's histogram, and what to look at twice."""
    buffer = io.StringIO()
    colours = sys.stdout.isatty()
    width = None if colours else _PLAIN_WIDTH
    console = Console(
        file=buffer, force_terminal=colours, no_color=not colours, width=width, highlight=False, markup=False
    )
    for name, value in _head(profile):
        console.print(f"{name:<12}{value}")
    console.print(_table(profile))
    for finding in profile.diagnostics.findings:
        where = "" if finding.feature is None else f"{finding.feature}: "
        console.print(f"note  {where}{finding.message} ({finding.concern.value})")
    return buffer.getvalue()


def _head(profile: Profile) -> list[tuple[str, str]]:
    model = f"{profile.model.name} {profile.model.version}".strip()
    age = profile.age(time.time())
    found = [
        ("profile", f"{profile.hash[:12]}, format {profile.version}"),
        ("model", model or "-"),
        ("rows", f"{profile.rows:,}"),
        ("age", "-" if age is None else f"{age / 86_400:.1f} days"),
        ("time span", _span(profile)),
        ("season", _season(profile)),
        ("calibrated", ", ".join(f"{s['scale']} ({s['blocks']})" for s in _scales(profile)) or "no"),
    ]
    if profile.labels is not None:
        found.append(
            ("labels", f"{len(profile.labels.groups)} groups in {len(profile.labels.edges) + 1} bins")
        )
    return found


def _span(profile: Profile) -> str:
    if profile.span is None:
        return "unknown: rows have no times"
    start, end = (
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
        for at in (profile.span.start, profile.span.end)
    )
    return f"{start} to {end} UTC ({profile.span.seconds / 86_400:.1f} days)"


def _season(profile: Profile) -> str:
    seasons = profile.diagnostics.seasons
    return profile.season.value if seasons is None else f"{profile.season.value}, {seasons:.1f} covered"


def _table(profile: Profile) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("column", no_wrap=True, overflow="ellipsis", max_width=32)
    for head in ("type", "role", "histogram"):
        table.add_column(head, no_wrap=True)
    for head in ("missing", "mean", "sd", "min", "max", "values", "halves PSI"):
        table.add_column(head, justify="right", no_wrap=True)
    for feature in profile.features:
        psi = profile.diagnostics.split_half_psi.get(feature.name)
        missing = missing_ratio(feature.counts)
        table.add_row(
            feature.name,
            feature.type.value,
            feature.role.value,
            spark(feature, feature.counts),
            "-" if missing is None else f"{missing:.1%}",
            *_figures(feature),
            "-" if psi is None else f"{psi:.3f}",
        )
    return table


def _figures(feature: FeatureProfile) -> tuple[str, ...]:
    if isinstance(feature.counts, NumericCounts):
        ends = (feature.counts.minimum, feature.counts.maximum) if feature.counts.valid else (None, None)
        return (*(_number(value) for value in (feature.mean, feature.sd, *ends)), "")
    known = len(feature.axis.known) if isinstance(feature.axis, Categories) else 0
    return ("", "", "", "", f"{known:,}")


def _feature(feature: FeatureProfile) -> dict[str, Any]:
    counts = feature.counts
    found: dict[str, Any] = {
        "type": feature.type.value,
        "role": feature.role.value,
        "valid": counts.valid,
        "missing_ratio": missing_ratio(counts),
        "wrong_type": counts.wrong_type,
        "out_of_range": counts.out_of_range,
    }
    if isinstance(counts, NumericCounts) and isinstance(feature.axis, Grid):
        held = counts.valid > 0
        found |= {
            "nan": counts.nan,
            "infinite": counts.pos_inf + counts.neg_inf,
            "mean": _finite(feature.mean),
            "sd": _finite(feature.sd),
            "minimum": counts.minimum if held else None,
            "maximum": counts.maximum if held else None,
            "deciles": feature.axis.decile_edges.tolist(),
            "edges": len(feature.axis.edges),
        }
    elif isinstance(feature.axis, Categories) and not isinstance(counts, NumericCounts):
        found |= {
            "categories": dict(zip(feature.axis.known, counts.known.tolist(), strict=True)),
            "other": counts.other,
            "truncated": feature.axis.truncated,
        }
    return found


def _scales(profile: Profile) -> list[dict[str, Any]]:
    scales = profile.calibration.scales if profile.calibration is not None else ()
    return [{"scale": scale.name, "blocks": scale.blocks, "rows": scale.rows} for scale in scales]


def _labels(profile: Profile) -> dict[str, Any] | None:
    if profile.labels is None:
        return None
    groups = [{"segment": g.group.segment, "value": g.group.value} for g in profile.labels.groups]
    return {"bins": len(profile.labels.edges) + 1, "groups": groups}


def _components(profile: Profile) -> dict[str, Any] | None:
    if profile.components is None:
        return None
    return {
        "features": list(profile.components.features),
        "components": len(profile.components.components),
        "explained": profile.components.explained,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
