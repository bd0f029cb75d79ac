"""How good the model was, as the hub says, beside scikit-learn on the same rows; and what was estimated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pandas as pd
from driftline.client import Hub
from driftline.performance.report import AtAge, HubReport, Metric
from sklearn.metrics import roc_auc_score

from examples.flights import flights
from examples.flights.history import Calendar
from examples.flights.replay import Progress
from examples.flights.table import table

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Cell(msgspec.Struct):
    """Of what `GET /v1/metrics` answers, as much as is shown."""

    predictions: int
    labelled: int
    segment: str = ""
    auc_bound: float | None = None
    metrics: dict[str, Metric] = msgspec.field(default_factory=dict)
    estimated: dict[str, Metric] = msgspec.field(default_factory=dict)


class _Cells(msgspec.Struct):
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Beside:
    """Flights of one month, origin or carrier: what the hub says, and scikit-learn of the same rows."""

    name: str
    rows: int
    """In the data."""
    hub: Cell
    late: float
    auc: float | None
    """None: all were late, or none."""

    @property
    def difference(self) -> float | None:
        """Of the two AUC; None where there is none."""
        found = self.hub.metrics["auc"].value
        return None if found is None or self.auc is None else found - self.auc


@dataclass(frozen=True, slots=True)
class Truth:
    """All that is told."""

    months: Sequence[Beside]
    origins: Sequence[Beside]
    carriers: Sequence[Beside]
    reports: Sequence[HubReport]
    """As they were made while the year went by."""
    calendar: Calendar = field(repr=False)


def ask(
    hub: Hub, progress: Progress, frame: pd.DataFrame, reports: Sequence[HubReport], calendar: Calendar
) -> Truth:
    """Ask the hub for months and segments. `frame`: the flights replayed, with column `late_score`.

    Raises HubError.
    """
    begins = [*progress.months.values(), progress.ended]
    months = [
        _beside(
            MONTHS[month - 1],
            frame[frame["month"] == month],
            _cells(hub, start=start, end=end, estimate=True),
        )
        for month, start, end in zip(progress.months, begins, begins[1:], strict=False)
    ]
    whole = {"start": begins[0], "end": begins[-1]}
    by = {name: list(_by(frame, name, _cells(hub, segment=name, **whole))) for name in ("origin", "carrier")}
    return Truth(months, by["origin"], by["carrier"], reports, calendar)


def predictions(hub: Hub, progress: Progress) -> int:
    """How many of the replay's the hub has. Raises HubError."""
    found = _cells(hub, start=min(progress.months.values()), end=progress.ended)
    return sum(each.predictions for each in found.values())


def _cells(hub: Hub, **asked: Any) -> dict[str, Cell]:
    found = msgspec.convert(hub.metrics(**asked), _Cells)
    return {each.segment: each for each in found.cells}


def _by(frame: pd.DataFrame, name: str, cells: Mapping[str, Cell]) -> Iterator[Beside]:
    for value, rows in sorted(frame.groupby(name), key=lambda item: -len(item[1])):
        yield _beside(str(value), rows, {"": cells.get(str(value), _NOTHING)})


_NOTHING = Cell(0, 0)


def _beside(name: str, rows: pd.DataFrame, cells: Mapping[str, Cell]) -> Beside:
    late = rows[flights.LABEL]
    auc = float(roc_auc_score(late, rows["late_score"])) if late.nunique() > 1 else None
    return Beside(name, len(rows), cells.get("", _NOTHING), float(late.mean()), auc)


def lines(truth: Truth) -> Iterator[str]:
    """Printed at the demo's end."""
    yield from _compared("month", truth.months)
    yield ""
    yield from _compared("origin", truth.origins)
    yield ""
    yield from _compared("carrier", truth.carriers)
    yield ""
    yield from _estimates(truth.months)
    yield ""
    yield from _ages(truth.reports[-1].ages if truth.reports else [])
    yield ""
    yield from _verdicts(truth)


def _compared(what: str, every: Sequence[Beside]) -> list[str]:
    counts = ["flights", "in the hub", "labelled"]
    head = [what, *counts, "late", "scikit-learn", "AUC", "scikit-learn", "off by", "can be off by"]
    rows = []
    for each in every:
        said = [f"{number:,}" for number in (each.rows, each.hub.predictions, each.hub.labelled)]
        rates = [_share(each.hub.metrics["baseRate"].value), _share(each.late)]
        off = "-" if each.difference is None else f"{abs(each.difference):.0e}"
        bound = "-" if each.hub.auc_bound is None else f"{each.hub.auc_bound:.0e}"
        aucs = [_number(each.hub.metrics["auc"].value), _number(each.auc), off, bound]
        rows.append([each.name, *said, *rates, *aucs])
    return table(head, rows)


def _estimates(months: Sequence[Beside]) -> list[str]:
    """What could be said before a label had come, and what came true."""
    names = ("auc", "accuracy", "f1")
    rows = [[each.name, *(text for name in names for text in _estimate(each.hub, name))] for each in months]
    head = [text for name in names for text in (f"{name} estimated", "came true")]
    return table(["month", *head], rows)


def _estimate(cell: Cell, name: str) -> tuple[str, str]:
    found, true = cell.estimated.get(name, Metric()), cell.metrics.get(name, Metric())
    interval = "" if found.low is None else f" [{found.low:.3f}, {found.high:.3f}]"
    return f"{_number(found.value)}{interval}", _number(true.value)


def _ages(ages: Sequence[AtAge]) -> list[str]:
    rows = [
        [each.age, _share(each.coverage.value), _number(each.overall.metrics.get("auc", Metric()).value)]
        for each in ages
    ]
    if not ages:
        return []
    said = table(["age of prediction", "labelled by then", "AUC of those"], rows)
    oldest = ages[-1]
    lags = f"{_seconds(oldest.lag_median)} (median), {_seconds(oldest.lag_p95)} (95 %)"
    return [*said, f"labels come after {lags}"]


def _verdicts(truth: Truth) -> Iterator[str]:
    """Each condition where it changed."""
    known: dict[str, str] = {}
    for report in truth.reports:
        for each in report.found:
            said = f"{each.status} {each.reason}"
            if known.get(each.aspect) != said:
                known[each.aspect] = said
                yield f"{truth.calendar.date(report.at):%d %b}  {each.aspect} {said}: {each.message}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
