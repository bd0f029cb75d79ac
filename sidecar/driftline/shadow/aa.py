"""What noise doesn't explain: some requests go twice to both sides.

The live model's own disagreement must not be subtracted from that of the pair: a candidate that always
answers 1 beside a live model that flips a coin would show no excess. Instead, with answers A1, A2 of the
live model and B1, B2 of the candidate to one request, each drawn anew, E[(A1 - B1)(A2 - B2)] is the squared
difference of the two sides' means for that request: noise is independent and drops out. Classes count as
vectors of 0 and 1. Over requests that is a bounded mean, and has its bounds as every other.

Where answers are no vectors (free form, numbers without a largest difference) all that is known is which
are alike, and [A1 ~ A2] - [A1 ~ B2] - [B1 ~ A2] + [B1 ~ B2] takes the product's place: with equality of
classes it *is* that product. Of sides that answer alike its mean is 0 whatever "alike" means (all four have
one distribution); of sides that are each steady and differ it is 2.

Whether noise explains that a rule is broken is asked of what the rule is about: of `agreement` by which are
alike, always, for a small difference squared is nothing beside a large clip squared; of `p95Delta` by the
values' or scores' product, and of values by either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.shadow.rows import deltas, numbers_agree
from driftline.shadow.rules import OF_CLASSES
from driftline.shadow.sequences.bound import Bound, Levels
from driftline.shadow.sequences.bounded import mean_bound
from driftline.shadow.values import Values
from driftline.spec.shadow import Tolerance

Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]
Scores = tuple[tuple[Floats, Floats], tuple[Floats, Floats], float]
"""Each round's scores (live, candidate), float64 (rows,), and their largest difference."""


@dataclass(frozen=True, slots=True)
class Twice:
    """Request by request. `alike`: of which answers are alike; `deltas`: of (A1 - B1)(A2 - B2) of values or
    scores, None where they are not compared or have no largest difference; `live`, `candidate`: shares of
    rows in which a side disagrees with itself. `of_values`: the answers are numbers.
    """

    alike: Values
    deltas: Values | None
    live: Values
    candidate: Values
    of_values: bool = False

    @classmethod
    def empty(cls, clip: float | None, *, of_values: bool = False) -> Twice:
        """None yet. `clip`: the largest difference of two values, or scores."""
        return cls(
            Values.empty(OF_CLASSES, signed=True),
            None if clip is None else Values.empty(clip * clip, signed=True),
            Values.empty(1.0, signed=False),
            Values.empty(1.0, signed=False),
            of_values,
        )

    def __add__(self, other: Twice) -> Twice:
        """Both together."""
        deltas = other.deltas if self.deltas is None else self.deltas
        if self.deltas is not None and other.deltas is not None:
            deltas = self.deltas + other.deltas
        return Twice(
            self.alike + other.alike,
            deltas,
            self.live + other.live,
            self.candidate + other.candidate,
            self.of_values or other.of_values,
        )

    @property
    def products(self) -> Values:
        """What the sides' systematic difference is the root of: of values, else of which are alike."""
        return self.deltas if self.of_values and self.deltas is not None else self.alike

    def unexplained(self, alpha: float) -> frozenset[str]:
        """The rules of which it is proven, at alpha each, that noise isn't all that can break them."""
        of_values = _is_positive(self.deltas, alpha / 2 if self.of_values else alpha)
        of_values |= self.of_values and _is_positive(self.alike, alpha / 2)
        answers = {"agreement"} if _is_positive(self.alike, alpha) else set()
        return frozenset(answers | ({"p95Delta"} if of_values else set()))

    def systematic(self, levels: Levels = Levels()) -> Bound:  # noqa: B008
        """Bounds of the root of the mean squared systematic difference."""
        squared = mean_bound(self.products.points, self.products.weights, self.products.limit, levels)
        value = None if squared.value is None else _root(squared.value)
        return Bound(value, _root(squared.lower), _root(squared.upper))

    def noise(self) -> tuple[float | None, float | None]:
        """How often the live model, and the candidate, disagrees with itself."""
        live, candidate = (
            mean_bound(side.points, side.weights, side.limit).value for side in (self.live, self.candidate)
        )
        return live, candidate


def twice_classes(
    request: Codes, first: tuple[Codes, Codes], second: tuple[Codes, Codes], scores: Scores | None = None
) -> Twice:
    """Of requests that went twice. `request` int64 (rows,), from 0, none left out; each round's answers
    (live, candidate), int64 (rows,): codes that are equal where the names are, `other` told apart too.
    """
    (a1, b1), (a2, b2) = first, second
    found = twice_alike(request, np.array([a1 == a2, a1 == b2, b1 == a2, b1 == b2]))
    return found if scores is None else replace(found, deltas=_deltas(request, *scores))


def twice_alike(request: Codes, alike: Flags) -> Twice:
    """The same of answers of which is only known which are alike: bool (4, rows), of the live model's two, of
    its first and the candidate's second, of the candidate's first and its second, of the candidate's two.
    """
    live, there, back, candidate = alike
    products = 1.0 * live - there - back + candidate
    return Twice(
        Values.of(_means(request, products), OF_CLASSES, signed=True),
        None,
        Values.of(_means(request, ~live), 1.0, signed=False),
        Values.of(_means(request, ~candidate), 1.0, signed=False),
    )


def twice_numbers(
    request: Codes,
    first: tuple[Floats, Floats],
    second: tuple[Floats, Floats],
    clip: float | None,
    tolerance: Tolerance,
) -> Twice:
    """The same of values, float64 (rows,): alike within the tolerance."""
    (a1, b1), (a2, b2) = first, second
    both = ((a1, a2), (a1, b2), (b1, a2), (b1, b2))
    found = twice_alike(request, np.array([numbers_agree(*each, tolerance) for each in both]))
    of_values = None if clip is None else _deltas(request, first, second, clip)
    return replace(found, deltas=of_values, of_values=True)


def _deltas(
    request: Codes, first: tuple[Floats, Floats], second: tuple[Floats, Floats], clip: float
) -> Values:
    products = deltas(*first, clip) * deltas(*second, clip)
    return Values.of(_means(request, products), clip * clip, signed=True)


def _means(request: Codes, rows: Floats | Flags) -> Floats:
    found: Floats = np.bincount(request, weights=rows) / np.bincount(request)
    return found


def _is_positive(products: Values | None, alpha: float) -> bool:
    if products is None:
        return False
    return mean_bound(products.points, products.weights, products.limit, Levels(rejecting=alpha)).lower > 0


def _root(squared: float) -> float:
    return math.sqrt(max(0.0, squared))
