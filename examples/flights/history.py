"""What Driftline said while the year was replayed, on the calendar of the flights."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftline.report import FeatureReport, Report, WindowReport


class Calendar:
    """Maps Unix time back to the replayed date, by the marks that the replay left."""

    def __init__(self, marks: Sequence[tuple[float, datetime]]) -> None:
        self._wall = [wall for wall, _ in marks]
        self._dates = [date for _, date in marks]

    def date(self, wall: float) -> datetime:
        """The replayed time at Unix time `wall`; before the first mark the first, after the last the last."""
        index = min(max(bisect_right(self._wall, wall), 1), len(self._wall) - 1)
        began, ended = self._wall[index - 1], self._wall[index]
        share = min(1.0, max(0.0, (wall - began) / (ended - began)))
        return self._dates[index - 1] + timedelta(
            seconds=share * (self._dates[index] - self._dates[index - 1]).total_seconds()
        )


@dataclass(frozen=True, slots=True)
class Point:
    """One feature in one window: when the window ended on the calendar, and what was said of it."""

    date: datetime
    psi: float
    p: float | None
    unusual: bool
    drifted: bool


@dataclass(frozen=True, slots=True)
class Course:
    """One feature over the year, in time order."""

    name: str
    role: str
    points: tuple[Point, ...]

    @property
    def first_drifted(self) -> Point | None:
        """The window that made it drift, None where it never did."""
        return next((point for point in self.points if point.drifted), None)

    @property
    def ended(self) -> Point | None:
        """The first window after the last drifted one; None where it never drifted, or until the end."""
        drifted = [index for index, point in enumerate(self.points) if point.drifted]
        after = self.points[drifted[-1] + 1 :] if drifted else ()
        return after[0] if after else None

    @property
    def worst(self) -> Point:
        """The window with the largest effect."""
        return max(self.points, key=lambda point: point.psi)

    @property
    def drifted_share(self) -> float:
        """The share of the judged windows in which it had drifted."""
        return sum(point.drifted for point in self.points) / len(self.points)


def courses(reports: Sequence[Report], window: str, calendar: Calendar) -> list[Course]:
    """Every feature's course in windows of that length: earliest drift first, then by largest effect."""
    points: dict[str, list[Point]] = {}
    roles: dict[str, str] = {}
    last_end = float("-inf")
    for report in reports:
        found = _window(report, window)
        if found is None or found.end <= last_end:
            continue  # the same window, asked for twice
        last_end = found.end
        for name, feature in found.features.items():
            point = _point(feature, calendar.date(found.end))
            if point is not None:
                roles[name] = feature.role
                points.setdefault(name, []).append(point)
    made = [Course(name, roles[name], tuple(course)) for name, course in points.items()]
    never = datetime.max  # noqa: DTZ901  the calendar of the data has no zone
    return sorted(
        made, key=lambda c: (c.first_drifted.date if c.first_drifted else never, -c.worst.psi, c.name)
    )


def _window(report: Report, window: str) -> WindowReport | None:
    return next((found for found in report.windows if found.window == window), None)


def _point(feature: FeatureReport, date: datetime) -> Point | None:
    """None where the window could not be judged."""
    psi = feature.statistics.get("psi")
    if psi is None or feature.p is None:
        return None
    return Point(date, psi, feature.p, feature.unusual, feature.drifted)
