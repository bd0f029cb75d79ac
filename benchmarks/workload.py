"""The data all measurements use: 30 independent normal features, and JSON bodies made of their rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FEATURES = tuple(f"f{number:02d}" for number in range(30))
PATHNAME = "/predict"
SMALL = 700
MEDIUM = 64 * 1024
LARGE = 1024 * 1024

MONITOR = """\
apiVersion: driftline.io/v1alpha1
kind: ModelMonitor
metadata: {{name: benchmark}}
spec:
  selector: {{matchLabels: {{app: benchmark}}}}
  endpoint:
    port: http
    protocol: json
    json: {{records: $.instances, predictions: $.predictions}}
  model: {{name: benchmark, version: "1", type: regression}}
  schema:
    features:
{features}
    prediction: {{name: prediction}}
  reference: {{profile: {{file: {profile}}}}}
  windows: [5m, 1h, 24h]
"""


def rows(count: int, seed: int = 0) -> NDArray[np.float64]:
    """`count` rows of standard normal features, shape (count, 30), rounded as JSON would carry them."""
    values: NDArray[np.float64] = np.random.default_rng(seed).standard_normal((count, len(FEATURES))).round(6)
    return values


def body(size: int) -> bytes:
    """A request of `size` bytes: as many rows as fit, the rest padded with spaces before the last brace."""
    records: list[str] = []
    left = size - len('{"instances": []}')
    for row in rows(size // 400 + 1, seed=size).tolist():
        record = json.dumps(dict(zip(FEATURES, row, strict=True)))
        if len(record) + 2 > left:
            break
        records.append(record)
        left -= len(record) + 2
    text = '{"instances": [' + ", ".join(records) + "]}"
    return (text[:-1] + " " * (size - len(text)) + "}").encode()


def answer(size: int) -> str:
    """What the model server says to `body(size)`: one prediction per row."""
    count = len(json.loads(body(size))["instances"])
    return json.dumps({"predictions": [0.25] * count})


def write_csv(path: Path, count: int, seed: int = 1) -> None:
    """A reference of `count` rows with a prediction column, as `driftline profile build` reads it."""
    table = np.column_stack([rows(count, seed), np.random.default_rng(seed).standard_normal(count)])
    np.savetxt(
        path, table, delimiter=",", header=",".join((*FEATURES, "prediction")), comments="", fmt="%.6f"
    )


def monitor(profile: Path) -> str:
    """The monitor of all measurements: 30 numeric features, the three default windows."""
    features = "\n".join(f"      - {{name: {name}, type: numeric}}" for name in FEATURES)
    return MONITOR.format(features=features, profile=profile)
