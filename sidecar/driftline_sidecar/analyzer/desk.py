"""All monitors of this analyzer: routing, reloading, and what the admin server is told.

The one place that knows which files are in force. Time is passed in.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from driftline.errors import DriftlineError
from driftline.pane_codec import encode_pane
from driftline.profile import Profile
from driftline.routes import route
from driftline.spec import ModelMonitor

from driftline_sidecar.admin import BadCursor, PanesPage, UnknownMonitor
from driftline_sidecar.analyzer.monitor import Analysis
from driftline_sidecar.analyzer.predictions.log import PredictionLog
from driftline_sidecar.analyzer.reference import watch
from driftline_sidecar.analyzer.reporting import MonitorConfig, config_of
from driftline_sidecar.courtesy import courteously
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.logs import event
from driftline_sidecar.monitor_files import MonitorFiles, Placed
from driftline_sidecar.reload import Refusal, Watched

PROFILE_FILE = "profile"
CAPTURE_FILE = "capture"
"""Holds the id of a capture that the operator wants beside the reference in force; absent: none."""

LOST = "analysis_error"
"""The reason in `decode_errors_total` for exchanges that a fault of the analysis lost."""

_MOST_PATHS = 1000
"""Request paths whose monitor is remembered; paths are the clients' to choose."""


class FileConfig(msgspec.Struct, frozen=True):
    """A watched file: what of it is in force (SHA-256), and what was refused, if anything."""

    kind: str
    path: str
    sha256: str
    refused: Refusal | None


class Config(msgspec.Struct, frozen=True):
    """What /v1/config answers."""

    files: list[FileConfig]
    monitors: list[MonitorConfig]


class Desk:
    """The monitors in force. `profile` overrides what the only monitor names."""

    def __init__(
        self,
        monitors: Path | None,
        profile: Path | None,
        state: Path | None,
        now: float,
        *,
        folder: Path | None = None,
        fleet: bool = False,
        log: PredictionLog | None = None,
    ) -> None:
        """`monitors`: the file, or `folder`: a pod's (see `monitor_files`), beside which profiles lie.

        Raises DriftlineError where the monitor file can't be used; a profile that can't is refused.
        """
        self.analyses: dict[str, Analysis] = {}
        self.unrouted = 0
        """Exchanges that no monitor claims."""
        self._faults: set[tuple[str, str]] = set()
        self._override = profile
        self._state = state
        self._fleet = fleet
        self._log = log
        self.acknowledged: dict[str, str] = {}
        """By monitor: the cursor that was last asked with. What came before it has been taken."""
        self._routes: dict[tuple[tuple[str, ...], bytes], Analysis | None] = {}
        self._profiles: dict[str, Watched[Profile]] = {}
        self._files = MonitorFiles(monitors, folder)
        self._apply(self._files.load(), now)
        for refusal in self._files.refusals:
            _tell_refused(refusal)

    # ---- exchanges ----

    def take(self, exchanges: Sequence[Exchange], now: float, behind: float = 0.0) -> None:
        """Hand exchanges to their monitors, in order; `behind`: how far their clock is behind `now`'s."""
        shares = self.shares(courteously(exchanges))
        self.unrouted += len(exchanges) - sum(map(len, shares.values()))
        for key, share in shares.items():
            analysis = self.analyses[key]
            try:
                analysis.take(share, now, behind)
            except Exception as error:  # noqa: BLE001 - one batch lost is better than every window
                analysis.tally.failed({LOST: len(share)})
                self._tell_fault(key, error)

    def shares(self, exchanges: Iterable[Exchange]) -> dict[str, list[Exchange]]:
        """By monitor, in order; without those that no monitor claims."""
        found: dict[str, list[Exchange]] = {}
        for exchange in exchanges:
            analysis = self._route(exchange)
            if analysis is not None:
                found.setdefault(analysis.monitor.key, []).append(exchange)
        return found

    def step(self, now: float) -> None:
        """Windows and verdicts that are due by then."""
        for key, analysis in self.analyses.items():
            try:
                changes = analysis.step(now)
            except Exception as error:  # noqa: BLE001 - the other monitors' windows go on
                self._tell_fault(key, error)
                continue
            for change in changes:
                psi = "" if change.psi is None else f", psi {change.psi:.3f}"
                event(
                    logging.WARNING if change.after in ("Drifted", "Warning") else logging.INFO,
                    "verdict_changed",
                    f"{change.feature} in {change.window}: {change.before} -> {change.after}{psi}",
                    monitor=analysis.monitor.key,
                    reason=change.after.value,
                )

    def _tell_fault(self, key: str, error: Exception) -> None:
        """Once per monitor and kind, by its type only: the message may quote a body."""
        kind = type(error).__name__
        if (key, kind) not in self._faults:
            self._faults.add((key, kind))
            event(logging.ERROR, "analysis_error", f"the analysis failed: {kind}", monitor=key)

    # ---- files ----

    def poll(self, now: float) -> None:
        """Look whether a file has changed; what can't be used is refused and the older content stays."""
        refused = self._files.refused
        changed = self._files.poll(now)
        if changed is not None:
            self._apply(changed, now)
            names = ", ".join(each.monitor.key for each in changed) or "none"
            event(logging.INFO, "config_changed", f"changed monitor files are in force: {names}")
        if self._files.refused > refused:
            for refusal in self._files.refusals:
                _tell_refused(refusal)
        if self._files.folder is not None:
            for monitor, folder in self._files.placed:
                self.analyses[monitor.key].capture_anew(_capture_id(folder / CAPTURE_FILE))
        for key, watched in self._profiles.items():
            refused = watched.refused
            profile = watched.poll(now)
            if profile is not None:
                self.analyses[key].replace_profile(profile, now)
            elif watched.refused > refused:
                _tell_refused(watched.refusal)

    def watched(self) -> list[tuple[str, str, Watched[Any]]]:
        """Every file with its kind and the monitor it belongs to (empty: all of them)."""
        monitors: list[tuple[str, str, Watched[Any]]] = [
            ("monitor", "", each) for each in self._files.watched
        ]
        return [*monitors, *(("profile", key, watched) for key, watched in self._profiles.items())]

    @property
    def refused(self) -> int:
        """How many contents of monitor files were refused so far."""
        return self._files.refused

    # ---- out ----

    def find(self, key: str) -> Analysis:
        """The monitor of that key, the first where it is empty. Raises UnknownMonitor."""
        if not key and self.analyses:
            return next(iter(self.analyses.values()))
        if key not in self.analyses:
            raise UnknownMonitor(key[:200])
        return self.analyses[key]

    def config(self, others: Sequence[tuple[str, str, Watched[Any]]] = ()) -> Config:
        """What is in force, and what was refused; `others`: files that the desk doesn't know of."""
        files = [
            FileConfig(kind, str(watched.path), watched.digest, watched.refusal)
            for kind, _, watched in (*self.watched(), *others)
        ]
        return Config(files, [config_of(analysis) for analysis in self.analyses.values()])

    def folder(self, key: str) -> Path | None:
        """The directory in which that monitor's files are."""
        return next((each.folder for each in self._files.placed if each.monitor.key == key), None)

    def refusals(self, key: str) -> list[Refusal]:
        """What is not in force of the monitor file, and of that monitor's profile."""
        return [
            watched.refusal
            for _, of, watched in self.watched()
            if of in ("", key) and watched.refusal is not None
        ]

    def panes(self, key: str, cursor: str, boot: str, now: float, begin: int = 0) -> PanesPage:
        """The panes that changed since the cursor. One of another boot or profile gets all of them.

        Only those that begin at `begin` or later: who has just taken over needs the newest at once.
        """
        counting = self.find(key).counting
        if counting is None:
            return PanesPage(b"", f"{boot}:-:0")
        self.acknowledged[self.find(key).monitor.key] = cursor
        place = f"{boot}:{counting.profile.hash[:16]}"
        panes, last = counting.panes.since(_sequence(cursor, place), now, begin)
        encoded = [encode_pane(pane) for pane in panes]
        body = b"".join(struct.pack("<I", len(data)) + data for data in encoded)
        return PanesPage(body, f"{place}:{last}", counting.began)

    def _route(self, exchange: Exchange) -> Analysis | None:
        target = exchange.request_head.split(b" ", 2)[1:2]
        path = target[0].partition(b"?")[0] if target else b""
        key = exchange.ports, path
        if key in self._routes:
            return self._routes[key]
        monitors = [
            analysis.monitor
            for analysis in self.analyses.values()
            if not exchange.ports or str(analysis.spec.endpoint.port) in exchange.ports
        ]
        found = route(monitors, path.decode("latin-1"))
        if len(self._routes) >= _MOST_PATHS:
            self._routes.clear()
        self._routes[key] = None if found is None else self.analyses[found.key]
        return self._routes[key]

    def _apply(self, placed: Sequence[Placed], now: float) -> None:
        before = self.analyses
        self.analyses = {}
        self._routes = {}
        profiles: dict[str, Watched[Profile]] = {}
        for monitor, folder in placed:
            key = monitor.key
            profile = self._profile(monitor, folder, profiles, now)
            known = before.get(key)
            if known is None:
                self.analyses[key] = Analysis(
                    monitor, profile, now, self._state, fleet=self._fleet, log=self._log
                )
            else:
                known.replace_monitor(monitor, profile, now)
                self.analyses[key] = known
        self._profiles = profiles

    def _profile(
        self, monitor: ModelMonitor, folder: Path, profiles: dict[str, Watched[Profile]], now: float
    ) -> Profile | None:
        if self._files.folder is not None:
            beside = folder / PROFILE_FILE
            watched = profiles[monitor.key] = watch(beside)
            return watched.poll(now)  # it may come later; `poll` sees it
        source = monitor.spec.reference.profile
        path = self._override
        if path is None and source is not None and source.file is not None:
            path = folder / source.file
        if path is None:
            if source is not None:
                event(
                    logging.WARNING,
                    "no_reference",
                    "the monitor's profile is not a file of this machine: give it by --profile",
                    monitor=monitor.key,
                )
            return None
        watched = profiles[monitor.key] = watch(path)
        try:
            return watched.load()
        except DriftlineError as error:
            watched.refuse("", str(error), now)
            _tell_refused(watched.refusal)
            return None


def _capture_id(path: Path) -> str:
    try:
        return path.read_text()[:100].strip()
    except OSError:
        return ""


def _tell_refused(refusal: Refusal | None) -> None:
    if refusal is not None:
        event(logging.ERROR, "config_refused", refusal.reason, file=refusal.path)


def _sequence(cursor: str, place: str) -> int:
    """Where to go on; 0 for a cursor of another boot or profile. Raises BadCursor."""
    if not cursor:
        return 0
    found, _, sequence = cursor.rpartition(":")
    if not sequence.isascii() or not sequence.isdigit() or found.count(":") != 1 or len(cursor) > 100:
        raise BadCursor("since must be a cursor that /v1/panes has given")
    return int(sequence) if found == place else 0
