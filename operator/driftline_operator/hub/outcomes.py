"""What a model's type makes of a prediction or a label: the name of a class, or a number."""

from __future__ import annotations

import re
from math import isnan
from typing import Final, NamedTuple

from driftline_operator.hub.refusal import Refusal

_WHOLE: Final = re.compile(r"-?[0-9]+\.0+")
Outcome = str | float | bool | None

MOST: Final = 1e60
"""The fourth power is added up: it must not overflow, nor, which PostgreSQL refuses too, underflow."""


class Kept(NamedTuple):
    """As it is stored: one of the two, or neither."""

    name: str | None
    value: float | None


def keep(kind: str, outcome: Outcome, field: str) -> Kept:
    """Of a classification the class's name, of others the number. Raises Refusal (400)."""
    if outcome is None:
        return Kept(None, None)
    if kind == "classification":
        return Kept(class_name(outcome), None)
    return Kept(None, _number(outcome, field))


def keep_label(kind: str, outcome: Outcome, field: str) -> Kept:
    """The same of a label; an item's relevance is never negative. Raises Refusal (400)."""
    kept = keep(kind, outcome, field)
    if kind == "ranking" and kept.value is not None and kept.value < 0:
        raise Refusal(400, "a relevance must not be negative", field=field, value=outcome)
    return kept


def class_name(outcome: str | float | bool) -> str:
    """`true` and `false`; whole numbers without a point, as numbers (1.0) and as text (a CSV's `1.0`)."""
    if isinstance(outcome, bool):
        return "true" if outcome else "false"
    if isinstance(outcome, float | int):
        return str(int(outcome)) if outcome == int(outcome) else repr(outcome)
    return outcome.partition(".")[0] if _WHOLE.fullmatch(outcome) else outcome


def _number(outcome: str | float | bool, field: str) -> float:
    try:
        value = float("nan") if isinstance(outcome, bool) else float(outcome)
    except ValueError:
        value = float("nan")
    if isnan(value):
        raise Refusal(400, "must be a number: the model predicts no classes", field=field, value=outcome)
    return bounded(value, field)


def bounded(value: float, field: str) -> float:
    """A number that sums of powers can take; nearer to 0 than 1 / `MOST` is 0. Raises Refusal (400)."""
    if not -MOST <= value <= MOST:
        raise Refusal(400, f"must be a number between -{MOST:g} and {MOST:g}", field=field, value=value)
    return 0.0 if -1 / MOST < value < 1 / MOST else value
