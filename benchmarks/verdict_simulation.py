"""Measures the verdicts: false ones without drift, those found with it, pages a month, and the delay.

    python -m benchmarks.verdict_simulation [--out docs/verdicts.md] [--scale 1.0]

Runs the judge itself over simulated traffic (30 features) and the flights of 2013; about three minutes on
one core. `--scale 0.1` runs a tenth of the windows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from driftline.calibration import Calibration
from driftline.spec import Drift
from driftline.verdict import WindowJudgement

from tests.support import flights, nulls
from tests.support.simulation import (
    DAY,
    Shares,
    Source,
    delay,
    episodes,
    judged,
    shares,
    upper_limit,
)

SIZES = (200, 1_000, 10_000)
SHIFTS = (0.35, 0.55, 0.75, 1.0)
HOUR = 3600
RATE = 1_000
"""Rows an hour in the simulated months."""


@dataclass(frozen=True)
class Case:
    """One line of the table of nulls."""

    name: str
    rows: int
    judgements: list[WindowJudgement]


@dataclass(frozen=True)
class Months:
    """Pages and episodes of so many simulated months."""

    name: str
    months: float
    pages: int
    episodes: int

    @property
    def page_limit(self) -> float:
        """Upper 95 % limit of pages a month: months with a page, as a Poisson count."""
        return poisson_limit(self.pages) / self.months


def poisson_limit(events: int) -> float:
    """One-sided upper 95 % limit of a Poisson mean, by bisection."""
    low, high = float(events), float(events) + 10 * np.sqrt(events + 1.0) + 10
    for _ in range(60):
        middle = (low + high) / 2
        terms = np.cumsum(np.log(np.maximum(1, np.arange(events + 1))))
        below = float(np.exp(np.arange(events + 1) * np.log(middle) - terms - middle).sum())
        low, high = (middle, high) if below > 0.05 else (low, middle)
    return float(high)


def source(base: nulls.Ints, base_rows: int, *, calibrated: bool = True) -> nulls.Reference:
    """A reference in rows."""
    return nulls.reference_in_rows(nulls.by_name(base), base_rows, calibrated=calibrated)


def compared(
    against: nulls.Reference,
    counts: dict[str, nulls.Ints],
    n: int,
    *,
    seconds: int = 0,
    first: float = 0.0,
    requests: int = 1000,
    design_effect: float = 1.0,
) -> list[WindowJudgement]:
    """Judge simulated windows of n rows."""
    return judged(
        Source.of(against), nulls.psi(against.totals, counts), nulls.shifts(against, counts), n,
        seconds=seconds, first=first, requests=requests, design_effect=design_effect,
    )  # fmt: skip


def independent(
    rng: np.random.Generator, n: int, windows: int, rows: int, shift: float = 0.0, *, calibrated: bool = True
) -> list[WindowJudgement]:
    """Windows of independent rows, against `windows` / 50 references of `rows` rows."""
    found: list[WindowJudgement] = []
    while len(found) < windows:
        against = source(nulls.independent(rng, rows // 100, 100), 100, calibrated=calibrated)
        counts = nulls.by_name(nulls.independent(rng, 50, n, shift))
        found += compared(against, counts, n)
    return found


def requests(
    rng: np.random.Generator, n: int, windows: int, *, calibrated: bool = True
) -> list[WindowJudgement]:
    """Windows of 20-row requests, against references of 20,000 rows."""
    traffic = nulls.Requests(rng)
    found: list[WindowJudgement] = []
    while len(found) < windows:
        against = source(traffic.draw(rng, 1_000, 20), 20, calibrated=calibrated)
        counts = nulls.by_name(traffic.draw(rng, 100, n))
        effect = traffic.design_effect()
        found += compared(against, counts, n, requests=n // nulls.REQUEST_ROWS, design_effect=effect)
    return found


def daily(rng: np.random.Generator, n: int, windows: int) -> list[WindowJudgement]:
    """Windows at any hour of a daily cycle, against references of 28 days in time order."""
    found: list[WindowJudgement] = []
    while len(found) < windows:
        cycle = nulls.DailyCycle(rng)
        against = source(cycle.draw(rng, np.arange(3360, dtype=np.float64) * 0.2, 0.2), 200)
        counts = nulls.by_name(cycle.draw(rng, rng.uniform(0, 720, 200), n / RATE))
        found += compared(against, counts, n)
    return found


def flights_reference(
    data: flights.Flights, odd: int, n: int
) -> tuple[nulls.Reference, nulls.Floats, nulls.Floats]:
    """Every other week; PSI and shift of all windows of n rows of the weeks between."""
    fit = data.day // 7 % 2 == odd
    reference = nulls.reference_in_rows(
        data.blocks(fit, fit), flights.BASE, pooled=data.pooled, sums=data.sums(fit, fit)
    )
    windows = flights.sliding(data.blocks(fit, ~fit), n // flights.BASE)
    sums = flights.sliding(data.sums(fit, ~fit), n // flights.BASE)
    psi = nulls.psi(reference.totals, windows, data.pooled)
    return reference, psi, nulls.shifts(reference, windows, sums)


def flights_windows(data: flights.Flights, n: int) -> list[WindowJudgement]:
    """Overlapping windows of the odd weeks against the even weeks, and the other way round."""
    found: list[WindowJudgement] = []
    for odd in (0, 1):
        reference, psi, shift = flights_reference(data, odd, n)
        found += judged(Source.of(reference), psi, shift, n)
    return found


def null_cases(rng: np.random.Generator, windows: int) -> Iterator[Case]:
    """Every null at every size."""
    data = flights.Flights()
    for n in SIZES:
        yield Case("independent rows", n, independent(rng, n, windows, 20_000))
        yield Case(
            "independent rows, uncalibrated", n, independent(rng, n, windows, 20_000, calibrated=False)
        )
        yield Case("a reference of 1,000 rows", n, independent(rng, n, windows, 1_000))
        yield Case(
            "a reference of 1,000 rows, uncalibrated",
            n,
            independent(rng, n, windows, 1_000, calibrated=False),
        )
        yield Case("a daily cycle of .7 sd", n, daily(rng, n, windows))
        yield Case("20-row requests, ICC .3", n, requests(rng, n, windows))
        yield Case("20-row requests, ICC .3, uncalibrated", n, requests(rng, n, windows, calibrated=False))
        yield Case("flights in time order", n, flights_windows(data, n))


class Clock:
    """Hourly traffic of a null for the months: (hours, features, bins) from an hour on."""

    def __init__(self, name: str, rng: np.random.Generator) -> None:
        self.name = name
        self._rng = rng
        self._cycle = nulls.DailyCycle(rng, RATE)
        self._requests = nulls.Requests(rng)

    def hours(self, first: int, count: int) -> nulls.Ints:
        """That many hours of `RATE` rows."""
        if self.name.startswith("a daily cycle"):
            return self._cycle.draw(self._rng, np.arange(first, first + count, dtype=float), 1.0)
        if self.name.startswith("20-row"):
            return self._requests.draw(self._rng, count, RATE)
        return nulls.independent(self._rng, count, RATE)

    @property
    def design_effect(self) -> float:
        """Of the rows' requests."""
        return self._requests.design_effect() if self.name.startswith("20-row") else 1.0


def timed_reference(hourly: nulls.Ints, season: int) -> nulls.Reference:
    """28 days with times: blocks of 1h and 24h."""
    blocks = nulls.by_name(hourly)
    slots = np.arange(len(hourly)) % 24 if season else None
    hours = nulls.scale(blocks, rows=RATE, seconds=HOUR, slots=slots, slot_seconds=HOUR if season else 0)
    days = nulls.scale(nulls.merged(blocks, 24), rows=24 * RATE, seconds=DAY)
    totals = {name: counts.sum(axis=0) for name, counts in blocks.items()}
    sums = {name: values.sum(axis=0) for name, values in nulls.sums_of(blocks).items()}
    return nulls.Reference(totals, len(hourly) * RATE, Calibration((hours, days), season), sums)


def month(clock: Clock, reference: nulls.Reference, first: int) -> list[WindowJudgement]:
    """The 1h and 24h windows of 30 days, in order of their ends; 5m ones hold 83 rows, too few."""
    blocks = nulls.by_name(clock.hours(first, 720))
    found: list[WindowJudgement] = []
    for seconds, counts in ((HOUR, blocks), (DAY, nulls.merged(blocks, 24))):
        found += compared(
            reference,
            counts,
            RATE * seconds // HOUR,
            seconds=seconds,
            first=first * HOUR,
            design_effect=clock.design_effect,
        )
    return sorted(found, key=lambda window: (window.end, window.seconds))


def months(rng: np.random.Generator, name: str, count: int, reference: str) -> Months:
    """`reference`: timed, seasonal, small (1,000 rows in order) or none (uncalibrated)."""
    pages = begun = 0
    for _ in range(count):
        clock = Clock(name, rng)
        if reference in ("timed", "seasonal"):
            against = timed_reference(clock.hours(0, 672), DAY if reference == "seasonal" else 0)
        elif reference == "small":
            against = nulls.reference_in_rows(nulls.by_name(nulls.independent(rng, 10, 100)), 100)
        else:
            base = nulls.by_name(clock.hours(0, 1 if "1,000" in name else 672))
            against = nulls.reference_in_rows(base, RATE, calibrated=False)
        found = episodes(month(clock, against, 672), (300, HOUR, DAY), Drift())
        pages, begun = pages + found[0], begun + found[1]
    label = {"timed": "", "seasonal": ", season: daily", "small": "", "none": ", uncalibrated"}[reference]
    return Months(name + label, count, pages, begun)


def flights_months(data: flights.Flights, n: int) -> Months:
    """Windows of n rows that slide by about a twelfth over the other half of the year's weeks; they page."""
    pages = begun = 0
    spent = 0.0
    step = max(1, n // (12 * flights.BASE))
    for odd in (0, 1):
        reference, values, moved = flights_reference(data, odd, n)
        psi, shift = values[::step], moved[::step]
        days = len(set(data.day[data.day // 7 % 2 != odd]))
        slide = days * DAY / len(psi)
        seconds = round(slide * n / (step * flights.BASE))
        judgements = judged(Source.of(reference), psi, shift, n, seconds=seconds, step=slide)
        found = episodes(judgements, [seconds])
        pages, begun = pages + found[0], begun + found[1]
        spent += days / 30
    return Months(f"flights in time order, windows of {n:,} rows", spent, pages, begun)


def month_cases(rng: np.random.Generator, count: int) -> Iterator[Months]:
    """Pages and episodes a month under every null."""
    yield months(rng, "independent rows", count, "timed")
    yield months(rng, "independent rows", count, "none")
    yield months(rng, "a reference of 1,000 rows", count, "small")
    yield months(rng, "a reference of 1,000 rows", count, "none")
    yield months(rng, "a daily cycle of .7 sd", count, "timed")
    yield months(rng, "a daily cycle of .7 sd", count, "seasonal")
    yield months(rng, "20-row requests, ICC .3", count, "timed")
    yield months(rng, "20-row requests, ICC .3", count, "none")
    data = flights.Flights()
    yield flights_months(data, 200)
    yield flights_months(data, 1_000)
    yield flights_months(data, 5_000)


def delays(rng: np.random.Generator, n: int, shift: float, runs: int, rows: int) -> list[int | None]:
    """Windows (of a day) until a verdict, for runs of eight windows after the shift."""
    found = []
    for _ in range(runs):
        against = source(nulls.independent(rng, rows // 100, 100), 100)
        counts = nulls.by_name(nulls.independent(rng, 8, n, shift))
        found.append(delay(compared(against, counts, n, seconds=DAY), DAY))
    return found


def percent(value: float) -> str:
    """With as many digits as it needs."""
    return f"{100 * value:.2f} %"


def null_table(cases: Iterator[Case]) -> Iterator[str]:
    """Markdown."""
    yield "| null | rows | windows | false verdicts | upper 95 % limit | false warnings | compared with |"
    yield "|---|---:|---:|---:|---:|---:|---|"
    for case in cases:
        s: Shares = shares(case.judgements)
        first = case.judgements[0]
        if not first.state.judged:
            yield f"| {case.name} | {case.rows:,} | {s.windows:,} | none | – | none | {first.state.value} |"
            continue
        yield (
            f"| {case.name} | {case.rows:,} | {s.windows:,} | {percent(s.false_alarms / s.windows)} "
            f"| {percent(upper_limit(s.false_alarms, s.windows))} | {percent(s.false_warnings / s.windows)} "
            f"| {first.scale or first.state.value} |"
        )


def shift_table(rng: np.random.Generator, windows: int, runs: int) -> Iterator[str]:
    """Markdown."""
    yield (
        "| reference | rows | shift (sd) | found in a window | warned in a window | false verdicts | "
        "verdict after (windows, median) | never within 8 |"
    )
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for rows in (20_000, 1_000):
        for n in SIZES:
            for shift in SHIFTS:
                s = shares(independent(rng, n, windows, rows, shift), nulls.SHIFTED)
                took = delays(rng, n, shift, runs, rows)
                held = [count for count in took if count is not None]
                middle = f"{np.median(held):.0f}" if len(held) > runs / 2 else "–"
                yield (
                    f"| {rows:,} | {n:,} | {shift} | {percent(s.found)} | {percent(s.warned)} "
                    f"| {percent(s.false_alarms / s.windows)} | {middle} | {percent(1 - len(held) / runs)} |"
                )


def month_table(cases: Iterator[Months]) -> Iterator[str]:
    """Markdown."""
    yield "| null | months | pages | pages a month, upper 95 % limit | episodes (warning or page) a month |"
    yield "|---|---:|---:|---:|---:|"
    for m in cases:
        yield f"| {m.name} | {m.months:.0f} | {m.pages} | {m.page_limit:.2f} | {m.episodes / m.months:.2f} |"


HEAD = """# What the verdicts are worth

Written by `benchmarks/verdict_simulation.py`; the slow tests run the nulls at the same size and the rest
smaller, and fail when a figure leaves its bounds. 30 features (12 in flights), `psi: 0.25`, `warning: 0.1`,
3 of 4 windows.

A false verdict is a window in which at least one undrifted feature is large *and* unusual after
Benjamini-Hochberg: what one window says before anything has to last. In flights every other week is the
reference and the weeks between are the windows (they overlap, so their limit is optimistic). Windows of 200
rows run with `minRows: 200`; of 20-row requests they are ten requests, too few to judge.

Simulated rows are drawn as bins of deciles, and score as their bin's mean: their shifts are those of such
means. The flights' shifts are of the values themselves.
"""

MONTHS_HEAD = f"""
## False pages a month

Simulated nulls: the default windows (5m, 1h, 24h), {RATE:,} rows an hour, 28 days of reference.
Flights come too seldom for them: each window there holds the rows named. Wanted: below one page a month.
"""


def main() -> None:
    """Run it all and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/verdicts.md"))
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    rng = np.random.default_rng(20261123)
    windows = max(100, int(2_000 * options.scale))
    parts = [
        HEAD,
        f"This run: `--scale {options.scale:g}`.\n",
        "## Without drift\n",
        *null_table(null_cases(rng, windows)),
        "\n## With drift\n\nThree of the 30 features are shifted; independent rows.\n",
        *shift_table(rng, windows, max(20, int(200 * options.scale))),
        MONTHS_HEAD,
        *month_table(month_cases(rng, max(2, int(40 * options.scale)))),
    ]
    tail = options.out.read_text().partition("\n## What this means")[1:] if options.out.exists() else ("", "")
    options.out.write_text("\n".join(parts) + "\n" + "".join(tail))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
