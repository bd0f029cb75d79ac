"""The model behind HTTP, as a team would write it: nothing in here knows of Driftline.

FLIGHTS_MODEL=.demo/model.joblib uvicorn examples.flights.serve:app --port 8080
"""

from __future__ import annotations

import os
from pathlib import Path

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

from examples.flights.model import THRESHOLD, LateModel


class Flight(BaseModel):
    """A departure and the weather at its origin; what the weather station did not report is null."""

    sched_dep_time: int
    dep_delay: float
    distance: int
    carrier: str
    origin: str
    dest: str
    temp: float | None = None
    humid: float | None = None
    wind_speed: float | None = None
    precip: float | None = None
    pressure: float | None = None
    visib: float | None = None


class Question(BaseModel):
    """Departures to be judged."""

    flights: list[Flight]


class Answer(BaseModel):
    """The judgement of one departure, in the order of the question."""

    late: str
    score: float


class Answers(BaseModel):
    """One answer per flight."""

    predictions: list[Answer]


app = FastAPI(title="Late arrivals")
model: LateModel = joblib.load(Path(os.environ["FLIGHTS_MODEL"]))


@app.post("/predict")
def predict(question: Question) -> Answers:
    """Say for each flight whether it will arrive more than 15 minutes late."""
    scores = model.scores([flight.model_dump() for flight in question.flights])
    return Answers(
        predictions=[
            Answer(late="late" if score >= THRESHOLD else "on time", score=round(float(score), 6))
            for score in scores
        ]
    )


@app.get("/healthz")
def healthz() -> dict[str, str]:
    """The model is loaded when this answers."""
    return {"status": "ok"}
