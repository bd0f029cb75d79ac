"""Builders for the fleet: a profile of three columns, rows, encoded panes, pages of them."""

from __future__ import annotations

import struct

import numpy as np
from driftline import captured
from driftline.captured import Captured
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.counting import count
from driftline.pane import Axes, Pane, PaneCounts
from driftline.pane_codec import encode_pane
from driftline.profile import Profile
from driftline.quantity import Duration
from driftline.spec import MonitorSpec

from tests.support.specs import categorical, monitor, numeric

DAY_START = 1_700_006_400
"""A multiple of a day, unix seconds."""
WINDOWS = (Duration(300), Duration(3600))
SPEC: MonitorSpec = monitor(features=(numeric("age"), categorical("job")), windows=WINDOWS).spec


def rows(rng: np.random.Generator, number: int, shift: float = 0.0, per_request: int = 1) -> Batch:
    """Some with missing values, some of categories that no reference knows."""
    age = rng.normal(40 + shift, 10, number)
    age[rng.random(number) < 0.02] = np.nan
    columns: dict[str, Column] = {
        "age": NumericColumn(age),
        "job": CategoricalColumn(
            rng.choice([-1, 0, 1, 2, 3], number, p=[0.02, 0.4, 0.3, 0.2, 0.08]).astype(np.int32),
            ("a", "b", "c", f"new{rng.integers(5)}"),
        ),
        "employed": CategoricalColumn(rng.integers(0, 2, number).astype(np.int32), ("no", "yes")),
    }
    request = None if per_request == 1 else (np.arange(number) // per_request).astype(np.int32)
    return Batch(number, columns, -(-number // per_request), request)


def plain(rng: np.random.Generator, number: int, shift: float = 0.0) -> Batch:
    """As the reference's, each a request of its own."""
    job = rng.choice(3, number, p=[0.5, 0.3, 0.2]).astype(np.int32)
    columns: dict[str, Column] = {
        "age": NumericColumn(rng.normal(40 + shift, 10, number)),
        "job": CategoricalColumn(job, ("a", "b", "c")),
        "employed": CategoricalColumn(rng.integers(0, 2, number).astype(np.int32), ("no", "yes")),
    }
    return Batch(number, columns, number)


def reference(number: int = 20_000) -> Profile:
    """Of rows without new categories, in the order of time."""
    batch = plain(np.random.default_rng(1), number)
    part = Captured(SPEC.schema.features, batch, np.arange(number, dtype=np.float64))
    return captured.build(SPEC, [part], float(DAY_START))


def counted(axes: Axes, batch: Batch) -> PaneCounts:
    return count(axes, batch, lambda: None)


def encoded(profile: Profile, counts: PaneCounts, start: int, length: int = 60, version: str = "") -> bytes:
    return encode_pane(
        Pane(start=start, length=length, profile_hash=profile.hash, counts=counts, model_version=version)
    )


def page(*panes: bytes) -> bytes:
    """As an analyzer answers."""
    return b"".join(struct.pack("<I", len(pane)) + pane for pane in panes)
