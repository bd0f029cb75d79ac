"""Of a shadow's labelled pairs: how much worse the candidate is than the live model, as sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from driftline.shadow.performance import Labelled, Performance, of_classes, of_numbers, of_scores
from sqlalchemy.engine import Connection

from driftline_operator.hub import schema
from driftline_operator.hub.aggregates.window import of_candidates

MOST_ROWS: Final = 300_000
"""Labelled predictions that are looked at, those whose labels came first: more would change no verdict."""

_LIVE, _CANDIDATE = schema.predictions, schema.predictions.alias("candidate")


def labelled(
    connection: Connection,
    monitor: int,
    variant: str,
    before: float | None,
    clip: float | None,
    positive: str | None,
) -> Labelled:
    """The candidate's predictions of that variant beside the live ones to the same rows, and their labels.

    `before`: only of predictions made earlier (unix seconds); `clip`: of a regression's differences, None for
    a classifier; `positive`: the class whose scores make an AUC.
    """
    rows = connection.execute(_query(monitor, variant, before)).all()
    return Labelled.of(len(rows), _performance(rows, clip, positive))


def _query(monitor: int, variant: str, before: float | None) -> sa.Select[Any]:
    live, candidate, strata, labels = _LIVE.c, _CANDIDATE.c, schema.strata.c, schema.labels.c
    own = sa.select(strata.id).where(strata.monitor_id == monitor, strata.variant == variant)
    same = sa.and_(
        live.monitor_id == monitor,
        live.id == candidate.id,
        live.sequence == candidate.sequence,
        live.place == candidate.place,
        ~of_candidates(monitor),
    )
    known = sa.and_(labels.monitor_id == monitor, labels.id == candidate.id, labels.until.is_(None))
    return (
        sa.select(
            candidate.source_id, candidate.sequence,
            live["class"], candidate["class"], labels["class"],
            live.value, candidate.value, labels.value,
            live.score, candidate.score,
        )
        .select_from(_CANDIDATE.join(_LIVE, same).join(schema.labels, known))
        .where(
            candidate.monitor_id == monitor,
            candidate.stratum_id.in_(own),
            sa.true() if before is None else live.at < before,
        )
        .order_by(labels.received, candidate.source_id, candidate.sequence, candidate.place)
        .limit(MOST_ROWS)
    )  # fmt: skip


def _performance(rows: Sequence[sa.Row[Any]], clip: float | None, positive: str | None) -> Performance:
    if not rows:
        return Performance()
    source, sequence, live, candidate, label, live_value, value, truth, live_score, score = zip(
        *rows, strict=True
    )
    request = np.unique(np.array([source, sequence]), axis=1, return_inverse=True)[1].reshape(-1)
    if clip is not None:
        numbers = _floats(live_value), _floats(value), _floats(truth)
        known = np.isfinite(np.array(numbers)).all(axis=0)
        if not known.any():
            return Performance()
        first, second, true = (each[known] for each in numbers)
        return of_numbers(_dense(request[known]), true, first, second, clip)
    right = [np.array([a == b for a, b in zip(side, label, strict=True)]) for side in (live, candidate)]
    found = of_classes(request, *right)
    if positive is None:
        return found
    scores = _floats(live_score), _floats(score)
    known = np.isfinite(np.array(scores)).all(axis=0)
    is_positive = np.array([each == positive for each in label])
    return found + of_scores(is_positive[known], scores[0][known], scores[1][known])


def _dense(request: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """From 0, none left out."""
    return np.unique(request, return_inverse=True)[1].reshape(-1)


def _floats(values: Sequence[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if each is None else each for each in values], np.float64)
