"""What the hub answers, as types: the API's document is made of them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from driftline.performance.report import Metric
from msgspec import Meta


class Refused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why nothing of the request was taken."""

    error: str
    """What is wrong, and what would be right."""
    field: str = ""
    """Where in the request, such as `predictions[3].score`."""
    value: str | float | bool | None = None
    """What stands there; long ones are cut."""


class MonitorIs(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor that the hub knows."""

    namespace: str
    name: str
    changed: float
    """When it was told last, unix seconds."""
    profile: str | None
    """The hash of its reference."""


class Monitors(msgspec.Struct, frozen=True, kw_only=True):
    """Those that the hub knows, by namespace and name."""

    monitors: tuple[MonitorIs, ...]


class MonitorTold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a hub must know of a monitor; told again it replaces what was told before."""

    document: dict[str, Any]
    """The ModelMonitor, as `kubectl get -o json` gives it."""
    profile: bytes = b""
    """Base64 of the reference profile; empty: there is none."""
    token: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 (hex) of the token that the namespace's sidecars send predictions with."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Whether anything is other than before."""

    changed: bool


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of an id were deleted."""

    erased: int


class Mean(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of one number over labelled rows: see `driftline.performance.aggregates.MeanSums`."""

    requests: int
    rows: float
    total: float
    squares: float
    products: float
    sizes: float


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """Labelled rows by [label, predicted]."""

    classes: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]


class CellIs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sums of one group."""

    version: str
    variant: str
    segment: str | None = None
    """The value of the segment that was asked for."""
    start: float | None = None
    """Of its slice of time, where slices were asked for."""
    predictions: int
    labelled: int
    """Of them, with a label at the age that was asked for."""
    confusion: Confusion | None = None
    means: dict[str, Mean] = msgspec.field(default_factory=dict)
    """`errors`; of a binary classifier `log_loss` and `brier` too, of a regression `absolute`, `squares` …"""
    metrics: dict[str, Metric] = msgspec.field(default_factory=dict)
    """Those of the model's type, as the report has them; none in an answer of more than 1,000 groups."""
    estimated: dict[str, Metric] = msgspec.field(default_factory=dict)
    """Before labels, of all its predictions, where it was asked for and the reference has labels."""
    auc_bound: float | None = None
    """By how much binning the scores can have moved the AUC."""


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """What a span of prediction time adds up to."""

    start: float
    end: float
    age: float | None
    cells: tuple[CellIs, ...]
