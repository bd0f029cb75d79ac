"""Says what drifted when, in words and numbers: the demo's last lines and its written report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from driftline.report import Report

from examples.flights import flights
from examples.flights.history import Course
from examples.flights.replay import Progress

REFERENCE = "January to March"


@dataclass(frozen=True)
class Story:
    """All that the demo has to tell."""

    window: str
    courses: Sequence[Course]
    progress: Progress
    last: Report

    @property
    def drifted(self) -> list[Course]:
        """The features that were called drifted, earliest first."""
        return [course for course in self.courses if course.first_drifted is not None]

    def lines(self) -> list[str]:
        """The verdicts: a line for each feature that drifted, and one for those that did not."""
        found = [_line(course) for course in self.drifted]
        if not found:
            found = ["Nothing drifted."]
        early = [course.name for course in self.drifted if _within_reference(course)]
        if early:
            found.append(f"Called drift within the reference's own months: {', '.join(early)}.")
        stable = [course for course in self.courses if course.first_drifted is None]
        if stable:
            names = ", ".join(f"{course.name} {course.worst.psi:.2f}" for course in stable)
            found.append(f"Not called drift (largest PSI): {names}.")
        return found

    def markdown(self) -> str:
        """The written report."""
        sent = (
            f"{self.progress.requests:,} requests with {self.progress.rows:,} flights were replayed, "
            f"{self.progress.failed} failed. {_captured(self.last)}"
        )
        terms = (
            f"Reference: {REFERENCE}, in time order. Windows of {self.window} of the replay. Dates are those "
            "of the flights, at the end of the window that made the verdict."
        )
        picture = "![PSI of each feature over the year](drift.svg)"
        means = _means([course.name for course in self.courses])
        parts = ["# A year of flights behind Driftline", sent, terms, picture, _table(self.courses)]
        return "\n\n".join([*parts, "## The data's own means, by month", means]) + "\n"


def _line(course: Course) -> str:
    first, worst = course.first_drifted, course.worst
    assert first is not None
    chance = f", p {first.p:.1g}" if first.p is not None else ""
    return (
        f"{course.name:15s} drifted on {first.date:%d %B} (PSI {first.psi:.2f}{chance}); "
        f"largest PSI {worst.psi:.2f} on {worst.date:%d %B}"
    )


def _within_reference(course: Course) -> bool:
    return course.first_drifted is not None and course.first_drifted.date < flights.REFERENCE_ENDS


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
