"""The sums of a monitor's windows, as the database adds them up. Synchronous: run it in a thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from driftline.performance.aggregates import (
    BinarySums,
    ErrorBucket,
    FeedbackCounts,
    KpiSums,
    PredictionCounts,
    RegressionSums,
)
from driftline.performance.lag import LagCounts, watermark
from sqlalchemy.engine import Connection

from driftline_operator.hub.aggregates import (
    By,
    Cell,
    Sums,
    Window,
    errors,
    measured,
    open_window,
    outcomes,
    sums,
)
from driftline_operator.hub.evaluation.asked import SPAN, Asked
from driftline_operator.hub.evaluation.sums import AgedWindow, Gathered, Part, total

_T = TypeVar("_T", KpiSums, FeedbackCounts)


def gather(connection: Connection, monitor: int, asked: Asked, now: float) -> Gathered:
    """All that the report is made of, in one consistent view. `now`: unix seconds."""
    ages = {float(age): _aged(connection, monitor, asked, now, float(age)) for age in asked.ages}
    closed = _watermark(ages, now)
    latest, kpis, feedback = _latest(connection, monitor, asked, now)
    return Gathered(
        ages,
        tuple(_before(connection, monitor, asked, ages[float(asked.judged_age)].start)),
        latest,
        tuple(_errors(connection, monitor, asked, closed)),
        closed,
        kpis,
        feedback,
    )


def _watermark(ages: Mapping[float, AgedWindow], now: float) -> float | None:
    """By the lags of the oldest window that has labels: a younger one knows of fewer late ones."""
    known = (watermark(ages[age].lags, now) for age in sorted(ages, reverse=True))
    return next((each for each in known if each is not None), None)


def _aged(connection: Connection, monitor: int, asked: Asked, now: float, age: float) -> AgedWindow:
    end = asked.end(now, age)
    start = end - float(asked.window)
    with open_window(connection, monitor, start, end, asked.bins, numeric=asked.numeric) as window:
        by = By(age=age)
        cells = _parts(window, asked, by)
        whole = _whole(cells)
        return AgedWindow(
            start,
            end,
            whole,
            _by(cells, "version"),
            _segments(window, asked, by),
            total(outcomes.lags(window, By()).values()) or LagCounts(),
            total(sums.predicted(window, By(), asked.classes).values()),
            _answered(window, asked, by, whole.sums),
            _said(window, asked) if age == float(asked.judged_age) else {},
            outcomes.unknown(window, asked.classes, age),
        )


def _segments(window: Window, asked: Asked, by: By) -> dict[str, dict[str, Part]]:
    names = asked.spec.schema.segments
    return {name: _by(_parts(window, asked, by._replace(segment=name)), "value") for name in names}


def _said(window: Window, asked: Asked) -> dict[str, dict[str, PredictionCounts]]:
    """What was predicted of each group, labelled or not."""
    if asked.spec.fairness is None:
        return {}
    found: dict[str, dict[str, PredictionCounts]] = {}
    for name in asked.spec.schema.segments:
        groups = found.setdefault(name, {})
        for cell, counts in sums.predicted(window, By(segment=name), asked.classes).items():
            value = str(cell.value)
            groups[value] = groups[value] + counts if value in groups else counts
    return found


def _answered(window: Window, asked: Asked, by: By, labelled: Sums | None) -> PredictionCounts | None:
    """The predictions that have a label, as an estimate reads them."""
    if isinstance(labelled, BinarySums):
        return PredictionCounts(labelled.bins, labelled.counts.sum(axis=1))
    if not isinstance(labelled, RegressionSums):
        return None
    return total(sums.predicted(window, by, asked.classes, labelled=True).values())


def _parts(window: Window, asked: Asked, by: By) -> dict[Cell, Part]:
    found = measured(window, asked.measure, by)
    return {cell: Part(found.get(cell), counts) for cell, counts in outcomes.coverage(window, by).items()}


def _by(cells: Mapping[Cell, Part], field: str) -> dict[str, Part]:
    """By the version, or the segment's value, whatever the rest of the cell."""
    groups: dict[str, dict[Cell, Part]] = {}
    for cell, part in cells.items():
        key = getattr(cell, field)
        if key is not None:
            groups.setdefault(str(key), {})[cell] = part
    return {key: _whole(group) for key, group in sorted(groups.items())}


def _whole(cells: Mapping[Cell, Part]) -> Part:
    return Part(
        total(part.sums for part in cells.values() if part.sums is not None),
        total(part.coverage for part in cells.values() if part.coverage is not None),
    )


def _before(connection: Connection, monitor: int, asked: Asked, end: float) -> list[AgedWindow]:
    """The disjoint windows before the newest one that has reached the judged age."""
    performance, fairness = asked.spec.performance, asked.spec.fairness
    of = max(each.sustain.of for each in (performance, fairness) if each) if performance or fairness else 1
    by = By(age=float(asked.judged_age))
    found: list[AgedWindow] = []
    for _ in range(of - 1):
        start = end - float(asked.window)
        with open_window(connection, monitor, start, end, asked.bins, numeric=asked.numeric) as window:
            whole = Part(total(measured(window, asked.measure, by).values()))
            segments = {} if fairness is None else _segments(window, asked, by)
            predicted = None
            if fairness is not None:
                predicted = total(sums.predicted(window, By(), asked.classes).values())
            said = _said(window, asked)
            found.append(AgedWindow(start, end, whole, segments=segments, predicted=predicted, said=said))
        end = start
    return found


def _latest(
    connection: Connection, monitor: int, asked: Asked, now: float
) -> tuple[AgedWindow, dict[str, dict[str, KpiSums]], dict[str, FeedbackCounts]]:
    end = asked.end(now, 0.0)
    start = end - float(asked.window)
    with open_window(connection, monitor, start, end, asked.bins, numeric=asked.numeric) as window:
        coverage = total(outcomes.coverage(window, By()).values())
        predicted = total(sums.predicted(window, By(), asked.classes).values())
        kpis = {each.name: _variants(outcomes.kpi(window, each.name, By())) for each in asked.spec.kpis}
        feedback = _variants(outcomes.feedback(window, By()))
    return AgedWindow(start, end, Part(None, coverage), predicted=predicted), kpis, feedback


def _variants(cells: Mapping[Cell, _T]) -> dict[str, _T]:
    found: dict[str, _T] = {}
    for cell, each in cells.items():
        known = found.get(cell.variant)
        found[cell.variant] = each if known is None else known + each
    return found


def _errors(connection: Connection, monitor: int, asked: Asked, closed: float | None) -> list[ErrorBucket]:
    """The error by time of prediction, as far as labels are complete."""
    if closed is None:
        return []
    width = asked.bucket
    end = closed // width * width
    start = end - SPAN * float(asked.window)
    with open_window(connection, monitor, start, end, asked.bins, numeric=asked.numeric) as window:
        by_time: dict[float, ErrorBucket] = {}
        for buckets in errors(window, asked.measure, By(bucket=width)).values():
            for each in buckets:
                by_time[each.start] = each + by_time[each.start] if each.start in by_time else each
    return [by_time[at] for at in sorted(by_time)]
