"""The gate's rules by name, and the closed lists of reasons: of a rule, and of a verdict."""

from __future__ import annotations

from enum import StrEnum

from driftline.spec.gate import Gate

OF_CLASSES = 2.0
"""The largest squared difference of two vectors of shares: it bounds `systematicDifference` of classes."""


class RuleReason(StrEnum):
    """Why a rule passes, rejects or tells nothing."""

    WITHIN_LIMIT = "WithinLimit"
    BEYOND_LIMIT = "BeyondLimit"
    NOT_CLEAR = "NotClear"
    """The limit lies between the bounds: more pairs will tell."""
    TOO_EARLY = "TooEarly"
    """No period of `minTime` is whole yet; only what is far beyond the limit would reject."""
    NO_DATA = "NoData"
    NO_BASELINE = "NoLatencyBaseline"
    """The live model was not timed through the mirror: what its clients see is not comparable."""
    NO_CLIP = "NoClip"
    """The plan has no largest difference: a mean of unbounded values has no bounds."""
    NOT_COMPARED = "NotCompared"
    """It is about an output that isn't compared, or that the model hasn't: a score, a number."""
    NO_REFERENCE = "NoReference"
    """No answers are told apart: neither classes are declared nor is there a reference."""
    NO_LABELS = "NoLabels"
    NO_REPEATS = "NoRepeats"
    """No request went twice."""
    NOISE = "Noise"
    """Beyond the limit, but the requests that went twice show nothing that noise doesn't explain."""


class Reason(StrEnum):
    """Why a shadow is Promotable, Rejected or Inconclusive."""

    ALL_RULES_HOLD = "AllRulesHold"
    RULE_BROKEN = "RuleBroken"
    NO_DATA = "NoData"
    UNBALANCED = "UnbalancedAccount"
    """The account doesn't add up: something was neither compared nor counted."""
    LOW_COVERAGE = "LowCoverage"
    TOO_EARLY = "TooEarly"
    """`minTime`, in days of which something was mirrored, has not passed; or what breaks a rule may be one
    event.
    """
    FEW_PAIRS = "FewPairs"
    SILENT_PODS = "SilentPods"
    """More live pods than coverage allows tell of no mirror."""
    NOT_CLEAR = "NotClear"
    """Every rule has data, and the limit of one lies between its bounds."""
    NO_EVIDENCE = "NoEvidence"
    """A rule has nothing to be judged on."""
    MONITOR_CHANGED = "MonitorChanged"
    """The monitor reads bodies otherwise than the comparison began with."""


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


def asks_for_labels(gate: Gate) -> bool:
    """Has it a rule that nothing but labels can decide?"""
    return any(name.startswith("performance.") for name in thresholds(gate))
