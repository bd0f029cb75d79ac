"""Mirrors in a test's own process, and candidates that answer, or don't, as a test wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from driftline.shadow.account import Account
from driftline.shadow.codec import Part, decode_part
from driftline.shadow.ledger import Ledger
from driftline.shadow.measures import Snapshot
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.runtime import MirrorConfig, ShadowId
from driftline.spec import Capture, Feature, MonitorSpec, Prediction
from driftline_sidecar.analyzer.mirror.book import book_of
from driftline_sidecar.analyzer.mirror.errand import Setting
from driftline_sidecar.analyzer.mirror.logged import Logged
from driftline_sidecar.analyzer.mirror.mirror import Mirror
from driftline_sidecar.analyzer.mirror.reading import PairReader
from driftline_sidecar.analyzer.mirror.shelf import Shelf, unpacked
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.redact import Redactor

from tests.support.exchanges import exchange, spec

KEY = b"k" * 32
FEATURES = (Feature(name="age", type="numeric"), Feature(name="sex", type="categorical"))
PLAN = ComparisonPlan(sort="class", classes=("no", "yes"), clip=1.0, segments=(("sex", ("f", "m")),))
PREDICTION = Prediction(name="label", score="score")


def monitor_spec(**changes: Any) -> MonitorSpec:
    """A classifier with a score."""
    capture = changes.pop("capture", Capture())
    return spec(FEATURES, prediction=PREDICTION, capture=capture, **changes)


def mirror_config(url: str, **changes: Any) -> MirrorConfig:
    """A configuration that began a moment ago."""
    config = MirrorConfig(
        shadow=ShadowId(uid="uid", name="next"), began=time.time() - 1, url=url, key=KEY, plan=PLAN
    )
    return msgspec.structs.replace(config, **changes)


def predicted(number: int, label: str = "no", score: float = 0.2, **more: Any) -> Exchange:
    """A captured request with the live model's answer."""
    found = exchange({"age": number, "sex": "fm"[number % 2]}, {"label": label, "score": score}, **more)
    return msgspec.structs.replace(found, id=f"id-{number}", sequence=number + 1)


def setting(config: MirrorConfig, of: MonitorSpec | None = None) -> Setting:
    """What a mirror is told."""
    of = of or monitor_spec()
    reader = PairReader(of, FEATURES, config)
    redactor = Redactor(of.capture, [feature.name for feature in FEATURES])
    return Setting(config, reader, redactor, int(of.capture.max_body_bytes), KEY)


class Mirroring:
    """A running mirror with what it tells."""

    def __init__(
        self, config: MirrorConfig, of: MonitorSpec | None = None, state: Path | None = None
    ) -> None:
        self.shelf = Shelf(state, "ml/demo")
        self.book = book_of(config, "pod", "b" * 16)
        counter = self.shelf.counter(self.book.boot)
        self.logged = Logged()
        self.mirror = Mirror(setting(config, of), self.book, self.shelf, counter, self.logged)
        self.config = config

    def offer(self, exchanges: Sequence[Exchange]) -> None:
        self.mirror.offer(exchanges, time.time())

    @property
    def account(self) -> Account:
        """It adds up whenever one looks."""
        account = self.book.total()[0]
        assert not [*account.problems()]
        return account

    async def settled(self, seconds: float = 60.0) -> Snapshot:
        """All that was offered, once nothing waits any longer."""
        deadline = time.monotonic() + seconds
        while self.account.waiting:
            assert time.monotonic() < deadline, self.account
            await asyncio.sleep(0.02)
        return self.snapshot()

    def snapshot(self) -> Snapshot:
        """What a controller would make of what it fetches."""
        self.mirror.flush()
        return snapshot_of(self.config, self.shelf.since(0)[0])


def parts_of(raw: bytes) -> list[Part]:
    """The parts of an answer."""
    return [decode_part(data) for data in unpacked(raw)]


def snapshot_of(config: MirrorConfig, raw: bytes) -> Snapshot:
    """What they say together."""
    ledger = Ledger(config.shadow.uid, config.shadow.generation, config.plan)
    for part in parts_of(raw):
        ledger.take(part)
    return ledger.snapshot()


@asynccontextmanager
async def mirroring(
    config: MirrorConfig, of: MonitorSpec | None = None, state: Path | None = None
) -> AsyncIterator[Mirroring]:
    """A mirror that ends with the test."""
    found = Mirroring(config, of, state)
    found.mirror.start()
    try:
        yield found
    finally:
        await asyncio.to_thread(found.mirror.stop)


Answering = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


class Candidate:
    """A server on this machine that keeps what it was asked."""

    def __init__(self, answering: Answering) -> None:
        self.asked: list[tuple[web.Request, bytes]] = []
        self.url = ""
        self._answering = answering

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append((request, body))
        return await self._answering(request, body)


@asynccontextmanager
async def candidate(answering: Answering) -> AsyncIterator[Candidate]:
    """Serves until the test ends."""
    found = Candidate(answering)
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{rest:.*}", found.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


async def agrees(request: web.Request, body: bytes) -> web.StreamResponse:
    """Answers as the live model of `predicted` does."""
    return web.json_response({"label": "no", "score": 0.2})
