"""The names of a gate's rules, in the order in which they are told."""

from __future__ import annotations

from driftline.spec.gate import Gate


def thresholds(gate: Gate) -> dict[str, float]:
    """The rules that are set, by name, with their limits."""
    latency, performance = gate.latency_ratio, gate.performance
    rules = {
        "errorRate": gate.error_rate,
        "agreement": gate.agreement,
        "meanDelta": gate.mean_delta,
        "p95Delta": gate.p95_delta,
        "outputDrift": gate.output_drift,
        "systematicDifference": gate.systematic_difference,
        "latencyRatio.p50": latency.p50,
        "latencyRatio.p95": latency.p95,
        "latencyRatio.p99": latency.p99,
        "performance.accuracy": performance.accuracy,
        "performance.auc": performance.auc,
        "performance.mae": performance.mae,
    }
    return {name: limit for name, limit in rules.items() if limit is not None}
