"""The analyzer's series, made from what is known now. Which there are is `driftline_sidecar.metrics`'."""

from __future__ import annotations

from collections.abc import Iterator

from driftline.counts import ColumnCounts
from driftline.grid import Grid
from driftline.measure import bin_counts
from driftline.pane import FeatureAxis
from driftline.report import WindowReport
from driftline.shadow.account import Drop as ShadowDrop
from driftline.shadow.account import Failure
from driftline.verdict import State

from driftline_sidecar.analyzer.counting import Counting, cumulative
from driftline_sidecar.analyzer.mirror.mirror import Mirror
from driftline_sidecar.analyzer.monitor import Analysis
from driftline_sidecar.analyzer.predictions.outbox import Outbox
from driftline_sidecar.analyzer.predictions.rows import Drop
from driftline_sidecar.analyzer.predictions.sending import Sent
from driftline_sidecar.analyzer.reference import ReferenceState
from driftline_sidecar.exposition import Families

TESTS = ("psi", "ks", "wasserstein_normed", "jensen_shannon", "chi2", "hellinger", "l_infinity")
"""Statistics exposed as `feature_drift{test}`; the report has all of them."""


def common_labels(analysis: Analysis) -> tuple[str, str, str]:
    """Namespace, monitor and model."""
    metadata = analysis.monitor.metadata
    return metadata.namespace, metadata.name, analysis.spec.model.name


def families(analysis: Analysis) -> Families:
    """A monitor's series, at most `metrics.maxSeries`: those of the monitor and its windows come first."""
    common = common_labels(analysis)
    found = Families(common, limit=analysis.spec.metrics.max_series)
    _totals(analysis, found)
    for state in ReferenceState:
        found.add("reference_state", float(state is analysis.reference_state), (state.value,))
    found.add("reference_rows", analysis.reference_rows)
    if analysis.counting is not None:
        _counted(analysis, analysis.counting, found)
    reserve = Families(common)
    reserve.add("series_cut", found.cut)
    return found.joined(reserve)


def predictions(common: tuple[str, str, str], outbox: Outbox) -> Families:
    """What the prediction log of a monitor has done."""
    found = Families(common)
    found.add("prediction_log_rows_total", outbox.delivered)
    dropped = outbox.all_dropped()
    for reason in Drop:
        found.add("prediction_log_dropped_total", dropped[reason], (reason.value,))
    found.add("prediction_log_backlog_bytes", outbox.backlog_bytes)
    for outcome in Sent:
        found.add("prediction_log_sends_total", outbox.sends[outcome], (outcome.value,))
    return found


def shadow(common: tuple[str, str, str], mirror: Mirror) -> Families:
    """What a monitor's mirror has done in this life: the account, as the parts have it too."""
    found = Families(common)
    account, disagreed = mirror.book.total()
    for name in ("eligible", "mirrored", "paired", "lost"):
        found.add(f"shadow_{name}_total", getattr(account, name))
    for reason in ShadowDrop:
        found.add("shadow_dropped_total", account.dropped.get(reason, 0), (reason.value,))
    for failure in Failure:
        found.add("shadow_failed_total", account.failed.get(failure, 0), (failure.value,))
    found.add("shadow_waiting", account.waiting)
    found.add("shadow_disagreed_total", disagreed)
    found.add("shadow_breaker_open", float(mirror.resting))
    found.add("shadow_mirror_restarts_total", mirror.restarts)
    return found


def _totals(analysis: Analysis, found: Families) -> None:
    tally = analysis.tally
    found.add("exchanges_total", tally.exchanges)
    found.add("exchange_weight_total", tally.weight)
    found.add("rows_total", tally.rows)
    for reason, count in sorted(tally.decode_errors.items()):
        found.add("decode_errors_total", count, (reason,))
    for label, count in sorted(tally.classes.items()):
        found.add("predictions_total", count, (label,))


def _counted(analysis: Analysis, counting: Counting, found: Families) -> None:
    windows = [window for _, window in sorted(counting.windows.items())]
    for window in windows:
        _window(window, found)
    if counting.prediction is not None:
        axis = counting.axes.features.get(counting.prediction_name)
        if isinstance(axis, Grid):
            found.add_histogram("prediction_value", *cumulative(counting.prediction, axis))
    _thresholds(analysis, windows, found)
    for window in windows:
        _features(window, found)
    for (feature, kind), count in sorted(analysis.tally.violations.items()):
        if feature in counting.axes.features:
            found.add("schema_violations_total", count, (feature, kind))
    if analysis.spec.metrics.bin_rows and counting.shortest is not None:
        for name, counts in counting.shortest.features.items():
            for label, rows in _bins(counting.axes.features[name], counts):
                found.add("feature_bin_rows", rows, (name, label))


def _window(window: WindowReport, found: Families) -> None:
    found.add("window_rows", window.rows, (window.window,))
    found.add_states("window_state", [state.value for state in State], window.state.value, (window.window,))
    found.add("window_end_timestamp_seconds", window.end, (window.window,))
    if window.duplicate_ratio is not None:
        found.add("window_duplicate_ratio", window.duplicate_ratio, (window.window,))
    if window.dataset is not None:
        found.add("dataset_drift_share", window.dataset.share, (window.window,))


def _features(window: WindowReport, found: Families) -> None:
    for name, feature in window.features.items():
        labels = (name, window.window)
        if window.state.judged:
            found.add("feature_drift_detected", float(feature.drifted), labels)
        for test in TESTS:
            value = feature.statistics.get(test)
            if value is not None:
                found.add("feature_drift", value, (name, test, window.window))
        for finding in feature.quality:
            found.add("feature_quality_problem", 1.0, (name, finding.reason.value, window.window))
        for series, ratio in (
            ("feature_missing_ratio", feature.missing_ratio),
            ("feature_out_of_range_ratio", feature.out_of_range_ratio),
            ("feature_new_category_ratio", feature.new_category_ratio),
        ):
            if ratio is not None:
                found.add(series, ratio, labels)


def _thresholds(analysis: Analysis, windows: list[WindowReport], found: Families) -> None:
    given = analysis.spec.drift.thresholds
    thresholds = {
        "psi": given.psi,
        "ks": given.ks,
        "wasserstein_normed": given.wasserstein,
        "jensen_shannon": given.jensen_shannon,
    }
    for name, feature in windows[0].features.items() if windows else ():
        for test, threshold in thresholds.items():
            if threshold is not None and test in feature.statistics:
                found.add("feature_drift_threshold", threshold, (name, test))


def _bins(axis: FeatureAxis, counts: ColumnCounts) -> Iterator[tuple[str, int]]:
    """Rows by decile bin (named by its upper edge), or by category."""
    rows = bin_counts(axis, counts).tolist()
    if not isinstance(axis, Grid):
        yield from zip((*axis.known, "other"), rows, strict=True)
        return
    edges = [repr(float(edge)) for edge in axis.decile_edges]
    names = [*edges, "+Inf"] if len(rows) == len(edges) + 1 else ["below", "at", "above"]
    yield from zip(names, rows, strict=False)
