"""How many independent rows a window's rows are worth, when rows come in requests.

Rows of one request resemble each other (one customer, one flight's passengers), so n rows hold less
than n rows' information. The unit is the request: the variance of a mean estimated *between requests*
over the variance n independent rows would give is the design effect; effective rows = rows / effect.
(Kish 1965 for means; Rao and Scott 1981, first-order, for tables: the mean of the proportions' effects.)

Sums over requests are kept as the *excess* over what single-row requests would add. So single-row
requests cost nothing and give exactly 1, and panes merge by addition.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.columns import Codes, Floats
from driftline.counts import CategoricalCounts, ColumnCounts, NumericCounts
from driftline.errors import IncompatiblePanes

Integers = NDArray[np.int64]


class NumericClusters(msgspec.Struct, frozen=True):
    """A numeric column. Per request r: m its valid rows, s the sum of its centred ranks u - 1/2."""

    rows: int = 0
    """Sum of m - 1."""
    sizes: int = 0
    """Sum of m^2 - m."""
    products: float = 0.0
    """Sum of (m - 1) s."""
    squares: float = 0.0
    """Sum of s^2 - (sum of the rows' squares)."""

    def __add__(self, other: NumericClusters) -> NumericClusters:
        """Both panes' requests together; a request never spans two panes."""
        return NumericClusters(
            self.rows + other.rows,
            self.sizes + other.sizes,
            self.products + other.products,
            self.squares + other.squares,
        )


class CategoricalClusters(msgspec.Struct, frozen=True, eq=False):
    """A categorical column. Per request r: m its valid rows, s_j its rows of category j."""

    rows: int
    """Sum of m - 1."""
    sizes: int
    """Sum of m^2 - m."""
    squares: Integers
    """int64 (k + 2,): per known category, then other, then new: sum of s_j^2 - s_j."""

    def __add__(self, other: CategoricalClusters) -> CategoricalClusters:
        """Both panes' requests together."""
        if self.squares.shape != other.squares.shape:
            raise IncompatiblePanes("clusters of unlike categories don't merge")
        return CategoricalClusters(
            self.rows + other.rows, self.sizes + other.sizes, self.squares + other.squares
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CategoricalClusters):
            return NotImplemented
        return (self.rows, self.sizes) == (other.rows, other.sizes) and np.array_equal(
            self.squares, other.squares
        )

    __hash__ = None  # type: ignore[assignment]


Clusters = NumericClusters | CategoricalClusters


def numeric_clusters(scores: Floats, request: Codes) -> NumericClusters:
    """`scores`: centred ranks of the valid rows; `request`: the request of each row, non-decreasing."""
    if len(scores) == 0:
        return NumericClusters()
    starts = _starts(request)
    sizes = np.diff(np.append(starts, len(request)))
    sums = np.add.reduceat(scores, starts)
    return NumericClusters(
        rows=int((sizes - 1).sum()),
        sizes=int((sizes * (sizes - 1)).sum()),
        products=float(((sizes - 1) * sums).sum()),
        squares=float((sums**2).sum() - (scores**2).sum()),
    )


def categorical_clusters(bins: Integers, request: Codes, width: int) -> CategoricalClusters:
    """`bins`: of the valid rows, in [0, width); `request`: the request of each, non-decreasing."""
    if len(bins) == 0:
        return CategoricalClusters(0, 0, np.zeros(width, np.int64))
    sizes = np.diff(np.append(_starts(request), len(request)))
    pairs, repeats = np.unique(request.astype(np.int64) * width + bins, return_counts=True)
    squares = np.zeros(width, np.int64)
    np.add.at(squares, pairs % width, repeats * (repeats - 1))
    return CategoricalClusters(int((sizes - 1).sum()), int((sizes * (sizes - 1)).sum()), squares)


def design_effect(counts: ColumnCounts, clusters: Clusters | None, ranks: Floats | None = None) -> float:
    """The design effect of a column's window; exactly 1 where every request has one valid row.

    `ranks`: the grid's (`Grid.ranks` of the reference), needed for numeric columns. Below 1 is
    possible (rows of a request that differ more than chance); 1 where it can't be told (one request).
    """
    if clusters is None or clusters.sizes == 0:
        return 1.0
    rows = counts.valid
    requests = rows - clusters.rows
    if requests < 2:
        return 1.0
    # R / (R - 1) of the between-request variance against n / (n - 1) of the rows' own.
    small_sample = requests / (requests - 1) * (rows - 1) / rows
    if isinstance(counts, NumericCounts) and isinstance(clusters, NumericClusters):
        if ranks is None:
            raise ValueError("the design effect of a numeric column needs the grid's ranks")
        return small_sample * _numeric_ratio(counts, clusters, ranks)
    if isinstance(counts, CategoricalCounts) and isinstance(clusters, CategoricalClusters):
        return small_sample * _categorical_ratio(counts, clusters)
    raise ValueError("counts and clusters are of unlike columns")


def effective_rows(counts: ColumnCounts, clusters: Clusters | None, ranks: Floats | None = None) -> float:
    """Valid rows over the design effect, which counts as 1 where it is less: requests never add rows."""
    return counts.valid / max(1.0, design_effect(counts, clusters, ranks))


def _numeric_ratio(counts: NumericCounts, clusters: NumericClusters, ranks: Floats) -> float:
    """Sum of (s - mean m)^2 over requests, against the rows' own sum of (u - mean)^2."""
    scores = ranks - 0.5
    n = counts.valid
    mean = float(counts.counts @ scores) / n
    own = float(counts.counts @ (scores - mean) ** 2)
    if own <= 0:
        return 1.0
    excess = clusters.squares - 2 * mean * clusters.products + mean**2 * clusters.sizes
    return max(0.0, (own + excess) / own)


def _categorical_ratio(counts: CategoricalCounts, clusters: CategoricalClusters) -> float:
    """Sum over categories of (sum of (s_j - p_j m)^2) / p_j, against n (k - 1), its value for single rows."""
    held = np.append(counts.known, [counts.other, counts.new_rows])
    seen = held > 0
    n = counts.valid
    own = n * (int(seen.sum()) - 1)
    if own <= 0:
        return 1.0
    excess = float((clusters.squares[seen] / (held[seen] / n)).sum()) - clusters.sizes
    return max(0.0, (own + excess) / own)


def _starts(request: Codes) -> NDArray[np.intp]:
    """The first row of each request."""
    return np.flatnonzero(np.append(True, request[1:] != request[:-1]))
