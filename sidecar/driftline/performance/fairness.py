"""Do groups fare alike? Rates per group, between groups, and against all rows.

Definitions are Fairlearn's; parity difference and impact ratio against the largest group are AIF360's. A
group of two rows makes any difference 1.0, so groups below a minimum are left out and named. A group without
positive labels has no true positive rate and is not compared by it (Fairlearn calls it 0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from driftline.performance.aggregates import BinarySums
from driftline.performance.binary import Confusion, Metrics, confusion_metrics
from driftline.performance.estimate import Estimate, Undefined, between, undefined
from driftline.performance.intervals import LEVEL, design_effect
from driftline.performance.rates import Rate, difference, ratio

LEAST_ROWS = 100
"""Labelled rows a group needs to be compared."""

RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")


@dataclass(frozen=True, slots=True)
class GroupFairness:
    """One group. `spd`, `dir`: its selection rate less, and over, that of the largest group."""

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


def fairness(
    groups: Mapping[str, BinarySums], overall: BinarySums | None = None, least_rows: int = LEAST_ROWS
) -> Fairness:
    """Of the groups of one segment. `overall`: of all rows; None: the groups' sum, those left out included.

    Intervals of a difference between groups are Newcombe's for the two groups that lie farthest apart, at a
    level corrected for the number of pairs (Bonferroni): choosing the farthest two is no evidence.
    """
    kept = {name: of for name, of in groups.items() if _predicted(of) >= max(1, least_rows)}
    left_out = {name: _predicted(of) for name, of in groups.items() if name not in kept}
    whole = overall or _sum(groups)
    if whole is None or not kept:
        return Fairness({}, _none(Undefined.NO_ROWS), left_out, None)
    largest = max(kept, key=lambda name: _predicted(kept[name]))
    rates = {name: _rates(of) for name, of in kept.items()}
    of_all = _rates(whole)
    metrics = _none(Undefined.TOO_FEW_GROUPS) if len(kept) < 2 else _between(rates)
    metrics |= _to_overall(rates, of_all)
    return Fairness(
        {name: _group(of, rates[name], rates[largest], name == largest) for name, of in kept.items()},
        metrics,
        left_out,
        largest,
    )


def _group(
    of: BinarySums, rates: Mapping[str, Rate], largest: Mapping[str, Rate], is_largest: bool
) -> GroupFairness:
    mine, theirs = rates["selection_rate"], largest["selection_rate"]
    effect = design_effect(of.errors)
    itself = Estimate(0.0, 0.0, 0.0, mine.n), Estimate(1.0, 1.0, 1.0, mine.n)
    spd, impact = itself if is_largest else (difference(mine, theirs), ratio(mine, theirs))
    return GroupFairness(round(mine.n), confusion_metrics(Confusion.of(of), effect), spd, impact)


def _rates(of: BinarySums) -> dict[str, Rate]:
    c, effect = Confusion.of(of), design_effect(of.errors)
    return {
        "selection_rate": Rate(c.tp + c.fp, c.rows, effect),
        "true_positive_rate": Rate(c.tp, c.tp + c.fn, effect),
        "false_positive_rate": Rate(c.fp, c.fp + c.tn, effect),
    }


def _predicted(of: BinarySums) -> int:
    return int(of.counts[:2].sum())


def _sum(groups: Mapping[str, BinarySums]) -> BinarySums | None:
    whole: BinarySums | None = None
    for of in groups.values():
        whole = of if whole is None else whole + of
    return whole


def _none(reason: Undefined) -> Metrics:
    names = ("demographic_parity", "equal_opportunity", "equalized_odds")
    return {f"{name}_{kind}": undefined(reason) for name in names for kind in ("difference", "ratio")}


def _between(rates: Mapping[str, Mapping[str, Rate]]) -> Metrics:
    """The farthest two groups by each rate; equalized odds: the worse of both rates."""
    found = {name: _farthest([of[name] for of in rates.values()]) for name in RATES}
    return _named(found, "")


def _farthest(rates: list[Rate]) -> tuple[Estimate, Estimate]:
    """Largest less smallest, and smallest over largest, of the groups that have the rate."""
    held = sorted((rate for rate in rates if rate.n), key=lambda rate: rate.value)
    if len(held) < 2:
        missing = undefined(Undefined.TOO_FEW_GROUPS)
        return missing, missing
    level = 1 - (1 - LEVEL) / len(list(combinations(held, 2)))
    # Apart from 0 in both groups, which is no difference at all, the largest rate is above 0.
    return difference(held[-1], held[0], level), ratio(held[0], held[-1], level)


def _to_overall(rates: Mapping[str, Mapping[str, Rate]], overall: Mapping[str, Rate]) -> Metrics:
    """The group that lies farthest from all rows by each rate."""
    found = {name: _farthest_from([of[name] for of in rates.values()], overall[name]) for name in RATES}
    return _named(found, "_to_overall")


def _farthest_from(rates: list[Rate], overall: Rate) -> tuple[Estimate, Estimate]:
    held = [rate for rate in rates if rate.n]
    if not held or not overall.n:
        missing = undefined(Undefined.NO_ROWS)
        return missing, missing
    level = 1 - (1 - LEVEL) / len(held)
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
