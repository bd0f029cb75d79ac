"""A candidate beside the model on this machine: what the analyzer is told, and the verdict."""

from __future__ import annotations

import asyncio
import math
import secrets
import sys
import time
from pathlib import Path

import aiohttp
import msgspec
from driftline.decoding import decode_resources
from driftline.errors import DataError
from driftline.profile import Profile
from driftline.quantity import Duration
from driftline.shadow.codec import read_part
from driftline.shadow.comparison import comparison, listed
from driftline.shadow.gate import Judgement, judge, read_days, whole_days
from driftline.shadow.ledger import Ledger
from driftline.shadow.planning import plan_of, untold
from driftline.shadow.runtime import MirrorConfig, ShadowId, encode_mirror
from driftline.shadow.status import shadow_status
from driftline.spec import ModelMonitor
from driftline.spec.gate import Gate
from driftline.spec.shadow import Aa, Compare, ShadowDeployment, ShadowSpec, Traffic
from driftline_sidecar.analyzer.mirror.shelf import unpacked

from driftline_cli.exits import DRIFT, EX_OK, NO_VERDICT
from driftline_cli.gateway import Gateway
from driftline_cli.shadow_view import last_words, table

SHOW_SECONDS = 2.0
LINE_SECONDS = 30.0
"""Between tables where nobody can see one being redrawn."""

_DEFAULT_GATE = Gate(agreement=0.98)
_CODES = {"Promotable": EX_OK, "Rejected": DRIFT, "Inconclusive": NO_VERDICT}


class Comparison:
    """One run's shadow. `began`: unix seconds."""

    def __init__(
        self,
        monitor: ModelMonitor,
        profile: Profile | None,
        candidate: str,
        live: str,
        file: Path | None,
        began: float,
        *,
        less_than_a_day: bool = False,
    ) -> None:
        """`file`: a ShadowDeployment, of which traffic, compare, gate and aa are read; None: the defaults.

        Raises DriftlineError where it can't be used.
        """
        found = None if file is None else read_shadow(file)
        spec = None if found is None else found.spec
        self.gate = hurried(_DEFAULT_GATE if spec is None else spec.gate, less_than_a_day=less_than_a_day)
        self.min_pairs = 1000 if spec is None else spec.min_pairs
        self.config = _config(monitor, profile, candidate, live, spec, began)
        self.untold = untold(monitor.spec, self.config.compare, self.config.plan)
        """Segments that are not told apart, each with the reason."""
        self._ledger = Ledger(self.config.shadow.uid, self.config.shadow.generation, self.config.plan)
        self._cursor = ""
        self._drawn = 0
        self._line_at = -math.inf

    def write(self, path: Path) -> None:
        """For the analyzer."""
        path.touch(mode=0o600)  # it holds the marker's key
        path.write_text(encode_mirror(self.config))

    async def fetch(self, gateway: Gateway) -> None:
        """What has changed; nothing where the analyzer doesn't answer just now."""
        try:
            url = f"{gateway.analyzer}/v1/pairs?since={self._cursor}"
            status, body, headers = await gateway.get(url)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return
        if status == 200:
            for data in unpacked(body):
                self._ledger.take(read_part(data))
            self._cursor = headers.get("X-Driftline-Cursor", "")

    def judgement(self, now: float) -> Judgement:
        """What the gate says at that time."""
        elapsed, config = now - self.config.began, self.config
        read = read_days(self.gate, whole_days(elapsed, config.traffic.timeout), self._ledger.days)
        whole = self._ledger.snapshot(before=read) if read else None
        every = self._ledger.snapshot()
        return judge(self.gate, self.min_pairs, elapsed, every, whole, repeats=config.aa.share > 0)

    async def show(self, gateway: Gateway) -> None:
        """Fetch and tell, until cancelled."""
        while True:
            await asyncio.sleep(SHOW_SECONDS)
            await self.fetch(gateway)
            self._draw(time.time())

    async def settle(self, gateway: Gateway) -> None:
        """Fetch until nothing waits any longer, twice alike, or the candidate's time is up."""
        last, deadline = None, time.monotonic() + self.config.traffic.timeout + 5
        while time.monotonic() < deadline:
            await self.fetch(gateway)
            account = self._ledger.snapshot().account
            if account == last and not account.waiting:
                return
            last = account
            await asyncio.sleep(0.7)

    def tell(self, path: Path | None) -> int:
        """The last word on stderr, and as JSON in a file; the exit code that says it."""
        judgement = self.judgement(time.time())
        self._clear()
        found = comparison(judgement.snapshot)
        print(f"driftline: shadow\n{last_words(judgement, found)}", file=sys.stderr, flush=True)
        if path is not None:
            status = msgspec.to_builtins(shadow_status(judgement, 1), enc_hook=str)
            report = {
                "verdict": judgement.verdict,
                **status,
                "comparison": msgspec.Raw(listed(found).encode()),
            }
            path.write_bytes(msgspec.json.encode(report))
        return _CODES[judgement.verdict]

    def _draw(self, now: float) -> None:
        if not sys.stderr.isatty():
            if now - self._line_at < LINE_SECONDS:
                return
            self._line_at = now
        text = table(self.judgement(now))
        self._clear()
        print(text, file=sys.stderr, flush=True)
        self._drawn = text.count("\n") + 1

    def _clear(self) -> None:
        """Take the table back that was drawn last; a log line in between is drawn over at worst."""
        if self._drawn and sys.stderr.isatty():
            sys.stderr.write(f"\x1b[{self._drawn}A\x1b[J")
        self._drawn = 0


def read_shadow(path: Path) -> ShadowDeployment:
    """The ShadowDeployment of a file. Raises DriftlineError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    found = [each for each in decode_resources(raw, str(path)) if isinstance(each, ShadowDeployment)]
    if len(found) != 1:
        raise DataError(f"{path}: must hold one ShadowDeployment ({len(found)} found)")
    return found[0]


def hurried(gate: Gate, *, less_than_a_day: bool) -> Gate:
    """The gate; if said so, one that is read at any time and is about the hours seen, no others."""
    if not less_than_a_day:
        return gate
    return msgspec.structs.replace(gate, min_time=Duration(0), allow_under_a_day=True)


def _config(
    monitor: ModelMonitor,
    profile: Profile | None,
    candidate: str,
    live: str,
    spec: ShadowSpec | None,
    began: float,
) -> MirrorConfig:
    traffic, compare, aa = (
        (Traffic(), Compare(), Aa()) if spec is None else (spec.traffic, spec.compare, spec.aa)
    )
    return MirrorConfig(
        shadow=ShadowId(uid=secrets.token_hex(8), name="candidate"),
        began=began,
        url=candidate,
        live=live,
        key=secrets.token_bytes(32),
        plan=plan_of(monitor.spec, compare, profile),
        traffic=traffic,
        compare=compare,
        aa=aa,
    )
