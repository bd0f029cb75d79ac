"""Evidently and whylogs on the same rows. Runs in the peers' own environment:

.bench/venv/bin/python benchmarks/peers_analysis.py REFERENCE.csv CURRENT.csv ROUNDS

Prints one JSON line: rows of the current data per second, the median of the rounds.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from statistics import median

import pandas as pd

warnings.simplefilter("ignore")


def evidently(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """The data drift preset with PSI for every column, rendered as far as its numbers."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    Report([DataDriftPreset(method="psi")]).run(current, reference).dict()


def whylogs(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """A whylogs profile of the current rows (its drift scores are made from two of them)."""
    import whylogs as why

    why.log(current).view()


def rate(job: Callable[[pd.DataFrame, pd.DataFrame], None], rounds: int) -> float:
    """Rows per second; the first run warms up and is not counted."""
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        job(REFERENCE, CURRENT)
        times.append(time.perf_counter() - began)
    return len(CURRENT) / median(times[1:])


REFERENCE, CURRENT = (pd.read_csv(path) for path in sys.argv[1:3])
if __name__ == "__main__":
    ROUNDS = int(sys.argv[3])
    print(json.dumps({job.__name__: rate(job, ROUNDS) for job in (evidently, whylogs)}))
