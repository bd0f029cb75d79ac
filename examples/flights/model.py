"""The demo's model: what training writes and the server loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from examples.flights import flights

THRESHOLD = 0.5
"""A flight is called late from this score on."""


@dataclass(frozen=True)
class LateModel:
    """A gradient-boosted classifier of late arrivals, with the categories it knows."""

    classifier: HistGradientBoostingClassifier
    categories: dict[str, dict[str, int]]

    def scores(self, records: list[dict[str, Any]]) -> NDArray[np.float64]:
        """The probability of a late arrival for each record, shape (rows,). What is missing may be None."""
        table = [[record[name] for name in flights.NUMERIC] for record in records]
        numeric = np.array(table, dtype=np.float64)  # None becomes NaN
        codes = [
            [self.categories[name].get(record[name], np.nan) for name in flights.CATEGORICAL]
            for record in records
        ]
        rows = np.hstack([numeric, np.array(codes, dtype=np.float64)])
        scores: NDArray[np.float64] = self.classifier.predict_proba(rows)[:, 1]
        return scores
