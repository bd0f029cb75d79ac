"""The hub as it runs: tables, monitors from files, the API, what goes on beside it, a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa
from aiohttp import web
from driftline.performance.report import HubReport
from prometheus_client import CollectorRegistry
from sqlalchemy.engine import Connection

from driftline_operator.aside import serve_aside
from driftline_operator.hub import monitor_files, partitions, rounds
from driftline_operator.hub.api import application
from driftline_operator.hub.database import Database
from driftline_operator.hub.evaluation import store as evaluations
from driftline_operator.hub.evaluation.series import HubSeries
from driftline_operator.hub.evaluation.turns import Turns
from driftline_operator.hub.hub import Hub
from driftline_operator.hub.limits import Limits
from driftline_operator.hub.migrate import migrate
from driftline_operator.hub.registry import Known
from driftline_operator.hub.tokens import ALL, SCOPES, Grant, TokenFile, sha256_of
from driftline_operator.hub.upkeep import upkeep

_log = logging.getLogger(__name__)

_LOOK: Final = 2.0
"""Seconds between looks for changed monitors, tokens and certificates."""
_CLEAN: Final = 600.0
_AGAIN: Final = 2.0
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class HubSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`driftline-operator hub`."""

    database: str
    """A URL: `sqlite:////data/hub.db`, `postgresql://user@host/name`."""
    listen: tuple[str, int]
    metrics: tuple[str, int]
    tokens: Path | None = None
    """None: one token is made for this run, where only this machine is listened to."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    monitors: tuple[Path, ...] = ()
    """Monitors to know without a controller; read again as they change."""
    profile: Path | None = None
    """The reference of the one monitor given."""
    evaluate_seconds: float = 60.0
    """Seconds between two evaluations of a monitor, where they cost less than a tenth of it."""
    limits: Limits = Limits()


async def run(settings: HubSettings) -> int:
    """Serve until SIGTERM or SIGINT. Raises ValueError for settings that can't be."""
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    numbers = CollectorRegistry()
    hub = Hub(Database(settings.database), _tokens(settings), settings.limits, report)
    faults = rounds.Faults(numbers)
    turns = Turns(hub.database, settings.evaluate_seconds, hub.clock, failed=faults.of_evaluation)
    numbers.register(HubSeries(lambda: _reports(hub, turns)))
    tls, files = _Tls(settings), monitor_files.MonitorFiles(settings.monitors, settings.profile)
    aside = await serve_aside(settings.metrics, numbers, lambda: [hub.problem] if hub.problem else [])
    runner = web.AppRunner(
        application(hub, numbers), access_log=None, handle_signals=False, shutdown_timeout=20.0
    )
    try:
        await runner.setup()
        host, port = settings.listen
        await web.TCPSite(runner, host or None, port, ssl_context=tls.context).start()
        _log.info("listening on %s", runner.addresses)
        await _prepared(stop, hub, settings)
        await rounds.until(stop, _rounds(hub, tls, turns, files), faults)
        return 0
    finally:
        await runner.cleanup()
        await aside.cleanup()
        await asyncio.to_thread(hub.close)


def report(connection: Connection, known: Known) -> msgspec.Raw | None:
    """A monitor's report, as it was kept."""
    found = evaluations.read(connection, known.id)
    return None if found is None else msgspec.Raw(found)


def _reports(hub: Hub, turns: Turns) -> Iterator[tuple[HubReport, int]]:
    for name, each in list(turns.reports.items()):
        known = hub.registry.monitors.get(name)
        if known is not None:
            yield each, known.monitor.spec.metrics.max_series


def _rounds(
    hub: Hub, tls: _Tls, turns: Turns, files: monitor_files.MonitorFiles
) -> dict[str, tuple[float, rounds.Work]]:
    """What goes on beside the API: how often, and what."""
    return {
        "refresh": (_LOOK, hub.refresh),
        "certificate": (_LOOK, tls.renew),
        "monitors": (_LOOK, lambda: files.renew(hub)),
        "evaluation": (_LOOK, lambda: _evaluate(hub, turns)),
        "upkeep": (_CLEAN, lambda: asyncio.to_thread(upkeep, hub.database, hub.clock())),
    }


async def _evaluate(hub: Hub, turns: Turns) -> None:
    await asyncio.to_thread(turns.turn, hub.registry.monitors)


async def _prepared(stop: asyncio.Event, hub: Hub, settings: HubSettings) -> None:
    """Tables and monitors; tried until the database answers. Raises ValueError, DriftlineError."""
    while not stop.is_set():
        try:
            step = await asyncio.to_thread(prepare, hub, settings)
        except sa.exc.OperationalError as error:
            _log.warning("the database doesn't answer yet: %s", str(error)[:300])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _AGAIN)
        else:
            _log.info("the database is at step %s", step)
            await hub.refresh()
            return


def prepare(hub: Hub, settings: HubSettings) -> str:
    """Make what is lacking in the database, from a thread; the step that it is at.

    Raises sqlalchemy.exc.SQLAlchemyError, ValueError, DriftlineError.
    """
    step = migrate(hub.database)
    partitions.keep(hub.database, hub.clock())
    monitor_files.put(hub, monitor_files.read(settings.monitors, settings.profile))
    return step


def _tokens(settings: HubSettings) -> TokenFile:
    if settings.tokens is not None:
        return TokenFile(settings.tokens)
    if settings.listen[0] not in _LOOPBACK:
        raise ValueError("--tokens is needed where others than this machine can reach the hub")
    token = secrets.token_urlsafe(24)
    _log.warning("no --tokens: for this run, and all of it, the token is %s", token)
    found = TokenFile(None)
    found.give(Grant(sha256=sha256_of(token), namespace=ALL, scopes=tuple(SCOPES)))
    return found


class _Tls:
    """The certificate's files, loaded anew as they change."""

    def __init__(self, settings: HubSettings) -> None:
        self._files = (settings.tls_certificate, settings.tls_key)
        if (self._files[0] is None) != (self._files[1] is None):
            raise ValueError("--tls-cert and --tls-key go together")
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if self._files[0] else None
        self._seen = self._state()
        if self.context is not None:
            self._load(self.context)

    async def renew(self) -> None:
        """Serve changed files from the next connection on; broken ones not."""
        if self.context is None:
            return
        try:
            state = self._state()
            if state != self._seen:
                self._load(
                    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                )  # a pair that doesn't fit changes nothing
                self._load(self.context)
                self._seen = state
                _log.info("the certificate was loaded again")
        except (OSError, ValueError) as error:
            _log.error("the changed certificate is not used: %s", error)

    def _load(self, context: ssl.SSLContext) -> None:
        certificate, key = self._files
        assert certificate is not None  # noqa: S101 - there is a context
        context.load_cert_chain(certificate, key)

    def _state(self) -> list[tuple[int, int]]:
        found = [path.stat() for path in self._files if path is not None]
        return [(each.st_mtime_ns, each.st_ino) for each in found]
