"""What pairs are compared on: fixed by the configuration before the first one, the same in every pod."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.errors import DataError
from driftline.spec.shadow import Tolerance

Sort = Literal["class", "number", "body"]

MOST_OUTPUTS = 64
"""Classes, or bins of a value: what comes after is `other`."""
MOST_VALUES = 50
"""Values of one segment; what comes after is `other`."""
MOST_CHARACTERS = 64
"""Of a class's or a value's name where it is shown."""
OTHER = "other"


class ComparisonPlan(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`sort`: what an answer is. Everything that says how cells are counted, so unlike plans never merge."""

    sort: Sort
    classes: tuple[str, ...] = ()
    """Of a classifier: the classes, in the order of the confusion matrix. Others are `other`."""
    edges: tuple[float, ...] = ()
    """Of a number: ascending edges of the bins of the outputs' drift, from the reference's deciles."""
    clip: float | None = None
    """Largest difference that counts: 1 for scores, the spec's for values, None where none was given."""
    tolerance: Tolerance = Tolerance()
    segments: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Segment features with the values that are told apart. Others are `other`."""

    def __post_init__(self) -> None:
        if self.clip is not None and not 0 < self.clip < float("inf"):
            raise DataError(f"a comparison's clip must be above 0 and finite ({self.clip})")
        if max(len(self.classes), len(self.edges)) > MOST_OUTPUTS:
            raise DataError(f"a comparison tells at most {MOST_OUTPUTS} classes or edges apart")
        if any(a >= b for a, b in pairwise(self.edges)):
            raise DataError("a comparison's edges must ascend")
        if any(len(values) > MOST_VALUES for _, values in self.segments):
            raise DataError(f"a segment tells at most {MOST_VALUES} values apart")

    @property
    def outputs(self) -> int:
        """Bins of the outputs: the classes and `other`, or what the edges cut."""
        return len(self.classes) + 1 if self.sort == "class" else len(self.edges) + 1

    @property
    def output_names(self) -> tuple[str, ...]:
        """The bins of the outputs as people read them: classes and `other`, or intervals of the values."""
        if self.sort == "class" or not self.edges:
            return told_apart((*self.classes, OTHER))
        inner = (f"({a:.6g}, {b:.6g}]" for a, b in pairwise(self.edges))
        return told_apart((f"<= {self.edges[0]:.6g}", *inner, f"> {self.edges[-1]:.6g}"))

    def segment_names(self, name: str) -> tuple[str, ...]:
        """The values of a segment as people read them, in the order of their codes."""
        return told_apart((*dict(self.segments)[name], OTHER))

    def class_codes(self, names: list[str]) -> NDArray[np.int64]:
        """Bins of class names, int64 (n,); the last is `other`."""
        known = {name: code for code, name in enumerate(self.classes)}
        return np.array([known.get(name, len(self.classes)) for name in names], np.int64)

    def bins(self, values: Floats) -> NDArray[np.int64]:
        """Bins (edges[i-1], edges[i]] of values, int64 (n,); NaN in the last."""
        return np.searchsorted(np.asarray(self.edges), values)


def told_apart(names: Iterable[str], most: int = MOST_CHARACTERS) -> tuple[str, ...]:
    """Names cut to so many characters, and numbered where two would look alike."""
    found: dict[str, None] = {}
    for name in names:
        short = shown = name if len(name) <= most else f"{name[: most - 1]}…"
        number = 1
        while shown in found:
            number += 1
            shown = f"{short} ({number})"
        found[shown] = None
    return tuple(found)
