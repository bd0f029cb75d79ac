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
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.shadow.rows import deltas
from driftline.shadow.sequences.bound import Bound, Levels
from driftline.shadow.sequences.bounded import mean_bound
from driftline.shadow.values import Values

Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]

OF_CLASSES = 2.0
"""The largest squared difference of two vectors of shares."""


@dataclass(frozen=True, slots=True)
class Twice:
    """`products`: of (A1 - B1)(A2 - B2), request by request; `live`, `candidate`: shares of requests' rows in
    which a side disagrees with itself.
    """

    products: Values
    live: Values
    candidate: Values

    @classmethod
    def empty(cls, clip: float | None) -> Twice:
        """None yet. `clip` None: classes, else the largest difference of two values."""
        limit = OF_CLASSES if clip is None else clip * clip
        return cls(
            Values.empty(limit, signed=True), Values.empty(1.0, signed=False), Values.empty(1.0, signed=False)
        )

    def __add__(self, other: Twice) -> Twice:
        """Both together."""
        return Twice(self.products + other.products, self.live + other.live, self.candidate + other.candidate)

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


def twice_classes(request: Codes, first: tuple[Codes, Codes], second: tuple[Codes, Codes]) -> Twice:
    """Of requests that went twice. `request` int64 (rows,), from 0, none left out; each round's answers
    (live, candidate), int64 (rows,): codes that are equal where the names are, `other` told apart too.
    """
    (a1, b1), (a2, b2) = first, second
    return twice_alike(request, np.array([a1 == a2, a1 == b2, b1 == a2, b1 == b2]))


def twice_alike(request: Codes, alike: Flags) -> Twice:
    """The same of answers of which is only known which are alike: bool (4, rows), of the live model's two, of
    its first and the candidate's second, of the candidate's first and its second, of the candidate's two.
    """
    live, there, back, candidate = alike
    products = 1.0 * live - there - back + candidate
    return _twice(request, products, ~live, ~candidate, OF_CLASSES)


def twice_numbers(
    request: Codes, first: tuple[Floats, Floats], second: tuple[Floats, Floats], clip: float
) -> Twice:
    """The same of values or scores, float64 (rows,). Any difference counts as disagreement with oneself."""
    (a1, b1), (a2, b2) = first, second
    products = deltas(a1, b1, clip) * deltas(a2, b2, clip)
    return _twice(request, products, a1 != a2, b1 != b2, clip * clip)


def _twice(request: Codes, products: Floats, live: Flags, candidate: Flags, limit: float) -> Twice:
    sizes = np.bincount(request)
    of_products, of_live, of_candidate = (
        np.bincount(request, weights=rows) / sizes for rows in (products, live, candidate)
    )
    return Twice(
        Values.of(of_products, limit, signed=True),
        Values.of(of_live, 1.0, signed=False),
        Values.of(of_candidate, 1.0, signed=False),
    )


def _root(squared: float) -> float:
    return math.sqrt(max(0.0, squared))
