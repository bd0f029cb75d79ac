"""Small line charts as inline SVG: no script, no font, nothing to load."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_PAD = 4


class Level(NamedTuple):
    """A horizontal line to compare with."""

    value: float
    name: str


def line_chart(
    values: Sequence[float | None],
    *,
    title: str,
    levels: Sequence[Level] = (),
    width: int = 320,
    height: int = 56,
) -> str:
    """The values in order over equal steps; a gap where one is None. The y axis begins at 0."""
    present = [value for value in values if value is not None]
    top = max([*present, *(level.value * 1.15 for level in levels)], default=1.0) or 1.0

    def y(value: float) -> float:
        return height - _PAD - (height - 2 * _PAD) * value / top

    def x(index: int) -> float:
        return _PAD + (width - 2 * _PAD) * index / max(1, len(values) - 1)

    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    for level in levels:
        at = y(level.value)
        parts.append(f'<line class="level" x1="{_PAD}" x2="{width - _PAD}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{width - _PAD}" y="{at - 2:.1f}">{escape(level.name)}</text>')
    for run in _runs(values):
        points = " ".join(f"{x(index):.1f},{y(value):.1f}" for index, value in run)
        if len(run) == 1:
            index, value = run[0]
            parts.append(f'<circle cx="{x(index):.1f}" cy="{y(value):.1f}" r="1.5"/>')
        else:
            parts.append(f'<polyline points="{points}"/>')
    parts.append("</svg>")
    return "".join(parts)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The values without their gaps, as runs of neighbours."""
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]
