"""A candidate beside the model on this machine: what the analyzer is told, and the verdict."""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec
from driftline.decoding import decode_monitors, decode_resources
from driftline.errors import DataError, InvalidSpec
from driftline.profile import Profile
from driftline.quantity import Duration
from driftline.shadow.codec import read_part
from driftline.shadow.comparison import comparison, listed
from driftline.shadow.fit import misfits, watched_paths
from driftline.shadow.gate import Judgement, judge, read_days, whole_days
from driftline.shadow.ledger import Ledger
from driftline.shadow.planning import plan_of, reading_of, untold
from driftline.shadow.rules import Reason, asks_for_labels
from driftline.shadow.runtime import MirrorConfig, ShadowId, encode_mirror
from driftline.shadow.status import shadow_status
from driftline.spec import ModelMonitor
from driftline.spec.gate import Gate
from driftline.spec.shadow import Aa, Compare, ShadowDeployment, ShadowSpec, Traffic
from driftline_sidecar.analyzer.mirror.shelf import unpacked

from driftline_cli.exits import DRIFT, EX_OK, NO_VERDICT
from driftline_cli.gateway import Gateway
from driftline_cli.profile_files import CantWrite
from driftline_cli.shadow_view import last_words, table

SHOW_SECONDS = 2.0
_KNOCK_SECONDS = 2.0
LINE_SECONDS = 30.0
"""Between tables where nobody can see one being redrawn."""

_DEFAULT_GATE = Gate(agreement=0.98)
_CODES = {"Promotable": EX_OK, "Rejected": DRIFT, "Inconclusive": NO_VERDICT}


class _Told(msgspec.Struct):
    """What `/v1/shadow` answers."""

    failures: dict[str, str]


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
        source: Path | None = None,
    ) -> None:
        """`file`: a ShadowDeployment, of which traffic, compare, gate and aa are read; None: the defaults.

        `source`: the monitor's file, which may change meanwhile.

        Raises DriftlineError where it can't be used, InvalidSpec where it can't be with this monitor.
        """
        found = None if file is None else read_shadow(file)
        spec = None if found is None else found.spec
        if spec is not None and (problems := [*misfits(spec, monitor.spec)]):
            raise InvalidSpec(problems, str(file))
        self._paths = watched_paths(spec, monitor.spec)
        self.gate = hurried(_DEFAULT_GATE if spec is None else spec.gate, less_than_a_day=less_than_a_day)
        self.min_pairs = 1000 if spec is None else spec.min_pairs
        self.config = _config(monitor, profile, candidate, live, spec, began)
        self.untold = untold(monitor.spec, self.config.compare, self.config.plan)
        """Segments that are not told apart, each with the reason."""
        self._ledger = Ledger(self.config.shadow.uid, self.config.shadow.generation, self.config.plan)
        self._cursor = ""
        self._source, self._changed = source, False
        self._notes: dict[str, str] = {}
        self._drawn = 0
        self._line_at = -math.inf

    def write(self, path: Path) -> None:
        """For the analyzer."""
        path.touch(mode=0o600)  # it holds the marker's key
        path.write_text(encode_mirror(self.config))

    async def fetch(self, gateway: Gateway) -> None:
        """What has changed; nothing where the analyzer doesn't answer just now."""
        self._look()
        try:
            url = f"{gateway.analyzer}/v1/pairs?since={self._cursor}"
            status, body, headers = await gateway.get(url)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return
        if status == 200:
            for data in unpacked(body):
                self._ledger.take(read_part(data))
            self._cursor = headers.get("X-Driftline-Cursor", "")
        with suppress(aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError):
            status, body, _ = await gateway.get(f"{gateway.analyzer}/v1/shadow")
            self._notes = msgspec.json.decode(body, type=_Told).failures if status == 200 else self._notes

    def remarks(self) -> Iterator[str]:
        """What somebody who begins such a comparison should know of it."""
        if not self.gate.allow_under_a_day:
            yield "no verdict before whole days (--less-than-a-day: on the hours seen)"
        if self.config.url == self.config.live:
            yield "it is the live model itself: an A/A comparison, which tells noise"
        if asks_for_labels(self.gate):
            yield "gate.performance needs the labels of a hub in a cluster: here it stays Inconclusive"

    async def knock(self) -> str:
        """A warning where nobody is at the candidate's address; empty: somebody is."""
        found = urlsplit(self.config.url)
        try:
            async with asyncio.timeout(_KNOCK_SECONDS):
                _, writer = await asyncio.open_connection(found.hostname, found.port)
        except (OSError, TimeoutError) as error:
            why = os.strerror(error.errno) if error.errno else "no answer"
            return f"warning: {self.config.url}, the candidate, can't be reached ({why})"
        writer.close()
        return ""

    def _look(self) -> None:
        """The pairs are those of the monitor that it began with. A file that can't be read isn't in force."""
        if self._source is None or self._changed:
            return
        try:
            monitor = decode_monitors(self._source.read_bytes())[0]
        except (OSError, InvalidSpec):
            return
        if reading_of(monitor.spec) != self.config.plan.reading:
            self._changed = True
            print(
                f"driftline: {self._source} has changed: the comparison is over", file=sys.stderr, flush=True
            )

    def judgement(self, now: float) -> Judgement:
        """What the gate says at that time."""
        elapsed, config = now - self.config.began, self.config
        read = read_days(self.gate, whole_days(elapsed, config.traffic.timeout), self._ledger.days)
        whole = self._ledger.snapshot(before=read) if read else None
        every = self._ledger.snapshot()
        found = judge(self.gate, self.min_pairs, elapsed, every, whole, repeats=config.aa.share > 0)
        if not self._changed:
            return found
        return replace(found, verdict="Inconclusive", reason=Reason.MONITOR_CHANGED)

    async def show(self, gateway: Gateway) -> None:
        """Fetch and tell, until cancelled."""
        while True:
            await asyncio.sleep(SHOW_SECONDS)
            await self.fetch(gateway)
            self.draw(time.time())

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
        self.clear()
        found = comparison(judgement.snapshot)
        text = last_words(judgement, found, self._paths, self._notes)
        print(f"driftline: shadow\n{text}", file=sys.stderr, flush=True)
        if path is not None:
            status = msgspec.to_builtins(shadow_status(judgement, 1, self._paths), enc_hook=str)
            report = {
                "verdict": judgement.verdict,
                **status,
                "comparison": msgspec.Raw(listed(found).encode()),
            }
            path.write_bytes(msgspec.json.encode(report))
        return _CODES[judgement.verdict]

    def draw(self, now: float) -> None:
        """The table, in the place of the one before; `now`: unix seconds."""
        if not sys.stderr.isatty():
            if now - self._line_at < LINE_SECONDS:
                return
            self._line_at = now
        text = table(self.judgement(now), self._paths, self._notes)
        if sys.stderr.isatty():
            text = fitted(text, *_size())
        self.clear()
        print(text, file=sys.stderr, flush=True)
        self._drawn = text.count("\n") + 1

    def tell_above(self, said: bytes) -> None:
        """What the programs say goes where the table is, and it comes again below."""
        self.clear()
        sys.stderr.buffer.write(said)
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the table back that was drawn last; nothing may have been written since."""
        if self._drawn and sys.stderr.isatty():
            sys.stderr.write(f"\x1b[{self._drawn}A\x1b[J")
        self._drawn = 0


def _size() -> tuple[int, int]:
    """Columns and lines of the terminal on stderr: stdout may be anything."""
    with suppress(OSError):
        columns, lines = os.get_terminal_size(sys.stderr.fileno())
        if columns and lines:
            return columns, lines
    return shutil.get_terminal_size()


def fitted(text: str, columns: int, lines: int) -> str:
    """What a terminal of that size shows without wrapping or scrolling: else it couldn't be taken back."""
    return "\n".join(line[: columns - 1] for line in text.split("\n")[: lines - 1])


def can_be_written(path: Path) -> None:
    """Said before a comparison of hours, not after it. Raises CantWrite."""
    is_new = not path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise CantWrite(f"{path}: can't be written: {error.strerror or error}") from error
    if is_new:
        path.unlink()


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
