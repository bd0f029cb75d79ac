"""The flights of 2013 as a null: weeks in turn are reference and current, so only the weather differs."""

from __future__ import annotations

import csv
import gzip
from datetime import date
from pathlib import Path

import numpy as np
from driftline.grid import Grid
from driftline.shift import Score
from numpy.typing import NDArray

from tests.support.nulls import Ints

DATA = Path(__file__).parents[2] / "examples" / "flights" / "flights.csv.gz"
NUMERIC = (
    "sched_dep_time", "dep_delay", "distance", "temp", "humid", "wind_speed", "precip", "pressure", "visib",
)  # fmt: skip
CATEGORICAL = ("carrier", "origin", "dest")
BASE = 25
"""Rows of a base block."""


class Flights:
    """The year's rows in time order, as columns."""

    def __init__(self) -> None:
        with gzip.open(DATA, "rt", newline="") as file:
            rows = list(csv.DictReader(file))
        dates = [date(2013, int(r["month"]), int(r["day"])) for r in rows]
        self.day = np.array([day.timetuple().tm_yday - 1 for day in dates])
        self.columns: dict[str, NDArray[np.float64]] = {
            name: np.array([float(r[name]) if r[name] else np.nan for r in rows]) for name in NUMERIC
        }
        for name in CATEGORICAL:
            known = {value: code for code, value in enumerate(sorted({r[name] for r in rows}))}
            self.columns[name] = np.array([known[r[name]] for r in rows], np.float64)
        self.pooled = {name: name in CATEGORICAL for name in self.columns}

    def blocks(self, fit: NDArray[np.bool_], rows: NDArray[np.bool_], size: int = BASE) -> dict[str, Ints]:
        """Bin counts of consecutive blocks of `size` rows of `rows`, on the deciles of the rows of `fit`."""
        found = {}
        for name, column in self.columns.items():
            if self.pooled[name]:
                codes, bins = column[rows].astype(np.int64), int(column.max()) + 1
            else:
                held = column[fit]
                edges = np.unique(np.quantile(held[~np.isnan(held)], np.arange(1, 10) / 10))
                bins = len(edges) + 1
                codes = np.where(np.isnan(column[rows]), bins, np.searchsorted(edges, column[rows]))
            count = len(codes) // size
            flat = np.repeat(np.arange(count), size) * (bins + 1) + codes[: count * size]
            counts = np.bincount(flat, minlength=count * (bins + 1)).reshape(count, bins + 1)
            found[name] = counts[:, :bins].astype(np.int64)
        return found

    def sums(self, fit: NDArray[np.bool_], rows: NDArray[np.bool_], size: int = BASE) -> dict[str, Ints]:
        """Sums of scores of the same blocks, shape (blocks, 1), for the columns that have scores."""
        found = {}
        for name in NUMERIC:
            score = Score.of(Grid.from_values(self.columns[name][fit]))
            if score is not None:
                steps = score.steps(self.columns[name][rows])
                count = len(steps) // size
                found[name] = steps[: count * size].reshape(count, size).sum(axis=1)[:, None]
        return found


def sliding(blocks: dict[str, Ints], per: int) -> dict[str, Ints]:
    """Every run of `per` consecutive blocks."""
    found = {}
    for name, counts in blocks.items():
        total = np.concatenate([np.zeros((1, counts.shape[1]), np.int64), np.cumsum(counts, axis=0)])
        found[name] = total[per:] - total[:-per]
    return found
