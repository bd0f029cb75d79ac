"""What of a shadow can never come true with its monitor: paths nobody watches, features that aren't there,
rules that its model's answers can't decide. Each would else be silence, for ever. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from driftline.errors import Problem
from driftline.quantity import Duration
from driftline.shadow.rules import OF_CLASSES, asks_for_labels, thresholds
from driftline.spec import MonitorSpec
from driftline.spec.shadow import Compare, ShadowSpec

_OF_TYPE = {
    "performance.accuracy": "classification",
    "performance.auc": "classification",
    "performance.mae": "regression",
}


def misfits(shadow: ShadowSpec, monitor: MonitorSpec) -> Iterator[Problem]:
    """Each with its field in the shadow. Segments are only checked where the monitor names its features."""
    yield from _paths(shadow.traffic.paths, monitor.endpoint.paths)
    if wrong := outputs_problem(monitor, shadow.compare):
        yield Problem("spec.compare.outputs", wrong)
    yield from _segments(shadow.compare.segments, monitor)
    yield from _rules(shadow, monitor)


def watched_paths(shadow: ShadowSpec | None, monitor: MonitorSpec) -> tuple[str, ...]:
    """On which paths requests are eligible; empty: on all."""
    return (() if shadow is None else shadow.traffic.paths) or monitor.endpoint.paths


def _paths(wanted: tuple[str, ...], watched: tuple[str, ...]) -> Iterator[Problem]:
    for index, path in enumerate(wanted):
        if watched and not any(_meet(path, other) for other in watched):
            there = ", ".join(watched)
            yield Problem(
                f"spec.traffic.paths[{index}]", f"must meet a path of the monitor ({path!r}; it has {there})"
            )


def _meet(one: str, other: str) -> bool:
    """Is there a URL path that both patterns match?"""
    first, second = one.removesuffix("*"), other.removesuffix("*")
    if one.endswith("*") and second.startswith(first):
        return True
    return first == second or (other.endswith("*") and first.startswith(second))


def outputs_problem(monitor: MonitorSpec, compare: Compare) -> str:
    """Why `compare.outputs` means nothing with this monitor; empty: it does.

    `score` beside others is the default, and left out where there is none.
    """
    if set(compare.outputs) - {"body"} != {"score"}:
        return ""
    if monitor.model.type != "classification":
        return "a regression has no score: add prediction"
    if monitor.schema.prediction.score is None:
        return "the monitor names no score (schema.prediction.score): add prediction"
    return ""


def _segments(names: tuple[str, ...], monitor: MonitorSpec) -> Iterator[Problem]:
    types = {feature.name: feature.type for feature in monitor.schema.features}
    for index, name in enumerate(names):
        if types and types.get(name) != "categorical":
            what = "is numeric" if name in types else "is none of them"
            yield Problem(
                f"spec.compare.segments[{index}]",
                f"must name a categorical feature of the monitor ({name!r} {what})",
            )


def _rules(shadow: ShadowSpec, monitor: MonitorSpec) -> Iterator[Problem]:
    for rule, limit in thresholds(shadow.gate).items():
        why = _unanswerable(rule, shadow, monitor) or _idle(rule, limit, shadow, monitor)
        if why:
            yield Problem(f"spec.gate.{rule}", why)
    if asks_for_labels(shadow.gate) and monitor.labels is None:
        yield Problem("spec.gate.performance", "needs the monitor's spec.labels: without them no label comes")
    yield from _labels_in_time(shadow, monitor)


def _labels_in_time(shadow: ShadowSpec, monitor: MonitorSpec) -> Iterator[Problem]:
    """A day counts once its youngest predictions have the age; at any time, those that have it."""
    age, gate = monitor.performance_age, shadow.gate
    if age is None or not asks_for_labels(gate):
        return
    hurried = gate.is_hurried
    needed = age if hurried else Duration(gate.whole_time + age)
    if shadow.duration < needed:
        what = "" if hurried else f"gate.minTime in whole days ({gate.whole_time}) and "
        yield Problem(
            "spec.duration",
            f"must hold {what}the age at which labels count ({age}), for gate.performance ({shadow.duration} "
            f"< {needed}): lengthen it, or shorten {'' if hurried else 'gate.minTime or '}the monitor's "
            "performance.age",
        )


def _unanswerable(rule: str, shadow: ShadowSpec, monitor: MonitorSpec) -> str:
    """Why that rule can't be decided whatever comes; empty: it can."""
    kind, score = monitor.model.type, monitor.schema.prediction.score
    if _OF_TYPE.get(rule, kind) != kind:
        return f"is for {_OF_TYPE[rule]} (the monitor's model.type is {kind})"
    if rule == "performance.auc" and score is None:
        return "needs the monitor's schema.prediction.score"
    if rule in ("meanDelta", "p95Delta") and kind == "classification" and score is None:
        return "needs a number: the monitor has no schema.prediction.score"
    of_values = rule in ("meanDelta", "p95Delta", "systematicDifference") and kind == "regression"
    return (
        "needs compare.clip: differences of values have no bounds"
        if of_values and not shadow.compare.clip
        else ""
    )


def _idle(rule: str, limit: float, shadow: ShadowSpec, monitor: MonitorSpec) -> str:
    """Why that limit holds whatever comes; empty: it may be broken."""
    most = _most(rule, shadow.compare, monitor.model.type)
    if most is None or limit < most:
        return ""
    return f"is never broken: it is {most:.4g} at most ({limit:g}; differences are within compare.clip)"


def _most(rule: str, compare: Compare, kind: str) -> float | None:
    """The largest that it can measure; None: there is no such, or the limit is below it by its form."""
    of_values = kind == "regression" and set(compare.outputs) != {"body"}
    if rule == "systematicDifference" and not of_values:
        return math.sqrt(OF_CLASSES)
    if rule == "performance.mae" or (of_values and rule in ("meanDelta", "p95Delta", "systematicDifference")):
        return compare.clip
    return (compare.clip or 1.0) if rule in ("meanDelta", "p95Delta") else None
