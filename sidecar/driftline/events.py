"""What the hub is sent: predictions from sidecars; labels, feedback and KPI events from anyone, later.

The wire types of its HTTP API, shared by the sidecar's prediction log, the client and the hub. Short keys
where millions of rows go over the wire. A prediction has two names: its *id*, by which labels find it, and
its *key* (boot, sequence, row), by which it is stored once however often it is sent.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from driftline.categories import MAX_LENGTH

MOST_EVENTS: Final = 10_000
"""In one request."""

MOST_WEIGHT: Final = 1e9
"""Of a sampled row: sums of squares over all rows stay far from the ends of a double."""

EventId = Annotated[str, Meta(min_length=1, max_length=512)]
Name = Annotated[str, Meta(min_length=1, max_length=253)]
Text = Annotated[str, Meta(max_length=1024)]
Outcome = Annotated[str, Meta(max_length=256)] | float | bool
"""A class by its name, or a value; a boolean is the class `true` or `false`."""
Feature = Annotated[str, Meta(min_length=1, max_length=253)]
Category = Annotated[str, Meta(max_length=MAX_LENGTH)]
UnixSeconds = Annotated[float, Meta(ge=0, le=253_402_300_799)]


class Prediction(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One row's answer, with no more of its input than the monitor names."""

    id: EventId
    """By which labels find it: the exchange's id (`ID/ROW` from a request's second row on), a response
    field's, or the request fields that `spec.labels.key` names."""
    at: UnixSeconds
    """When it was answered."""
    sequence: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    """Of the exchange, counted by the worker that saw it."""
    row: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    """Within the request."""
    prediction: Outcome | None = None
    score: float | None = None
    """The positive class's probability, where the model gives one."""
    weight: Annotated[float, Meta(ge=1, le=MOST_WEIGHT)] = 1.0
    """1 over the probability with which the sample chose it, so never below 1."""
    version: Annotated[str, Meta(max_length=128)] = ""
    """The model's version that answered."""
    variant: Annotated[str, Meta(max_length=128)] = ""
    """Of an experiment, where there is one."""
    segments: dict[Feature, Category] = msgspec.field(default_factory=dict)
    """By feature: the row's value, for the features in `spec.schema.segments`."""
    features: dict[Feature, Category | float] = msgspec.field(default_factory=dict)
    """The features that `spec.labels.features` names, and no others."""


class Predictions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`POST /v1/predictions`: one sender's, in any order; sent again they change nothing."""

    namespace: Name
    monitor: Name
    boot: Annotated[str, Meta(min_length=1, max_length=64)]
    """Of the sending worker: with sequence and row a prediction's key."""
    predictions: Annotated[tuple[Prediction, ...], Meta(max_length=MOST_EVENTS)]


class Label(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What became true of a prediction; it may come before it, late, twice, or corrected."""

    id: EventId
    label: Outcome
    at: UnixSeconds | None = None
    """When it became known; the newest wins. Default: when the hub takes it."""


class Feedback(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What a person says of an answer."""

    id: EventId
    thumb: Literal["up", "down"] | None = None
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    comment: Text = ""
    at: UnixSeconds | None = None
    event: Annotated[str, Meta(max_length=128)] = ""
    """Names this piece of feedback; the same sent again counts once. Default: one per id."""


class Kpi(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A business figure that a prediction led to."""

    id: EventId
    name: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[a-zA-Z_][a-zA-Z0-9_.-]*$")]
    value: float = 1.0
    at: UnixSeconds | None = None
    event: Annotated[str, Meta(max_length=128)] = ""
    """Names this event; the same sent again counts once. Default: one per id and name."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The hub's answer once all of it is in the database."""

    accepted: int
    """Events of the request, those that were known already included."""
    new: int
    """Of them those that were not known before, or changed what was."""
