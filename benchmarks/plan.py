"""How much is measured: the whole run, and the quick one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of a run."""

    rounds: int
    """How often each point is measured, interleaved with the others; the median is reported."""
    seconds: float
    """Length of one load; bodies of 1 MB get three times that."""
    connections: tuple[int, ...]
    requests: int
    """Requests before the last memory figure."""
    rows: int
    """Rows of the analysis measurements."""


FULL = Plan(rounds=3, seconds=3, connections=(1, 32, 256), requests=5_000_000, rows=200_000)
QUICK = Plan(rounds=1, seconds=1, connections=(1, 32, 256), requests=100_000, rows=50_000)
