"""Draws the year as an SVG: a row per feature, a cell per window coloured by PSI, a bar where it drifted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from itertools import groupby, pairwise
from operator import itemgetter

from examples.flights import flights
from examples.flights.history import Course

LEFT, TOP, WIDTH, ROW, GAP = 172, 84, 700, 22, 5
BANDS = ((0.1, "#d7e8f4"), (0.25, "#f8d48a"), (1.0, "#ee8f57"), (float("inf"), "#c43c39"))
"""Upper limits of PSI and their colours: the bands that MONITORING's readers know, and one beyond them."""
LABELS = ("below 0.1", "0.1 to 0.25", "0.25 to 1", "above 1")
DRIFTED = "#7a1f2b"
FONT = 'font-family="system-ui, sans-serif" font-size="12" fill="#1d2733"'


def x(date: datetime) -> float:
    """The horizontal place of a date."""
    year = flights.YEAR_ENDS - flights.YEAR_STARTS
    return LEFT + WIDTH * ((date - flights.YEAR_STARTS) / year)


def draw(courses: Sequence[Course], window: str) -> str:
    """The whole picture as SVG text."""
    height = TOP + len(courses) * (ROW + GAP) + 58
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {height}" {FONT}>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(LEFT, 24, "Drift of a year of flights, as Driftline saw it", size=16, weight=600),
        _text(LEFT, 42, f"PSI of each feature against January to March, in windows of {window}"),
        *_months(TOP + len(courses) * (ROW + GAP)),
    ]
    for index, course in enumerate(courses):
        parts += _row(course, TOP + index * (ROW + GAP))
    parts += _legend(height - 20)
    return "\n".join([*parts, "</svg>", ""])


def _months(bottom: float) -> list[str]:
    starts = [datetime(2013, month, 1) for month in range(1, 13)]  # noqa: DTZ001
    lines = [
        f'<line x1="{x(start):.1f}" x2="{x(start):.1f}" y1="{TOP - 8}" y2="{bottom}" stroke="#d5dbe1"/>'
        for start in starts
    ]
    names = [_text(x(start) + 4, TOP - 12, f"{start:%b}") for start in starts]
    edge = x(flights.REFERENCE_ENDS)
    span = (
        f'<line x1="{LEFT}" x2="{edge:.1f}" y1="{TOP - 4}" y2="{TOP - 4}" stroke="#1d2733" stroke-width="2"/>'
    )
    reference = _text(LEFT, TOP - 27, "the reference", size=10)
    return [*lines, *names, span, reference]


def _row(course: Course, y: float) -> list[str]:
    """Cells side by side; neighbours that look the same are drawn as one."""
    dates = [point.date for point in course.points]
    widths = sorted(later - date for date, later in pairwise(dates))
    step = widths[len(widths) // 2] if widths else timedelta(days=3)
    parts = [_text(LEFT - 8, y + ROW - 7, course.name, anchor="end")]
    drawn = course.points[0].date - step
    for colour, run in _runs([(_colour(point.psi), point.date) for point in course.points]):
        parts.append(_bar(drawn, run[-1], y, ROW - 4, colour))
        drawn = run[-1]
    for drifted, run in _runs([(str(point.drifted), point.date) for point in course.points]):
        if drifted == str(True):
            parts.append(_bar(run[0] - step, run[-1], y + ROW - 4, 4, DRIFTED))
    return parts


def _runs(marked: Sequence[tuple[str, datetime]]) -> list[tuple[str, list[datetime]]]:
    """Neighbours of the same mark, together: the mark and the dates."""
    return [(mark, [date for _, date in run]) for mark, run in groupby(marked, key=itemgetter(0))]


def _colour(psi: float) -> str:
    return next((colour for limit, colour in BANDS if psi < limit), BANDS[-1][1])


def _bar(start: datetime, end: datetime, y: float, height: int, colour: str) -> str:
    left = max(float(LEFT), x(start))
    width = x(end) - left + 0.3
    return f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _legend(y: float) -> list[str]:
    parts = []
    at = float(LEFT)
    for (_, colour), label in zip(BANDS, LABELS, strict=True):
        parts.append(f'<rect x="{at}" y="{y - 10}" width="14" height="12" fill="{colour}"/>')
        parts.append(_text(at + 19, y, f"PSI {label}"))
        at += 118
    parts.append(f'<rect x="{at}" y="{y - 6}" width="14" height="4" fill="{DRIFTED}"/>')
    parts.append(_text(at + 19, y, "called drift: large, unusual for the"))
    parts.append(_text(at + 19, y + 14, "reference, and lasting"))
    return parts


def _text(
    left: float, y: float, words: str, *, size: int = 12, weight: int = 400, anchor: str = "start"
) -> str:
    style = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text x="{left:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'
