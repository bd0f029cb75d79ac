"""Writes the table of series: `python docs/tools/metrics_table.py > docs/metrics.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from driftline_operator.hub.evaluation.series import TABLE
from driftline_sidecar.metrics import COMMON_LABELS, PREFIX, SERIES, Series

HEAD = f"""\
# Metrics

The proxy's supervisor serves its series on port 15081, the analyzer on 15082, and `driftline run` both
together on its `--admin` address. Every series starts with `{PREFIX}` and has the labels
`{"`, `".join(COMMON_LABELS)}` (empty where a series belongs to no monitor) beside those named here. A state
is one series per state with the value 0 or 1. What is undefined, such as a statistic of an empty window, is
absent and never 0.

Request series (the proxy's) are of all traffic. With `capture.sample` below 1 the analyzer's series are of
the sample only: ratios, drift and verdicts need no scaling, for the sample is taken by id; counts such as
`{PREFIX}rows_total` and `{PREFIX}predictions_total` are of the sample, and
`{PREFIX}exchange_weight_total / {PREFIX}exchanges_total` is the factor from it to all that passed.

Over both programs `{PREFIX}capture_seen_total` is captured, dropped (by reason) and lost together; what the
sample left out is not among those seen; and `{PREFIX}exchanges_total` with
`{PREFIX}unrouted_exchanges_total` are the captured ones, once the analyzer has caught up.

`metrics.maxSeries` bounds the analyzer's series per monitor; `{PREFIX}series_cut` says how many were left
out.
"""

EXAMPLES = f"""\
## Queries to start with

```promql
# the slowest 1 % of requests
histogram_quantile(0.99, sum by (monitor, le) (rate({PREFIX}request_duration_seconds_bucket[5m])))
# features that have drifted: large, unusual for the reference, and lasting
{PREFIX}feature_drift_detected{{window="24h"}} == 1
# windows without verdict for an hour: no data is not a pass
min_over_time({PREFIX}window_state{{state="InsufficientData"}}[1h]) == 1
# exchanges that were answered but not analysed
sum by (monitor, reason) (rate({PREFIX}capture_dropped_total[5m])) > 0
# a changed file that is refused
{PREFIX}config_last_reload_successful == 0
```
"""


HUB = """\
## Hub
On its port 8091; all are gauges with the labels `namespace`, `monitor` and `model`. What has no value has no
series. Every replica exposes all of them: aggregate with `max without (pod, instance)`. `metrics.maxSeries`
bounds them per monitor. Requests and events that a hub took: [the hub](hub.md#series).

| series | labels | meaning |
|---|---|---|
"""


SCRAPING = """\
## How Prometheus finds them
In a cluster each pod has two ports to scrape: `dl-health` (15081, the proxy: requests, what was captured)
and `dl-metrics` (15082, the analyzer: rows, drift, windows). Each program answers for itself: requests are
counted on while an analyzer is down. `metrics.scrape` of the chart says who finds them:

| `metrics.scrape` | what the operator makes | scraped |
|---|---|---|
| `auto` | the next where the Prometheus Operator is installed, else `annotations` | |
| `podmonitor` | a `PodMonitor` in each namespace with monitors | both |
| `annotations` | `prometheus.io/*` on pods that have none of their own | 15082: they name one port |
| `none` | nothing | by the jobs below |

Without the Prometheus Operator take the jobs of [`examples/prometheus.yml`](../examples/prometheus.yml), and
`metrics.scrape=none`, so that nothing is scraped twice. They find the sidecars by their pods' label, whatever
annotations the model itself uses:

```yaml
{scrape}```

Keep `honor_labels: true`: the series say their `namespace` themselves. A NetworkPolicy that guards the
model's pods has to let Prometheus in to 15081 and 15082.
"""


def document() -> str:
    """The page."""
    scrape = (Path(__file__).parents[2] / "examples" / "prometheus.yml").read_text()
    parts = [HEAD]
    for title, programs in (("Proxy", ("proxy", "both")), ("Analyzer", ("analyzer", "both"))):
        parts.append(_section(title, [series for series in SERIES.values() if series.program in programs]))
    return "\n".join([*parts, HUB + _hub(), SCRAPING.format(scrape=scrape), EXAMPLES])


def _hub() -> str:
    """Its series; the table that the program itself is made of."""
    rows = []
    for name, (labels, said) in TABLE.items():
        meaning = "" if said == name else said
        rows.append(f"| `{name}` | {', '.join(f'`{label}`' for label in labels)} | {meaning} |\n")
    return "".join(rows)


def _section(title: str, found: list[Series]) -> str:
    rows = [f"## {title}\n", "| series | type | labels | meaning |", "|---|---|---|---|"]
    for series in found:
        labels = ", ".join(f"`{label}`" for label in series.labels)
        rows.append(f"| `{PREFIX}{series.name}` | {series.kind} | {labels} | {series.help} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
