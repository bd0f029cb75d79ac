"""The year of flights as the demo uses it: rows, what the model sees of them, and its requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

DATA = Path(__file__).with_name("flights.csv.gz")
NUMERIC = (
    "sched_dep_time",
    "dep_delay",
    "distance",
    "temp",
    "humid",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
)
CATEGORICAL = ("carrier", "origin", "dest")
FEATURES = NUMERIC + CATEGORICAL
LABEL = "late"

TAXI_HOURS, MILES_PER_HOUR = 0.7, 450.0
"""On the ground, and in the air: when a flight lands, about."""

YEAR_STARTS = datetime(2013, 1, 1)  # noqa: DTZ001  the data's clock is New York's, not this machine's
TRAINING_ENDS = datetime(2013, 2, 12)  # noqa: DTZ001  six weeks
REFERENCE_ENDS = datetime(2013, 4, 1)  # noqa: DTZ001  three months, the training weeks among them
YEAR_ENDS = datetime(2014, 1, 1)  # noqa: DTZ001


def load(path: Path = DATA) -> pd.DataFrame:
    """All flights in time order; `time` is the scheduled departure, `late` the label."""
    frame = pd.read_csv(path)
    clock = frame["sched_dep_time"]
    parts = {"year": 2013, "month": frame["month"], "day": frame["day"]}
    frame["time"] = pd.to_datetime(pd.DataFrame({**parts, "hour": clock // 100, "minute": clock % 100}))
    return frame.sort_values("time", kind="stable", ignore_index=True)


def between(frame: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    """The flights that were to leave in [start, end)."""
    return frame[(frame["time"] >= start) & (frame["time"] < end)]


def name_of(late: bool) -> str:
    """A label as the model names its answers."""
    return "late" if late else "on time"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a flight, and how many hours after the request it landed and that was known."""

    label: str
    hours: float


@dataclass(frozen=True, slots=True)
class Request:
    """What one airport asks in one hour: is each of these departures going to arrive late?"""

    due: datetime
    origin: str
    flights: list[dict[str, Any]]
    outcomes: list[Outcome]
    """Of each flight."""

    @property
    def id(self) -> str:
        """Sent as `x-request-id`: labels name it."""
        return f"{self.due:%Y-%m-%dT%H}-{self.origin}"

    @property
    def body(self) -> dict[str, Any]:
        """The JSON that the model server takes."""
        return {"flights": self.flights}


def requests(frame: pd.DataFrame) -> Iterator[Request]:
    """Every flight of `frame`, in time order, an hour's departures of an airport in one request.

    Weather that was not recorded is sent as null, as it stands in the data.
    """
    hours = frame["time"].dt.floor("h")
    asked = pd.DataFrame({"hour": hours, "origin": frame["origin"]})
    order = asked.sort_values(["hour", "origin"], kind="stable")
    columns = frame.loc[order.index, list(FEATURES)].astype(object)
    records = columns.where(columns.notna(), None).to_dict("records")
    outcomes = _outcomes(frame.loc[order.index])
    known = zip(order["hour"].dt.to_pydatetime(), order["origin"], records, outcomes, strict=True)
    for (hour, origin), group in groupby(known, key=itemgetter(0, 1)):
        rows = list(group)
        yield Request(hour, origin, [each for _, _, each, _ in rows], [each for *_, each in rows])


def _outcomes(frame: pd.DataFrame) -> Iterator[Outcome]:
    """The data has no time of landing: it is made of the departure, the delay and the way."""
    in_the_air = TAXI_HOURS + frame["distance"] / MILES_PER_HOUR
    waited = (frame["time"] - frame["time"].dt.floor("h")).dt.total_seconds() / 3600
    hours = waited + frame["dep_delay"] / 60 + in_the_air
    for late, after in zip(frame[LABEL], hours, strict=True):
        yield Outcome(name_of(bool(late)), max(0.0, float(after)))
