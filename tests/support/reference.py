"""A small reference of an age and a kind: rows, profile."""

from __future__ import annotations

import numpy as np
from driftline.blocks import BlockCollector, CalibrationPlan
from driftline.categories import Categories
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.counting import count
from driftline.grid import Grid
from driftline.pane import Axes
from driftline.profile import FeatureProfile, Profile, Role
from numpy.typing import NDArray

Values = NDArray[np.float64]


def batch(age: Values, kind: NDArray[np.int64], per_request: int = 1) -> Batch:
    columns: dict[str, Column] = {
        "age": NumericColumn(age),
        "kind": CategoricalColumn(kind.astype(np.int32), ("a", "b", "c")),
    }
    request = None if per_request == 1 else (np.arange(len(age)) // per_request).astype(np.int32)
    return Batch(len(age), columns, len(age) // per_request, request)


def draw(rng: np.random.Generator, rows: int, shift: float = 0.0) -> Batch:
    return batch(rng.normal(shift, 1, rows), rng.choice(3, rows, p=[0.6, 0.3, 0.1]))


def profile(reference: Batch, *, ordered: bool = True) -> Profile:
    age = reference.columns["age"]
    assert isinstance(age, NumericColumn)
    axes = Axes({"age": Grid.from_values(age.values), "kind": Categories(("a", "b", "c"))}, "hash")
    counts = count(axes, reference)
    collector = BlockCollector(axes.features, CalibrationPlan.for_reference(reference.rows))
    collector.add(reference)
    return Profile(
        hash="hash",
        rows=reference.rows,
        features=tuple(
            FeatureProfile(name, Role.FEATURE, axis, counts.features[name])
            for name, axis in axes.features.items()
        ),
        calibration=collector.finish() if ordered else None,
    )
