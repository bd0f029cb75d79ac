"""What a column is, where no monitor says so: decided from a few facts about its cells.

The rules, in order:

1. no value at all: left out (nothing to compare with);
2. times: not a feature; the first such column orders the rows;
3. booleans, and text that isn't all numbers: categorical, unless nearly every value is another one
   (`UNIQUE_SHARE` of at least `UNIQUE_ROWS` values), then it is an id or free text and left out;
4. whole numbers, every one another and in unbroken ascending order (a row number): left out;
5. whole numbers of few values (at most `FEW_VALUES` and each at least `REPEATS` times on average): codes,
   so categorical;
6. any other number: numeric. Constant columns are kept: that they stay constant is worth watching.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

UNIQUE_SHARE = 0.9
UNIQUE_ROWS = 50
FEW_VALUES = 30
REPEATS = 20


class Content(StrEnum):
    """What a column's cells hold."""

    NOTHING = "nothing"
    TIMES = "times"
    BOOLEANS = "booleans"
    TEXT = "text"
    INTEGERS = "integers"
    NUMBERS = "numbers"
    OTHER = "other"
    """Lists, structures, bytes: nothing that can be counted."""


class Decision(StrEnum):
    """What becomes of a column."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    TIME = "time"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What was seen: `values` cells that are not missing, of which `distinct` different ones.

    `counting`: each value is the one before plus one.
    """

    name: str
    content: Content
    values: int = 0
    distinct: int = 0
    counting: bool = False


@dataclass(frozen=True, slots=True)
class Inferred:
    """The decision, and why in words."""

    name: str
    decision: Decision
    why: str


def infer(facts: ColumnFacts) -> Inferred:
    """Apply the rules of the module's docstring to one column."""
    decision, why = _decide(facts)
    return Inferred(facts.name, decision, why)


def _decide(facts: ColumnFacts) -> tuple[Decision, str]:
    match facts.content:
        case Content.NOTHING:
            return Decision.SKIPPED, "it has no value"
        case Content.OTHER:
            return Decision.SKIPPED, "its cells are neither numbers, text nor times"
        case Content.TIMES:
            return Decision.TIME, "its cells are times"
        case Content.BOOLEANS:
            return Decision.CATEGORICAL, "its cells are true or false"
        case Content.TEXT:
            return _text(facts)
        case Content.INTEGERS:
            return _integers(facts)
        case Content.NUMBERS:
            return Decision.NUMERIC, "its cells are numbers"


def _text(facts: ColumnFacts) -> tuple[Decision, str]:
    if facts.values >= UNIQUE_ROWS and facts.distinct >= UNIQUE_SHARE * facts.values:
        return (
            Decision.SKIPPED,
            f"{facts.distinct} of {facts.values} values are different: an id or free text",
        )
    return Decision.CATEGORICAL, "its cells are text"


def _integers(facts: ColumnFacts) -> tuple[Decision, str]:
    if facts.counting and facts.values >= UNIQUE_ROWS:
        return Decision.SKIPPED, "it counts the rows"
    if 1 < facts.distinct <= FEW_VALUES and facts.distinct * REPEATS <= facts.values:
        return (
            Decision.CATEGORICAL,
            f"its cells are whole numbers, only {facts.distinct} different ones: codes",
        )
    return Decision.NUMERIC, "its cells are numbers"
