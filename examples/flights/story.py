"""Says what drifted when, in words and numbers: the demo's last lines and its written report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from driftline.report import Report

from examples.flights import flights
from examples.flights.history import Course, Point
from examples.flights.replay import Progress

REFERENCE = "January to March"


@dataclass(frozen=True)
class Story:
    """All that the demo has to tell."""

    window: str
    """The longest window, whose drift pages, in words."""
    courses: Sequence[Course]
    """In that window."""
    sooner: Sequence[Course]
    """In a shorter window, whose drift warns."""
    progress: Progress
    last: Report

    @property
    def drifted(self) -> list[Course]:
        """The features that were called drifted in the longest window, earliest first."""
        return [course for course in self.courses if course.first_drifted is not None]

    @property
    def warnings(self) -> dict[str, Point]:
        """Where the shorter window said it first, by feature."""
        return {course.name: course.first_drifted for course in self.sooner if course.first_drifted}

    def lines(self) -> list[str]:
        """The verdicts: a line for each feature that drifted, and one for those that did not."""
        found = [_line("paged", course) for course in self.drifted]
        paged = {course.name for course in self.drifted}
        found += [
            _line("warned", course) for course in self.sooner if course.name in set(self.warnings) - paged
        ]
        found += [
            f"{name:24s} warned from {point.date:%d %B} on, in the shorter windows"
            for name, point in self.warnings.items()
            if name in paged
        ]
        calls = [(name, point.date) for name, point in self.warnings.items()]
        calls += [(course.name, course.first_drifted.date) for course in self.drifted if course.first_drifted]
        early = sorted({name for name, date in calls if date < flights.REFERENCE_ENDS})
        if early:
            found.append(f"Called drift within the reference's own months: {', '.join(early)}.")
        stable = [course for course in self.courses if course.name not in {name for name, _ in calls}]
        if stable:
            names = ", ".join(f"{course.name} {course.worst.psi:.2f}" for course in stable)
            found.append(f"Not called drift (largest PSI): {names}.")
        return found if calls else ["Nothing drifted.", *found]

    def markdown(self) -> str:
        """The written report."""
        sent = (
            f"{self.progress.requests:,} requests with {self.progress.rows:,} flights were replayed, "
            f"{self.progress.failed} failed. {_captured(self.last)}"
        )
        terms = (
            f"Reference: {REFERENCE}, in time order. Windows of {self.window}. Dates are those "
            "of the flights, at the end of the window that made the verdict."
        )
        picture = "![PSI of each feature over the year](drift.svg)"
        means = _means([course.name for course in self.courses])
        said = "\n".join("- " + " ".join(line.split()) for line in self.lines())
        parts = ["# A year of flights behind Driftline", sent, said, terms, picture, _table(self.courses)]
        return "\n\n".join([*parts, "## The data's own means, by month", means]) + "\n"


def _line(verb: str, course: Course) -> str:
    first = course.first_drifted
    assert first is not None
    chance = f", p {first.p:.1g}" if first.p is not None else ""
    worst = course.worst
    until = f"until {course.ended.date:%d %B}" if course.ended else "on"
    return (
        f"{course.name:24s} {verb} from {first.date:%d %B} {until} (PSI {first.psi:.2f}{chance}); "
        f"largest PSI {worst.psi:.2f} on {worst.date:%d %B}"
    )


def _captured(report: Report) -> str:
    capture = report.capture
    dropped = sum(capture.dropped.values())
    return (
        f"Driftline saw {capture.seen:,} requests: {capture.captured:,} captured, {dropped:,} dropped, "
        f"{capture.lost:,} lost."
    )


def _table(courses: Sequence[Course]) -> str:
    lines = [
        "| feature | role | drifted from | PSI then | p then | largest PSI | on | share of windows drifted |",
        "|---|---|---|---:|---:|---:|---|---:|",
    ]
    for course in courses:
        first, worst = course.first_drifted, course.worst
        since = f"{first.date:%d %b} | {first.psi:.3f} | {first.p:.1g}" if first and first.p else "never | |"
        lines.append(
            f"| {course.name} | {course.role} | {since} | {worst.psi:.3f} | {worst.date:%d %b} "
            f"| {course.drifted_share:.0%} |"
        )
    return "\n".join(lines)


def _means(names: Sequence[str]) -> str:
    """Of the numeric features, straight from the file: what a reader can check the verdicts against."""
    frame = flights.load()
    numeric = [name for name in flights.NUMERIC if name in names]
    months: pd.DataFrame = frame.groupby("month")[numeric].mean()
    lines = ["| month | " + " | ".join(numeric) + " |", "|---|" + "---:|" * len(numeric)]
    for month, row in zip(months.index, months.itertuples(index=False), strict=True):
        lines.append(f"| {month} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
    return "\n".join(lines)
