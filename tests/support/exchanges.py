"""Builders of exchanges and of monitors that decode them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from driftline.spec import (
    Capture,
    Endpoint,
    Feature,
    JsonPaths,
    LabelSelector,
    Model,
    MonitorSpec,
    Prediction,
    Schema,
)
from driftline_sidecar.exchange import Exchange


def numeric(*names: str) -> tuple[Feature, ...]:
    """Numeric features."""
    return tuple(Feature(name=name, type="numeric") for name in names)


def categorical(*names: str) -> tuple[Feature, ...]:
    """Categorical features."""
    return tuple(Feature(name=name, type="categorical") for name in names)


def spec(
    features: Sequence[Feature],
    protocol: Any = "json",
    *,
    prediction: Prediction | None = None,
    model: Any = "classification",
    paths: JsonPaths | None = None,
    capture: Capture | None = None,
) -> MonitorSpec:
    """A monitor's spec around a schema."""
    return MonitorSpec(
        selector=LabelSelector(match_labels={"app": "m"}),
        endpoint=Endpoint(port="http", protocol=protocol, json=paths),
        model=Model(name="m", type=model),
        schema=Schema(features=tuple(features), prediction=prediction or Prediction(name="y")),
        capture=capture or Capture(),
    )


def body(document: object) -> bytes:
    """Bytes as they are, anything else as JSON."""
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def exchange(
    request: object,
    response: object = None,
    *,
    status: int = 200,
    request_headers: bytes = b"",
    response_headers: bytes = b"",
    request_bytes: int | None = None,
    response_bytes: int | None = None,
    sequence: int = 1,
) -> Exchange:
    """One exchange with these bodies (JSON documents or bytes) and further header lines."""
    asked, answered = body(request), body(response)
    return Exchange(
        boot=1,
        sequence=sequence,
        id=f"id-{sequence}",
        id_generated=True,
        request_head=b"POST /predict HTTP/1.1\r\nHost: m\r\n" + request_headers + b"\r\n",
        request_body=asked,
        request_bytes=len(asked) if request_bytes is None else request_bytes,
        response_head=b"HTTP/1.1 %d OK\r\n" % status + response_headers + b"\r\n",
        response_body=answered,
        response_bytes=len(answered) if response_bytes is None else response_bytes,
        status=status,
        started=1_700_000_000.0,
        first_byte=0.001,
        duration=0.002,
        probability=1.0,
    )
