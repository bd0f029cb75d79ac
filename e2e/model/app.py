"""The model of the end-to-end tests: FastAPI, a score made of two features, and which pod answered."""

from __future__ import annotations

import os
from typing import Any

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}


@app.post("/predict")
async def predict(body: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """One prediction a row of `instances`."""
    late = ["yes" if row["delay"] + 10 * (row["carrier"] == "AA") > 20 else "no" for row in body["instances"]]
    return {"predictions": late, "pod": os.environ.get("HOSTNAME", "")}


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    uvicorn.run(app, host="0.0.0.0", port=port, log_level="warning", timeout_graceful_shutdown=5)
