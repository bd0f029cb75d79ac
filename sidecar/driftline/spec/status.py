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

    SCHEMA: ClassVar = {
        "conditions": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    }
