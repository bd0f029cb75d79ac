"""Rows of many exchanges into columns at once: the price per value is a few nanoseconds only this way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from driftline.columns import CategoricalColumn, Column, NumericColumn, State
from driftline.prediction_ids import text_of
from msgspec import UNSET

_NUMBERS = frozenset({float, int, bool})
_LARGEST = 2**1023


def numeric(values: Sequence[object]) -> NumericColumn:
    """Numbers and booleans (1 and 0) are values, whatever else says what it is in `states`."""
    kinds = set(map(type, values))
    if kinds <= _NUMBERS and (int not in kinds or _converts(values)):
        return NumericColumn(np.array(values, dtype=np.float64))
    states = np.fromiter(map(_numeric_state, values), dtype=np.uint8, count=len(values))
    kept = [value if state == 0 else np.nan for value, state in zip(values, states.tolist(), strict=True)]
    return NumericColumn(np.array(kept, dtype=np.float64), states)


def categorical(values: Sequence[object]) -> CategoricalColumn:
    """Strings are categories; booleans and numbers are named as JSON writes them (2.0 as `2`)."""
    if set(map(type, values)) == {str}:
        texts: Sequence[str] = values  # type: ignore[assignment]  # it was looked at just now
        known = {text: code for code, text in enumerate(dict.fromkeys(texts))}
        codes = np.fromiter(map(known.__getitem__, texts), dtype=np.int32, count=len(texts))
        return CategoricalColumn(codes, tuple(known))
    known = {}
    states = np.zeros(len(values), dtype=np.uint8)
    codes = np.full(len(values), -1, dtype=np.int32)
    for index, value in enumerate(values):
        name = text_of(value)
        if name is None:
            states[index] = _absence(value)
        else:
            codes[index] = known.setdefault(name, len(known))
    return CategoricalColumn(codes, tuple(known), states if states.any() else None)


def column(values: Sequence[object], kind: str) -> Column:
    """The column of that type (`numeric` or `categorical`)."""
    return numeric(values) if kind == "numeric" else categorical(values)


def _converts(values: Sequence[object]) -> bool:
    return all(type(value) is not int or -_LARGEST < value < _LARGEST for value in values)


def _numeric_state(value: object) -> State:
    kind = type(value)
    if kind is float or kind is bool:
        return State.VALUE
    if isinstance(value, int):
        return State.VALUE if -_LARGEST < value < _LARGEST else State.WRONG_TYPE
    return _absence(value)


def _absence(value: object) -> State:
    if value is None:
        return State.NULL
    return State.MISSING if value is UNSET else State.WRONG_TYPE
