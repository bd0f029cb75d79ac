"""`driftline-sidecar analyzer`: the shell around the desk: sockets, clock, files, signals."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop
from driftline import __version__
from driftline.captured import encode
from driftline.report import Report

from driftline_sidecar import admin
from driftline_sidecar.admin import PanesPage
from driftline_sidecar.analyzer import exposure
from driftline_sidecar.analyzer.desk import Config, Desk
from driftline_sidecar.analyzer.heartbeat import Heartbeat
from driftline_sidecar.analyzer.history import HistoryReport
from driftline_sidecar.analyzer.intake import Intake
from driftline_sidecar.analyzer.mirror.marker import Mark
from driftline_sidecar.analyzer.mirror.mirrors import Mirrors
from driftline_sidecar.analyzer.predictions.log import PredictionLog
from driftline_sidecar.analyzer.predictions.outbox import Outbox
from driftline_sidecar.analyzer.predictions.sending import Hub
from driftline_sidecar.analyzer.pushing import CA_FILE, PAIRS, Outcome, pod_of_environment, push
from driftline_sidecar.analyzer.reporting import report_of
from driftline_sidecar.courtesy import give_way
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.exposition import Families, merge, render
from driftline_sidecar.logs import event
from driftline_sidecar.settings import AnalyzerSettings
from driftline_sidecar.token_file import Token

BATCH = 500
"""Exchanges decoded and counted at once: enough to share the cost of a batch, few enough (a few ms) that
the admin server answers in between."""

BATCH_BYTES = 2 << 20
"""Bodies' bytes in a batch, for the same reason: JSON parses at about 100 MB/s."""

GATHER_SECONDS = 0.2
"""How long exchanges may wait for others to share a batch with."""

STEP_SECONDS = 0.25
GRACE_SECONDS = 0.5
"""How long after a window's end its last exchanges are waited for."""

MOST_DELAY_SECONDS = 5.0
"""How long a backlog may hold windows up."""

POLL_SECONDS = 1.0
UNHEALTHY_LAG_SECONDS = 5.0


def serve(settings: AnalyzerSettings) -> int:
    """Run until SIGTERM or SIGINT; the exit status. Raises DriftlineError and OSError at the start."""
    desk: Desk

    def hub_of(key: str) -> Hub:
        folder = desk.folder(key) if settings.config is not None else None
        beside = None if folder is None else folder / CA_FILE
        return Hub(settings.hub, settings.hub_token or settings.token, settings.hub_ca or beside)

    log = PredictionLog(hub_of, settings.state) if settings.hub else None
    mirrors = Mirrors(settings.shadow, settings.state, Token(settings.token), pod_of_environment().uid)
    desk = Desk(
        settings.monitor,
        settings.profile,
        settings.state,
        time.time(),
        folder=settings.config,
        fleet=settings.fleet,
        log=log,
    )
    return uvloop.run(Program(settings, desk, log, mirrors=mirrors).run())


class Program:
    """The running analyzer. It is the admin server's `Source`."""

    def __init__(
        self,
        settings: AnalyzerSettings,
        desk: Desk,
        log: PredictionLog | None = None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        mirrors: Mirrors | None = None,
    ) -> None:
        self._settings = settings
        self._mirrors = mirrors or Mirrors(None, None, Token(None), "")
        self._desk = desk
        self._log = log
        # Time goes on evenly from where the wall clock stood: a clock that is set back re-opens no pane.
        self._offset = wall() - monotonic()
        self._wall = wall
        self._monotonic = monotonic
        self._boot = secrets.token_hex(8)
        self._heartbeat = Heartbeat(monotonic)
        self._stepped = 0.0
        self._building = False
        """Whether a captured reference is being made, which may take longer than a batch."""
        self._last_turn = monotonic()
        self._token = Token(settings.token)
        self._pushes: Counter[Outcome] = Counter()
        self._pair_pushes: Counter[Outcome] = Counter()
        self._pushing: set[asyncio.Task[None]] = set()
        self.intake = Intake(sieve=self._arrived)
        self.stop = asyncio.Event()
        self.port = 0
        """Of the admin server, once it listens."""

    @property
    def now(self) -> float:
        """Unix seconds, never going back."""
        return self._monotonic() + self._offset

    @property
    def behind(self) -> float:
        """Seconds by which the wall clock, which stamps exchanges, was set back since the start."""
        return self.now - self._wall()

    async def run(self) -> int:
        """Serve until told to stop, then finish what was acknowledged."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        await self.intake.listen(self._settings.tee)
        address = self._settings.admin
        runner, self.port = await admin.serve(admin.application(self), address.host, address.port)
        event(logging.INFO, "started", "the analyzer has started", address=f"{address.host}:{self.port}")
        logged = [key for key, each in self._desk.analyses.items() if each.spec.labels is not None]
        if self._log is not None:
            self._log.start(logged)
        elif logged:
            event(logging.WARNING, "no_hub", "a monitor has labels, but there is no --hub: nothing is kept")
        self._poll_mirrors()
        gc.collect()
        gc.freeze()
        tasks = [asyncio.create_task(work()) for work in (self._heartbeat.run, self._work, self._watch)]
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end(tasks, stopping)
            await runner.cleanup()
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        return 0

    async def _end(self, tasks: list[asyncio.Task[None]], stopping: asyncio.Task[bool]) -> None:
        await self.intake.close()
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)
        while self.intake:
            self._take()
        await asyncio.to_thread(self._mirrors.close)
        self._log_candidates()
        for task in self._pushing:
            task.cancel()
        await asyncio.gather(self._push(), self._close_log())
        event(logging.INFO, "ended", "the analyzer has ended", count=self.intake.received)

    async def _close_log(self) -> None:
        if self._log is not None:
            await self._log.close()

    async def _work(self) -> None:
        """Batches and steps, for ever; one batch at a time, other tasks in between."""
        left = 0
        while True:
            if await self.intake.wait(STEP_SECONDS):
                if not left:  # what large bodies have left over has waited already
                    await self.intake.wait(GATHER_SECONDS, BATCH)
                self._take()
            left = len(self.intake)
            give_way()
            await self._finish_captures()
            self._step()
            self._last_turn = self._monotonic()
            await asyncio.sleep(0)

    def _arrived(self, exchanges: list[Exchange]) -> list[Exchange]:
        """Those that are to be analysed. Copies go as the requests came, not in the analysis' batches: so the
        candidate is as busy as the live model, and no bunch of copies takes the cores from it.
        """
        kept = self._mirrors.unmarked(exchanges, self._wall())
        if self._mirrors.running:
            for key, share in self._desk.shares(kept).items():
                self._mirrors.offer(key, share, self.now)
        return kept

    def _take(self) -> None:
        self._desk.take(self.intake.take(BATCH, BATCH_BYTES), self.now, self.behind)

    def _log_candidates(self) -> None:
        if self._log is not None:
            for key, rows in self._mirrors.logged():
                self._log.outbox(key).add(rows, self.now)

    def _step(self) -> None:
        now = self.now
        self._log_candidates()
        if self._log is not None:
            self._log.seal(now)
        delayed = now - self._stepped
        if delayed < STEP_SECONDS or (self.intake and delayed < MOST_DELAY_SECONDS):
            return
        self._stepped = now
        self._desk.step(now - GRACE_SECONDS)

    async def _finish_captures(self) -> None:
        for analysis in list(self._desk.analyses.values()):
            capture = analysis.full_capture
            if capture is not None:
                self._building = True
                profile = await asyncio.to_thread(analysis.build, capture, self.now)
                self._building = False
                analysis.adopt(capture, profile, self.now)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self._desk.poll(self.now)
            self._poll_mirrors()

    def _poll_mirrors(self) -> None:
        analyses = self._desk.analyses
        fleet = self._settings.config is not None
        folders = {key: self._desk.folder(key) if fleet else None for key in analyses}
        self._mirrors.poll({key: (analyses[key], folders[key]) for key in analyses}, self.now)

    # ---- what the admin server is told ----

    def health(self) -> admin.Health:
        """Not ok where exchanges can't come in, or nothing has been done with them for seconds."""
        problems = []
        if not self.intake.listening:
            problems.append("the tee's socket is not open")
        elif not self._settings.tee.exists():
            problems.append("the tee's socket has been removed")
        idle = self._monotonic() - self._last_turn
        if idle > UNHEALTHY_LAG_SECONDS and not self._building:
            problems.append(f"no batch and no step for {idle:.0f} s")
        if self._heartbeat.lag > UNHEALTHY_LAG_SECONDS:
            problems.append(f"the event loop was {self._heartbeat.lag:.1f} s late")
        return admin.Health(tuple(problems))

    def metrics(self) -> bytes:
        """All series."""
        process = Families(("", "", ""))
        process.add("analyzer_backlog_bytes", self.intake.backlog_bytes)
        process.add("analyzer_loop_lag_seconds", self._heartbeat.lag)
        process.add("unrouted_exchanges_total", self._desk.unrouted)
        for outcome in Outcome:
            process.add("pane_pushes_total", self._pushes[outcome], (outcome.value,))
        process.add("build_info", 1, (__version__,))
        parts = [process]
        for outcome in Outcome:
            process.add("shadow_pushes_total", self._pair_pushes[outcome], (outcome.value,))
        for mark in (Mark.VALID, Mark.OWN, Mark.INVALID):
            process.add("shadow_marked_total", self._mirrors.marks[mark], (mark.value,))
        for kind, key, watched in (*self._desk.watched(), *self._mirrors.watched()):
            owner = Families(exposure.common_labels(self._desk.find(key)) if key else ("", "", ""))
            owner.add("config_last_reload_successful", float(watched.refusal is None), (kind,))
            owner.add("config_refused_total", watched.refused, (kind,))
            parts.append(owner)
        if self._log is not None:
            parts += [exposure.predictions(*each) for each in self._logged(self._log)]
        parts += [exposure.families(analysis) for analysis in self._desk.analyses.values()]
        parts += [
            exposure.shadow(exposure.common_labels(self._desk.find(key)), mirror)
            for key, mirror in self._mirrors.running.items()
            if key in self._desk.analyses
        ]
        return render(merge(parts))

    def _logged(self, log: PredictionLog) -> Iterator[tuple[tuple[str, str, str], Outbox]]:
        """Outboxes with the common labels of their monitors; one of a monitor that has gone has no model."""
        for key, outbox in log.outboxes():
            analysis = self._desk.analyses.get(key)
            namespace, _, name = key.partition("/")
            yield (namespace, name, "") if analysis is None else exposure.common_labels(analysis), outbox

    def report(self, monitor: str) -> Report:
        """Windows and verdicts of a monitor."""
        analysis = self._desk.find(monitor)
        return report_of(analysis, self.now, self._desk.refusals(analysis.monitor.key))

    def history(self, monitor: str) -> HistoryReport:
        """How they came to be."""
        return self._desk.find(monitor).history.read()

    def config(self) -> Config:
        """What is in force."""
        return self._desk.config(self._mirrors.watched())

    def panes(self, monitor: str, cursor: str, begin: int) -> admin.PanesPage:
        """Panes since a cursor."""
        return self._desk.panes(monitor, cursor, self._boot, self.now, begin)

    def pairs(self, monitor: str, cursor: str) -> tuple[bytes, str]:
        """A shadow's parts since a cursor."""
        return self._mirrors.pairs(self._desk.find(monitor).monitor.key, cursor)

    def shadow(self, monitor: str) -> dict[str, object]:
        """How its mirrored requests failed."""
        return {"failures": self._mirrors.notes(self._desk.find(monitor).monitor.key)}

    def captured(self, monitor: str, identity: str, *, content: bool) -> tuple[int, bytes] | None:
        """Rows kept for a reference."""
        found = self._desk.find(monitor).captured(identity)
        if found is None:
            return None
        return found.rows, encode(found) if content else b""

    def refuses(self, authorization: str) -> str:
        """Whether the token is wrong, and how."""
        return self._token.refuses(authorization)

    # ---- the pod's end ----

    def end_begins(self) -> None:
        """Push what is there; what still comes goes with the program's own end."""
        task = asyncio.create_task(self._push())
        self._pushing.add(task)
        task.add_done_callback(self._pushing.discard)

    async def _push(self) -> None:
        """All panes that the operator hasn't asked beyond, those still counting included."""
        if not self._settings.push:
            return
        await asyncio.gather(*(self._push_one(key) for key in list(self._desk.analyses)))

    async def _push_one(self, key: str) -> None:
        since = self._desk.acknowledged.get(key, "")
        page = self._desk.panes(key, since, self._boot, math.inf)
        folder = self._desk.folder(key)
        ca = Path() if folder is None else folder / CA_FILE
        outcome = await push(self._settings.push, key, pod_of_environment(), page, self._token.read(), ca)
        self._pushes[outcome] += 1
        level = logging.INFO if outcome in (Outcome.DELIVERED, Outcome.NOTHING) else logging.WARNING
        event(level, "panes_pushed", f"the last panes: {outcome.value}", monitor=key, count=len(page.body))
        parts, cursor = self._mirrors.pairs(key, "")
        if parts:
            told = PanesPage(parts, cursor)
            pod, token = pod_of_environment(), self._token.read()
            outcome = await push(self._settings.push, key, pod, told, token, ca, kind=PAIRS)
            self._pair_pushes[outcome] += 1
            event(logging.INFO, "pairs_pushed", f"the last pairs: {outcome.value}", monitor=key)
