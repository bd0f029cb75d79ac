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


@dataclass(frozen=True, slots=True)
class Request:
    """What one airport asks in one hour: is each of these departures going to arrive late?"""

    due: datetime
    flights: list[dict[str, Any]]

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
    labelled = zip(order["hour"].dt.to_pydatetime(), order["origin"], records, strict=True)
    for (hour, _), rows in groupby(labelled, key=itemgetter(0, 1)):
        yield Request(due=hour, flights=[flight for _, _, flight in rows])
