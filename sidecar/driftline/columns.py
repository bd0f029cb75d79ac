"""Rows as columns: what decoders and data readers hand to the grid.

This is the contract between whatever reads rows (wire decoders, CSV and Parquet readers) and
whatever counts them. Columns are row-aligned, so that segments, row hashes and the multivariate
error can be computed from them; what is not a value says why in `states`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
States = NDArray[np.uint8]


class State(IntEnum):
    """What a cell of a column is."""

    VALUE = 0
    MISSING = 1
    """The record has no such field (or the file's cell is empty)."""
    NULL = 2
    """The field is there and says null."""
    WRONG_TYPE = 3
    """A string where a number belongs, an object where a category belongs."""


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """`values`: float64 of shape (rows,), NaN wherever `states` is not VALUE.

    A NaN or infinity whose state is VALUE was sent as such and is counted as non-finite.
    `states` None means that every cell is a value.
    """

    values: Floats
    states: States | None = None


@dataclass(frozen=True, slots=True)
class CategoricalColumn:
    """Dictionary-coded: `dictionary[codes[i]]` is row i's category; -1 wherever `states` is not VALUE.

    `codes`: int32 of shape (rows,). `states` None means that every cell is a value.
    """

    codes: Codes
    dictionary: tuple[str, ...]
    states: States | None = None


Column = NumericColumn | CategoricalColumn


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one monitor that belong to one pane, in the order in which they came.

    `columns` by feature name: features, prediction and score alike. `requests` is the number of
    requests the rows came in; `request` (int32, shape (rows,), non-decreasing from 0) tells which
    row came with which, None where every row is a request of its own.
    """

    rows: int
    columns: Mapping[str, Column]
    requests: int
    request: Codes | None = None
