"""Outcomes of mirrored requests as a tally, many at once. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from driftline.columns import Floats
from driftline.shadow.aa import Twice, twice_alike, twice_classes, twice_numbers
from driftline.shadow.fields import Fields
from driftline.shadow.latency import latency_counts
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.rows import Codes, Rows, class_rows, number_rows
from driftline.shadow.sample import MAX_REQUEST, Disagreement, shortened
from driftline.shadow.tally import Tally, error_counts

from driftline_sidecar.analyzer.mirror.reading import Outcome, Pair, Repeat, Side

_ROWS_SHOWN = 5


def tally_of(plan: ComparisonPlan, outcomes: Sequence[Outcome]) -> Tally:
    """What those requests add."""
    pairs = [outcome.pair for outcome in outcomes if outcome.pair is not None]
    told = [outcome for outcome in outcomes if outcome.candidate_failed is not None]
    tally = replace(
        Tally.empty(plan),
        errors=error_counts(
            np.array([outcome.live_failed for outcome in told], bool),
            np.array([outcome.candidate_failed for outcome in told], bool),
        ),
        live_latency=latency_counts(_seconds(outcome.live_seconds for outcome in outcomes)),
        candidate_latency=latency_counts(_seconds(outcome.candidate_seconds for outcome in outcomes)),
        twice=_twice(plan, [outcome.repeat for outcome in outcomes if outcome.repeat is not None]),
    )
    if not pairs:
        return tally
    rows = rows_of(plan, pairs)
    fields = sum((Fields.of(pair.diff) for pair in pairs if pair.diff is not None), Fields())
    return replace(tally.with_rows(rows).with_sample(_sample(pairs, rows)), fields=fields)


def rows_of(plan: ComparisonPlan, pairs: Sequence[Pair]) -> Rows:
    """The pairs' rows one after another."""
    request = _numbers([pair.live.rows for pair in pairs])
    segments = {
        name: np.concatenate([np.asarray(pair.segments[name], np.int64) for pair in pairs])
        for name, _ in plan.segments
    }
    live, candidate = [pair.live for pair in pairs], [pair.candidate for pair in pairs]
    if plan.sort == "class":
        scores = _scores(live), _scores(candidate)
        return class_rows(plan, request, _names(live), _names(candidate), scores, segments)
    if plan.sort == "number":
        return number_rows(plan, request, _values(live), _values(candidate), segments)
    differ = np.array([pair.diff is not None and not pair.diff.equal for pair in pairs], np.float64)
    return Rows(request, differ, segments=segments)


def _twice(plan: ComparisonPlan, repeats: Sequence[Repeat]) -> Twice:
    if not repeats:
        return Tally.empty(plan).twice
    if plan.sort == "body":
        alike = np.array([repeat.alike for repeat in repeats], bool).T
        return twice_alike(np.arange(len(repeats)), alike)
    request = _numbers([repeat.first[0].rows for repeat in repeats])
    a1, b1, a2, b2 = (
        [sides[at] for sides in ((*repeat.first, *repeat.second) for repeat in repeats)] for at in range(4)
    )
    if plan.sort == "number":
        v1, w1, v2, w2 = map(_values, (a1, b1, a2, b2))
        return twice_numbers(request, (v1, w1), (v2, w2), plan.clip, plan.tolerance)
    known: dict[str, int] = {}  # no array of names: as wide as the longest, and blind to NULs at their ends
    c1, d1, c2, d2 = (
        np.array([known.setdefault(name, len(known)) for name in _names(side)], np.int64)
        for side in (a1, b1, a2, b2)
    )
    s1, t1, s2, t2 = map(_scores, (a1, b1, a2, b2))
    scores = None if plan.clip is None else ((s1, t1), (s2, t2), plan.clip)
    return twice_classes(request, (c1, d1), (c2, d2), scores)


def _sample(pairs: Sequence[Pair], rows: Rows) -> Iterator[Disagreement]:
    """The requests on which the sides differ, by how much."""
    sizes = rows.means(rows.differ if rows.delta is None else np.nan_to_num(np.abs(rows.delta)))
    apart = rows.means(rows.differ)
    for pair, size, differs in zip(pairs, sizes.tolist(), apart.tolist(), strict=True):
        if size > 0 or differs > 0:
            live, candidate = _shown(pair)
            yield Disagreement(max(size, differs), pair.request[:MAX_REQUEST], live, candidate)


def _shown(pair: Pair) -> tuple[str, str]:
    if pair.diff is not None and not pair.live.names and not len(pair.live.values):
        shown = pair.diff.differences[:_ROWS_SHOWN]
        live, candidate = ("; ".join(f"{d.path}: {getattr(d, side)}" for d in shown) for side in _SIDES)
        return shortened(live), shortened(candidate)
    return shortened(_text(pair.live)), shortened(_text(pair.candidate))


_SIDES = ("live", "candidate")


def _text(side: Side) -> str:
    names = side.names or tuple(f"{value:.6g}" for value in side.values[:_ROWS_SHOWN].tolist())
    shown = list(names[:_ROWS_SHOWN])
    if side.scores is not None:
        scores = side.scores[:_ROWS_SHOWN].tolist()
        shown = [f"{name} ({score:.4g})" for name, score in zip(shown, scores, strict=True)]
    return ", ".join(shown) + (" …" if side.rows > _ROWS_SHOWN else "")


def _names(sides: Sequence[Side]) -> list[str]:
    return [name for side in sides for name in side.names]


def _values(sides: Sequence[Side]) -> Floats:
    return np.concatenate([side.values for side in sides])


def _scores(sides: Sequence[Side]) -> Floats:
    """NaN where an answer has none."""
    return np.concatenate([np.full(s.rows, np.nan) if s.scores is None else s.scores for s in sides])


def _numbers(sizes: Sequence[int]) -> Codes:
    return np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)


def _seconds(found: Iterator[float | None]) -> Floats:
    return np.array([seconds for seconds in found if seconds is not None], np.float64)
