"""The table of `driftline check --profile FILE --rows-per-day N`: what this monitor can detect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from driftline.detectability import Column, Detectable, detectability, shifts_by_rows
from driftline.episode import label
from driftline.profile import Profile
from driftline.spec import Drift

_HEAD = ("segment", "window", "rows", "compared with", "smallest shift", "hides most", "verdict after")
_ROWS = (200, 1_000, 10_000, 100_000)


def detectable_lines(
    profile: Profile,
    policy: Drift,
    windows: tuple[int, ...],
    rows_per_day: float,
    segments: Mapping[str, float] | None = None,
) -> Iterator[str]:
    """The table's lines. `windows` in seconds; `segments`: the share of the rows of each."""
    columns = [
        Column(feature.name, 10, feature.counts.valid)
        for feature in profile.features
        if feature.role.value == "feature"
    ]
    found = detectability(columns, profile.calibration, policy, windows, rows_per_day, segments)
    rows = [_HEAD, *(_cells(line) for line in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield ""
    yield "Shifts in standard deviations of a bell-shaped column, for the median feature; a shift of that"
    yield "size is found in about every second window."
    for count, shift in shifts_by_rows(columns, profile.calibration, policy, _ROWS).items():
        yield f"A window of {count:,} rows finds {'nothing' if shift is None else f'{shift:.2f} sd'}."
    for line in found:
        if line.reason == "InsufficientData":
            where = f"{line.segment}, {label(line.seconds)}" if line.segment else label(line.seconds)
            yield f"{where}: needs {policy.min_rows:,} rows a window, {line.rows_per_day:,.0f} a day."


def _cells(line: Detectable) -> tuple[str, ...]:
    head = (line.segment or "all", label(line.seconds), f"{line.rows:,}")
    if line.shift is None:
        return (*head, line.scale or "-", f"nothing: {line.reason}", line.worst or "-", "never")
    hides = "" if line.worst_shift is None else f" ({line.worst_shift:.2f} sd)"
    never = " (never)" if line.worst_shift is None else ""
    return (*head, line.scale, f"{line.shift:.2f} sd", f"{line.worst}{hides}{never}", _days(line.days))


def _days(days: float) -> str:
    return f"{days:.1f} days" if days >= 1 else f"{days * 24:.1f} hours"
