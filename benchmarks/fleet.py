"""The controller's fleet: 300 monitors, 1,000 simulated pods, 30 features, on one core.

    python -m benchmarks.fleet [--monitors 300] [--pods 1000] [--rows 20] [--minutes 10]

Pods are simulated as the bytes that their analyzers would answer with: a day's panes, rolled up with age,
then a pane a minute. A cycle is what the controller does once all answers are there: read them, merge them,
judge the windows that are due. `--rows`: of one pod in one minute. Network and API server aren't in it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import os
import struct
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.counting import count
from driftline.pane import Axes, Pane, PaneCounts
from driftline.pane_codec import encode_pane
from driftline.profile import Profile, Role
from driftline.profile_build import BuildPlan, MemoryRows, ReferenceColumn, build_profile
from driftline.profile_codec import decode_profile, encode_profile
from driftline.spec import Endpoint, LabelSelector, Model, MonitorSpec, Prediction, Schema
from driftline_operator.controller.plan.pods import Watched
from driftline_operator.fleet.fleet import Fleet, Key, Member
from driftline_operator.fleet.pull import Missed, Page, Puller, read_page

from benchmarks.report import machine, table

FEATURES = 30
CATEGORICAL = 3
MINUTE, HOUR, DAY = 60, 3600, 86400
NOON = 1_795_435_200
"""A multiple of a day's twelfth: the windows of 24 hours are due here."""
REFERENCE_ROWS = 20_000
HISTORIES = 8
LIBRARY = 40
"""Panes of each length that the pods share: what they cost doesn't depend on which it is."""


def batch(rng: np.random.Generator, rows: int) -> Batch:
    """Rows without drift, each a request of its own."""
    columns: dict[str, Column] = {}
    for index in range(FEATURES - CATEGORICAL):
        columns[f"f{index:02d}"] = NumericColumn(rng.normal(index, 1 + index / 10, rows))
    for index in range(CATEGORICAL):
        codes = rng.integers(0, 8, rows).astype(np.int32)
        columns[f"c{index}"] = CategoricalColumn(codes, tuple("abcdefgh"))
    columns["label"] = CategoricalColumn(rng.integers(0, 2, rows).astype(np.int32), ("no", "yes"))
    return Batch(rows, columns, rows)


def reference(rng: np.random.Generator) -> Profile:
    """Of three days, with calibration for all windows."""
    rows = batch(rng, REFERENCE_ROWS)
    columns = tuple(
        ReferenceColumn(
            name, isinstance(column, NumericColumn), Role.PREDICTION if name == "label" else Role.FEATURE
        )
        for name, column in rows.columns.items()
    )
    times = np.linspace(0, 3 * DAY, REFERENCE_ROWS)
    plan = BuildPlan(columns=columns, windows=(5 * MINUTE, HOUR, DAY))
    return build_profile(MemoryRows([(rows, times)]), plan)


@dataclass
class Answers:
    """What simulated analyzers answer, by pod; a puller that needs no network."""

    bodies: dict[str, bytes]
    cursor: str = ""
    began: float = 0.0

    async def panes(self, ip: str, monitor: str, cursor: str, token: str | None) -> Page | Missed:
        """As `Puller.panes`, from the bytes on."""
        return Page(read_page(self.bodies[ip]), self.cursor, self.began)


class Library:
    """Encoded panes of some lengths, to be placed in time."""

    def __init__(self, axes: Axes, rng: np.random.Generator, rows: int) -> None:
        self._counts: dict[int, list[PaneCounts]] = {}
        self._axes = axes
        for minutes in (1, 5, 60):
            of = [count(axes, batch(rng, rows * minutes)) for _ in range(LIBRARY)]
            self._counts[minutes * MINUTE] = of

    def pane(self, start: int, length: int, number: int) -> bytes:
        """One of that length, with its own length before it."""
        counts = self._counts[length][(number + start // length) % LIBRARY]
        data = encode_pane(
            Pane(start=start, length=length, profile_hash=self._axes.profile_hash, counts=counts)
        )
        return struct.pack("<I", len(data)) + data

    def history(self, now: int, number: int) -> bytes:
        """A day, as an analyzer rolls it up."""
        parts = [self.pane(at, HOUR, number) for at in range(now - 26 * HOUR, now - 7 * HOUR, HOUR)]
        parts += [self.pane(at, 5 * MINUTE, number) for at in range(now - 7 * HOUR, now - HOUR, 300)]
        return b"".join([*parts, *(self.pane(at, MINUTE, number) for at in range(now - HOUR, now, MINUTE))])


def resident() -> float:
    """MiB of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmRSS in /proc/self/status")


def spec() -> MonitorSpec:
    """Of a monitor with that model's columns, found in its profile; windows of 5m, 1h and 24h."""
    return MonitorSpec(
        selector=LabelSelector(match_labels={"app": "model"}),
        endpoint=Endpoint(port=8080),
        model=Model(name="model", type="classification"),
        schema=Schema(prediction=Prediction(name="label")),
    )


class Simulation:
    """The pods, in a process of their own: their memory isn't the controller's."""

    library: Library
    profile: bytes

    @classmethod
    def begin(cls, rows: int) -> bytes:
        """The reference, encoded."""
        rng = np.random.default_rng(1)
        made = reference(rng)
        cls.profile = encode_profile(made)
        cls.library = Library(made.axes(), rng, rows)
        return cls.profile

    @classmethod
    def history(cls, now: int, number: int) -> bytes:
        """A day of one pod."""
        return cls.library.history(now, number)

    @classmethod
    def minute(cls, start: int) -> list[bytes]:
        """A minute of each kind of pod."""
        return [cls.library.pane(start, MINUTE, n) for n in range(LIBRARY)]


class Controller:
    """The fleet, its monitors, and what their pods answer."""

    def __init__(self, profile: bytes, monitors: int, pods: int) -> None:
        self.members: dict[Key, Member] = {}
        for index in range(monitors):
            names = [f"pod-{index}-{n}" for n in range(index, pods, monitors)]
            watched = tuple(Watched(name, name, name, NOON - 30.0 * HOUR) for name in names)
            self.members[("ml", f"m{index}")] = Member(spec(), decode_profile(profile), watched)
        self.everyone = [pod.name for member in self.members.values() for pod in member.pods]
        self._place = f"boot:{decode_profile(profile).hash[:16]}"
        self.answers = Answers({}, "", NOON - 28.0 * HOUR)
        puller: Puller = self.answers  # type: ignore[assignment]
        self.fleet = Fleet(puller, float(MINUTE))

    async def cycle(self, bodies: list[bytes], cursor: int, now: float) -> float:
        """Pods answer with these in turn; seconds of one core."""
        self.answers.cursor = f"{self._place}:{cursor}"
        self.answers.bodies = {name: bodies[n % len(bodies)] for n, name in enumerate(self.everyone)}
        gc.collect()
        began = time.process_time()
        self.fleet.keep(self.members, now)
        outcome = await self.fleet.round(lambda _: "token", lambda: now)
        spent = time.process_time() - began
        if not all(view.windows and view.answered for view in outcome.views.values()):
            raise RuntimeError("a monitor was not judged")
        self.answers.bodies = {}
        return spent


async def measure(monitors: int, pods: int, rows: int, minutes: int) -> None:
    """One row per cycle."""
    bare = resident()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        controller = Controller(pool.submit(Simulation.begin, rows).result(), monitors, pods)
        references = resident()
        histories = [pool.submit(Simulation.history, NOON, n).result() for n in range(HISTORIES)]
        print(f"first cycle, a day of {pods} pods: {await controller.cycle(histories, 1, NOON + 5.0):.1f} s")
        del histories
        cells = []
        for minute in range(1, minutes + 1):
            now = NOON + minute * MINUTE
            bodies = pool.submit(Simulation.minute, now - MINUTE).result()
            spent = await controller.cycle(bodies, minute + 1, now + 5.0)
            cells.append([f"{minute}", f"{spent:.2f}", f"{resident():.0f}"])
            print(f"minute {minute}: {spent:.2f} s, {resident():.0f} MiB", flush=True)
    print(f"\n{machine()}\n")
    print(f"{monitors} monitors, {pods} pods, {FEATURES} features, {rows} rows a minute and pod\n")
    print(table(["minute", "seconds of one core", "resident MiB"], cells))
    print(f"\nresident: {bare:.0f} MiB before the first monitor, {references:.0f} with all references")
    sizes = [len(controller.fleet.checkpoint(key) or b"") for key in list(controller.members)[:10]]
    print(f"a checkpoint: {max(sizes):,} bytes at most of ten")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--monitors", type=int, default=300)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--minutes", type=int, default=10)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    asyncio.run(measure(options.monitors, options.pods, options.rows, options.minutes))


if __name__ == "__main__":
    main()
