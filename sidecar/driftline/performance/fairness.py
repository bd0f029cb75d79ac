"""Do groups fare alike? Rates per group, between groups, and against all rows.

Definitions are Fairlearn's; parity difference and impact ratio against the largest group are AIF360's. A
group of two rows makes any difference 1.0, so groups below a minimum are left out and named. A group without
positive labels has no true positive rate and is not compared by it (Fairlearn calls it 0).

What was predicted is known of every row, what is right only of labelled ones. Where a decision chooses who
gets a label (a loan that was refused never shows its outcome) selection rates of labelled rows say nothing:
so they are of all rows, and the two error rates of the labelled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TypeVar

from driftline.performance.aggregates import NOT_PREDICTED, POSITIVE, BinarySums, PredictionCounts
from driftline.performance.binary import Confusion, Metrics, confusion_metrics
from driftline.performance.estimate import Estimate, Undefined, between, undefined
from driftline.performance.intervals import LEVEL, design_effect, proportion
from driftline.performance.rates import Rate, difference, ratio

LEAST_ROWS = 100
"""Rows a group needs to be compared; of its error rates, labelled rows."""

_S = TypeVar("_S", BinarySums, PredictionCounts)

RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")


@dataclass(frozen=True, slots=True)
class GroupFairness:
    """One group. `spd`, `dir`: its selection rate less, and over, that of the largest group.

    `rows`: predictions; `metrics`: of the labelled ones, but for `selection_rate`.
    """

    rows: int
    metrics: Metrics
    spd: Estimate
    dir: Estimate


@dataclass(frozen=True, slots=True)
class Fairness:
    """`metrics` by name: `demographic_parity`, `equal_opportunity`, `equalized_odds`, each as `_difference`,
    `_ratio` and both `_to_overall`.

    `left_out`: groups with fewer rows than the minimum, with their rows. `largest`: what `spd` and `dir` are
    against.
    """

    groups: Mapping[str, GroupFairness]
    metrics: Metrics
    left_out: Mapping[str, int]
    largest: str | None


@dataclass(frozen=True, slots=True)
class GroupSums:
    """Rows of one group. `said`: all of them, labelled or not; None: those with a label are all."""

    labelled: BinarySums | None
    said: PredictionCounts | None = None

    def __add__(self, other: GroupSums) -> GroupSums:
        """Both together."""
        return GroupSums(_added(self.labelled, other.labelled), _added(self.said, other.said))

    @property
    def selected(self) -> Rate:
        """Rows with a positive prediction, of those with a prediction."""
        if self.said is not None:
            counts = self.said.counts
        elif self.labelled is not None:
            counts = self.labelled.counts
        else:
            return Rate(0, 0)
        effect = 1.0 if self.labelled is None else design_effect(self.labelled.errors)
        return Rate(counts[POSITIVE].sum().item(), counts[:NOT_PREDICTED].sum().item(), effect)


def fairness(
    groups: Mapping[str, GroupSums],
    overall: GroupSums | None = None,
    least_rows: int = LEAST_ROWS,
    comparisons: int = 1,
) -> Fairness:
    """Of the groups of one segment. `overall`: of all rows; None: the groups' sum, those left out included.

    Intervals of a difference between groups are Newcombe's for the two groups that lie farthest apart, at a
    level corrected for the number of pairs (Bonferroni): choosing the farthest two is no evidence. And for
    `comparisons`, the number of such differences (segments x thresholds) that are judged together.
    """
    least = max(1, least_rows)
    rows = {name: of.selected.n for name, of in groups.items()}
    kept = {name: of for name, of in groups.items() if rows[name] >= least}
    left_out = {name: round(rows[name]) for name in groups if name not in kept}
    whole = overall or _sum(groups)
    if whole is None or not kept:
        return Fairness({}, _none(Undefined.NO_ROWS), left_out, None)
    largest = max(kept, key=lambda name: rows[name])
    rates = {name: _rates(of, least) for name, of in kept.items()}
    metrics = _none(Undefined.TOO_FEW_GROUPS) if len(kept) < 2 else _between(rates, comparisons)
    metrics |= _to_overall(rates, _rates(whole), comparisons)
    return Fairness(
        {name: _group(of, rates[name], rates[largest], name == largest) for name, of in kept.items()},
        metrics,
        left_out,
        largest,
    )


def _group(
    of: GroupSums, rates: Mapping[str, Rate], largest: Mapping[str, Rate], is_largest: bool
) -> GroupFairness:
    mine, theirs = rates["selection_rate"], largest["selection_rate"]
    itself = Estimate(0.0, 0.0, 0.0, mine.n), Estimate(1.0, 1.0, 1.0, mine.n)
    spd, impact = itself if is_largest else (difference(mine, theirs), ratio(mine, theirs))
    found = confusion_metrics(_confusion(of), mine.effect)
    found["selection_rate"] = proportion(mine.hits, mine.n, mine.effect)
    return GroupFairness(round(mine.n), found, spd, impact)


def _confusion(of: GroupSums) -> Confusion:
    return Confusion(0, 0, 0, 0) if of.labelled is None else Confusion.of(of.labelled)


def _rates(of: GroupSums, least: int = 1) -> dict[str, Rate]:
    """Of fewer labelled rows than that no error rate."""
    c, selected = _confusion(of), of.selected
    if c.rows < least:
        c = Confusion(0, 0, 0, 0)
    return {
        "selection_rate": selected,
        "true_positive_rate": Rate(c.tp, c.tp + c.fn, selected.effect),
        "false_positive_rate": Rate(c.fp, c.fp + c.tn, selected.effect),
    }


def _added(a: _S | None, b: _S | None) -> _S | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _sum(groups: Mapping[str, GroupSums]) -> GroupSums | None:
    return reduce(add, groups.values()) if groups else None


def _none(reason: Undefined) -> Metrics:
    names = ("demographic_parity", "equal_opportunity", "equalized_odds")
    return {f"{name}_{kind}": undefined(reason) for name in names for kind in ("difference", "ratio")}


def _between(rates: Mapping[str, Mapping[str, Rate]], comparisons: int) -> Metrics:
    """The farthest two groups by each rate; equalized odds: the worse of both rates."""
    found = {name: _farthest([of[name] for of in rates.values()], comparisons) for name in RATES}
    return _named(found, "")


def _farthest(rates: list[Rate], comparisons: int) -> tuple[Estimate, Estimate]:
    """Largest less smallest, and smallest over largest, of the groups that have the rate."""
    held = sorted((rate for rate in rates if rate.n), key=lambda rate: rate.value)
    if len(held) < 2:
        missing = undefined(Undefined.TOO_FEW_GROUPS)
        return missing, missing
    level = 1 - (1 - LEVEL) / (math.comb(len(held), 2) * comparisons)
    # Apart from 0 in both groups, which is no difference at all, the largest rate is above 0.
    return difference(held[-1], held[0], level), ratio(held[0], held[-1], level)


def _to_overall(
    rates: Mapping[str, Mapping[str, Rate]], overall: Mapping[str, Rate], comparisons: int
) -> Metrics:
    """The group that lies farthest from all rows by each rate."""
    found = {
        name: _farthest_from([of[name] for of in rates.values()], overall[name], comparisons)
        for name in RATES
    }
    return _named(found, "_to_overall")


def _farthest_from(rates: list[Rate], overall: Rate, comparisons: int) -> tuple[Estimate, Estimate]:
    held = [rate for rate in rates if rate.n]
    if not held or not overall.n:
        missing = undefined(Undefined.NO_ROWS)
        return missing, missing
    level = 1 - (1 - LEVEL) / (len(held) * comparisons)
    farthest = max(held, key=lambda rate: abs(rate.value - overall.value))
    ratios = [ratio(*_smaller_first(rate, overall), level) for rate in held]
    defined = [found for found in ratios if found.value is not None]
    least = min(defined, key=lambda found: found.value or 0.0, default=ratios[0])
    return _from_whole(farthest, overall, level), least


def _smaller_first(a: Rate, b: Rate) -> tuple[Rate, Rate]:
    return (a, b) if a.value <= b.value else (b, a)


def _from_whole(part: Rate, whole: Rate, level: float) -> Estimate:
    """|part - whole|: the rest's share times the difference from the rest, which is independent."""
    rest = Rate(whole.hits - part.hits, whole.n - part.n, whole.effect)
    value = abs(part.value - whole.value)
    if rest.n <= 0 or not 0 <= rest.hits <= rest.n:
        return Estimate(value, n=whole.n, reason=Undefined.TOO_FEW_GROUPS)
    apart = difference(part, rest, level)
    share = rest.n / whole.n
    low, high = (share * (end or 0.0) for end in (apart.low, apart.high))
    if part.value < whole.value:
        low, high = -high, -low
    return between(value, low, high, whole.n, "newcombe", level)


def _named(found: Mapping[str, tuple[Estimate, Estimate]], suffix: str) -> Metrics:
    odds = (
        _worse(found["true_positive_rate"][0], found["false_positive_rate"][0], largest=True),
        _worse(found["true_positive_rate"][1], found["false_positive_rate"][1], largest=False),
    )
    by_name = {
        "demographic_parity": found["selection_rate"],
        "equal_opportunity": found["true_positive_rate"],
        "equalized_odds": odds,
    }
    return {
        f"{name}_{kind}{suffix}": pair[place]
        for name, pair in by_name.items()
        for place, kind in enumerate(("difference", "ratio"))
    }


def _worse(a: Estimate, b: Estimate, *, largest: bool) -> Estimate:
    """Of both rates' differences (the larger) or ratios (the smaller); undefined where either is."""
    if a.value is None or b.value is None:
        return a if a.value is None else b
    return a if (a.value >= b.value) == largest else b
