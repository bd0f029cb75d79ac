"""The hub's reports as series. All have the labels namespace, monitor and model.

modelmonitor_performance{metric,age,segment,value}     a metric; segment and value are empty over all
modelmonitor_performance_low{metric,age}               its interval's lower end, over all
modelmonitor_performance_high{metric,age}
modelmonitor_performance_reference{metric}             the same of the reference's labels
modelmonitor_performance_auc_bound{age,segment,value}  by how much binning can have moved the AUC
modelmonitor_performance_predictions{age}              predictions in the window
modelmonitor_performance_state{age,state}              1 for the state that holds: Judged, NoLabels, …
modelmonitor_performance_calibration{age,of}           slope, intercept and in_the_large
modelmonitor_performance_calibration_noise{age}        the calibration error of perfect probabilities
modelmonitor_performance_version{metric,age,version}   a metric by model version
modelmonitor_estimated_performance{metric}             before labels; blind to changes of P(y given x)
modelmonitor_estimated_performance_low{metric}
modelmonitor_estimated_performance_high{metric}
modelmonitor_estimated_performance_error{metric}       estimated less realised, of labelled rows
modelmonitor_estimated_performance_within{metric}      1 where the realised lies in the estimate's interval
modelmonitor_estimated_performance_state{state}
modelmonitor_label_coverage{age}                       share of predictions with a label
modelmonitor_label_count{age}                          labels in the window
modelmonitor_label_lag_seconds{quantile}               from prediction to label: 0.5, 0.95
modelmonitor_label_missing_psi{age}                    scores with label against those without
modelmonitor_label_missing_psi_expected{age}           its mean where labels are missing at random
modelmonitor_label_unknown_class{age}                  labels of no class that the monitor knows: left out
modelmonitor_prediction_unknown_class{age}             predictions of none: left out
modelmonitor_label_post_stratified{metric,age}         if labels are missing at random within scores
modelmonitor_concept_drift_detected                    1 where the detector and the window's test agree
modelmonitor_concept_state{state}                      1 for the state that holds; Judged: there is a verdict
modelmonitor_concept_error                             mean error of the judged window
modelmonitor_concept_error_difference                  from the reference's
modelmonitor_fairness{metric,segment}                  differences and ratios between groups
modelmonitor_fairness_group{rate,segment,value}        a group's rates
modelmonitor_fairness_left_out{segment}                groups too small to be compared
modelmonitor_fairness_state{segment,state}             1 for the state that holds
modelmonitor_kpi_events{kpi,variant}                   in the window
modelmonitor_kpi_events_low{kpi,variant}               95 % interval of what is behind them
modelmonitor_kpi_events_high{kpi,variant}
modelmonitor_kpi_sum{kpi,variant}
modelmonitor_kpi_sum_low{kpi,variant}
modelmonitor_kpi_sum_high{kpi,variant}
modelmonitor_kpi_per_second{kpi,variant}               events
modelmonitor_kpi_mean{kpi,variant}
modelmonitor_kpi_rate{kpi,variant}                     predictions with an event
modelmonitor_feedback_up{variant}
modelmonitor_feedback_down{variant}
modelmonitor_feedback_approval{variant}
modelmonitor_hub_verdict{aspect,status}                of a condition: True, False or Unknown
modelmonitor_hub_evaluated_timestamp_seconds           when
modelmonitor_hub_series_cut                            series beyond the monitor's metrics.maxSeries

What has no value has no series: a gap, never a zero. Values of segments are those that the report has, the
most frequent ones. Every replica exposes all: aggregate with `max without (pod, instance)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from driftline.performance.report import AtAge, ConceptChange, HubReport, Metric, State
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

PREFIX: Final = "modelmonitor_"
_OWN: Final = ("namespace", "monitor", "model")


def _table() -> dict[str, tuple[tuple[str, ...], str]]:
    """Names, further labels and help, from this module's own words."""
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    for line in (__doc__ or "").splitlines():
        if line.startswith(PREFIX):
            name, _, said = line.partition(" ")
            bare, _, labels = name.rstrip("}").partition("{")
            found[bare] = tuple(filter(None, labels.split(","))), said.strip() or bare
    return found


TABLE: Final = _table()


class Sample(NamedTuple):
    """One value. `name` without the prefix; `labels` in the table's order."""

    name: str
    labels: tuple[str, ...]
    value: float


class HubSeries(Collector):
    """`reports`: the newest of each monitor, with the most series that it may have."""

    def __init__(self, reports: Callable[[], Iterable[tuple[HubReport, int]]]) -> None:
        self._reports = reports

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All families, those without samples too."""
        families = {
            name: GaugeMetricFamily(name, said, labels=(*_OWN, *labels))
            for name, (labels, said) in TABLE.items()
        }
        for report, most in self._reports():
            own = (report.namespace, report.monitor, report.model)
            every = list(samples(report))
            for sample in every[:most]:
                families[PREFIX + sample.name].add_metric((*own, *sample.labels), sample.value)
            families[f"{PREFIX}hub_series_cut"].add_metric(own, max(0, len(every) - most))
        yield from families.values()


def samples(report: HubReport) -> Iterator[Sample]:
    """Of one report, the most important first: what is beyond the limit is cut."""
    yield Sample("hub_evaluated_timestamp_seconds", (), report.at)
    for condition in report.found:
        for status in ("True", "False", "Unknown"):
            holds = float(status == condition.status)
            yield Sample("hub_verdict", (condition.aspect, status), holds)
    for each in report.ages:
        yield from _overall(each)
    if report.concept is not None:
        yield from _concept(report.concept)
    yield from _estimated(report)
    yield from _fairness(report)
    yield from _outcomes(report)
    for each in report.ages:
        yield from _parts(each)


def _concept(found: ConceptChange) -> Iterator[Sample]:
    """Without a verdict there is no `detected`: 0 would be one."""
    for state in State:
        yield Sample("concept_state", (state.value,), float(state is found.state))
    if found.state is State.JUDGED:
        yield Sample("concept_drift_detected", (), float(found.drifted))
    yield from _value("concept_error", (), found.error)
    yield from _value("concept_error_difference", (), found.difference)


def _value(name: str, labels: tuple[str, ...], metric: Metric) -> Iterator[Sample]:
    if metric.value is not None:
        yield Sample(name, labels, metric.value)


def _ends(name: str, labels: tuple[str, ...], metric: Metric) -> Iterator[Sample]:
    for end, bound in (("low", metric.low), ("high", metric.high)):
        if bound is not None:
            yield Sample(f"{name}_{end}", labels, bound)


def _overall(each: AtAge) -> Iterator[Sample]:
    age = each.age
    for state in State:
        yield Sample("performance_state", (age, state.value), float(state is each.state))
    yield Sample("performance_predictions", (age,), each.overall.predictions)
    yield Sample("label_count", (age,), each.overall.labels)
    yield from _value("label_coverage", (age,), each.coverage)
    for name, metric in each.overall.metrics.items():
        yield from _value("performance", (name, age, "", ""), metric)
        yield from _ends("performance", (name, age), metric)
    if each.overall.auc_bound is not None:
        yield Sample("performance_auc_bound", (age, "", ""), each.overall.auc_bound)
    if each.calibration_noise is not None:
        yield Sample("performance_calibration_noise", (age,), each.calibration_noise)
    yield Sample("label_unknown_class", (age,), each.unknown_labels)
    yield Sample("prediction_unknown_class", (age,), each.unknown_predictions)
    for name, metric in each.calibration.items():
        yield from _value("performance_calibration", (age, name), metric)
    if each.missing.psi is not None:
        yield Sample("label_missing_psi", (age,), each.missing.psi)
    if each.missing.psi_expected is not None:
        yield Sample("label_missing_psi_expected", (age,), each.missing.psi_expected)
    for name, metric in each.missing.post_stratified.items():
        yield from _value("label_post_stratified", (name, age), metric)


def _parts(each: AtAge) -> Iterator[Sample]:
    for version, part in each.versions.items():
        for name, metric in part.metrics.items():
            yield from _value("performance_version", (name, each.age, version), metric)
    for segment, values in each.segments.items():
        for value, part in values.items():
            if part.auc_bound is not None:
                yield Sample("performance_auc_bound", (each.age, segment, value), part.auc_bound)
            for name, metric in part.metrics.items():
                yield from _value("performance", (name, each.age, segment, value), metric)


def _estimated(report: HubReport) -> Iterator[Sample]:
    found = report.estimated
    if found is None:
        return
    for state in State:
        yield Sample("estimated_performance_state", (state.value,), float(state is found.state))
    for name, metric in found.metrics.items():
        yield from _value("estimated_performance", (name,), metric)
        yield from _ends("estimated_performance", (name,), metric)
    for name, (estimate, realised) in found.compared.items():
        yield Sample("estimated_performance_error", (name,), estimate - realised)
    for name, inside in found.within.items():
        yield Sample("estimated_performance_within", (name,), float(inside))


def _fairness(report: HubReport) -> Iterator[Sample]:
    for segment, found in report.fairness.items():
        for state in State:
            yield Sample("fairness_state", (segment, state.value), float(state is found.state))
        yield Sample("fairness_left_out", (segment,), found.left_out_groups)
        for name, metric in found.differences.items():
            yield from _value("fairness", (name, segment), metric)
        for value, group in found.groups.items():
            yield from _value("fairness_group", ("selection_rate", segment, value), group.selection_rate)
            yield from _value(
                "fairness_group", ("true_positive_rate", segment, value), group.true_positive_rate
            )
            yield from _value(
                "fairness_group", ("false_positive_rate", segment, value), group.false_positive_rate
            )


def _outcomes(report: HubReport) -> Iterator[Sample]:
    if report.ages:
        oldest = report.ages[-1]
        for quantile, lag in (("0.5", oldest.lag_median), ("0.95", oldest.lag_p95)):
            if lag is not None:
                yield Sample("label_lag_seconds", (quantile,), lag)
        for name, metric in report.ages[0].overall.metrics.items():
            if metric.reference is not None:
                yield Sample("performance_reference", (name,), metric.reference)
    for kpi, variants in report.kpis.items():
        for variant, figures in variants.items():
            yield Sample("kpi_events", (kpi, variant), figures.events)
            yield Sample("kpi_sum", (kpi, variant), figures.sum)
            yield from _ends("kpi_events", (kpi, variant), figures.count)
            yield from _ends("kpi_sum", (kpi, variant), figures.total)
            yield from _value("kpi_per_second", (kpi, variant), figures.per_second)
            yield from _value("kpi_mean", (kpi, variant), figures.mean)
            yield from _value("kpi_rate", (kpi, variant), figures.rate)
    for variant, said in report.feedback.items():
        yield Sample("feedback_up", (variant,), said.up)
        yield Sample("feedback_down", (variant,), said.down)
        yield from _value("feedback_approval", (variant,), said.approval)
