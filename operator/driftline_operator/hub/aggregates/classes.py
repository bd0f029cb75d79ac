"""What the names of classes mean: which is the positive one, and which there are."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from driftline.performance.aggregates import NEGATIVE, POSITIVE

WORDS: Final = ("0", "1", "false", "true")
"""Names that say themselves whether they are positive."""
_ALIKE: Final = {"1": ("1", "true"), "true": ("true", "1"), "0": ("0", "false"), "false": ("false", "0")}

_OTHER: Final = ""
"""What is not the positive class, where only that one is known."""


class Classes(NamedTuple):
    """Names that aren't known are counted and left out: they are never negative."""

    positive: tuple[str, ...] = ()
    """Names of the positive class; empty: classes are only told apart, or there are none."""
    known: tuple[str, ...] = ()
    """Names there are; empty: any."""

    @classmethod
    def of(cls, positive: str | None, declared: tuple[str, ...] = ()) -> Classes:
        """Of a positive class and the classes that are declared; without those 0 and 1 have no others."""
        if positive is None:
            return cls((), declared)
        if declared or positive not in WORDS:
            return cls((positive,), declared)
        return cls(_ALIKE[positive], WORDS)

    def knows(self, name: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Whether a row has a name, and it is one of them."""
        return sa.and_(name.is_not(None), name.in_(self.known) if self.known else sa.true())

    def place(self, name: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """`POSITIVE` or `NEGATIVE`; NULL for NULL and for a name that isn't known."""
        known = (name.in_(self.known), NEGATIVE) if self.known else (name.is_not(None), NEGATIVE)
        return sa.case((name.in_(self.positive), POSITIVE), known, else_=None)

    def meant(self, name: str | None) -> str | None:
        """The class that a name means: names of one class give the same; None for one that isn't known."""
        if name in self.positive:
            return self.positive[0]
        if name is None or (self.known and name not in self.known):
            return None
        two = bool(self.positive) and self.known in ((), WORDS)
        return _OTHER if two else name
