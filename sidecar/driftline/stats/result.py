"""What a statistic gives: a number, or the reason why there is none. Never a NaN."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why a statistic has no value."""

    NO_REFERENCE_ROWS = "NoReferenceRows"
    """The reference has no valid value of the column."""
    NO_ROWS = "NoRows"
    """The window has no valid value of the column: neither pass nor fail."""
    CONSTANT_REFERENCE = "ConstantReference"
    """The reference's sd is 0, or rounding noise: nothing can be measured in sds."""
    OVERFLOW = "Overflow"
    """The values are so far apart that the result is beyond 1.8e308."""
    CATEGORIES_TRUNCATED = "CategoriesTruncated"
    """The reference had more categories than a profile lists: new ones can't be told from its rare ones."""


class Statistic(NamedTuple):
    """`value` is finite, or None for `reason`."""

    value: float | None
    reason: Reason | None = None


def finite(value: float) -> Statistic:
    """The statistic of that value; `Overflow` where it isn't finite."""
    return Statistic(float(value)) if math.isfinite(value) else Statistic(None, Reason.OVERFLOW)


def unavailable(reference_rows: int, rows: int) -> Statistic | None:
    """Why two samples of those sizes can't be compared; None where they can."""
    if reference_rows == 0:
        return Statistic(None, Reason.NO_REFERENCE_ROWS)
    return Statistic(None, Reason.NO_ROWS) if rows == 0 else None
