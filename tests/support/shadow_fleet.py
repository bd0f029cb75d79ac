"""Sidecars of live pods as the controller sees them: they serve parts of pairs, real ones, over HTTP."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

import numpy as np
from aiohttp import web
from driftline.shadow.account import Account, Drop, Failure
from driftline.shadow.codec import Part, encode_part
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.rows import class_rows
from driftline.shadow.runtime import MirrorConfig
from driftline.shadow.tally import Tally, error_counts
from driftline_operator import names


def pairs(plan: ComparisonPlan, paired: int, disagreement: float, failed: int, seed: int) -> Tally:
    """Pairs of a classifier whose candidate flips a share of the answers, and failed so often beside."""
    rng = np.random.default_rng(seed)
    live = rng.random(paired) < 0.3
    flipped = live ^ (np.arange(paired) < disagreement * paired)
    words = np.array(["no", "yes"])
    rows = class_rows(
        plan,
        np.arange(paired),
        words[live.astype(int)].tolist(),
        words[flipped.astype(int)].tolist(),
        None,
        {},
    )
    candidate = np.arange(paired + failed) >= paired
    tally = Tally.empty(plan).with_rows(rows)
    return _with_errors(tally, candidate)


def _with_errors(tally: Tally, candidate: np.ndarray) -> Tally:
    return replace(tally, errors=tally.errors + error_counts(np.zeros(len(candidate), bool), candidate))


def part(
    config: MirrorConfig, pod: str, paired: int, *, disagreement: float = 0.0, failed: int = 0,
    dropped: int = 0, waiting: int = 0, sequence: int = 1, boot: str = "boot-1", day: int = 0,
) -> Part:  # fmt: skip
    """All that one life of a pod counted in one day, within an hour. Its account adds up."""
    account = Account(
        eligible=paired + failed + dropped + waiting,
        mirrored=paired + failed,
        paired=paired,
        waiting=waiting,
        dropped={Drop.QUEUE_FULL: dropped} if dropped else {},
        failed={Failure.TIMEOUT: failed} if failed else {},
        first=day * 86400.0 if paired + failed else None,
        last=day * 86400.0 + 3600 if paired + failed else None,
    )
    shadow = config.shadow
    tally = pairs(config.plan, paired, disagreement, failed, seed=len(pod))
    return Part(shadow.uid, shadow.generation, config.began, pod, boot, day, sequence, account, tally)


def page(parts: list[Part]) -> bytes:
    """As `/v1/pairs` tells them."""
    encoded = [encode_part(each) for each in parts]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


@dataclass
class FakeSidecar:
    """One pod's analyzer, at the port where every pod's is."""

    address: str
    parts: list[Part] = field(default_factory=list)
    asked: int = 0
    cursors: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_get("/v1/pairs", self._pairs)
        app.router.add_get("/v1/panes", self._panes)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, self.address, names.ADMIN_PORT).start()

    async def stop(self) -> None:
        """Answer no more."""
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def _pairs(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.cursors.append(request.query["since"])
        self.tokens.add(request.headers["Authorization"])
        # Everything, each time: a controller that counted twice would show it.
        return web.Response(body=page(self.parts), headers={"X-Driftline-Cursor": f"boot-1.{self.asked}"})

    async def _panes(self, request: web.Request) -> web.Response:
        return web.Response(body=b"", headers={"X-Driftline-Cursor": "boot-1.0"})
