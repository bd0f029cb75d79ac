"""The series of fleets, made anew for each scrape: what has gone from a book is gone from the next one.

    modelmonitor_fleet_pods                        gauge    namespace, monitor, model, state
    modelmonitor_fleet_window_rows                 gauge    namespace, monitor, model, window
    modelmonitor_fleet_window_coverage_ratio       gauge    namespace, monitor, model, window
    modelmonitor_fleet_feature_drift               gauge    namespace, monitor, model, feature, test, window
    modelmonitor_fleet_feature_drift_detected      gauge    namespace, monitor, model, feature, window
    modelmonitor_fleet_dataset_drift_share         gauge    namespace, monitor, model, window
    modelmonitor_fleet_drift_detected              gauge    namespace, monitor, model, severity
    modelmonitor_fleet_outlier_pods                gauge    namespace, monitor, model
    modelmonitor_fleet_missed_pulls_total          counter  namespace, monitor, model, reason
    modelmonitor_fleet_refused_panes_total         counter  namespace, monitor, model, reason
    modelmonitor_fleet_cycle_seconds               gauge    -
    modelmonitor_fleet_series_cut                  gauge    -

`test` is `psi`; the sidecars expose the other statistics. At most SERIES_LIMIT samples: what is beyond is
left out, and how many that are is in `series_cut`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from driftline.report import WindowReport
from prometheus_client import Metric
from prometheus_client.registry import Collector

from driftline_operator.fleet.book import Book
from driftline_operator.fleet.captures import is_judged

SERIES_LIMIT: Final = 100_000
_COMMON: Final = ("namespace", "monitor", "model")


class Figures(NamedTuple):
    """What is exposed of one monitor. `missed`: pulls, by the reason."""

    namespace: str
    monitor: str
    model: str
    answered: int
    silent: int
    missed: Mapping[str, int]
    book: Book | None


class FleetSeries(Collector):
    """`figures` gives all monitors; `cycle` how long the last round took, in seconds."""

    def __init__(self, figures: Callable[[], Iterable[Figures]], cycle: Callable[[], float]) -> None:
        self._figures = figures
        self._cycle = cycle

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: what is exposed depends on the monitors."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All series."""
        made = _Made()
        for each in self._figures():
            _monitor(made, each)
        made.add("cycle_seconds", "How long the last round over all pods took.", self._cycle(), {})
        made.limit = None
        made.add("series_cut", "Series left out because there were too many.", float(made.cut), {})
        return made.families.values()


class _Made:
    def __init__(self) -> None:
        self.families: dict[str, Metric] = {}
        self.limit: int | None = SERIES_LIMIT
        self.samples = 0
        self.cut = 0

    def add(self, name: str, text: str, value: float, labels: Mapping[str, str], kind: str = "gauge") -> None:
        if self.limit is not None and self.samples >= self.limit:
            self.cut += 1
            return
        self.samples += 1
        full = f"modelmonitor_fleet_{name}"
        family = self.families.get(full)
        if family is None:
            family = self.families[full] = Metric(full.removesuffix("_total"), text, kind)
        family.add_sample(full, dict(labels), value)


def _monitor(made: _Made, each: Figures) -> None:
    common = dict(zip(_COMMON, (each.namespace, each.monitor, each.model), strict=True))
    for state, count in (("answered", each.answered), ("silent", each.silent)):
        made.add("pods", "Injected pods, by whether they answered.", count, {**common, "state": state})
    for reason, count in each.missed.items():
        made.add(
            "missed_pulls_total",
            "Pulls of panes that failed.",
            count,
            {**common, "reason": reason},
            "counter",
        )
    book = each.book
    if book is None:
        return
    for reason, count in book.refused.items():
        labels = {**common, "reason": reason}
        made.add("refused_panes_total", "Panes that don't fit the reference.", count, labels, "counter")
    verdict = book.evaluator.verdict()
    for severity in ("warning", "page") if is_judged(verdict) else ():  # no zero where nothing is known
        labels = {**common, "severity": severity}
        made.add("drift_detected", "1 while the fleet drifts.", float(verdict.severity == severity), labels)
    made.add("outlier_pods", "Pods that see something else.", float(len(book.outliers)), common)
    for judged in book.windows.values():
        _window(made, common, judged.report, judged.coverage)


def _window(made: _Made, common: Mapping[str, str], report: WindowReport, coverage: float) -> None:
    labels = {**common, "window": report.window}
    made.add("window_rows", "Rows of all pods in the window.", report.rows, labels)
    made.add("window_coverage_ratio", "Share of the pods' time that was counted.", coverage, labels)
    if not report.state.judged or report.reason:
        return  # nothing was compared, or too little was there: no figure is better than a zero
    if report.dataset is not None:
        made.add("dataset_drift_share", "Share of drifted features.", report.dataset.share, labels)
    for name, feature in report.features.items():
        psi = feature.statistics.get("psi")
        of = {**labels, "feature": name}
        if psi is not None:
            made.add("feature_drift", "The statistic over all pods.", psi, {**of, "test": "psi"})
        made.add("feature_drift_detected", "1 while it drifts.", float(feature.drifted), of)
