"""Builders of references: columns by name in, profiles out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from driftline.columns import Batch, CategoricalColumn, Column, Floats, NumericColumn
from driftline.profile import Profile
from driftline.profile_build import BuildPlan, MemoryRows, ReferenceColumn, build_profile


def column(values: Any) -> Column:
    """Numbers, or texts (None: missing)."""
    if isinstance(values, np.ndarray):
        return NumericColumn(np.asarray(values, np.float64))
    known = {value: code for code, value in enumerate(dict.fromkeys(v for v in values if v is not None))}
    codes = np.array([-1 if value is None else known[value] for value in values], np.int32)
    return CategoricalColumn(codes, tuple(known))


def batch(columns: Mapping[str, Any]) -> Batch:
    """Rows, each a request of its own."""
    rows = len(next(iter(columns.values())))
    return Batch(rows, {name: column(values) for name, values in columns.items()}, rows)


def reference(columns: Mapping[str, Any], times: Floats | None = None, **plan: Any) -> Profile:
    """The profile of those columns, all of them features."""
    rows = batch(columns)
    described: Sequence[ReferenceColumn] = [
        ReferenceColumn(name, isinstance(of, NumericColumn)) for name, of in rows.columns.items()
    ]
    return build_profile(MemoryRows([(rows, times)]), BuildPlan(columns=tuple(described), **plan))


def texts(values: Any) -> list[str | None]:
    """Numbers as texts."""
    return [str(value) for value in np.asarray(values).tolist()]
