"""Builders of monitors for tests: `monitor(features=[numeric("age", 0, 120)])`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftline.spec import (
    Endpoint,
    Feature,
    LabelSelector,
    Metadata,
    Model,
    ModelMonitor,
    MonitorSpec,
    Prediction,
    Range,
    Schema,
)


def numeric(name: str, low: float | None = None, high: float | None = None, **fields: Any) -> Feature:
    limits = None if low is None and high is None else Range(min=low, max=high)
    return Feature(name=name, type="numeric", range=limits, **fields)


def categorical(name: str, **fields: Any) -> Feature:
    return Feature(name=name, type="categorical", **fields)


def monitor(
    name: str = "census",
    features: Sequence[Feature] = (),
    endpoint: Endpoint | None = None,
    segments: Sequence[str] = (),
    version: str = "",
    prediction: Prediction | None = None,
    **fields: Any,
) -> ModelMonitor:
    spec = MonitorSpec(
        selector=LabelSelector(match_labels={"app": "census"}),
        endpoint=endpoint or Endpoint(port=8080),
        model=Model(name="census", version=version, type="classification"),
        schema=Schema(
            features=tuple(features),
            prediction=prediction or Prediction(name="employed"),
            segments=tuple(segments),
        ),
        **fields,
    )
    return ModelMonitor(metadata=Metadata(name=name), spec=spec)
