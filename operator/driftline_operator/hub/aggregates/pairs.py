"""Of a shadow's labelled pairs: how much worse the candidate is than the live model, as sums.

All predictions are looked at at the same age, with the label that was known then. Pairs cancel what is hard
for both sides, not what comes late: where fraud is known within a day and its absence after a month, labels
by now are mostly of fraud, and a candidate that is better there only would look better everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import sqlalchemy as sa
from driftline.shadow.performance import Labelled, Performance, of_classes, of_numbers, of_scores
from driftline.shadow.runtime import LIVE_UNANSWERED
from sqlalchemy.engine import Connection

from driftline_operator.hub import schema
from driftline_operator.hub.aggregates.classes import Classes
from driftline_operator.hub.aggregates.window import of_candidates

MOST_ROWS: Final = 300_000
"""Labelled predictions that are looked at, the first ones: more would change no verdict."""


class _Row(NamedTuple):
    """A labelled prediction of both sides, as `_query` selects it."""

    source: int
    sequence: int
    live: str | None
    candidate: str | None
    label: str | None
    live_value: float | None
    value: float | None
    truth: float | None
    live_score: float | None
    score: float | None


_LIVE, _CANDIDATE = schema.predictions, schema.predictions.alias("candidate")


def labelled(
    connection: Connection,
    monitor: int,
    variant: str,
    before: float,
    age: float,
    kind: Classes | float,
) -> Labelled:
    """The candidate's predictions of that variant beside the live ones to the same rows, and their labels.

    `before`: only of predictions made earlier, unix seconds; `age`: labels as they were known so many seconds
    after each prediction, so `before` should be as long ago; `kind`: a classifier's classes, as its own
    figures have them, or the largest difference that counts of a regression.
    """
    rows = [_Row(*row) for row in connection.execute(_query(monitor, variant, before, age))]
    if isinstance(kind, Classes):
        rows = [row for row in rows if kind.meant(row.label) is not None]
        told = [row for row in rows if row.live is not None or row.candidate is not None]
        found = _of_classes(told, kind) if told else Performance()
    else:
        rows = [row for row in rows if row.truth is not None]
        told = [row for row in rows if row.live_value is not None or row.value is not None]
        found = _of_numbers(told, kind) if told else Performance()
    return Labelled.of(len(told), found, unanswered=len(rows) - len(told), age=age)


def _query(monitor: int, variant: str, before: float, age: float) -> sa.Select[Any]:
    live, candidate, strata, labels = _LIVE.c, _CANDIDATE.c, schema.strata.c, schema.labels.c
    own = sa.select(strata.id).where(strata.monitor_id == monitor, strata.variant == variant)
    alone = candidate.stratum_id.in_(own.where(strata.version == LIVE_UNANSWERED))
    same = sa.and_(
        live.monitor_id == monitor,
        live.id == candidate.id,
        live.sequence == candidate.sequence,
        live.place == candidate.place,
        ~of_candidates(monitor),
    )
    at = sa.func.coalesce(live.at, candidate.at)
    known = sa.and_(
        labels.monitor_id == monitor,
        labels.id == candidate.id,
        labels.at - at <= age,
        sa.or_(labels.until.is_(None), labels.until - at > age),
    )
    return (
        sa.select(
            candidate.source_id, candidate.sequence,
            live["class"], candidate["class"], labels["class"],
            live.value, candidate.value, labels.value,
            live.score, candidate.score,
        )
        .select_from(_CANDIDATE.outerjoin(_LIVE, same).join(schema.labels, known))
        .where(
            candidate.monitor_id == monitor,
            candidate.stratum_id.in_(own),
            sa.or_(live.id.is_not(None), alone),
            at < before,
        )
        .order_by(at, candidate.source_id, candidate.sequence, candidate.place)
        .limit(MOST_ROWS)
    )  # fmt: skip


def _of_classes(rows: Sequence[_Row], classes: Classes) -> Performance:
    """A name that isn't known is no class, and so never right; rows whose label is one have gone."""
    labels = [classes.meant(row.label) for row in rows]
    right = [
        np.array([classes.meant(name) == label for name, label in zip(names, labels, strict=True)])
        for names in ([row.live for row in rows], [row.candidate for row in rows])
    ]
    found = of_classes(_requests(rows), *right)
    if not classes.positive:
        return found
    scores = np.array([_floats([row.live_score for row in rows]), _floats([row.score for row in rows])])
    positive = np.array([label == classes.positive[0] for label in labels])
    return found + of_scores(positive, *scores)


def _of_numbers(rows: Sequence[_Row], clip: float) -> Performance:
    truth, live, candidate = (
        _floats(values)
        for values in (
            [row.truth for row in rows],
            [row.live_value for row in rows],
            [row.value for row in rows],
        )
    )
    return of_numbers(_requests(rows), truth, live, candidate, clip)


def _requests(rows: Sequence[_Row]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Numbers of the rows' requests, from 0."""
    names = np.array([(row.source, row.sequence) for row in rows])
    return np.unique(names, axis=0, return_inverse=True)[1].reshape(-1)


def _floats(values: Sequence[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if each is None else each for each in values], np.float64)
