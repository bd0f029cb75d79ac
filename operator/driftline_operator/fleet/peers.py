"""Pods tested against each other: one that sees something else than the others is named. Pure.

Every pod's rows are kept as counts over the reference's deciles (or categories), for the last one to two
spans. A pod deviates in a feature where its population stability index against all others is large by the
monitor's own threshold, and a chi-squared test of homogeneity says that it isn't chance, after Holm's
correction for all pods and features. The test counts requests, not rows, where a request had several: rows
of one request are alike.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from driftline.grid import Grid
from driftline.spec import MonitorSpec
from numpy.typing import NDArray

from driftline_operator.fleet.layout import REQUESTS, ROWS, Layout, Places
from driftline_operator.fleet.packing import Unpacked

SPAN_SECONDS: Final = 1800
"""Half of what is compared: from half an hour to an hour of traffic."""
ALPHA: Final = 0.001
"""Chance of any false name in one comparison of all pods."""
MOST_NAMED: Final = 10
_MOST_CATEGORIES: Final = 50
_FLOOR: Final = 1e-4
"""Share below which a cell counts as this: PSI is unbounded otherwise."""

_APART_SECONDS: Final = 300
"""Pods whose times differ by less are of the same time."""

Shares = NDArray[np.float64]
Ints = NDArray[np.int64]


class Deviation(NamedTuple):
    """One pod's worst feature, against all other pods."""

    pod: str
    uid: str
    feature: str
    psi: float
    p: float
    """After Holm's correction."""
    rows: int


class _Pod:
    __slots__ = ("before", "last", "name", "now", "requests", "rows", "since")

    def __init__(self, name: str, cells: int, since: int) -> None:
        self.name = name
        self.now: Ints = np.zeros(cells, np.int64)
        self.before: Ints = np.zeros(cells, np.int64)
        self.rows = [0, 0]
        self.requests = [0, 0]
        self.since = since
        self.last = since


class Peers:
    """Of one monitor against one profile."""

    def __init__(self, layout: Layout, spec: MonitorSpec) -> None:
        self._layout = layout
        self._starts, self._bins, self._slices = _bins(layout)
        self._cells = max((part.stop for part in self._slices.values()), default=0)
        self.replace_policy(spec)
        self._pods: dict[str, _Pod] = {}
        self._turned = 0

    def replace_policy(self, spec: MonitorSpec) -> None:
        """Name pods by other thresholds."""
        self._threshold, self._least = spec.drift.thresholds.psi, spec.drift.min_rows

    def add(self, uid: str, name: str, place: tuple[int, int], pane: Unpacked) -> None:
        """A pane of that pod, with its start and length; one that is too old is left out."""
        if place[0] < (self._turned - 1) * SPAN_SECONDS:
            return
        pod = self._pods.get(uid)
        if pod is None:
            pod = self._pods[uid] = _Pod(name, self._cells, place[0])
        places, counts, _, _, rest = pane
        bins = self._bins[np.searchsorted(self._starts, places, side="right") - 1]
        inside = bins >= 0
        found = np.bincount(bins[inside], counts[inside], self._cells).astype(np.int64)
        for feature, new in rest.new.items():
            found[self._slices[feature].stop - 1] += sum(new.values())
        pod.now += found
        pod.rows[0] += int(counts[places == ROWS].sum())
        pod.requests[0] += int(counts[places == REQUESTS].sum())
        pod.since, pod.last = min(pod.since, place[0]), max(pod.last, sum(place))

    def settle(self, now: float) -> None:
        """Let what is older than two spans go."""
        turn = int(now) // SPAN_SECONDS
        if turn <= self._turned:
            return
        away, self._turned = turn - self._turned > 1, turn
        for uid, pod in list(self._pods.items()):
            pod.before, pod.now = pod.now, np.zeros(self._cells, np.int64)
            pod.rows, pod.requests = [0, pod.rows[0]], [0, pod.requests[0]]
            if away or not pod.rows[1]:
                del self._pods[uid]

    def deviations(self) -> list[Deviation]:
        """The pods that deviate, worst first, each with its worst feature; of two pods or more.

        The worst is named and taken out before the others are compared again: it is a part of what they are
        compared with. Of two that differ nobody can say which is odd: both are named.
        """
        pool = self._comparable()
        named: list[Deviation] = []
        while len(pool) > 1 and len(named) < MOST_NAMED:
            found = self._deviating(pool)
            if not found:
                break
            named += found if len(pool) == 2 else found[:1]
            for each in found if len(pool) == 2 else found[:1]:
                del pool[each.uid]
        return named

    def _comparable(self) -> dict[str, _Pod]:
        """Pods with rows enough, all of the same time: who came later saw another part of the day."""
        first = min((pod.since for pod in self._pods.values()), default=0)
        newest = max((pod.last for pod in self._pods.values()), default=0)
        first = max(first, (self._turned - 1) * SPAN_SECONDS)
        return {
            uid: pod
            for uid, pod in self._pods.items()
            if sum(pod.rows) >= self._least
            and pod.since <= first + _APART_SECONDS
            and pod.last >= newest - _APART_SECONDS
        }

    def _deviating(self, pool: dict[str, _Pod]) -> list[Deviation]:
        """Every pod that deviates from all others of the pool, worst first."""
        counts = np.array([pod.now + pod.before for pod in pool.values()], np.float64)
        weights = np.array([sum(pod.requests) / max(1, sum(pod.rows)) for pod in pool.values()])
        found: list[tuple[float, float, str, str]] = []
        for feature, part in self._slices.items():
            psi, p = compare(counts[:, part], weights)
            found += [(p[i], psi[i], uid, feature) for i, uid in enumerate(pool)]
        named: dict[str, Deviation] = {}
        worst = 0.0
        for rank, (p_value, psi_value, uid, feature) in enumerate(sorted(found)):
            worst = max(worst, min(1.0, p_value * (len(found) - rank)))  # Holm, 1979
            if worst > ALPHA:
                break
            if psi_value >= self._threshold and (uid not in named or psi_value > named[uid].psi):
                pod = pool[uid]
                named[uid] = Deviation(pod.name, uid, feature, float(psi_value), worst, sum(pod.rows))
        return sorted(named.values(), key=lambda each: -each.psi)


def compare(counts: Shares, weights: Shares) -> tuple[Shares, Shares]:
    """Each pod against the sum of the others: PSI and p-value, shape (pods,). `counts`: (pods, cells).

    `weights`: by how much each pod's rows are worth less than independent ones, in (0, 1].
    Pearson's test of homogeneity of two samples, cells that are empty in both left out.
    """
    total = counts.sum(axis=0)
    others = total - counts
    own_rows, other_rows = counts.sum(axis=1), others.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mine = np.maximum(counts / own_rows[:, None], _FLOOR)
        theirs = np.maximum(others / other_rows[:, None], _FLOOR)
        psi = ((mine - theirs) * np.log(mine / theirs)).sum(axis=1)
        own, rest = counts * weights[:, None], others * weights[:, None]
        cells = own + rest
        expected = cells * (own.sum(axis=1) / cells.sum(axis=1))[:, None]
        expected_rest = cells - expected
        terms = (own - expected) ** 2 / expected + (rest - expected_rest) ** 2 / expected_rest
        statistic = np.where(cells > 0, terms, 0.0).sum(axis=1)
    freedom = (cells > 0).sum(axis=1) - 1
    usable = (own_rows > 0) & (other_rows > 0) & (freedom > 0)
    p = np.where(usable, chi2_sf(np.where(usable, statistic, 0.0), np.maximum(freedom, 1)), 1.0)
    return np.where(usable, psi, 0.0), p


def chi2_sf(x: Shares, freedom: Ints) -> Shares:
    """P(X > x) for chi-squared with whole degrees of freedom from 1 on: shapes (n,), x >= 0.

    The finite sums of Abramowitz and Stegun 26.4.4 and 26.4.5: all terms are positive. SciPy's is no more
    exact, and takes 30 MB.
    """
    half, odd = x / 2, freedom % 2
    root = np.sqrt(half)
    term = np.exp(-half) * np.where(odd, 2 * root / math.sqrt(math.pi), 1.0)
    total = np.where(odd, [math.erfc(each) for each in root], 0.0)
    for step in range(int(freedom.max(initial=1)) // 2):
        total = total + np.where(step < freedom // 2, term, 0.0)
        term = term * half / (step + np.where(odd, 1.5, 1.0))
    return np.minimum(total, 1.0)


def _bins(layout: Layout) -> tuple[Places, Places, dict[str, slice]]:
    """From which place among a layout's ints on which bin is counted in, -1: none; each feature's bins.

    Of a numeric one those between the reference's deciles; of a categorical one the categories, and one
    for all others.
    """
    found = {0: -1}
    slices: dict[str, slice] = {}
    at = 0
    for name, axis in layout.axes.items():
        cells = layout.cells[name]
        if isinstance(axis, Grid):
            own = [0, *(2 * axis.decile_index + 2).tolist()]
        else:
            own = list(range(min(len(axis.known), _MOST_CATEGORIES + 1)))
        size = len(own) if isinstance(axis, Grid) else min(len(axis.known), _MOST_CATEGORIES) + 1
        found |= {cells.start + place: at + number for number, place in enumerate(own)}
        found.setdefault(cells.stop, -1)
        if not isinstance(axis, Grid):
            others = layout.others(name).start  # other, and new ones without a name
            found |= {others: at + size - 1, others + 2: -1}
        slices[name] = slice(at, at + size)
        at += size
    starts = sorted(found)
    return np.array(starts), np.array([found[start] for start in starts], np.int32), slices
