"""Captured exchanges per second: JSON decoded and rows counted on the grid, on the core it is pinned to.

    python -m benchmarks.exchanges EXCHANGES

The child of `analysis`: prints one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from driftline.counting import count
from driftline.decoding import decode_monitor
from driftline.grid import Grid
from driftline.pane import Axes
from driftline.spec import Labels
from driftline_sidecar.analyzer.predictions.packet import pack
from driftline_sidecar.analyzer.predictions.rows import RowReader
from driftline_sidecar.decoders import Decoder
from driftline_sidecar.exchange import Exchange

from benchmarks import workload
from benchmarks.counting import REFERENCE_ROWS
from benchmarks.workload import FEATURES, rows

BATCH = 1_000
"""Exchanges decoded and counted together, as many as a busy analyzer finds waiting."""


def exchanges(number: int) -> list[Exchange]:
    """One row each, as JSON of about 700 bytes, and its answer."""
    request = b"POST /predict HTTP/1.1\r\ncontent-type: application/json\r\n\r\n"
    response = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    answer = workload.answer(workload.SMALL).encode()
    made = []
    for sequence, row in enumerate(rows(number).tolist(), start=1):
        body = json.dumps({"instances": [dict(zip(FEATURES, row, strict=True))]}).encode()
        made.append(
            Exchange(
                boot=1,
                sequence=sequence,
                id=str(sequence),
                id_generated=True,
                request_head=request,
                request_body=body,
                request_bytes=len(body),
                response_head=response,
                response_body=answer,
                response_bytes=len(answer),
                status=200,
                started=0.0,
                first_byte=0.001,
                duration=0.001,
                probability=1.0,
            )
        )
    return made


def axes() -> Axes:
    """Grids of the 30 features and of the prediction."""
    reference = rows(REFERENCE_ROWS, seed=1)
    grids = {name: Grid.from_values(reference[:, index]) for index, name in enumerate(FEATURES)}
    grids["prediction"] = Grid.from_values(reference[:, 0])
    return Axes(grids, "benchmark")


def rates(number: int) -> dict[str, float]:
    """Exchanges per second: decoded alone, decoded and counted, and with the prediction log as well."""
    spec = decode_monitor(workload.monitor(Path("none.profile")), "benchmark").spec
    decoder, grid = Decoder(spec, spec.schema.features), axes()
    everything = exchanges(number)
    parts = [everything[start : start + BATCH] for start in range(0, number, BATCH)]
    decoder.decode(parts[0])  # warms up
    began = time.perf_counter()
    batches = [decoder.decode(part).batch for part in parts]
    decoded = time.perf_counter()
    merged = count(grid, batches[0])
    for batch in batches[1:]:
        merged = merged + count(grid, batch)
    counted = time.perf_counter()
    reader = RowReader(spec, Labels())
    written = 0
    for part in parts:
        found = decoder.decode(part)
        merged_too = count(grid, found.batch)
        for boot, predictions in reader.read(found, decoder, time.time()).by_boot.items():
            written += pack("ml", "m", boot, predictions).rows
    logged = time.perf_counter()
    if merged_too.rows != len(parts[-1]) or written != number:
        raise RuntimeError(f"{written} rows were written of {number}")
    if merged.rows != number or merged.features["f00"].valid != number:
        raise RuntimeError(f"{merged.rows} rows were counted of {number}")
    return {
        "exchanges, decoded": number / (decoded - began),
        "exchanges, decoded and counted": number / (counted - began),
        "exchanges, decoded, counted and written for the hub": number / (logged - counted),
    }


if __name__ == "__main__":
    print(json.dumps(rates(int(sys.argv[1]))))
