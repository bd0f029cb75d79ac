"""Runs simulated windows through the real judge, and sums up what it said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, lgamma, log, log1p

import numpy as np
from driftline.calibration import Calibration
from driftline.episode import Verdicts
from driftline.judge import Measurement, Window, judge
from driftline.spec import Drift
from driftline.verdict import WindowJudgement

from tests.support.nulls import Floats, Reference

POLICY = Drift(min_rows=200)
DAY = 86400


@dataclass(frozen=True)
class Source:
    """What windows are compared with: names and bins of the features, rows, calibration."""

    names: Sequence[str]
    bins: Sequence[int]
    rows: int
    calibration: Calibration | None

    @classmethod
    def of(cls, reference: Reference) -> Source:
        """Of a simulated reference."""
        totals = reference.totals
        return cls(tuple(totals), [len(t) for t in totals.values()], reference.rows, reference.calibration)


def judged(
    source: Source, values: Floats, shifts: Floats, rows: int, *,
    seconds: int = 0, first: float = 0.0, step: float = 0.0,
    requests: int = 1000, design_effect: float = 1.0, policy: Drift = POLICY,
) -> list[WindowJudgement]:  # fmt: skip
    """Judge each row of `values` (PSI) and `shifts`, shape (windows, features), as such a window."""
    found = []
    for index, (psi, moved) in enumerate(zip(values.tolist(), shifts.tolist(), strict=True)):
        start = first + index * (step or seconds)
        window = Window(seconds, start, start + seconds, rows, requests)
        measured = [
            Measurement(
                name,
                "feature",
                None if isnan(value) else value,
                bins,
                rows,
                rows / design_effect,
                source.rows,
                shift=None if isnan(shift) else shift,
            )
            for name, bins, value, shift in zip(source.names, source.bins, psi, moved, strict=True)
        ]
        found.append(judge(window, measured, source.calibration, policy))
    return found


@dataclass(frozen=True)
class Shares:
    """`false_alarms`, `false_warnings`: windows in which an unshifted feature was large (or moderate) and
    unusual; `found`, `warned`: shares of shifted features that were; `windows`: how many.
    """

    windows: int
    false_alarms: int
    false_warnings: int
    found: float
    warned: float


def shares(judgements: Sequence[WindowJudgement], shifted: int = 0) -> Shares:
    """Count verdicts of single windows; the first `shifted` features are meant to drift."""
    calm = [j.features[shifted:] for j in judgements]
    moved = [f for j in judgements for f in j.features[:shifted]]
    return Shares(
        windows=len(judgements),
        false_alarms=sum(any(f.alarms for f in features) for features in calm),
        false_warnings=sum(any(f.warns for f in features) for features in calm),
        found=float(np.mean([f.alarms for f in moved])) if moved else 0.0,
        warned=float(np.mean([f.warns for f in moved])) if moved else 0.0,
    )


def episodes(
    judgements: Sequence[WindowJudgement], windows: Sequence[int], policy: Drift = POLICY
) -> tuple[int, int]:
    """(pages, episodes): how often the monitor's verdict rose to `page`, and how often it left `none`."""
    verdicts = Verdicts(windows, policy)
    pages = begun = 0
    before = "none"
    for judgement in judgements:
        verdicts.observe(judgement)
        now = verdicts.verdict().severity
        pages += now == "page" and before != "page"
        begun += now != "none" and before == "none"
        before = now
    return pages, begun


def delay(judgements: Sequence[WindowJudgement], seconds: int, policy: Drift = POLICY) -> int | None:
    """Disjoint windows from the shift until one of the shifted features has drifted; None if never."""
    verdicts = Verdicts([seconds], policy)
    for count, judgement in enumerate(judgements, start=1):
        verdicts.observe(judgement)
        if verdicts.verdict().drifted:
            return count
    return None


def upper_limit(events: int, trials: int, confidence: float = 0.95) -> float:
    """Clopper and Pearson's one-sided upper limit of a proportion, by bisection on the binomial tail."""
    if events >= trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _binomial_cdf(events, trials, middle) > 1 - confidence else (low, middle)
        )
    return high


def _binomial_cdf(k: int, n: int, p: float) -> float:
    i = np.arange(k + 1)
    choose = np.array([lgamma(n + 1) - lgamma(j + 1) - lgamma(n - j + 1) for j in i.tolist()])
    return float(np.exp(choose + i * log(p) + (n - i) * log1p(-p)).sum())
