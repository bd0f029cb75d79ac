"""Does a shadow slow the live traffic? The same programs, with and without one, in turns.

    python -m benchmarks.shadow [--rounds 15] [--seconds 4] [--rate 200]

One proxy, one analyzer, one model; the shadow comes and goes with its file. Each round measures both, in an
order that changes. The ratio is that of the medians over rounds of each round's quantile; its interval is by
resampling rounds, both sides of each together. Every request is mirrored. The candidate
is a second server on the same cores: what it takes from the model there is in the figures.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from driftline.columns import Floats
from driftline.quantity import Duration
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.runtime import MirrorConfig, ShadowId, encode_mirror
from driftline.spec.shadow import Traffic

from benchmarks import load, workload
from benchmarks.processes import Cores, free_port, running
from benchmarks.report import machine, table
from benchmarks.sidecar import Files, Sidecar, metrics, sidecar

SETTLE_SECONDS = 2.5
"""For the analyzer to see the file, and the mirror to end what it holds."""
RESAMPLES = 5_000


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.shadow", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=15, help="2 or more")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as name:
        samples, mirrored = measure(Path(name), options.rounds, options.seconds, options.rate)
    print(f"{machine()} Load average at the end: {os.getloadavg()[0]:.1f}.")
    print(_table(samples))
    failed = sum(sample.errors for each in samples.values() for sample in each)
    print(f"{mirrored:,} requests were mirrored; {failed} live ones failed")


def measure(
    directory: Path, rounds: int, seconds: float, rate: int
) -> tuple[dict[bool, list[load.Sample]], int]:
    """Samples without and with a shadow, and how many requests were mirrored in all."""
    body = directory / "body.json"
    body.write_bytes(workload.body(workload.SMALL))
    files, cores, shadow = Files.write(directory), Cores.of_this_machine(), directory / "shadow.yaml"
    upstream, candidate = free_port(), free_port()
    server = (sys.executable, "-m", "benchmarks.backend")
    samples: dict[bool, list[load.Sample]] = {False: [], True: []}
    with (
        running((*server, str(upstream)), cores.backend, directory / "live.log", upstream),
        running((*server, str(candidate)), cores.backend, directory / "candidate.log", candidate),
        sidecar(directory, files, upstream, cores, ("--shadow", str(shadow))) as pair,
    ):
        time.sleep(SETTLE_SECONDS)  # the tee connects
        mirrored = 0
        for number in range(rounds):
            for with_shadow in (number % 2 == 0, number % 2 == 1):
                _set(shadow, candidate if with_shadow else None)
                time.sleep(SETTLE_SECONDS)
                samples[with_shadow].append(load.open_loop(pair.port, body, rate, seconds, cores.load))
                if with_shadow:
                    mirrored += _paired(pair, int(rate * seconds))
    return samples, mirrored


def _set(path: Path, candidate: int | None) -> None:
    """A shadow to that port, or none."""
    if candidate is None:
        path.unlink(missing_ok=True)
        return
    config = MirrorConfig(
        shadow=ShadowId(uid=f"benchmark-{time.time_ns()}", name="benchmark"),
        began=time.time(),
        url=f"http://127.0.0.1:{candidate}",
        traffic=Traffic(queue=10_000, timeout=Duration(5)),
        plan=ComparisonPlan(sort="number", edges=tuple(i / 5 for i in range(-4, 5)), clip=1.0),
    )
    path.write_text(encode_mirror(config))


def _paired(pair: Sidecar, wanted: int) -> int:
    """How many were, once all that were sent have been settled. Fewer than nine in ten is no measurement."""
    deadline = time.monotonic() + 10
    found = 0
    while found < wanted and time.monotonic() < deadline:
        time.sleep(0.2)
        found = int(_sum(metrics(pair.admin), "modelmonitor_shadow_paired_total"))
    if found < 0.9 * wanted:
        raise RuntimeError(f"only {found} of {wanted} requests were paired")
    return found


def _sum(lines: list[str], name: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{"))


def _table(samples: dict[bool, list[load.Sample]]) -> str:
    percentiles: dict[str, Callable[[load.Sample], float]] = {"p50": lambda s: s.p50, "p99": lambda s: s.p99}
    rows = []
    for name, of in percentiles.items():
        off, on = (np.array([of(sample) for sample in samples[which]]) for which in (False, True))
        ratio, lower, upper = ratio_of_medians(off, on)
        numbers = f"{np.median(off):,.0f}", f"{np.median(on):,.0f}"
        rows.append([name, *numbers, f"{ratio:.3f}", f"{lower:.3f} to {upper:.3f}"])
    head = ["microseconds", "no shadow", "with a shadow", "ratio of medians", "95 % interval"]
    return table(head, rows)


def ratio_of_medians(off: Floats, on: Floats) -> tuple[float, float, float]:
    """Of paired rounds, float64 (rounds,) each: median of `on` over that of `off`, and its 95 % interval.

    By the percentile bootstrap (Efron 1979) over rounds; with fewer than ten the interval is a lower limit.
    """
    chosen = np.random.default_rng(1).integers(0, len(off), (RESAMPLES, len(off)))
    spread = np.median(on[chosen], axis=1) / np.median(off[chosen], axis=1)
    lower, upper = np.quantile(spread, [0.025, 0.975])
    return float(np.median(on) / np.median(off)), float(lower), float(upper)


if __name__ == "__main__":
    main()
