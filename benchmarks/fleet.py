"""The controller's fleet: 300 monitors, 1,000 simulated pods, 30 features, on one core.

    python -m benchmarks.fleet [--monitors 300] [--pods 1000] [--rows 20] [--minutes 10]

Every monitor has a model, a reference and rows of its own. Pods are simulated as the bytes that their
analyzers would answer with: a day's panes, rolled up with age, then a pane a minute. A cycle is what the
controller does once all answers are there: read them, merge them, judge the windows that are due. `--rows`:
of one pod in one minute. Network and API server aren't in it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import os
import struct
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.counting import count
from driftline.pane import Pane
from driftline.pane_codec import encode_pane
from driftline.profile import Profile, Role
from driftline.profile_build import BuildPlan, MemoryRows, ReferenceColumn, build_profile
from driftline.profile_codec import encode_profile
from driftline.spec import Endpoint, LabelSelector, Model, MonitorSpec, Prediction, Schema
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.plan.pods import Watched
from driftline_operator.controller.program import Controller as _Program
from driftline_operator.controller.references import Loaded, decoded
from driftline_operator.fleet.fleet import Fleet, Key, Member
from driftline_operator.fleet.pull import Missed, Page, Puller, read_page

from benchmarks.report import machine, table

FEATURES = 30
CATEGORICAL = 3
MINUTE, HOUR, DAY = 60, 3600, 86400
PROGRAM = _Program
"""Not run here, but all that it imports takes memory too."""
NOON = 1_795_435_200
"""A multiple of a day's twelfth: the windows of 24 hours are due here."""
REFERENCE_ROWS = 20_000


class Simulated:
    """One monitor's model: columns with distributions of its own, and the reference made of them."""

    def __init__(self, number: int) -> None:
        self._rng = np.random.default_rng([1, number])
        self._means = self._rng.normal(0, 10, FEATURES)
        self._spreads = self._rng.lognormal(0, 1, FEATURES)
        self._shares = self._rng.dirichlet(np.full(8, 5.0), CATEGORICAL)
        self.profile = self._reference()
        self.axes = self.profile.axes()

    def batch(self, rows: int) -> Batch:
        """Rows without drift, each a request of its own."""
        columns: dict[str, Column] = {}
        for index in range(FEATURES - CATEGORICAL):
            values = self._rng.normal(self._means[index], self._spreads[index], rows)
            columns[f"f{index:02d}"] = NumericColumn(values)
        for index in range(CATEGORICAL):
            codes = self._rng.choice(8, rows, p=self._shares[index]).astype(np.int32)
            columns[f"c{index}"] = CategoricalColumn(codes, tuple("abcdefgh"))
        columns["label"] = CategoricalColumn(self._rng.integers(0, 2, rows).astype(np.int32), ("no", "yes"))
        return Batch(rows, columns, rows)

    def _reference(self) -> Profile:
        """Of three days, with calibration for all windows."""
        rows = self.batch(REFERENCE_ROWS)
        columns = tuple(
            ReferenceColumn(
                name,
                isinstance(column, NumericColumn),
                Role.PREDICTION if name == "label" else Role.FEATURE,
            )
            for name, column in rows.columns.items()
        )
        times = np.linspace(0, 3 * DAY, REFERENCE_ROWS)
        plan = BuildPlan(columns=columns, windows=(5 * MINUTE, HOUR, DAY))
        return build_profile(MemoryRows([(rows, times)]), plan)

    def pane(self, start: int, length: int, rows: int) -> bytes:
        """One pane of `rows` a minute, with its own length before it."""
        counts = count(self.axes, self.batch(rows * length // MINUTE))
        data = encode_pane(
            Pane(start=start, length=length, profile_hash=self.axes.profile_hash, counts=counts)
        )
        return struct.pack("<I", len(data)) + data

    def history(self, now: int, rows: int) -> bytes:
        """A day, as an analyzer rolls it up."""
        parts = [self.pane(at, HOUR, rows) for at in range(now - 26 * HOUR, now - 7 * HOUR, HOUR)]
        parts += [self.pane(at, 5 * MINUTE, rows) for at in range(now - 7 * HOUR, now - HOUR, 300)]
        return b"".join([*parts, *(self.pane(at, MINUTE, rows) for at in range(now - HOUR, now, MINUTE))])


@dataclass
class Answers:
    """What simulated analyzers answer, by pod; a puller that needs no network."""

    bodies: Callable[[str], Awaitable[bytes]]
    places: dict[str, str]
    cursor: int = 0
    began: float = 0.0

    async def panes(self, ip: str, monitor: str, cursor: str, token: str | None) -> Page | Missed:
        """As `Puller.panes`, from the bytes on."""
        body = await self.bodies(ip)
        return Page(read_page(body), f"{self.places[monitor]}:{self.cursor}", self.began)


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
    """The pods, in a process of their own: neither their memory nor their time is the controller's."""

    models: list[Simulated]
    rows: int

    @classmethod
    def begin(cls, monitors: int, rows: int) -> None:
        """One model a monitor."""
        cls.models, cls.rows = [Simulated(number) for number in range(monitors)], rows

    @classmethod
    def profile(cls, number: int) -> bytes:
        """A model's reference, encoded."""
        return encode_profile(cls.models[number].profile)

    @classmethod
    def history(cls, now: int, number: int) -> bytes:
        """A day of one pod of a model."""
        return cls.models[number].history(now, cls.rows)

    @classmethod
    def minute(cls, start: int, pods: int) -> list[bytes]:
        """A minute of every pod."""
        models = cls.models
        return [models[n % len(models)].pane(start, MINUTE, cls.rows) for n in range(pods)]


class Controller:
    """The fleet, its monitors, and what their pods answer; references are held as `References` does."""

    def __init__(self, encoded: Iterable[bytes], monitors: int, pods: int) -> None:
        self.members: dict[Key, Member] = {}
        self.references: list[Loaded] = []
        self.model_of = {f"pod-{n}": n % monitors for n in range(pods)}
        places: dict[str, str] = {}
        for index, raw in enumerate(encoded):
            loaded = decoded(raw, "profile", ReferenceReason.PROFILE_LOADED)
            names = [f"pod-{n}" for n in range(index, pods, monitors)]
            watched = tuple(Watched(name, name, name, NOON - 30.0 * HOUR) for name in names)
            self.members[("ml", f"m{index}")] = Member(spec(), loaded.profile, watched)
            self.references.append(loaded)
            places[f"ml/m{index}"] = f"boot:{loaded.reference.profile_hash[:16]}"
        self.answers = Answers(_nothing, places, 0, NOON - 28.0 * HOUR)
        puller: Puller = self.answers  # type: ignore[assignment]
        self.fleet = Fleet(puller, float(MINUTE))

    async def cycle(self, bodies: Callable[[str], Awaitable[bytes]], cursor: int, now: float) -> float:
        """Pods answer with these; seconds of this process on one core."""
        self.answers.cursor, self.answers.bodies = cursor, bodies
        gc.collect()
        began = time.process_time()
        self.fleet.keep(self.members, now)
        outcome = await self.fleet.round(lambda _: "token", lambda: now)
        spent = time.process_time() - began
        if not all(view.windows and view.answered for view in outcome.views.values()):
            raise RuntimeError("a monitor was not judged")
        self.answers.bodies = _nothing
        return spent


async def _nothing(_: str) -> bytes:
    return b""


async def measure(monitors: int, pods: int, rows: int, minutes: int) -> None:
    """One row per cycle."""
    bare, loop = resident(), asyncio.get_running_loop()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(Simulation.begin, monitors, rows).result()
        encoded = (pool.submit(Simulation.profile, n).result() for n in range(monitors))
        controller = Controller(encoded, monitors, pods)
        references = resident()
        print(f"resident: {bare:.0f} MiB before the first monitor, {references:.0f} with all references")

        async def history(pod: str) -> bytes:
            number = controller.model_of[pod]
            return await loop.run_in_executor(pool, Simulation.history, NOON, number)

        print(f"first cycle, a day of {pods} pods: {await controller.cycle(history, 1, NOON + 5.0):.1f} s")
        cells = []
        for minute in range(1, minutes + 1):
            now = NOON + minute * MINUTE
            bodies = pool.submit(Simulation.minute, now - MINUTE, pods).result()

            async def fresh(pod: str, bodies: list[bytes] = bodies) -> bytes:
                return bodies[int(pod.removeprefix("pod-"))]

            spent = await controller.cycle(fresh, minute + 1, now + 5.0)
            del bodies, fresh
            cells.append([f"{minute}", f"{spent:.2f}", f"{resident():.0f}"])
            print(f"minute {minute}: {spent:.2f} s, {resident():.0f} MiB", flush=True)
    print(f"\n{machine()}\n")
    print(f"{monitors} monitors, {pods} pods, {FEATURES} features, {rows} rows a minute and pod\n")
    print(table(["minute", "seconds of one core", "resident MiB"], cells))
    sizes = [len(controller.fleet.checkpoint(key) or b"") for key in list(controller.members)[:10]]
    print(f"\na checkpoint: {max(sizes):,} bytes at most of ten")


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
