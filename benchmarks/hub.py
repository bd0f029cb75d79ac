"""The hub: events accepted per second, and a window of a million predictions joined and measured.

    python -m benchmarks.hub [--quick] [--markdown FILE]

A PostgreSQL of its own is started, with its durable defaults. The hub is the real program,
asked over HTTP by several connections from another process; everything shares this machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import numpy as np
from driftline.events import Label, Prediction, Predictions
from driftline.performance.bins import ScoreBins
from driftline_operator.hub.aggregates import By, Classes, open_window, outcomes, sums
from driftline_operator.hub.database import Database
from driftline_operator.hub.registry import read as read_registry
from driftline_operator.hub.tokens import sha256_of

from tests.support.children import child, eventually, free_port
from tests.support.hubs import document
from tests.support.postgres import Postgres

BATCH = 500
TOKEN = "benchmark"
CONNECTIONS = 8


class Accepted(NamedTuple):
    """Of one kind of event on one database."""

    database: str
    events: str
    number: int
    seconds: float
    hub_cpu: float
    """Processor seconds of the hub; on SQLite that is the database too."""
    database_cpu: float
    """Of PostgreSQL's processes."""
    resident_first: float
    """MiB of the hub once a tenth was taken."""
    resident_last: float

    @property
    def rate(self) -> float:
        return self.number / self.seconds

    @property
    def alone(self) -> float:
        """What two cores of their own would do at most: the slower of hub and database has one core."""
        return self.number / max(self.hub_cpu, self.database_cpu)


class Joined(NamedTuple):
    """A window joined and measured."""

    database: str
    window: int
    stored: int
    steps: dict[str, float]
    peak_growth: float
    """MiB that this process grew by, meanwhile."""


@contextlib.contextmanager
def hub(url: str, folder: Path) -> Iterator[tuple[str, int]]:
    """The program; its address and process id."""
    tokens, port, aside = folder / "tokens.json", free_port(), free_port()
    grant = {"sha256": sha256_of(TOKEN), "namespace": "*", "scopes": ["admin", "intake", "label", "read"]}
    tokens.write_text(json.dumps({"tokens": [grant]}))
    command = [
        sys.executable, "-m", "driftline_operator.main", "hub", "--database", url, "--tokens", str(tokens),
        "--listen", f"127.0.0.1:{port}", "--metrics", f"127.0.0.1:{aside}", "--rate", "1e9",
        "--log-level", "warning",
    ]  # fmt: skip
    with child(command, folder / "hub.log") as process:
        eventually(lambda: asyncio.run(_ready(port)), 60)
        yield f"http://127.0.0.1:{port}", process.pid


async def _ready(port: int) -> bool:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/readyz") as answer,
        ):
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def prediction_bodies(count: int, start: float, span: float, name: str) -> Iterator[bytes]:
    """Batches of envelopes: ids as long as a UUID, a score, two segments of 3 and 16 values."""
    random = np.random.default_rng(1)
    for first in range(0, count, BATCH):
        scores = random.random(BATCH) ** 3
        rows = tuple(
            Prediction(
                id=f"{hash((first, n)) & 0xFFFFFFFFFFFFFFFF:016x}-{name}-{first + n:012d}",
                at=start + span * (first + n) / count,
                sequence=first + n,
                prediction="yes" if scores[n] > 0.5 else "no",
                score=float(scores[n]),
                version="3",
                segments={"sex": "fmx"[n % 3], "origin": f"o{n % 16}"},
            )
            for n in range(min(BATCH, count - first))
        )
        envelope = Predictions(namespace="ml", monitor="census", boot=name, predictions=rows)
        yield msgspec.json.encode(envelope)


def label_bodies(count: int, start: float, span: float, name: str) -> Iterator[bytes]:
    """Batches of labels of the same predictions, an hour later."""
    for body in prediction_bodies(count, start, span, name):
        rows = msgspec.json.decode(body, type=Predictions).predictions
        labels = [
            Label(id=each.id, label="yes" if n % 97 < 97 * (each.score or 0) else "no", at=each.at + 3600)
            for n, each in enumerate(rows)
        ]
        yield msgspec.json.encode(labels)


async def send(address: str, pid: int, path: str, bodies: list[bytes]) -> tuple[float, float, float]:
    """Seconds to have all acknowledged; the hub's MiB after a tenth, and at the end."""
    waiting, done = list(reversed(bodies)), 0
    first = 0.0
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def work() -> None:
            nonlocal done, first
            while waiting:
                body = waiting.pop()
                async with session.post(address + path, data=body) as answer:
                    assert answer.status == 200, await answer.text()
                done += 1
                if done == max(1, len(bodies) // 10):
                    first = resident(pid) / 2**20

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
        return time.perf_counter() - began, first, resident(pid) / 2**20


def resident(pid: int | None) -> int:
    """Bytes that a process (None: this one) holds in memory."""
    status = Path(f"/proc/{pid or 'self'}/status").read_text()
    return 1024 * int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])


def cpu(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of_children(parent: int | None) -> float:
    """Of all processes that it started and that still run."""
    if parent is None:
        return 0.0
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                total += cpu(int(folder.name))
    return total


async def tell(address: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.put(f"{address}/v1/monitors/ml/census", json={"document": document()}) as answer,
    ):
        assert answer.status == 200, await answer.text()


def accepted(
    name: str, url: str, folder: Path, count: int, window: int, postmaster: int | None = None
) -> list[Accepted]:
    """Predictions, then their labels. The last `window` predictions lie within one day."""
    now = time.time() // 86_400 * 86_400
    found = []
    with hub(url, folder) as (address, pid):
        asyncio.run(tell(address))
        for events, bodies, path in (
            ("predictions", prediction_bodies, "/v1/predictions"),
            ("labels", label_bodies, "/v1/labels?namespace=ml&monitor=census"),
        ):
            ready = list(bodies(count, now, 86_400.0 * count / window, name))
            used = cpu(pid), cpu_of_children(postmaster)
            took, first, last = asyncio.run(send(address, pid, path, ready))
            own, others = cpu(pid) - used[0], cpu_of_children(postmaster) - used[1]
            found.append(Accepted(name, events, count, took, own, others, first, last))
            print(found[-1], f"{found[-1].rate:,.0f}/s, alone {found[-1].alone:,.0f}/s", flush=True)
    return found


def fill(url: str, first: int, last: int, window: int) -> None:
    """Further predictions and their labels, made in the database; `window` of all lie in the first day."""
    start = time.time() // 86_400 * 86_400
    predictions = f"""
        INSERT INTO predictions
        SELECT monitor_id, source_id, n, 0, {start} + 86400.0 * n / {window},
            md5(n::text) || lpad(n::text, 4, '0'),
            strata[1 + mod(n, cardinality(strata))],
            CASE WHEN score > 0.5 THEN 'yes' ELSE 'no' END, NULL, score, 1.0, NULL
        FROM (SELECT n, random() ^ 3 AS score FROM generate_series({first}, {last - 1}) AS n) AS made,
            (SELECT DISTINCT monitor_id, source_id FROM predictions) AS sent,
            (SELECT array_agg(id) AS strata FROM strata) AS them
    """
    labels = """
        INSERT INTO labels
        SELECT monitor_id, id, at + 3600, NULL, CASE WHEN random() < score THEN 'yes' ELSE 'no' END, NULL, at
        FROM predictions ON CONFLICT DO NOTHING
    """
    database = Database(url)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in (predictions, labels, "VACUUM ANALYZE"):
            connection.exec_driver_sql(statement)
    database.close()


def joined(name: str, url: str, window: int, stored: int) -> Joined:
    """What an evaluation asks of a window: two label ages, two segments, coverage, lag, errors by time."""
    database = Database(url)
    start = time.time() // 86_400 * 86_400
    steps: dict[str, float] = {}
    before = resident(None)

    def step(what: str, began: float) -> None:
        steps[what] = time.perf_counter() - began

    began = whole = time.perf_counter()
    with database.reading() as connection:
        known = read_registry(connection).find("ml", "census")
        bins = ScoreBins.default()
        with open_window(connection, known.id, start, start + 86_400, bins, numeric=False) as opened:
            step("join", began)
            for what, by in (
                ("all, newest labels", By()),
                ("all, labels at 1 h", By(age=3600)),
                ("by segment of 3", By(segment="sex")),
                ("by segment of 16", By(segment="origin")),
            ):
                began = time.perf_counter()
                found = sums.binary(opened, Classes.of("yes"), by)
                step(what, began)
                assert sum(each.rows for each in found.values()) == window
            began = time.perf_counter()
            outcomes.coverage(opened, By())
            outcomes.lags(opened, By())
            sums.error_buckets(opened, By(bucket=300.0), Classes.of("yes"))
            step("coverage, lag, errors by 5 minutes", began)
    steps["whole"] = time.perf_counter() - whole
    growth = (resident(None) - before) / 2**20
    database.close()
    return Joined(name, window, stored, steps, growth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    window = 100_000 if given.quick else 1_000_000
    folder = Path(tempfile.mkdtemp(prefix="dl-hub-"))
    lines: list[Any] = []
    try:
        url = f"sqlite:///{folder}/hub.db"
        small = window // 20
        lines += accepted("SQLite", url, folder, small, small)
        lines.append(joined("SQLite", url, small, small))
        with postgres() as (url, postmaster):
            stored, sent = window * 3 // 2, window // 10
            lines += accepted("PostgreSQL", url, folder, sent, window, postmaster)
            fill(url, sent, stored, window)
            lines.append(joined("PostgreSQL", url, window, stored))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = report(lines)
    print(text)
    if given.markdown:
        given.markdown.write_text(text)


@contextlib.contextmanager
def postgres() -> Iterator[tuple[str, int]]:
    """A cluster with its durable defaults; a database's URL, and the id of its first process."""
    folder = Path(tempfile.mkdtemp(prefix="dl-pg-"))
    own = Postgres(folder)
    try:
        own.start("shared_buffers=512MB", "max_wal_size=2GB", "work_mem=64MB")
        yield own.create(), own.pid
    finally:
        own.stop()
        shutil.rmtree(folder, ignore_errors=True)


def report(lines: list[Any]) -> str:
    """The figures as Markdown."""
    out = [
        "| database | events | sent | per second | hub's CPU | database's | a core each | hub's memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    out += [
        f"| {each.database} | {each.events} | {each.number:,} | {each.rate:,.0f} "
        f"| {each.hub_cpu / each.number * 1e6:.0f} µs | {each.database_cpu / each.number * 1e6:.0f} µs "
        f"| {each.alone:,.0f} | {each.resident_first:.0f}, {each.resident_last:.0f} MiB |"
        for each in lines
        if isinstance(each, Accepted)
    ]
    for each in lines:
        if isinstance(each, Joined):
            out += [
                "",
                f"{each.database}, a window of {each.window:,} of {each.stored:,} predictions, all labelled:",
                "",
            ]
            out += ["| step | seconds |", "|---|---|"]
            out += [f"| {name} | {seconds:.2f} |" for name, seconds in each.steps.items()]
            out += ["", f"Memory of the asking process grew by {each.peak_growth:.0f} MiB."]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    main()
