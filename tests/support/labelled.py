"""The oracle cases of labelled predictions as columns, and what the libraries said of them."""

from __future__ import annotations

import csv
import gzip

import numpy as np
from driftline.columns import Floats
from driftline.labels import score_edges
from driftline.performance.bins import ScoreBins
from numpy.typing import NDArray

from tests.support.oracle import CASES

Text = NDArray[np.str_]


def columns(case: str) -> dict[str, Text]:
    """The case's columns, as text."""
    with gzip.open(CASES / f"{case}.csv.gz", "rt", newline="") as file:
        rows = list(csv.reader(file))
    return dict(zip(rows[0], np.array(rows[1:]).T, strict=True))


def floats(values: Text) -> Floats:
    """Exactly as written."""
    return values.astype(np.float64)


def ints(values: Text) -> NDArray[np.int64]:
    return values.astype(np.float64).astype(np.int64)


def reference_bins(scores: Floats) -> ScoreBins:
    """Bins of a reference that is another half of the same data: its quantiles aren't the window's."""
    return ScoreBins(score_edges(scores[::2]))
