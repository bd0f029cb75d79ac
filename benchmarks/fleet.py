"""The controller's fleet: 300 monitors, 1,000 simulated pods, 30 features, on one core.

    python -m benchmarks.fleet DIRECTORY [--monitors 300] [--pods 1000] [--rows 20] [--minutes 12] [--http]

DIRECTORY: where `benchmarks.fleet_answers` has made the pods' answers. A cycle is what the controller does
with all answers: read them, merge them, judge the windows that are due. With `--http` it asks for them too,
by the controller's own puller, from pods in a process of their own, each with an address of its own. The
first cycle is a takeover without a checkpoint; the day before is read after it. The API server isn't in it.

Seconds are CPU time, so that a busy machine doesn't lengthen them; those on the clock are shown beside.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aiohttp import web
from driftline.spec import Endpoint, LabelSelector, Model, MonitorSpec, Prediction, Schema
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.plan.pods import Watched
from driftline_operator.controller.program import Controller as _Program
from driftline_operator.controller.references import Loaded, decoded, shelved
from driftline_operator.controller.shelf import Shelf
from driftline_operator.fleet.fleet import Fleet, Key, Member
from driftline_operator.fleet.pull import Missed, Page, Puller, read_page

from benchmarks.fleet_answers import FEATURES, HOUR, MINUTE, NOON, Answers, arguments
from benchmarks.report import machine, table

PROGRAM = _Program
"""Not run here, but all that it imports takes memory too."""
CONCURRENCY = 32
BEGAN = float(NOON - 26 * HOUR)


def address(pod: int) -> str:
    """A loopback address of its own."""
    return f"127.1.{pod >> 8}.{pod & 255}"


def number(ip: str) -> int:
    """The pod of an address."""
    _, _, high, low = map(int, ip.split("."))
    return high << 8 | low


class Files:
    """A puller that needs no network."""

    def __init__(self, answers: Answers, places: dict[str, str]) -> None:
        self._answers, self._places = answers, places
        self.minute = 0

    async def panes(self, ip: str, monitor: str, cursor: str, token: str | None) -> Page | Missed:
        """As `Puller.panes`, from the bytes on."""
        body = self._answers.page(number(ip), self.minute if cursor else 0)
        return Page(read_page(body), f"{self._places[monitor]}:{self.minute}", BEGAN)

    async def newest(self, ip: str, monitor: str, begin: int, token: str | None) -> Page | Missed:
        """As `Puller.newest`."""
        body = self._answers.newest(number(ip), begin)
        return Page(read_page(body), f"{self._places[monitor]}:{self.minute}", BEGAN, begin)


def serve(answers: Answers, places: dict[str, str], minute: object, port: object) -> None:
    """All pods, in a process of their own, by the address at which they are asked."""

    async def panes(request: web.Request) -> web.Response:
        at = minute.value  # type: ignore[attr-defined]
        place = places[request.query["monitor"]]
        begin = int(request.query.get("from", "0"))
        headers = {
            "X-Driftline-Cursor": f"{place}:{at}",
            "X-Driftline-Began": f"{BEGAN}",
            "X-Driftline-From": f"{begin}",
        }
        pod = number(request.transport.get_extra_info("sockname")[0])  # type: ignore[union-attr]
        if begin:
            return web.Response(body=answers.newest(pod, begin), headers=headers)
        return web.Response(body=answers.page(pod, at if request.query["since"] else 0), headers=headers)

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/v1/panes", panes)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", 0, backlog=1024).start()
        port.value = runner.addresses[0][1]  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    asyncio.run(run())


@contextlib.contextmanager
def pods(answers: Answers, places: dict[str, str], *, http: bool) -> Iterator[tuple[Puller, object]]:
    """What asks them, and what holds the minute they are in."""
    if not http:
        files = Files(answers, places)
        yield files, files  # type: ignore[misc]
        return
    context = multiprocessing.get_context("spawn")
    minute, port = context.Value("i", 0), context.Value("i", 0)
    process = context.Process(target=serve, args=(answers, places, minute, port), daemon=True)
    process.start()
    while not port.value and process.is_alive():
        time.sleep(0.1)
    yield Puller(CONCURRENCY, port.value), minute
    process.terminate()


def resident() -> float:
    """MiB of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmRSS in /proc/self/status")


def peak() -> float:
    """The most MiB since this was called last."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            Path("/proc/self/clear_refs").write_text("5")
            return int(line.split()[1]) / 1024
    raise OSError("no VmHWM in /proc/self/status")


def spec() -> MonitorSpec:
    """Of a monitor with that model's columns, found in its profile; windows of 5m, 1h and 24h."""
    return MonitorSpec(
        selector=LabelSelector(match_labels={"app": "model"}),
        endpoint=Endpoint(port=8080),
        model=Model(name="model", type="classification"),
        schema=Schema(prediction=Prediction(name="label")),
    )


class Fleets(NamedTuple):
    """The monitors, their references (held as `References` does), and where their pods' analyzers are."""

    members: dict[Key, Member]
    references: list[Loaded]
    places: dict[str, str]

    @classmethod
    def of(cls, answers: Answers) -> Fleets:
        """From the files."""
        made, shelf = cls({}, [], {}), Shelf()
        for index in range(answers.monitors):
            whole = decoded(answers.profile(index), "profile", ReferenceReason.PROFILE_LOADED)
            loaded = shelved(whole, shelf)
            watched = tuple(
                Watched(f"pod-{n}", f"pod-{n}", address(n), NOON - 30.0 * HOUR)
                for n in answers.pods_of(index)
            )
            made.members["ml", f"m{index}"] = Member(spec(), loaded.profile, watched)
            made.references.append(loaded)
            made.places[f"ml/m{index}"] = f"boot:{loaded.reference.profile_hash[:16]}"
        return made


class Spent(NamedTuple):
    """CPU seconds, and those on the clock."""

    cpu: float
    clock: float


@contextlib.contextmanager
def spending() -> Iterator[list[Spent]]:
    """What the block took."""
    gc.collect()
    found: list[Spent] = []
    began, at = time.process_time(), time.monotonic()
    yield found
    found.append(Spent(time.process_time() - began, time.monotonic() - at))


async def cycle(fleet: Fleet, members: dict[Key, Member], now: float) -> Spent:
    """One round over all pods."""
    with spending() as spent:
        fleet.keep(members, now)
        outcome = await fleet.round(lambda _: "token", lambda: now)
    if not all(view.windows and view.answered for view in outcome.views.values()):
        raise RuntimeError("a monitor was not judged")
    return spent[0]


async def caught_up(fleet: Fleet, now: float) -> Spent:
    """What pods counted before they were first asked."""
    with spending() as spent:
        await fleet.catch_up(lambda _: "token", lambda: now, 1.0)
    return spent[0]


async def measure(answers: Answers, minutes: int, *, http: bool) -> None:
    """One row per cycle."""
    bare = resident()
    fleets = Fleets.of(answers)
    print(f"resident: {bare:.0f} MiB before the first monitor, {resident():.0f} with all references")
    cells: list[list[str]] = []

    def row(what: str, spent: Spent) -> None:
        cells.append([what, f"{spent.cpu:.2f}", f"{spent.clock:.1f}", f"{resident():.0f}", f"{peak():.0f}"])
        print(" ".join(cells[-1]), flush=True)

    peak()
    with pods(answers, fleets.places, http=http) as (puller, clock):
        async with contextlib.AsyncExitStack() as stack:
            if isinstance(puller, Puller):
                await stack.enter_async_context(puller)
            fleet = Fleet(puller, float(MINUTE))
            row("takeover", await cycle(fleet, fleets.members, NOON + 5.0))
            row("the day before", await caught_up(fleet, NOON + 6.0))
            for minute in range(1, minutes + 1):
                setattr(clock, "value" if http else "minute", minute)
                row(f"minute {minute}", await cycle(fleet, fleets.members, NOON + minute * MINUTE + 5.0))
    print(f"\n{machine()}\n")
    print(f"{answers.monitors} monitors, {answers.pods} pods, {FEATURES} features\n")
    print(table(["", "CPU seconds", "on the clock", "resident MiB", "at most"], cells))
    sizes = [len(fleet.checkpoint(key) or b"") for key in list(fleets.members)[:10]]
    print(f"\na checkpoint: {max(sizes):,} bytes at most of ten")


def main() -> None:
    """The command line."""
    parser = arguments(argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__))
    parser.add_argument("--http", action="store_true")
    options = parser.parse_args()
    of = (options.monitors, options.pods, options.models, options.rows)
    answers = Answers(options.directory, *of)
    asyncio.run(measure(answers, options.minutes, http=options.http))


if __name__ == "__main__":
    main()
