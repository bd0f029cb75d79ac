"""Joining small batches into a larger one, columns that only some of them have included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from driftline.columns import Batch, CategoricalColumn, Codes, Column, NumericColumn, State, States


def concatenate(batches: Sequence[Batch]) -> Batch:
    """All rows in order as one batch.

    A column that a batch doesn't have is missing in its rows. Where a column is numeric in one
    batch and categorical in another, the first one's type holds and the others' are wrong-typed.
    """
    names = dict.fromkeys(name for batch in batches for name in batch.columns)
    rows = sum(batch.rows for batch in batches)
    columns = {name: _join([(batch.rows, batch.columns.get(name)) for batch in batches]) for name in names}
    requests = sum(batch.requests for batch in batches)
    return Batch(rows=rows, columns=columns, requests=requests, request=_requests(batches))


def _requests(batches: Sequence[Batch]) -> Codes | None:
    if all(batch.request is None for batch in batches):
        return None
    parts, offset = [], 0
    for batch in batches:
        own = np.arange(batch.rows, dtype=np.int32) if batch.request is None else batch.request
        parts.append(own + np.int32(offset))
        offset += batch.requests
    return np.concatenate(parts)


def _join(parts: Sequence[tuple[int, Column | None]]) -> Column:
    kind = next(type(column) for _, column in parts if column is not None)
    if kind is NumericColumn:
        return _join_numeric(parts)
    return _join_categorical(parts)


def _join_numeric(parts: Sequence[tuple[int, Column | None]]) -> NumericColumn:
    values = [
        column.values if isinstance(column, NumericColumn) else np.full(rows, np.nan)
        for rows, column in parts
    ]
    return NumericColumn(np.concatenate(values), _join_states(parts, NumericColumn))


def _join_categorical(parts: Sequence[tuple[int, Column | None]]) -> CategoricalColumn:
    known: dict[str, int] = {}
    codes = []
    for rows, column in parts:
        if not isinstance(column, CategoricalColumn):
            codes.append(np.full(rows, -1, dtype=np.int32))
            continue
        # The -1 of "no category" is looked up from the end of the map, hence the entry appended.
        mapped = [known.setdefault(category, len(known)) for category in column.dictionary]
        codes.append(np.array([*mapped, -1], dtype=np.int32)[column.codes])
    return CategoricalColumn(np.concatenate(codes), tuple(known), _join_states(parts, CategoricalColumn))


def _join_states(parts: Sequence[tuple[int, Column | None]], kind: type[Column]) -> States | None:
    if all(isinstance(column, kind) and column.states is None for _, column in parts):
        return None
    return np.concatenate([_states(rows, column, kind) for rows, column in parts])


def _states(rows: int, column: Column | None, kind: type[Column]) -> States:
    if column is None:
        return np.full(rows, State.MISSING, dtype=np.uint8)
    if not isinstance(column, kind):
        return np.full(rows, State.WRONG_TYPE, dtype=np.uint8)
    if column.states is None:
        return np.zeros(rows, dtype=np.uint8)
    return column.states
