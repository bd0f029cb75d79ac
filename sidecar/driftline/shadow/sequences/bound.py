"""What a confidence sequence says of a number: its estimate, and how far it can be from it."""

from __future__ import annotations

from typing import NamedTuple


class Bound(NamedTuple):
    """An estimate between two one-sided bounds, each of which holds at all times together at its own level.

    `lower` > limit proves that the number is above the limit at the level of rejecting, `upper` <= limit
    that it is not at the level of passing. Without data `value` is None, and the bounds are the ends of
    what is possible.
    """

    value: float | None
    lower: float
    upper: float

    @property
    def complement(self) -> Bound:
        """Of one less the number: agreement, from disagreement."""
        return Bound(None if self.value is None else 1 - self.value, 1 - self.upper, 1 - self.lower)


class Levels(NamedTuple):
    """Error probabilities: of a false pass, and of a false rejection."""

    passing: float = 0.05
    rejecting: float = 0.05
