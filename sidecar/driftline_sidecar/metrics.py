"""The catalogue of all series that Driftline exposes.

Every series starts with `modelmonitor_` and carries the labels `namespace`, `monitor` and `model`
beside those named here. Label sets are closed: their values come from the monitor file, the
reference profile or a list in the code, never from a request. A test holds this table equal to
`SERIES` and to what the programs expose; `docs/metrics.md` is generated from `SERIES`.

    requests_total                     counter    proxy     code
    request_duration_seconds           histogram  proxy
    time_to_first_byte_seconds         histogram  proxy
    in_flight_requests                 gauge      proxy
    interrupted_requests_total         counter    proxy
    upstream_errors_total              counter    proxy     reason
    client_connections                 gauge      proxy
    client_connections_total           counter    proxy
    received_bytes_total               counter    proxy
    sent_bytes_total                   counter    proxy
    opaque_connections_total           counter    proxy     reason
    worker_restarts_total              counter    proxy     reason
    proxy_config_refused_total         counter    proxy
    proxy_config_last_reload_successful gauge     proxy
    proxy_build_info                   gauge      proxy     version
    capture_seen_total                 counter    proxy
    capture_captured_total             counter    proxy
    capture_sampled_out_total          counter    proxy
    capture_dropped_total              counter    proxy     reason
    capture_lost_total                 counter    proxy
    capture_bytes_total                counter    proxy
    exchanges_total                    counter    analyzer
    unrouted_exchanges_total           counter    analyzer
    exchange_weight_total              counter    analyzer
    rows_total                         counter    analyzer
    predictions_total                  counter    analyzer  class
    prediction_value                   histogram  analyzer
    decode_errors_total                counter    analyzer  reason
    schema_violations_total            counter    analyzer  feature, kind
    feature_drift                      gauge      analyzer  feature, test, window
    feature_drift_threshold            gauge      analyzer  feature, test
    feature_drift_detected             gauge      analyzer  feature, window
    dataset_drift_share                gauge      analyzer  window
    feature_missing_ratio              gauge      analyzer  feature, window
    feature_out_of_range_ratio         gauge      analyzer  feature, window
    feature_new_category_ratio         gauge      analyzer  feature, window
    feature_quality_problem            gauge      analyzer  feature, reason, window
    feature_bin_rows                   gauge      analyzer  feature, bin
    window_rows                        gauge      analyzer  window
    window_state                       gauge      analyzer  window, state
    window_duplicate_ratio             gauge      analyzer  window
    window_end_timestamp_seconds       gauge      analyzer  window
    reference_state                    gauge      analyzer  state
    reference_rows                     gauge      analyzer
    config_last_reload_successful      gauge      analyzer  file
    config_refused_total               counter    analyzer  file
    analyzer_backlog_bytes             gauge      analyzer
    analyzer_loop_lag_seconds          gauge      analyzer
    prediction_log_rows_total          counter    analyzer
    prediction_log_dropped_total       counter    analyzer  reason
    prediction_log_backlog_bytes       gauge      analyzer
    prediction_log_sends_total         counter    analyzer  outcome
    pane_pushes_total                  counter    analyzer  outcome
    shadow_eligible_total              counter    analyzer
    shadow_mirrored_total              counter    analyzer
    shadow_paired_total                counter    analyzer
    shadow_lost_total                  counter    analyzer
    shadow_dropped_total               counter    analyzer  reason
    shadow_failed_total                counter    analyzer  reason
    shadow_waiting                     gauge      analyzer
    shadow_disagreed_total             counter    analyzer
    shadow_breaker_open                gauge      analyzer
    shadow_mirror_restarts_total       counter    analyzer
    shadow_marked_total                counter    analyzer  outcome
    shadow_pushes_total                counter    analyzer  outcome
    series_cut                         gauge      analyzer
    build_info                         gauge      analyzer  version
"""

from __future__ import annotations

from typing import Literal, NamedTuple

PREFIX = "modelmonitor_"
COMMON_LABELS = ("namespace", "monitor", "model")

Kind = Literal["counter", "gauge", "histogram"]
Program = Literal["proxy", "analyzer", "both"]


class Series(NamedTuple):
    """One line of the catalogue. `labels` are those beside the common ones."""

    name: str
    kind: Kind
    program: Program
    help: str
    labels: tuple[str, ...] = ()


_CATALOGUE = (
    Series("requests_total", "counter", "proxy", "Requests answered, by status code.", ("code",)),
    Series(
        "request_duration_seconds",
        "histogram",
        "proxy",
        "From the first byte of the request to the last byte of the response.",
    ),
    Series(
        "time_to_first_byte_seconds",
        "histogram",
        "proxy",
        "From the first byte of the request to the first byte of the response.",
    ),
    Series("in_flight_requests", "gauge", "proxy", "Requests that have begun and are not yet answered."),
    Series(
        "opaque_connections_total",
        "counter",
        "proxy",
        "Connections relayed without being observed any longer.",
        ("reason",),
    ),
    Series(
        "capture_seen_total",
        "counter",
        "proxy",
        "Exchanges on observed connections: captured, dropped and lost ones together.",
    ),
    Series("capture_captured_total", "counter", "proxy", "Exchanges that the analyzer has acknowledged."),
    Series(
        "capture_dropped_total",
        "counter",
        "proxy",
        "Exchanges not handed to the analyzer, by reason; they were answered all the same.",
        ("reason",),
    ),
    Series(
        "capture_lost_total",
        "counter",
        "proxy",
        "Exchanges sent to an analyzer that ended before it took them.",
    ),
    Series("capture_bytes_total", "counter", "proxy", "Bytes of captured exchanges."),
    Series(
        "interrupted_requests_total",
        "counter",
        "proxy",
        "Requests that ended without a whole response: a side went away, or the worker died.",
    ),
    Series("upstream_errors_total", "counter", "proxy", "Failures of the model's side.", ("reason",)),
    Series("client_connections", "gauge", "proxy", "Client connections that are open."),
    Series("client_connections_total", "counter", "proxy", "Client connections accepted."),
    Series("received_bytes_total", "counter", "proxy", "Bytes received from clients."),
    Series("sent_bytes_total", "counter", "proxy", "Bytes sent to clients."),
    Series(
        "capture_sampled_out_total",
        "counter",
        "proxy",
        "Exchanges that the sample left out; not among those seen.",
    ),
    Series(
        "worker_restarts_total", "counter", "proxy", "Workers of the proxy that were replaced.", ("reason",)
    ),
    Series(
        "proxy_config_refused_total",
        "counter",
        "proxy",
        "Contents of the monitor file that the proxy refused.",
    ),
    Series(
        "proxy_config_last_reload_successful",
        "gauge",
        "proxy",
        "0 while the proxy refuses the monitor file's content and keeps the older one.",
    ),
    Series("proxy_build_info", "gauge", "proxy", "1; the version of the proxy that runs.", ("version",)),
    Series(
        "unrouted_exchanges_total",
        "counter",
        "analyzer",
        "Captured exchanges that no monitor in force claims: it has just been removed or changed.",
    ),
    Series(
        "exchanges_total",
        "counter",
        "analyzer",
        "Exchanges taken from the tee and attributed to the monitor.",
    ),
    Series(
        "exchange_weight_total",
        "counter",
        "analyzer",
        "Exchanges weighted by the inverse of their sampling probability: an estimate of all that passed.",
    ),
    Series("rows_total", "counter", "analyzer", "Rows decoded and counted."),
    Series(
        "predictions_total",
        "counter",
        "analyzer",
        "Predictions by class; classes that the reference doesn't know are `other`.",
        ("class",),
    ),
    Series(
        "prediction_value",
        "histogram",
        "analyzer",
        "Predicted values; the buckets are the reference's deciles.",
    ),
    Series(
        "decode_errors_total",
        "counter",
        "analyzer",
        "Exchanges that could not be turned into rows.",
        ("reason",),
    ),
    Series(
        "schema_violations_total",
        "counter",
        "analyzer",
        "Values that are missing, null, wrong_type, non_finite, out_of_range, or a new_category.",
        ("feature", "kind"),
    ),
    Series(
        "feature_drift",
        "gauge",
        "analyzer",
        "Statistic of the window against the reference; absent where it isn't defined.",
        ("feature", "test", "window"),
    ),
    Series(
        "feature_drift_threshold",
        "gauge",
        "analyzer",
        "The effect from which on a statistic counts as large.",
        ("feature", "test"),
    ),
    Series(
        "feature_drift_detected",
        "gauge",
        "analyzer",
        "1 while the feature's drift is large, unusual and lasting.",
        ("feature", "window"),
    ),
    Series(
        "dataset_drift_share", "gauge", "analyzer", "Share of the features that have drifted.", ("window",)
    ),
    Series(
        "feature_missing_ratio",
        "gauge",
        "analyzer",
        "Share of the window's rows in which the feature is missing or null.",
        ("feature", "window"),
    ),
    Series(
        "feature_out_of_range_ratio",
        "gauge",
        "analyzer",
        "Share of the window's values outside of the declared range.",
        ("feature", "window"),
    ),
    Series(
        "feature_new_category_ratio",
        "gauge",
        "analyzer",
        "Share of the window's values that the reference doesn't know.",
        ("feature", "window"),
    ),
    Series(
        "feature_quality_problem",
        "gauge",
        "analyzer",
        "1 for each quality problem that a feature has by the monitor's limits; no series where it has none.",
        ("feature", "reason", "window"),
    ),
    Series(
        "window_duplicate_ratio",
        "gauge",
        "analyzer",
        "Share of the window's rows that repeat an earlier one.",
        ("window",),
    ),
    Series(
        "feature_bin_rows",
        "gauge",
        "analyzer",
        "Rows of the shortest window by decile bin or category (opt-in: metrics.binRows).",
        ("feature", "bin"),
    ),
    Series("window_rows", "gauge", "analyzer", "Rows in the window.", ("window",)),
    Series(
        "window_state", "gauge", "analyzer", "1 for the state the window is in, else 0.", ("window", "state")
    ),
    Series(
        "window_end_timestamp_seconds",
        "gauge",
        "analyzer",
        "End of the window last judged, unix time.",
        ("window",),
    ),
    Series(
        "reference_state", "gauge", "analyzer", "1 for the state the reference is in, else 0.", ("state",)
    ),
    Series("reference_rows", "gauge", "analyzer", "Rows of the reference, or captured for it so far."),
    Series(
        "config_last_reload_successful",
        "gauge",
        "analyzer",
        "0 while a changed file is refused and the older content stays in force.",
        ("file",),
    ),
    Series("config_refused_total", "counter", "analyzer", "Contents of a file that were refused.", ("file",)),
    Series("analyzer_backlog_bytes", "gauge", "analyzer", "Bytes taken from the tee and not yet analysed."),
    Series("analyzer_loop_lag_seconds", "gauge", "analyzer", "How late the event loop runs what is due."),
    Series("prediction_log_rows_total", "counter", "analyzer", "Predictions that the hub has acknowledged."),
    Series(
        "prediction_log_dropped_total",
        "counter",
        "analyzer",
        "Rows that are not in the hub and won't be, by reason; they were analysed all the same.",
        ("reason",),
    ),
    Series(
        "prediction_log_backlog_bytes",
        "gauge",
        "analyzer",
        "Bytes of predictions that wait for the hub, in memory and on disk.",
    ),
    Series(
        "prediction_log_sends_total",
        "counter",
        "analyzer",
        "Requests to the hub by what became of them.",
        ("outcome",),
    ),
    Series(
        "pane_pushes_total",
        "counter",
        "analyzer",
        "Pushes of a terminating pod's last panes to the operator, by what became of them.",
        ("outcome",),
    ),
    Series("shadow_eligible_total", "counter", "analyzer", "Requests that a shadow might have seen."),
    Series("shadow_mirrored_total", "counter", "analyzer", "Requests sent to the candidate, and settled."),
    Series(
        "shadow_paired_total", "counter", "analyzer", "Mirrored requests of which both answers were compared."
    ),
    Series(
        "shadow_lost_total", "counter", "analyzer", "Eligible requests that a restart of the mirror lost."
    ),
    Series(
        "shadow_dropped_total",
        "counter",
        "analyzer",
        "Eligible requests that were not sent to the candidate, by reason.",
        ("reason",),
    ),
    Series(
        "shadow_failed_total",
        "counter",
        "analyzer",
        "Mirrored requests that made no pair, by reason.",
        ("reason",),
    ),
    Series("shadow_waiting", "gauge", "analyzer", "Eligible requests that wait or are under way."),
    Series("shadow_disagreed_total", "counter", "analyzer", "Pairs in which any row's answers differ."),
    Series(
        "shadow_breaker_open", "gauge", "analyzer", "1 while a candidate that keeps failing is left to rest."
    ),
    Series(
        "shadow_mirror_restarts_total", "counter", "analyzer", "Times that the mirror failed and began again."
    ),
    Series(
        "shadow_marked_total",
        "counter",
        "analyzer",
        "Requests with a shadow marker: valid ones are not analysed, own ones (what a candidate was sent, "
        "back at its live pods) not mirrored, invalid ones are like any other.",
        ("outcome",),
    ),
    Series(
        "shadow_pushes_total", "counter", "analyzer", "Last pairs of ending pods, by outcome.", ("outcome",)
    ),
    Series("series_cut", "gauge", "analyzer", "Series left out because of metrics.maxSeries."),
    Series("build_info", "gauge", "analyzer", "1; the version that runs.", ("version",)),
)

SERIES = {series.name: series for series in _CATALOGUE}
