"""Data quality of a window's columns: what is missing, mistyped, out of range, unseen, constant or repeated.

Shares are of rows, against those of the reference: a column that always lacked a tenth of its values is
no news. A column without rows is `NoData`, which is neither pass nor fail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from driftline.counts import CategoricalCounts, ColumnCounts, Integers, NumericCounts
from driftline.spec import Quality

CHANCE = 1e-4
"""A window is called constant when rows drawn from the reference would all be equal more rarely than this."""


class QualityReason(StrEnum):
    """What is wrong with a column."""

    NO_DATA = "NoData"
    """No rows: nothing can be said."""
    MISSING = "Missing"
    """More missing or null values than the reference has, by the threshold."""
    NON_FINITE = "NonFinite"
    """More NaN or infinite values; they are as good as missing, and share the threshold."""
    WRONG_TYPE = "WrongType"
    OUT_OF_RANGE = "OutOfRange"
    """Values beyond the schema's range, or not among the categories it allows."""
    NEW_CATEGORY = "NewCategory"
    """Categories that the reference has never seen."""
    CONSTANT = "Constant"
    """All values equal, where the reference's vary."""


class QualityRatios(NamedTuple):
    """Shares in [0, 1]: of rows the first four, of valid values the others. None: no rows to share."""

    missing: float | None
    """Missing and null together."""
    null: float | None
    non_finite: float | None
    wrong_type: float | None
    out_of_range: float | None
    new_category: float | None
    """None for numeric columns too."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of one column. `value` reached `limit`; both None for `NO_DATA` and `CONSTANT`."""

    reason: QualityReason
    value: float | None = None
    limit: float | None = None


_ALL_WELL = QualityRatios(0.0, 0.0, 0.0, 0.0, 0.0, None)


def ratios(counts: ColumnCounts) -> QualityRatios:
    """The shares of a column's window."""
    if isinstance(counts, NumericCounts) and not any(counts.others) and counts.counts.any():
        return _ALL_WELL  # as nearly always
    valid = counts.valid
    rows = counts.rows_with(valid)
    non_finite = 0 if isinstance(counts, CategoricalCounts) else counts.nan + counts.pos_inf + counts.neg_inf
    return QualityRatios(
        missing=_share(counts.missing + counts.null, rows),
        null=_share(counts.null, rows),
        non_finite=_share(non_finite, rows),
        wrong_type=_share(counts.wrong_type, rows),
        out_of_range=_share(counts.out_of_range, valid),
        new_category=_share(counts.new_rows, valid) if isinstance(counts, CategoricalCounts) else None,
    )


def check(
    reference: ColumnCounts, current: ColumnCounts, now: QualityRatios, limits: Quality
) -> tuple[Finding, ...]:
    """Everything wrong with a column's window, whose ratios are `now`; () where all is well.

    Both counted on the same axis.
    """
    if now.missing is None:
        return (Finding(QualityReason.NO_DATA),)
    checks = (
        (QualityReason.MISSING, now.missing, limits.missing_ratio),
        (QualityReason.NON_FINITE, now.non_finite, limits.missing_ratio),
        (QualityReason.WRONG_TYPE, now.wrong_type, limits.wrong_type_ratio),
        (QualityReason.OUT_OF_RANGE, now.out_of_range, limits.out_of_range_ratio),
        (QualityReason.NEW_CATEGORY, now.new_category, limits.new_category_ratio),
    )
    found = []
    for reason, value, limit in checks:
        if value is None or value <= limit:
            continue  # as nearly always: what is usual need not be known
        allowed = limit + _usual(reason, ratios(reference))
        if value > allowed:
            found.append(Finding(reason, value, allowed))
    if turned_constant(reference, current):
        found.append(Finding(QualityReason.CONSTANT))
    return tuple(found)


def _usual(reason: QualityReason, reference: QualityRatios) -> float:
    """The share that the reference itself has."""
    shares = {
        QualityReason.MISSING: reference.missing,
        QualityReason.NON_FINITE: reference.non_finite,
        QualityReason.WRONG_TYPE: reference.wrong_type,
        QualityReason.OUT_OF_RANGE: reference.out_of_range,
        QualityReason.NEW_CATEGORY: reference.new_category,
    }
    return shares[reason] or 0.0


def turned_constant(reference: ColumnCounts, current: ColumnCounts) -> bool:
    """Whether all valid values are equal, which so many rows of the reference would hardly be.

    False without valid values, and where the reference itself may well give such a window.
    """
    place = _only_place(current)
    if place is None or current.valid == 0 or reference.valid == 0:
        return False
    usual = _places(reference)[place] / reference.valid
    return usual == 0 or current.valid * math.log(usual) < math.log(CHANCE)


def _only_place(counts: ColumnCounts) -> int | None:
    """Where the one value of a constant column stands; None where values differ."""
    if isinstance(counts, CategoricalCounts):
        if counts.new_overflow or len(counts.new) > 1:
            return None
    elif counts.minimum != counts.maximum:
        return None
    held = np.flatnonzero(_places(counts))
    return int(held[0]) if len(held) == 1 else None


def _places(counts: ColumnCounts) -> Integers:
    """Rows per cell or category, the unseen ones together."""
    if isinstance(counts, CategoricalCounts):
        return np.append(counts.known, [counts.other, counts.new_rows])
    return counts.counts


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
