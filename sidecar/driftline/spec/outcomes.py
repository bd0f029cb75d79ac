"""What labels, performance, fairness and KPIs ask of the rest of a monitor: checks across its parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from driftline.errors import Problem
from driftline.spec.part import Rule, twice
from driftline.spec.performance import METRICS, OF_SCORES, cel_list

if TYPE_CHECKING:
    from driftline.spec.monitor import MonitorSpec
    from driftline.spec.schema import Prediction

_POSITIVE = (
    "(has(self.schema.prediction.positive) || (has(self.schema.prediction.classes) "
    "&& size(self.schema.prediction.classes) > 0 ? size(self.schema.prediction.classes) == 2 "
    ": has(self.schema.prediction.score)))"
)
_THRESHOLDS = "!has(self.performance) || !has(self.performance.thresholds) || self.performance.thresholds"

RULES: Final = (
    Rule(
        "has(self.labels) || (!has(self.performance) && !has(self.fairness) "
        "&& (!has(self.kpis) || size(self.kpis) == 0))",
        "performance, fairness and kpis need labels: without it no prediction is kept",
    ),
    Rule(
        f"{_THRESHOLDS}.all(t, t.metric in (self.model.type == 'regression' "
        f"? {cel_list(METRICS['regression'])} : self.model.type == 'ranking' "
        f"? {cel_list(METRICS['ranking'])} : {cel_list(METRICS['classification'])}))",
        "performance.thresholds.metric is none of model.type's",
    ),
    Rule(
        f"{_THRESHOLDS}.all(t, has(self.schema.prediction.score) || !(t.metric in {cel_list(OF_SCORES)}))",
        "performance.thresholds.metric needs schema.prediction.score",
    ),
    Rule(
        f"{_THRESHOLDS}.all(t, !has(self.reference) || !has(self.reference.capture) "
        "|| !(has(t.maxDrop) || has(t.maxRise)))",
        "maxDrop and maxRise need a reference with labels: a captured one has none",
    ),
    Rule(
        "!has(self.performance) || !has(self.performance.age) || !has(self.labels) || !has(self.labels.ages) "
        "|| self.labels.ages.exists(a, duration(a) == duration(self.performance.age))",
        "performance.age must be one of labels.ages",
    ),
    Rule(
        "!has(self.labels) || !has(self.labels.features) || !has(self.schema.features) "
        "|| size(self.schema.features) == 0 "
        "|| self.labels.features.all(n, self.schema.features.exists(f, f.name == n))",
        "labels.features must name features",
    ),
    Rule(
        f"{_THRESHOLDS}.all(t, {_POSITIVE} || !(t.metric in {cel_list(OF_SCORES)}))",
        "performance.thresholds.metric needs schema.prediction.positive: one class has the score",
    ),
    Rule(
        f"!has(self.fairness) || {_POSITIVE}",
        "fairness needs schema.prediction.positive, or two classes",
    ),
    Rule(
        "!has(self.fairness) || self.model.type == 'classification'",
        "fairness needs model.type classification",
    ),
    Rule(
        "!has(self.fairness) || (has(self.schema.segments) && size(self.schema.segments) > 0)",
        "fairness needs schema.segments: the features whose values are the groups",
    ),
)


def unlogged(spec: MonitorSpec) -> Iterator[Problem]:
    """What is asked of predictions that nobody keeps."""
    if spec.labels is not None:
        return
    for field in ("performance", "fairness", "kpis"):
        if getattr(spec, field):
            yield Problem(field, "needs labels: without it no prediction is kept")


def has_positive(prediction: Prediction) -> bool:
    """Whether one class is the positive one: declared, the last of two, or with a score the one named 1."""
    if prediction.positive is not None:
        return True
    return len(prediction.classes) == 2 if prediction.classes else prediction.score is not None


def thresholds(spec: MonitorSpec) -> Iterator[Problem]:
    """Thresholds of what the model, or its reference, doesn't have."""
    if spec.performance is None:
        return
    kind, scored = spec.model.type, spec.schema.prediction.score is not None
    for index, threshold in enumerate(spec.performance.thresholds):
        at = f"performance.thresholds[{index}]"
        metric = threshold.metric
        if metric not in METRICS[kind]:
            yield Problem(f"{at}.metric", f"is none of {kind}'s ({metric!r}): {', '.join(METRICS[kind])}")
        elif metric in OF_SCORES and not scored:
            yield Problem(f"{at}.metric", f"needs schema.prediction.score ({metric!r})")
        elif metric in OF_SCORES and not has_positive(spec.schema.prediction):
            yield Problem(
                f"{at}.metric",
                f"needs schema.prediction.positive ({metric!r}): one class has the score",
            )
        if threshold.relative and spec.reference.capture is not None:
            yield Problem(at, "maxDrop and maxRise need a reference with labels: a captured one has none")


def ages(spec: MonitorSpec) -> Iterator[Problem]:
    """Whether a window is still kept when its labels have come."""
    if spec.labels is None:
        return
    performance = spec.performance
    age, longest = (None, None) if performance is None else (performance.age, performance.window)
    if age is not None and age not in spec.labels.ages:
        known = ", ".join(map(str, spec.labels.ages))
        yield Problem("performance.age", f"must be one of labels.ages ({age}; there are {known})")
    window = longest or max(spec.windows)
    kept, oldest = spec.labels.retention.age, max(spec.labels.ages)
    if kept < window + oldest:
        yield Problem(
            "labels.retention.age",
            f"must cover the window and the longest of ages ({kept} < {window} + {oldest})",
        )


def features(spec: MonitorSpec) -> Iterator[Problem]:
    """Stored features that are none."""
    if spec.labels is None:
        return
    known = {feature.name for feature in spec.schema.features}
    for index, name in enumerate(spec.labels.features):
        if known and name not in known:
            yield Problem(f"labels.features[{index}]", f"must name a feature ({name!r} is none)")


def variant(spec: MonitorSpec) -> Iterator[Problem]:
    """A variant in a header that must not be kept."""
    if spec.labels is None or spec.labels.variant is None:
        return
    header = spec.labels.variant.header
    if header.lower() in map(str.lower, spec.capture.redact_headers):
        yield Problem("labels.variant.header", f"is redacted by capture.redactHeaders ({header})")


def fairness(spec: MonitorSpec) -> Iterator[Problem]:
    """Fairness without groups, or without classes."""
    if spec.fairness is None:
        return
    if spec.model.type != "classification":
        yield Problem("fairness", f"needs model.type classification, not {spec.model.type}")
    elif not has_positive(spec.schema.prediction):
        yield Problem(
            "fairness", "needs schema.prediction.positive, or two classes: which answer is the good one"
        )
    if not spec.schema.segments:
        yield Problem("fairness", "needs schema.segments: the features whose values are the groups")


def kpis(spec: MonitorSpec) -> Iterator[Problem]:
    """KPIs of one name."""
    for problem in twice("kpis", tuple(kpi.name for kpi in spec.kpis)):
        yield Problem(f"{problem.path}.name", problem.message)
