"""The categories a reference fixes for a categorical column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

MAX_KNOWN = 5000
"""Categories counted one by one; the reference's rarer ones are `other`. 5,000 take 40 kB in a window."""

MAX_NEW = 2000
"""Unseen values that a window names; further ones are only counted, so no client can fill the memory."""

MAX_NEW_CHARACTERS = 16384
"""Of all those names together."""

MAX_LENGTH = 256
"""Characters of a category that are kept: a longer value is cut, in the reference and in the window alike."""


@dataclass(frozen=True)
class Categories:
    """`known`: unique, most frequent first. `truncated`: the reference had more than are known.

    Whatever isn't known is new, unless the reference was truncated: then it counts as `other`, for
    it can't be told from the reference's own rare categories.
    """

    known: tuple[str, ...]
    truncated: bool = False

    def __post_init__(self) -> None:
        if len(set(self.known)) != len(self.known):
            raise ValueError("categories must be unique")

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], limit: int = MAX_KNOWN) -> Categories:
        """The `limit` most frequent, ties in alphabetical order, so that equal data give equal axes."""
        merged: Counter[str] = Counter()
        for value, count in counts.items():
            merged[clip(value)] += count
        ordered = sorted(merged, key=lambda value: (-merged[value], value))
        return cls(tuple(ordered[:limit]), truncated=len(ordered) > limit)

    @cached_property
    def index(self) -> dict[str, int]:
        """The place of each known category."""
        return {value: place for place, value in enumerate(self.known)}


def clip(value: str) -> str:
    """The part of a value that is kept as its category."""
    return value if len(value) <= MAX_LENGTH else value[:MAX_LENGTH]
