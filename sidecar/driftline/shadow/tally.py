"""All that is kept of the pairs: sums that merge over requests, pods and days, within bounds fixed before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.errors import IncompatiblePanes
from driftline.shadow.aa import Twice
from driftline.shadow.fields import Fields
from driftline.shadow.latency import CELLS
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.rows import Codes, Flags, Rows, means
from driftline.shadow.sample import Disagreement, largest
from driftline.shadow.values import Values

Counts = NDArray[np.int64]
Place = tuple[str, int]
"""A segment's feature, and the code of its value."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Of the requests that have rows in it: how many, how many of them with several rows, their means."""

    requests: int
    several: int
    differ: Values
    """Share of a request's rows that disagree."""
    delta: Values | None
    """Mean of a request's candidate - live."""
    size: Values | None
    """Mean of a request's |candidate - live|."""

    @classmethod
    def empty(cls, clip: float | None) -> Slice:
        """None yet; without `clip` there are no deltas."""
        return cls(
            0,
            0,
            Values.empty(1.0, signed=False),
            None if clip is None else Values.empty(clip, signed=True),
            None if clip is None else Values.empty(clip, signed=False),
        )

    @classmethod
    def of(
        cls,
        request: Codes,
        differ: Floats,
        delta: Floats | None,
        clip: float | None,
        beyond: Flags | None = None,
    ) -> Slice:
        """Of rows, as `Rows` has them; `request` may leave numbers out.

        `clipped` of delta and size are the requests in which a row was.
        """
        sizes = np.unique(request, return_counts=True)[1]
        found = replace(
            cls.empty(clip),
            requests=len(sizes),
            several=int((sizes > 1).sum()),
            differ=Values.of(means(request, differ), 1.0, signed=False),
        )
        if clip is None or delta is None:
            return found
        clipped = 0 if beyond is None else len(np.unique(request[beyond]))
        return replace(
            found,
            delta=replace(Values.of(means(request, delta), clip, signed=True), clipped=clipped),
            size=replace(Values.of(means(request, np.abs(delta)), clip, signed=False), clipped=clipped),
        )

    def __add__(self, other: Slice) -> Slice:
        """Both together."""
        return Slice(
            self.requests + other.requests,
            self.several + other.several,
            self.differ + other.differ,
            _optional(self.delta, other.delta),
            _optional(self.size, other.size),
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """The pairs of one plan. Merging is `+`."""

    plan: ComparisonPlan
    all: Slice
    segments: Mapping[Place, Slice]
    confusion: Counts
    """int64 (outputs, outputs): rows by the live model's answer and the candidate's."""
    shifts: tuple[Values, ...]
    """By output: a request's share of candidate's rows there less the live model's."""
    hidden: Values
    """A request's share of rows in which either side answered `other`: there classes shift unseen. Of values
    none is hidden."""
    errors: Counts
    """int64 (2, 2): mirrored requests by whether the live side failed, and whether the candidate did."""
    live_latency: Counts
    """Of the live model *through the mirror*, cells of `latency`."""
    candidate_latency: Counts
    twice: Twice
    fields: Fields = field(default_factory=Fields)
    sample: tuple[Disagreement, ...] = ()

    @classmethod
    def empty(cls, plan: ComparisonPlan) -> Tally:
        """None yet."""
        return cls(
            plan=plan,
            all=Slice.empty(plan.clip),
            segments={},
            confusion=np.zeros((plan.outputs, plan.outputs), np.int64),
            shifts=tuple(Values.empty(1.0, signed=True) for _ in range(plan.outputs)),
            hidden=Values.empty(1.0, signed=False),
            errors=np.zeros((2, 2), np.int64),
            live_latency=np.zeros(CELLS, np.int64),
            candidate_latency=np.zeros(CELLS, np.int64),
            twice=Twice.empty(plan.clip, of_values=plan.sort == "number"),
        )

    def __add__(self, other: Tally) -> Tally:
        """Both together. Raises IncompatiblePanes where their plans differ."""
        if self.plan != other.plan:
            raise IncompatiblePanes("pairs of unlike plans don't merge: the comparison has changed")
        places = {*self.segments, *other.segments}
        none = Slice.empty(self.plan.clip)
        return Tally(
            plan=self.plan,
            all=self.all + other.all,
            segments={p: self.segments.get(p, none) + other.segments.get(p, none) for p in sorted(places)},
            confusion=self.confusion + other.confusion,
            shifts=tuple(a + b for a, b in zip(self.shifts, other.shifts, strict=True)),
            hidden=self.hidden + other.hidden,
            errors=self.errors + other.errors,
            live_latency=self.live_latency + other.live_latency,
            candidate_latency=self.candidate_latency + other.candidate_latency,
            twice=self.twice + other.twice,
            fields=self.fields + other.fields,
            sample=largest([*self.sample, *other.sample]),
        )

    def with_rows(self, rows: Rows) -> Tally:
        """These pairs too."""
        batch = replace(
            Tally.empty(self.plan),
            all=Slice.of(rows.request, rows.differ, rows.delta, self.plan.clip, rows.beyond),
            segments=dict(_segments(self.plan, rows)),
        )
        if rows.live is not None and rows.candidate is not None:
            batch = replace(
                batch,
                confusion=_confusion(rows.live, rows.candidate, self.plan.outputs),
                shifts=tuple(_shifts(rows, rows.live, rows.candidate, self.plan.outputs)),
            )
            if self.plan.sort == "class":
                other = np.maximum(rows.live, rows.candidate) == self.plan.outputs - 1
                batch = replace(batch, hidden=Values.of(rows.means(1.0 * other), 1.0, signed=False))
        return self + batch

    def with_sample(self, entries: Iterable[Disagreement]) -> Tally:
        """With these disagreements among those that may be shown."""
        return replace(self, sample=largest([*self.sample, *entries]))


def error_counts(live: NDArray[np.bool_], candidate: NDArray[np.bool_]) -> Counts:
    """Mirrored requests by which side failed, int64 (2, 2); bool (n,): live failed, candidate failed."""
    return np.bincount(2 * live + candidate, minlength=4).reshape(2, 2)


def _segments(plan: ComparisonPlan, rows: Rows) -> Iterator[tuple[Place, Slice]]:
    for name, _ in plan.segments:
        codes = rows.segments.get(name)
        if codes is None:
            continue
        for code in np.unique(codes).tolist():
            chosen = codes == code
            delta, beyond = (None if each is None else each[chosen] for each in (rows.delta, rows.beyond))
            of = Slice.of(rows.request[chosen], rows.differ[chosen], delta, plan.clip, beyond)
            yield (name, code), of


def _confusion(live: Codes, candidate: Codes, outputs: int) -> Counts:
    return np.bincount(live * outputs + candidate, minlength=outputs**2).reshape(outputs, outputs)


def _shifts(rows: Rows, live: Codes, candidate: Codes, outputs: int) -> Iterator[Values]:
    for output in range(outputs):
        there = (candidate == output).astype(np.float64) - (live == output)
        yield Values.of(rows.means(there), 1.0, signed=True)


def _optional(a: Values | None, b: Values | None) -> Values | None:
    return None if a is None or b is None else a + b
