"""Builders of shadow tallies and snapshots for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from driftline.shadow.aa import Twice
from driftline.shadow.account import Account
from driftline.shadow.latency import latency_counts
from driftline.shadow.measures import Snapshot
from driftline.shadow.performance import Performance
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.rows import class_rows, number_rows
from driftline.shadow.sample import Disagreement
from driftline.shadow.tally import Tally, error_counts

CLASSES = ComparisonPlan(sort="class", classes=("no", "yes"), clip=1.0, segments=(("sex", ("f", "m")),))
LASTING: dict[str, Any] = {"first": 0.0, "last": 3600.0}
NUMBERS = ComparisonPlan(sort="number", edges=(-1.0, 0.0, 1.0), clip=5.0)


def requests(sizes: list[int]) -> np.ndarray:
    """Which request each row is of."""
    return np.repeat(np.arange(len(sizes)), sizes)


def classes(
    rng: np.random.Generator, pairs: int, disagreement: float, *, rows: int = 1, score_shift: float = 0.0
) -> Tally:
    """Pairs of a classifier that answers yes in 30 %; the candidate flips a share of the answers."""
    n = pairs * rows
    yes = rng.random(n) < 0.3
    flipped = rng.random(n) < disagreement
    names = np.array(["no", "yes"])
    scores = rng.random(n)
    shifted = np.clip(scores + score_shift + 0.01 * rng.normal(size=n), 0, 1)
    rows_found = class_rows(
        CLASSES,
        requests([rows] * pairs),
        names[yes.astype(int)].tolist(),
        names[(yes ^ flipped).astype(int)].tolist(),
        (scores, shifted),
        {"sex": rng.integers(0, 3, n)},
    )
    return Tally.empty(CLASSES).with_rows(rows_found)


def numbers(rng: np.random.Generator, pairs: int, noise: float = 0.1) -> Tally:
    """Pairs of a regression."""
    live = rng.normal(size=pairs)
    candidate = live + noise * rng.normal(size=pairs)
    return Tally.empty(NUMBERS).with_rows(number_rows(NUMBERS, np.arange(pairs), live, candidate))


def with_errors(tally: Tally, fine: int, candidate_only: int = 0, live_only: int = 0) -> Tally:
    """Mirrored requests of which so many failed."""
    total = fine + candidate_only + live_only
    live, candidate = np.zeros(total, bool), np.zeros(total, bool)
    candidate[fine : fine + candidate_only] = True
    live[fine + candidate_only :] = True
    return replace(tally, errors=tally.errors + error_counts(live, candidate))


def with_latency(tally: Tally, rng: np.random.Generator, pairs: int, times: float = 1.0) -> Tally:
    """Both sides timed through the mirror; the candidate takes `times` as long."""
    return replace(
        tally,
        live_latency=latency_counts(rng.exponential(0.05, pairs)),
        candidate_latency=latency_counts(times * rng.exponential(0.05, pairs)),
    )


def with_twice(tally: Tally, twice: Twice) -> Tally:
    """With requests that went twice."""
    return replace(tally, twice=twice)


def snapshot(
    tally: Tally, account: Account | None = None, performance: Performance | None = None
) -> Snapshot:
    """All that was eligible was paired, within an hour, unless the account says otherwise."""
    n = int(tally.errors.sum()) or tally.all.requests
    account = account or Account(eligible=n, mirrored=n, paired=n, **LASTING)
    return Snapshot(account, tally, performance or Performance())


def disagreement(number: int, size: float = 1.0) -> Disagreement:
    """An entry of the sample."""
    return Disagreement(size, f"request-{number}", "no", "yes")


def same(a: Tally, b: Tally) -> bool:
    """Equal counts, sums to 1e-9."""
    from driftline.shadow.codec import Part, encode_part, read_part

    def read(tally: Tally) -> Tally:
        part = Part("s", 1, 0.0, "p", "b", 0, 0, Account(), tally)
        return read_part(encode_part(part)).tally

    return _close(read(a), read(b))


def _close(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=1e-9))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_close, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_close(a[key], b[key]) for key in a)
    fields = getattr(a, "__dataclass_fields__", None)
    if fields is not None:
        return type(a) is type(b) and all(_close(getattr(a, name), getattr(b, name)) for name in fields)
    return bool(a == b)
