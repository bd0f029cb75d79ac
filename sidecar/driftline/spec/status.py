"""What the operator writes back: the status of a ModelMonitor. Read past where a file holds one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from driftline.spec.part import Part

ConditionType = Literal[
    "Ready",
    "Injected",
    "ReferenceReady",
    "DataDrift",
    "PredictionDrift",
    "DataQuality",
    "Performance",
    "ConceptDrift",
    "Fairness",
]


class Condition(Part, frozen=True, kw_only=True):
    """One aspect of the monitor's state, as Kubernetes' own conditions."""

    type: Annotated[
        Annotated[str, Meta(min_length=1, max_length=316)], Meta(description="The aspect, such as DataDrift.")
    ]
    status: Annotated[Literal["True", "False", "Unknown"], Meta(description="Whether it holds.")]
    reason: Annotated[
        Annotated[
            str, Meta(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
        ],
        Meta(description="Why, in one word for machines, out of a closed list."),
    ]
    message: Annotated[
        Annotated[str, Meta(max_length=32768)], Meta(description="Why, in words that a person can act on.")
    ]
    last_transition_time: Annotated[
        Annotated[str, Meta(max_length=64)],
        Meta(description="When the status last changed.", extra_json_schema={"format": "date-time"}),
    ]
    observed_generation: Annotated[
        Annotated[int, Meta(ge=0)], Meta(description="The generation of the monitor that this is about.")
    ] = 0


class PodCounts(Part, frozen=True, kw_only=True):
    """The selected pods."""

    expected: Annotated[
        Annotated[int, Meta(ge=0)], Meta(description="Pods that should carry the sidecar.")
    ] = 0
    injected: Annotated[Annotated[int, Meta(ge=0)], Meta(description="Those that do.")] = 0
    outdated: Annotated[
        Annotated[int, Meta(ge=0)],
        Meta(description="Those whose sidecar is of an older form; a restart renews it."),
    ] = 0


class WindowStatus(Part, frozen=True, kw_only=True):
    """One window over all pods."""

    window: Annotated[Annotated[str, Meta(max_length=32)], Meta(description="Its length.")]
    state: Annotated[
        Annotated[str, Meta(max_length=64)],
        Meta(description="Judged, or why it isn't. No data is never a pass."),
    ]
    rows: Annotated[Annotated[int, Meta(ge=0)], Meta(description="Rows in it.")] = 0
    requests: Annotated[Annotated[int, Meta(ge=0)], Meta(description="Requests in it.")] = 0
    coverage: Annotated[
        Annotated[float, Meta(ge=0, le=1)],
        Meta(description="Share of the pods' time of which the counts are there."),
    ] = 0.0
    drifted: Annotated[Annotated[int, Meta(ge=0)], Meta(description="Features that drift in it.")] = 0


class DriftedFeature(Part, frozen=True, kw_only=True):
    """A feature that moved, with its numbers."""

    feature: Annotated[Annotated[str, Meta(max_length=253)], Meta(description="Its name.")]
    window: Annotated[Annotated[str, Meta(max_length=32)], Meta(description="Where it moved most.")]
    psi: Annotated[float, Meta(description="Population stability index there.")]
    p: Annotated[float | None, Meta(description="How unusual that is for the reference's own blocks.")] = None
    reason: Annotated[Annotated[str, Meta(max_length=64)], Meta(description="The verdict, in one word.")] = ""


class Outlier(Part, frozen=True, kw_only=True):
    """A pod that sees something else than the others."""

    pod: Annotated[Annotated[str, Meta(max_length=253)], Meta(description="Its name.")]
    feature: Annotated[Annotated[str, Meta(max_length=253)], Meta(description="What differs most.")]
    psi: Annotated[float, Meta(description="Its PSI against the other pods.")]


class MetricStatus(Part, frozen=True, kw_only=True):
    """One performance metric of the judged window, with its interval."""

    metric: Annotated[Annotated[str, Meta(max_length=64)], Meta(description="Its name, such as auc.")]
    value: Annotated[float, Meta(description="Its value over the labelled predictions.")]
    low: Annotated[float | None, Meta(description="The 95 % interval's lower end.")] = None
    high: Annotated[float | None, Meta(description="The 95 % interval's upper end.")] = None
    reference: Annotated[float | None, Meta(description="The reference's value, where it has labels.")] = None


class PerformanceStatus(Part, frozen=True, kw_only=True):
    """How good the model was, as far as labels tell: the last window that was old enough."""

    window: Annotated[Annotated[str, Meta(max_length=32)], Meta(description="Its length.")]
    age: Annotated[
        Annotated[str, Meta(max_length=32)], Meta(description="How long its labels were waited for.")
    ]
    until: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        Meta(description="When it ends, by time of prediction.", extra_json_schema={"format": "date-time"}),
    ] = None
    predictions: Annotated[Annotated[int, Meta(ge=0)], Meta(description="Predictions in it.")] = 0
    labels: Annotated[Annotated[int, Meta(ge=0)], Meta(description="Those of them with a label.")] = 0
    coverage: Annotated[
        Annotated[float, Meta(ge=0, le=1)], Meta(description="Share of the predictions that have a label.")
    ] = 0.0
    metrics: Annotated[
        Annotated[tuple[MetricStatus, ...], Meta(max_length=16)],
        Meta(description="The metrics of the model's type, those with thresholds first."),
    ] = ()

    SCHEMA: ClassVar = {
        "metrics": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["metric"]},
    }


class MonitorStatus(Part, frozen=True, kw_only=True):
    """What is known about the monitored model; written by Driftline, never by hand."""

    observed_generation: Annotated[
        Annotated[int, Meta(ge=0)], Meta(description="The generation of the spec that the status is about.")
    ] = 0
    conditions: Annotated[
        Annotated[tuple[Condition, ...], Meta(max_length=32)],
        Meta(description="The state, aspect by aspect."),
    ] = ()
    injected: Annotated[
        Annotated[str, Meta(max_length=32)], Meta(description="Pods that carry the sidecar, such as 3/5.")
    ] = ""
    worst_feature: Annotated[
        Annotated[str, Meta(max_length=253)],
        Meta(description="The feature that drifts most, with its statistic."),
    ] = ""
    rows: Annotated[
        Annotated[int, Meta(ge=0)], Meta(description="Rows in the longest window, over all pods.")
    ] = 0
    profile_hash: Annotated[
        Annotated[str, Meta(max_length=128)], Meta(description="Hash of the reference profile in force.")
    ] = ""
    pods: Annotated[PodCounts, Meta(description="The selected pods, counted.")] = PodCounts()
    windows: Annotated[
        Annotated[tuple[WindowStatus, ...], Meta(max_length=8)],
        Meta(description="The windows over all pods, shortest first."),
    ] = ()
    worst_features: Annotated[
        Annotated[tuple[DriftedFeature, ...], Meta(max_length=10)],
        Meta(description="The features that moved most, with their numbers."),
    ] = ()
    outliers: Annotated[
        Annotated[tuple[Outlier, ...], Meta(max_length=10)],
        Meta(description="Pods that see something else than the others."),
    ] = ()
    performance: Annotated[
        PerformanceStatus | None, Meta(description="How good the model was, as far as labels tell.")
    ] = None
    last_change: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        Meta(description="When a verdict last changed.", extra_json_schema={"format": "date-time"}),
    ] = None

    SCHEMA: ClassVar = {
        "conditions": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    }
