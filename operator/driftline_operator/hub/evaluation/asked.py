"""What of a monitor is looked at, and when: windows, label ages, which class is the positive one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from driftline.performance.bins import ScoreBins
from driftline.performance.ranking import DEFAULT_K
from driftline.profile import Profile
from driftline.quantity import Duration
from driftline.spec import MonitorSpec
from driftline.windows import step

from driftline_operator.hub.aggregates import Classes, Measure
from driftline_operator.hub.outcomes import class_name

BUCKETS: Final = 240
"""Buckets of the error that the detector of concept drift is given, over `SPAN` windows."""
SPAN: Final = 10
"""Windows over which the error is replayed: it needs a past to tell a change from."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Of one monitor. Times in seconds."""

    spec: MonitorSpec
    window: Duration
    step: int
    ages: tuple[Duration, ...]
    judged_age: Duration
    classes: Classes
    """Of a classification: the positive class, and which there are."""
    bins: ScoreBins

    @property
    def numeric(self) -> bool:
        """Numbers rather than classes."""
        return self.spec.model.type != "classification"

    @property
    def bounded(self) -> bool:
        """Whether an error lies in [0, 1]."""
        return self.spec.model.type != "regression"

    @property
    def measure(self) -> Measure:
        """How its sums are added up."""
        return measure_of(self.spec)

    def end(self, now: float, age: float) -> float:
        """Where the newest window ends whose predictions are all that old."""
        return (now - age) // self.step * self.step

    @property
    def bucket(self) -> float:
        """Length of an error's bucket."""
        return SPAN * float(self.window) / BUCKETS


def asked(spec: MonitorSpec, profile: Profile | None) -> Asked | None:
    """None for a monitor that logs no predictions."""
    if spec.labels is None or spec.performance_age is None:
        return None
    window = spec.performance_window
    return Asked(
        spec,
        window,
        step(int(window), int(spec.pane)),
        spec.labels.ages,
        spec.performance_age,
        classes_of(spec),
        bins_of(spec, profile),
    )


def positive_class(spec: MonitorSpec) -> str | None:
    """The class that scores are the probability of; None where classes are only told apart.

    As declared; of two classes the last; with a score and nothing declared `1`, as in reference data.
    """
    if spec.model.type != "classification":
        return None
    prediction = spec.schema.prediction
    declared, classes = prediction.positive, prediction.classes
    if isinstance(declared, str):
        return class_name(declared)
    if declared is not None:
        return class_name(classes[declared]) if classes else str(declared)
    if len(classes) == 2:
        return class_name(classes[-1])
    return "1" if prediction.score is not None and not classes else None


def classes_of(spec: MonitorSpec) -> Classes:
    """Which names of classes count, and which are positive."""
    declared = tuple(map(class_name, spec.schema.prediction.classes))
    return Classes.of(positive_class(spec), declared if spec.model.type == "classification" else ())


def measure_of(spec: MonitorSpec) -> Measure:
    """How a monitor's sums are added up."""
    k = 0 if spec.performance is None else spec.performance.k
    return Measure(spec.model.type, classes_of(spec), k or DEFAULT_K)


def bins_of(spec: MonitorSpec, profile: Profile | None) -> ScoreBins:
    """The reference's, of the score or of a number that is predicted; else the default."""
    prediction = spec.schema.prediction
    name = prediction.score if spec.model.type == "classification" else prediction.name
    if profile is None or name is None:
        return ScoreBins.default()
    return ScoreBins.for_profile(profile, name)
