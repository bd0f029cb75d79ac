"""Builders for the analyzer: a monitor, its traffic, and a clock that tests set."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from driftline.decoding import decode_monitor
from driftline.spec import ModelMonitor
from driftline_sidecar.analyzer.monitor import Analysis
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.frames import Hello, encode_exchange, encode_hello

from tests.support.exchanges import exchange

NOON = 1_795_435_200.0
"""A multiple of an hour, unix seconds."""

DOCUMENT = """
apiVersion: driftline.io/v1alpha1
kind: ModelMonitor
metadata: {name: demo, namespace: ml}
spec:
  selector: {matchLabels: {app: demo}}
  endpoint: {port: http, protocol: json, paths: [/predict]}
  model: {name: model-a, version: "1", type: classification}
  schema:
    features:
      - {name: age, type: numeric, range: {min: -3.5, max: 50}}
      - {name: city, type: categorical}
    prediction: {name: label, path: $.label, score: score, scorePath: $.score, positive: "yes"}
  reference: {capture: {rows: 400}}
  pane: 10s
  windows: [1m, 2m]
  drift: {minRows: 100, minRequests: 50, sustain: {windows: 2, of: 3}}
"""


def monitor(*changes: tuple[str, str]) -> ModelMonitor:
    """The monitor with parts of its text replaced."""
    return decode_monitor(document(*changes))


def document(*changes: tuple[str, str]) -> str:
    """Its text; every change must hit."""
    text = DOCUMENT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


def predicted(
    at: float, age: object, city: object = "Rome", sequence: int = 1, status: int = 200, p: float = 1.0
) -> Exchange:
    """A prediction that ended at that time."""
    found = exchange(
        {"age": age, "city": city}, {"label": "yes", "score": 0.4}, sequence=sequence, status=status
    )
    return msgspec.structs.replace(found, started=at - 0.01, first_byte=0.005, duration=0.01, probability=p)


def traffic(rng: np.random.Generator, start: float, count: int, shift: float = 0.0) -> list[Exchange]:
    """Predictions over ten seconds from `start`, evenly."""
    ages = rng.normal(shift, 1.0, count)
    cities = rng.choice(["Rome", "Oslo", "Lima"], count)
    return [
        predicted(start + 10 * i / count, float(ages[i]), str(cities[i]), sequence=i + 1)
        for i in range(count)
    ]


def run(
    analysis: Analysis,
    rng: np.random.Generator,
    start: float,
    panes: int,
    shift: float = 0.0,
    rows: int = 100,
) -> float:
    """`panes` panes of 10 s of traffic, each taken and stepped at its end; the time reached."""
    for _ in range(panes):
        analysis.take(traffic(rng, start, rows, shift), start + 10)
        start += 10
        if analysis.full_capture is not None:
            analysis.finish_capture(start)
        analysis.step(start)
    return start


def frames(exchanges: list[Exchange], boot: int = 7) -> bytes:
    """What a worker writes: its greeting and these exchanges."""
    return encode_hello(Hello(boot, 4242)) + b"".join(map(frame, exchanges))


def frame(e: Exchange) -> bytes:
    """One exchange as the worker encodes it."""
    return encode_exchange(
        e.sequence,
        e.request_bytes,
        e.response_bytes,
        e.started,
        e.first_byte,
        e.duration,
        e.probability,
        e.status,
        0,
        e.id_generated,
        e.id.encode(),
        e.request_head,
        e.request_body,
        e.response_head,
        e.response_body,
    )


def write_monitor(path: Path, *changes: tuple[str, str]) -> Path:
    """The monitor's file."""
    path.write_text(document(*changes))
    return path
