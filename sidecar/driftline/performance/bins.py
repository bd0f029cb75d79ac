"""Score bins: a row's score becomes one integer, and GROUP BY does the rest.

AUC and average precision from bins are off by what ties within a bin hide: half the sum of the products of
class masses in a bin for the AUC (`curves.auc_bound`). Equal-width bins fail where positives are rare: of
scores with .02 % positives nearly all lie in the first bin. So half of the edges are equally spaced on the
logit scale and half are the reference's own quantiles (`driftline.labels.score_edges`).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Floats
from driftline.counts import NumericCounts
from driftline.grid import Grid
from driftline.labels import Labels, score_edges
from driftline.profile import Profile

Bins = NDArray[np.int64]

NO_SCORE = -1
"""The bin of a row without a finite score."""


@dataclass(frozen=True)
class ScoreBins:
    """`edges` float64 (B - 1,), ascending: bin i of [0, B) is (edges[i-1], edges[i]].

    `id`: hex, of the edges. Bins of unlike ids never merge.
    """

    edges: Floats
    id: str = field(init=False)
    _list: list[float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if np.any(np.diff(self.edges) <= 0) or not np.isfinite(self.edges).all():
            raise ValueError("edges of score bins must be finite and ascending")
        digest = hashlib.sha256(self.edges.astype("<f8").tobytes()).hexdigest()
        object.__setattr__(self, "id", digest[:16])
        object.__setattr__(self, "_list", self.edges.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScoreBins) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def count(self) -> int:
        """How many bins."""
        return len(self.edges) + 1

    def index(self, scores: Floats) -> Bins:
        """The bin of each score, int64 (rows,); `NO_SCORE` where it isn't finite."""
        found = np.searchsorted(self.edges, scores, side="left").astype(np.int64)
        found[~np.isfinite(scores)] = NO_SCORE
        return found

    def of(self, score: float | None) -> int:
        """The same for one score, without numpy's cost per call; None has no bin."""
        return bisect_left(self._list, score) if score is not None and isfinite(score) else NO_SCORE

    @classmethod
    def default(cls) -> ScoreBins:
        """Where there is no reference: the logit scale for the ends, equal widths for the middle.

        The AUC's bound is exported, and larger than with a reference's quantiles.
        """
        return cls(np.unique(np.concatenate([score_edges(np.array([0.5])), np.arange(1, 500) / 500])))

    @classmethod
    def for_profile(cls, profile: Profile, score: str) -> ScoreBins:
        """Those of the reference: its label bins, else the quantiles of its score column, else the default.

        With label bins the estimate before labels (`estimated`) reads the same histogram.
        """
        if profile.labels is not None:
            return cls.for_labels(profile.labels)
        feature = profile.feature(score)
        if feature is None or not isinstance(feature.axis, Grid):
            return cls.default()
        counts, edges = feature.counts, feature.axis.edges
        if not isinstance(counts, NumericCounts) or not edges.size:
            return cls.default()
        if counts.minimum < 0.0 or counts.maximum > 1.0:
            return cls(np.unique(edges))
        return cls(np.unique(np.concatenate([edges, cls.default().edges])))

    @classmethod
    def for_labels(cls, labels: Labels) -> ScoreBins:
        """Those that a reference's labels were counted in: of scores, or of predictions (regression)."""
        return cls(labels.edges)
