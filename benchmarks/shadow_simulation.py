"""Measures the shadow gate: false promotions and rejections at the boundary, and pairs until a verdict.

    python -m benchmarks.shadow_simulation [--out docs/shadow-verdicts.md] [--scale 1.0]

2,000 runs of up to 100,000 pairs each; a minute on two cores. The true value lies *at* the limit,
where a false verdict is likeliest. Every verdict uses the sequences themselves: of a share by the counts that
prove it, of means by their bets. `--scale 0.1` runs a tenth.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from driftline.shadow.sequences.binary import log_evidence_above, log_evidence_below
from driftline.shadow.sequences.blocks import EVENTS, Blocks, block, blocks_bound
from driftline.shadow.sequences.bounded import log_bets_below, log_mixture
from driftline.shadow.values import Values
from driftline.tails import log_beta
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALPHA = 0.05
HORIZON = 100_000
RUNS = 2_000
LIMIT = 0.02
DAYS = 7
SINGLE = 1_000
"""Pairs after each of which means are looked at."""


@dataclass(frozen=True)
class Errors:
    """Of so many runs, how many said falsely that the value is below the limit, and above it."""

    name: str
    looks: str
    runs: int
    passed: int
    rejected: int

    @property
    def allowed(self) -> float:
        """alpha + 3 sqrt(alpha (1 - alpha) / runs): what a sound sequence stays below but once in 700."""
        return ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / self.runs)

    @property
    def sound(self) -> bool:
        """Neither error is above what is allowed."""
        return max(self.passed, self.rejected) <= self.allowed * self.runs


def looks_at() -> Ints:
    """When means are looked at: every one of the first 1,000 pairs, then a thousand times, 0.46 % apart."""
    later = np.geomspace(SINGLE + 1, HORIZON, 1_000).astype(int)
    return np.unique(np.concatenate([np.arange(1, SINGLE + 1), later]))


# ---- shares: counts that prove, at every single pair ----


@cache
def boundaries(limit: float, horizon: int = HORIZON) -> tuple[Ints, Ints]:
    """For n = 1 .. horizon: the most disagreements that prove "below", the fewest that prove "above".

    `most_below` and `least_above` of each n (a test says so), found at the few n where they change.
    """
    n = np.arange(1, horizon + 1)
    firsts: list[int] = []  # of k = 0, 1, ...: the first n that proves "below"
    while not firsts or firsts[-1] <= horizon:
        k = len(firsts)
        firsts.append(_first(partial(_proves_below, k, limit), max([k, 1, *firsts[-1:]])))
    lasts: list[int] = []  # of k = 0, 1, ...: the last n of which k still prove "above"
    while not lasts or lasts[-1] < horizon:
        k = len(lasts)
        least = max([k, *lasts[-1:]])
        lasts.append(_first(partial(_leaves_open, k, limit), least) - 1)
    return np.searchsorted(firsts, n, side="right") - 1, np.searchsorted(lasts, n)


def _proves_below(k: int, limit: float, n: int) -> bool:
    return log_evidence_below(n, k, limit) >= -math.log(ALPHA)


def _leaves_open(k: int, limit: float, n: int) -> bool:
    return log_evidence_above(n, k, limit) < -math.log(ALPHA)


def _first(true: Callable[[int], bool], start: int) -> int:
    """The least n from `start` on for which it holds, where it holds ever after."""
    step, low = 1, start - 1
    while not true(low + step):
        low, step = low + step, 2 * step
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if true(middle) else (middle, high)
    return high


def binary(rng: np.random.Generator, runs: int) -> Errors:
    """One row a request, disagreement at the limit, a look after every pair."""
    edges = boundaries(LIMIT)
    found = [_proofs(_hits(rng, LIMIT), *edges) for _ in range(runs)]
    passed, rejected = (sum(at <= HORIZON for at in side) for side in zip(*found, strict=True))
    return Errors("binary, 2 % disagree", "every pair", runs, passed, rejected)


def _hits(rng: np.random.Generator, share: float) -> Ints:
    """The numbers (from 1) of the pairs that disagree, ascending, int64: their gaps are geometric."""
    likely = share * HORIZON
    gaps = rng.geometric(share, int(likely + 10 * math.sqrt(likely) + 20))
    hits = np.cumsum(gaps)
    assert hits[-1] > HORIZON, "once in 10^23"
    return hits[hits <= HORIZON]


def _proofs(hits: Ints, below: Ints, above: Ints) -> tuple[int, int]:
    """After how many pairs "below" and "above" are first proven; more than all: never.

    The count stands still from one hit to the next, and more pairs prove more of "below", fewer of "above":
    "above" is proven at a hit or not before the next one, "below" from some pair between two hits on.
    """
    horizon, counts = len(below), np.arange(len(hits) + 1)
    firsts = np.maximum(np.searchsorted(below, counts) + 1, np.append(1, hits))
    proven = firsts < np.append(hits, horizon + 1)
    beyond = counts[1:] >= above[hits - 1]
    return (
        int(firsts[proven.argmax()]) if proven.any() else horizon + 1,
        int(hits[beyond.argmax()]) if beyond.any() else horizon + 1,
    )


def peeking(rng: np.random.Generator, runs: int) -> Errors:
    """What a fixed-sample normal interval would do under the same looks, from 100 pairs on.

    Where the count stands still both its ends fall: it is enough to look at each hit and before the next.
    """
    passed = rejected = 0
    for _ in range(runs):
        hits = _hits(rng, LIMIT)
        n = np.unique(np.concatenate([[100, HORIZON], hits, hits - 1]))
        n = n[n >= 100]
        share = np.searchsorted(hits, n, side="right") / n
        radius = 1.645 * np.sqrt(share * (1 - share) / n)
        passed += bool(((share > 0) & (share + radius < LIMIT)).any())
        rejected += bool(((share > 0) & (share - radius > LIMIT)).any())
    return Errors("binary, naive peeking instead", "every pair", runs, passed, rejected)


# ---- means: bets ----

Draw = Callable[[np.random.Generator], tuple[Ints, Floats]]


@dataclass(frozen=True)
class Means:
    """Draws a run's request means within +-1 (or 0 to 1 without signs) whose true mean is `mean`.

    `draw`: of the requests whose value isn't 0, the numbers from 0, ascending, and the values.
    """

    name: str
    mean: float
    signed: bool
    draw: Draw


def means(case: Means, rng: np.random.Generator, runs: int) -> Errors:
    """Looks at each of the first 1,000 pairs, then 1,000 times more; values on the grid as `Values` has."""
    ends = looks_at()
    bets = np.hstack([_rounded_bets(case, sign) for sign in (1, -1)])
    wanted = -math.log(ALPHA)
    errors = [0, 0]
    for _ in range(runs):
        capital = _capital(case, rng, ends, bets)
        for side, of_side in enumerate(np.split(capital, 2, axis=1)):
            errors[side] += bool((log_mixture(_high(of_side, wanted)) >= wanted).any())
    return Errors(case.name, "1,000 pairs, then each 0.46 %", runs, *errors)


def _high(capital: Floats, wanted: float) -> Floats:
    """The looks at which any bet has so much: a mixture has no more than its best one."""
    high: Floats = capital[capital.max(axis=1) >= wanted]
    return high


def _rounded_bets(case: Means, sign: int) -> Floats:
    """Log of the bets on each point of the grid, against a mean on the other side of the true one."""
    points = Values.empty(1.0, signed=case.signed).points
    high = 1.0 if sign > 0 else -float(points[0])
    return log_bets_below(sign * points, sign * case.mean, high)


def _capital(case: Means, rng: np.random.Generator, ends: Ints, bets: Floats) -> Floats:
    """Log capital at each look, float64 (looks, bets); `bets`: on each point of the grid."""
    points = Values.empty(1.0, signed=case.signed).points
    numbers, values = case.draw(rng)
    seen = np.searchsorted(numbers, ends)
    idle = np.multiply.outer(ends - seen, bets[np.searchsorted(points, 0.0)])
    if len(values) < len(ends):
        found: Floats = idle + _sums(_each(points, values, bets))[seen]
        return found
    few = int(seen[SINGLE - 1])
    first = _sums(_each(points, values[:few], bets))
    later = _counted(points, values[few:], seen[SINGLE:] - few) @ bets
    whole: Floats = idle + np.vstack([first[seen[:SINGLE]], first[-1] + later.cumsum(axis=0)])
    return whole


def _sums(of_each: Floats) -> Floats:
    """Of the first 0, 1, 2, ... rows, float64 (rows + 1, bets)."""
    return np.vstack([np.zeros(of_each.shape[1]), of_each.cumsum(axis=0)])


def _each(points: Floats, values: Floats, bets: Floats) -> Floats:
    """What each value adds to the capitals, float64 (values, bets)."""
    cells, above = _split(points, values)
    found: Floats = (1 - above)[:, None] * bets[cells] + above[:, None] * bets[cells + 1]
    return found


def _counted(points: Floats, values: Floats, ends: Ints) -> Floats:
    """Weights on the grid's points of what comes between two looks, float64 (looks, points)."""
    cells, above = _split(points, values)
    at = np.repeat(np.arange(len(ends)) * len(points), np.diff(ends, prepend=0)) + cells
    size = len(ends) * len(points)
    whole = np.bincount(at, minlength=size).astype(np.float64)
    upper = np.bincount(at, weights=above, minlength=size)
    whole -= upper
    whole[1:] += upper[:-1]
    return whole.reshape(len(ends), len(points))


def _split(points: Floats, values: Floats) -> tuple[Ints, Floats]:
    """Of each value the point below it, and the share that goes to the next one."""
    cells = np.clip(np.searchsorted(points, values, side="right") - 1, 0, len(points) - 2)
    return cells, (values - points[cells]) / (points[cells + 1] - points[cells])


def heavy(rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Differences of a regression: Student's t with 2 degrees of freedom, clipped at 50 of its scale."""
    u = rng.random(HORIZON)
    with np.errstate(divide="ignore"):
        return np.arange(HORIZON), np.clip((2 * u - 1) / np.sqrt(2 * u * (1 - u)), -50, 50) / 50


def rare(rng: np.random.Generator) -> tuple[Ints, Floats]:
    """99.9 % zeros; the others exponential and one-sided, up to the clip."""
    hits = _hits(rng, 0.001) - 1
    return hits, np.minimum(rng.exponential(0.5, len(hits)), 1.0)


def fifty_rows(rng: np.random.Generator, rate: float = LIMIT) -> tuple[Ints, Floats]:
    """Requests of 50 rows that resemble each other: each one's rate is Beta, intra-class correlation .3."""
    none, *rest = _fifty(rate)
    hits = _hits(rng, 1 - none) - 1
    return hits, (np.searchsorted(rest, none + (1 - none) * rng.random(len(hits))) + 1) / 50


@cache
def _fifty(rate: float) -> Floats:
    """The distribution function of how many of 50 rows disagree: beta-binomial, its mean the rate."""
    a, b = rate * (1 / 0.3 - 1), (1 - rate) * (1 / 0.3 - 1)
    logs = [math.log(math.comb(50, k)) + log_beta(k + a, 50 - k + b) - log_beta(a, b) for k in range(50)]
    return np.cumsum(np.exp(logs))


CASES = (
    Means("heavy tails, signed deltas (t with 2 df)", 0.0, True, heavy),
    Means("99.9 % zero deltas", 0.001 * 0.5 * (1 - math.exp(-2)), True, rare),
    Means("50-row requests, ICC .3", LIMIT, False, fifty_rows),
)


# ---- hours of the day ----


def rates_of_a_day(pairs: int) -> Floats:
    """The disagreement of each pair of a day: 2 % on average, from .4 % at night to 3.6 % at noon."""
    return LIMIT * (1 - 0.8 * np.cos(2 * np.pi * (np.arange(pairs) + 0.5) / pairs))


def daily(rng: np.random.Generator, runs: int, *, whole_days: bool) -> Errors:
    """Seven days within the horizon, one row a request. Looks at each day's end, or after every pair."""
    ends = HORIZON // DAYS * np.arange(1, DAYS + 1)
    below, above = (edge[: ends[-1]] for edge in boundaries(LIMIT))
    passed = rejected = 0
    for _ in range(runs):
        hits = _hits_of_days(rng)
        if whole_days:
            counts = np.searchsorted(hits, ends, side="right")
            passed += bool((counts <= below[ends - 1]).any())
            rejected += bool((counts >= above[ends - 1]).any())
        else:
            first_below, first_above = _proofs(hits, below, above)
            passed += first_below <= ends[-1]
            rejected += first_above <= ends[-1]
    name = "disagreement of .4 to 3.6 % over the day"
    looked = "ends of whole days" if whole_days else "every pair (the gate doesn't)"
    return Errors(name, looked, runs, passed, rejected)


def _hits_of_days(rng: np.random.Generator) -> Ints:
    """As `_hits`, at each hour's own rate: of hits at the highest rate so many are kept."""
    day = HORIZON // DAYS
    rates = rates_of_a_day(day)
    hits = _hits(rng, float(rates.max()))
    hits = hits[hits <= day * DAYS]
    kept: Ints = hits[rng.random(len(hits)) * rates.max() < rates[(hits - 1) % day]]
    return kept


def early(rng: np.random.Generator, runs: int) -> Errors:
    """The same days against three times the limit after every pair: what rejects before a day is whole."""
    length = HORIZON // DAYS * DAYS
    edges = [edge[:length] for edge in boundaries(3 * LIMIT)]
    rejected = sum(_proofs(_hits_of_days(rng), *edges)[1] <= length for _ in range(runs))
    return Errors("the same, three times the limit", "every pair", runs, 0, rejected)


# ---- power ----


@dataclass(frozen=True)
class Power:
    """Pairs until the verdict, over runs; `never`: runs without one within the horizon."""

    name: str
    mean: float
    median: float
    ninetieth: float
    never: int


def until(name: str, truth: float, rng: np.random.Generator, runs: int, *, below: bool) -> Power:
    """How many pairs it takes to prove that `truth` is below (or above) the limit."""
    edges, never = boundaries(LIMIT), HORIZON + 1
    none = np.array([], np.int64)
    proofs = [_proofs(_hits(rng, truth) if truth else none, *edges) for _ in range(runs)]
    return _power(name, np.array([min(each[0 if below else 1], never) for each in proofs]))


def until_small(case: Means, limit: float, rng: np.random.Generator, runs: int) -> Power:
    """How many pairs it takes to prove that a mean is below the limit; at the looks of `means`."""
    ends = looks_at()
    bet = log_bets_below(Values.empty(1.0, signed=case.signed).points, limit, 1.0)
    taken = []
    for _ in range(runs):
        proven = log_mixture(_capital(case, rng, ends, bet)) >= -math.log(ALPHA)
        taken.append(int(ends[np.argmax(proven)]) if proven.any() else HORIZON + 1)
    return _power(case.name, np.array(taken))


def _power(name: str, times: Ints) -> Power:
    never = int((times > HORIZON).sum())
    return Power(name, float(times.mean()), float(np.median(times)), float(np.quantile(times, 0.9)), never)


# ---- AUC: blocks that are taken for normal ----


def ranking(runs: int, loss: float = 0.01, blocks: int = 100) -> Errors:
    """The candidate is the live model, but for few positives that it ranks last: blocks are far from normal.

    Its own stream of numbers, so that it can be run alone.
    """
    rng = np.random.default_rng(20261129)
    apart = 2.5
    lost = loss / (0.5 + 0.5 * math.erf(apart / 2))
    passed = rejected = 0
    for _ in range(runs):
        total, proven = Blocks(), [False, False]
        for _ in range(blocks):
            live, negatives = rng.normal(apart, 1, EVENTS), rng.normal(0, 1, EVENTS)
            candidate = np.where(rng.random(EVENTS) < lost, -10.0, live)
            sides = (np.append(side, negatives) for side in (live, candidate))
            total = total.plus(block(np.arange(2 * EVENTS) < EVENTS, *sides) or Blocks())
            bound = blocks_bound(total)
            proven = [proven[0] or -bound.lower <= loss, proven[1] or -bound.upper > loss]
        passed, rejected = passed + proven[0], rejected + proven[1]
    name = f"AUC, a loss of {100 * loss:g} % in few positives (approximate)"
    return Errors(name, f"each of {blocks} blocks", runs, passed, rejected)


def errors(rng: np.random.Generator, runs: int) -> Iterator[Errors]:
    """Every line of the table of errors."""
    yield binary(rng, runs)
    for case in CASES:
        yield means(case, rng, runs)
    yield daily(rng, runs, whole_days=True)
    yield early(rng, runs)
    yield ranking(runs)
    yield daily(rng, runs, whole_days=False)
    yield peeking(rng, runs)


def powers(rng: np.random.Generator, runs: int) -> Iterator[Power]:
    """Every line of the table of times."""
    yield until("passes: truth 1 %", 0.01, rng, runs, below=True)
    yield until("passes: truth 0.5 %", 0.005, rng, runs, below=True)
    yield until("passes: never disagrees", 0.0, rng, 1, below=True)
    yield until("rejects: truth 4 %", 0.04, rng, runs, below=False)
    yield until("rejects: truth 7 %", 0.07, rng, runs, below=False)
    yield from powers_of_means(max(20, runs // 10))


def powers_of_means(runs: int) -> Iterator[Power]:
    """Those lines of it that bets decide; their own stream of numbers, so that they can be run alone."""
    rng = np.random.default_rng(20261128)
    half = Means("passes: 50-row requests, ICC .3, truth 1 %", 0.01, False, partial(fifty_rows, rate=0.01))
    yield until_small(half, LIMIT, rng, runs)
    yield until_small(
        replace(CASES[0], name="passes: heavy tails, mean 0, limit 2 % of the clip"), LIMIT, rng, runs
    )
    yield until_small(replace(CASES[1], name="passes: 99.9 % zeros, limit 1 % of the clip"), 0.01, rng, runs)


def tables(scale: float) -> Iterator[str]:
    """Both tables as Markdown lines."""
    rng = np.random.default_rng(20261127)
    runs = max(50, int(RUNS * scale))
    yield "| value at its limit | looks | runs | false passes | false rejections | allowed | |"
    yield "|---|---|---:|---:|---:|---:|---|"
    for e in errors(rng, runs):
        mark = "sound" if e.sound else "**unsound**"
        yield (
            f"| {e.name} | {e.looks} | {e.runs:,} | {e.passed / e.runs:.4f} | {e.rejected / e.runs:.4f} "
            f"| {e.allowed:.4f} | {mark} |"
        )
    yield ""
    yield "| until proven; limit 2 % unless said | pairs, mean | median | 90th percentile | never |"
    yield "|---|---:|---:|---:|---:|"
    for p in powers(rng, runs):
        yield f"| {p.name} | {p.mean:,.0f} | {p.median:,.0f} | {p.ninetieth:,.0f} | {p.never} |"


START, END = "<!-- tables: benchmarks/shadow_simulation.py -->", "<!-- end of tables -->"


def main() -> None:
    """Run it all and write the tables between their marks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/shadow-verdicts.md"))
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    written = "\n".join(tables(options.scale))
    print(written)
    text = options.out.read_text(encoding="utf-8")
    head, _, rest = text.partition(START)
    _, _, tail = rest.partition(END)
    options.out.write_text(f"{head}{START}\n{written}\n{END}{tail}", encoding="utf-8")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
