"""What may be given for an event: a struct of `driftline.events`, or the few values that make one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from driftline.client.errors import Refused
from driftline.events import Feedback, Kpi, Label
from driftline.prediction_ids import id_problem, key_of

Id = str | Sequence[object]
"""A prediction's id, or the values of the fields that `spec.labels.key` names, in its order."""
Outcome = str | float | bool
Time = float | datetime
"""Unix seconds, or a time; without a zone it is UTC."""


class Target(NamedTuple):
    """Whose events they are."""

    namespace: str
    monitor: str


def id_of(given: Id) -> str:
    """The id as text. Raises Refused where it can be none."""
    found = given if isinstance(given, str) else key_of(given)
    problem = id_problem(found)
    if problem is not None or found is None:
        raise Refused(f"the id {given!r} {problem}", field="id", value=given)
    return found


def seconds_of(at: Time | None) -> float | None:
    """Unix seconds."""
    if isinstance(at, datetime):
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return at


def label_of(given: Label | Sequence[Any]) -> Label:
    """A label, or `(id, label)`, or `(id, label, at)`."""
    if isinstance(given, Label):
        return given
    identity, label, at = (*given, None)[:3]
    return Label(id=id_of(identity), label=label, at=seconds_of(at))


def feedback_of(
    identity: Id,
    thumb: Literal["up", "down"] | None = None,
    score: float | None = None,
    comment: str = "",
    at: Time | None = None,
    event: str = "",
) -> Feedback:
    """Feedback on an answer; see `driftline.events.Feedback`."""
    return Feedback(
        id=id_of(identity), thumb=thumb, score=score, comment=comment, at=seconds_of(at), event=event
    )


def kpi_of(identity: Id, name: str, value: float = 1.0, at: Time | None = None, event: str = "") -> Kpi:
    """A KPI event; see `driftline.events.Kpi`."""
    return Kpi(id=id_of(identity), name=name, value=value, at=seconds_of(at), event=event)


Events = Iterable[Label] | Iterable[Feedback] | Iterable[Kpi]
