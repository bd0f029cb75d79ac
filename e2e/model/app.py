"""The model of the end-to-end tests: FastAPI, a score made of two features, and which pod answered.

Candidates are the same program with another environment:
    WEIGHTS      JSON: what a minute of delay counts, what the carrier AA does, and the bias
    FAILS_EACH   of so many requests one is answered with 500
    ENDS_EACH    at each so manieth request the process ends
    SLOWER       seconds that an answer takes beside
    HANGS        no request is ever answered
    NOISE        share of answers that are the other one, by chance, on paths that begin with /noisy
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException

app = FastAPI()
given = os.environ.get
WEIGHTS: dict[str, float] = json.loads(given("WEIGHTS", '{"delay": 1, "AA": 10, "bias": -20}'))
FAILS_EACH, ENDS_EACH = int(given("FAILS_EACH", "0")), int(given("ENDS_EACH", "0"))
SLOWER, HANGS, NOISE = float(given("SLOWER", "0")), bool(given("HANGS")), float(given("NOISE", "0"))


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}


class Misbehaviour:
    """What the environment asks for, request by request."""

    asked = 0

    async def __call__(self) -> None:
        """As the next request has it."""
        self.asked += 1
        if HANGS:
            await asyncio.sleep(3600)
        if ENDS_EACH and self.asked % ENDS_EACH == 0:
            os._exit(1)
        if FAILS_EACH and self.asked % FAILS_EACH == 0:
            raise HTTPException(500, "as it was told to")
        if SLOWER:
            await asyncio.sleep(SLOWER)


misbehave = Misbehaviour()


def is_late(row: dict[str, Any]) -> bool:
    """The model."""
    score = WEIGHTS["delay"] * row["delay"] + WEIGHTS["AA"] * (row["carrier"] == "AA") + WEIGHTS["bias"]
    return bool(score > 0)


@app.post("/predict")
@app.post("/{name}/predict")
async def predict(body: dict[str, list[dict[str, Any]]], name: str = "") -> dict[str, Any]:
    """One prediction a row of `instances`."""
    await misbehave()
    noise = NOISE if name == "noisy" else 0.0
    late = [is_late(row) is not (random.random() < noise) for row in body["instances"]]
    said = ["yes" if each else "no" for each in late]
    return {"predictions": said, "pod": os.environ.get("HOSTNAME", "")}


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    uvicorn.run(app, host="0.0.0.0", port=port, log_level="warning", timeout_graceful_shutdown=5)
