"""What people and the business said: approval of feedback, sums of KPIs."""

from __future__ import annotations

import math

from driftline.performance.aggregates import FeedbackCounts, KpiSums
from driftline.performance.binary import Metrics
from driftline.performance.estimate import Estimate, between, interval
from driftline.performance.intervals import LEVEL, mean_estimate, normal_quantile, proportion
from driftline.tails import chi2_log_sf


def approval(counts: FeedbackCounts) -> Estimate:
    """The share of thumbs up, with Wilson's interval."""
    return proportion(counts.up, counts.up + counts.down)


def kpi_metrics(sums: KpiSums, seconds: float) -> Metrics:
    """`count`, `sum`, `mean`, `rate` (of predictions that have an event) and `per_second`.

    Of one window of that length, of one variant. `mean` is per event with Student's interval between ids.
    Counts and sums take ids as coming independently (compound Poisson): their interval is for the rate behind
    them, as another such window would show it.
    """
    values = sums.values
    events = values.rows
    low, high = poisson_bounds(events, values.sizes / events if events else 1.0)
    root = normal_quantile() * math.sqrt(values.squares) if events else None
    return {
        "count": between(float(events), low, high, events, "garwood"),
        "sum": interval(values.total, root, events, "poisson"),
        "mean": mean_estimate(values),
        "rate": proportion(sums.converted, sums.predictions, _effect(sums)),
        "per_second": between(events / seconds, low / seconds, high / seconds, events, "garwood"),
    }


def _effect(sums: KpiSums) -> float:
    """How many predictions of the traffic one that was kept stands for, as far as a share's error goes."""
    return max(1.0, sums.sizes / sums.predictions) if sums.predictions else 1.0


def poisson_bounds(events: float, effect: float = 1.0, level: float = LEVEL) -> tuple[float, float]:
    """Garwood's interval (1936) for the mean of a count, of events / effect independent ones."""
    k, tail = events / effect, (1 - level) / 2
    low = _chi2_quantile(1 - tail, 2 * k) / 2 if k else 0.0
    return low * effect, _chi2_quantile(tail, 2 * k + 2) / 2 * effect


def _chi2_quantile(sf: float, df: float) -> float:
    """Where chi-squared's upper tail is `sf`."""
    low, high = 0.0, 40.0 + 4.0 * df
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if chi2_log_sf(middle, df) > math.log(sf) else (low, middle)
    return high
