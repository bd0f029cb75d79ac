"""The mirrors of this analyzer: which run, with what, and what is fetched from them.

The one place that knows which `shadow.yaml` is in force. Used from the analyzer's loop only.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from driftline.errors import DriftlineError
from driftline.shadow.planning import reading_of
from driftline.shadow.runtime import MIRROR_FILE, MirrorConfig, decode_mirror

from driftline_sidecar.admin import BadCursor
from driftline_sidecar.analyzer.mirror.book import book_of
from driftline_sidecar.analyzer.mirror.errand import Setting
from driftline_sidecar.analyzer.mirror.labelled import CandidateRows
from driftline_sidecar.analyzer.mirror.logged import Logged
from driftline_sidecar.analyzer.mirror.marker import HEADER, Mark, Reader, key_of_token
from driftline_sidecar.analyzer.mirror.mirror import Mirror
from driftline_sidecar.analyzer.mirror.reading import PairReader
from driftline_sidecar.analyzer.mirror.shelf import Shelf
from driftline_sidecar.analyzer.monitor import Analysis
from driftline_sidecar.analyzer.predictions.rows import Rows
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.logs import event
from driftline_sidecar.redact import Redactor
from driftline_sidecar.reload import Watched
from driftline_sidecar.token_file import Token

_MARK: Final = HEADER.lower()


class Mirrors:
    """`file`: of the only monitor, on one machine; else each monitor's folder may hold one."""

    def __init__(self, file: Path | None, state: Path | None, token: Token, pod: str) -> None:
        """`state`: where parts survive; `pod`: its UID."""
        self._file = file
        self._state = state
        self._token = token
        self._boot = secrets.token_hex(8)
        """Of cursors."""
        self._pod = pod
        self._own_key = secrets.token_bytes(32)
        self._read_marker = Reader()
        self._mirrored: set[str] = set()
        """Shadows that mirror from here, or did: their candidates may still have markers."""
        self._own: set[tuple[int, int]] = set()
        """Exchanges that are analysed just now and not to be mirrored."""
        self._watched: dict[str, Watched[MirrorConfig]] = {}
        self._configs: dict[str, MirrorConfig] = {}
        self._read_as: dict[str, tuple[object, ...]] = {}
        self._shelves: dict[str, Shelf] = {}
        self._logged: dict[str, Logged] = {}
        self._ending: list[threading.Thread] = []
        self._faults: set[str] = set()
        self.running: dict[str, Mirror] = {}
        """By monitor."""
        self.marks: Counter[Mark] = Counter()

    # ---- exchanges ----

    def unmarked(self, exchanges: list[Exchange], now: float) -> list[Exchange]:
        """Those that no mirror has sent. A marker that isn't right is counted, and nothing more."""
        self._own.clear()
        if not any(_MARK in exchange.request_head.lower() for exchange in exchanges):
            return exchanges
        key, kept = self.key, []
        for exchange in exchanges:
            mark = self._read_marker(key, exchange.request_head, exchange.started, now, self._mirrored)
            if mark is not Mark.NONE:
                self.marks[mark] += 1
            if mark is Mark.OWN:
                self._own.add((exchange.boot, exchange.sequence))
            if mark is not Mark.VALID:
                kept.append(exchange)
        return kept

    def offer(self, monitor: str, exchanges: Sequence[Exchange], now: float) -> None:
        """Exchanges of a monitor, of what `unmarked` gave last. Never raises."""
        mirror = self.running.get(monitor)
        if mirror is None:
            return
        try:
            mirror.offer([each for each in exchanges if (each.boot, each.sequence) not in self._own], now)
        except Exception as error:  # noqa: BLE001 - a fault of the mirror stays in the mirror
            if monitor not in self._faults:
                self._faults.add(monitor)
                kind = type(error).__name__
                event(logging.ERROR, "mirror_error", f"exchanges can't be mirrored: {kind}", monitor=monitor)

    def logged(self) -> Iterator[tuple[str, Rows]]:
        """What candidates answered since the last time, for the hub, by monitor; after `close` the rest."""
        for key, logged in self._logged.items():
            for rows in logged.take():
                yield key, rows

    @property
    def key(self) -> bytes:
        """What markers are made and checked with: of the token, else of a file, else of this process."""
        token = self._token.read()
        if token:
            return key_of_token(token)
        return next((config.key for config in self._configs.values() if config.key), self._own_key)

    # ---- files ----

    def poll(self, analyses: Mapping[str, tuple[Analysis, Path | None]], now: float) -> None:
        """Begin, change and end mirrors as their files say; by monitor its analysis and folder."""
        for key in [key for key in self._watched if key not in analyses]:
            self._end(key)
        for number, (key, (analysis, folder)) in enumerate(analyses.items()):
            path = self._path(number, folder)
            if path is None or not path.exists():
                self._end(key)
            else:
                self._look(key, path, analysis, now)

    def watched(self) -> list[tuple[str, str, Watched[MirrorConfig]]]:
        """Every file, as the desk tells its own."""
        return [("shadow", key, watched) for key, watched in self._watched.items()]

    def close(self) -> None:
        """End all; takes up to some seconds."""
        for mirror in self.running.values():
            mirror.stop()
        self.running.clear()
        for thread in self._ending:
            thread.join()

    # ---- out ----

    def pairs(self, monitor: str, cursor: str) -> tuple[bytes, str]:
        """Parts that have changed since the cursor, and the next one. Raises BadCursor."""
        shelf = self._shelves.get(monitor)
        if shelf is None:
            return b"", f"{self._boot}:0"
        mirror = self.running.get(monitor)
        if mirror is not None:
            mirror.flush()
        body, revision = shelf.since(self._revision(cursor))
        return body, f"{self._boot}:{revision}"

    def notes(self, monitor: str) -> Mapping[str, str]:
        """How mirrored requests failed lately, by reason; nothing where there is no mirror."""
        mirror = self.running.get(monitor)
        return {} if mirror is None else mirror.notes.read()

    def _revision(self, cursor: str) -> int:
        if not cursor:
            return 0
        boot, _, revision = cursor.rpartition(":")
        if not revision.isascii() or not revision.isdigit() or len(cursor) > 100:
            raise BadCursor("since must be a cursor that /v1/pairs has given")
        return int(revision) if boot == self._boot else 0

    def _path(self, number: int, folder: Path | None) -> Path | None:
        if self._file is not None:
            return self._file if number == 0 else None
        return None if folder is None else folder / MIRROR_FILE

    def _look(self, key: str, path: Path, analysis: Analysis, now: float) -> None:
        watched = self._watched.get(key)
        if watched is None or watched.path != path:
            watched = self._watched[key] = Watched(path, lambda raw: decode_mirror(raw, str(path)))
        refused = watched.refused
        config = watched.poll(now)
        if watched.refused > refused and watched.refusal is not None:
            event(logging.ERROR, "config_refused", watched.refusal.reason, file=watched.refusal.path)
        if config is not None:
            self._configs[key] = config
            self._mirrored.add(config.shadow.uid)
        in_force = self._configs.get(key)
        if in_force is not None:
            self._apply(key, in_force, analysis)

    def _apply(self, key: str, config: MirrorConfig, analysis: Analysis) -> None:
        marker = self.key
        read_as = (config, analysis.spec, analysis.features, marker)
        if key in self.running and self._read_as.get(key) == read_as:
            return
        try:
            setting = _setting(config, analysis, marker)
        except DriftlineError as error:  # a schema that can't be read as these features
            event(logging.ERROR, "mirror_error", "the mirror can't read pairs", error=error, monitor=key)
            return
        self._read_as[key] = read_as
        running = self.running.get(key)
        if running is not None and running.setting.config.life == config.life:
            running.replace(setting)
            return
        if running is not None:
            self._stop_aside(running)
        self._begin(key, setting)

    def _begin(self, key: str, setting: Setting) -> None:
        shelf = self._shelves.get(key)
        if shelf is None:
            shelf = self._shelves[key] = Shelf(self._state, key)
        shadow = setting.config.shadow
        shelf.forget_others((shadow.uid, shadow.generation, setting.config.began))
        logged = self._logged.setdefault(key, Logged())
        boot = secrets.token_hex(8)
        book = book_of(setting.config, self._pod, boot)
        self.running[key] = Mirror(setting, book, shelf, shelf.counter(boot), logged)
        self.running[key].start()
        said = f"{'warming up' if setting.config.warming else 'mirroring to'} {setting.config.url}"
        event(logging.INFO, "shadow_began", said, monitor=key, shadow=setting.config.shadow.name)

    def _end(self, key: str) -> None:
        self._watched.pop(key, None)
        self._configs.pop(key, None)
        self._read_as.pop(key, None)
        mirror = self.running.pop(key, None)
        if mirror is not None:
            self._stop_aside(mirror)
            event(logging.INFO, "shadow_ended", "mirrors no more", monitor=key)

    def _stop_aside(self, mirror: Mirror) -> None:
        """It takes seconds; the analysis goes on meanwhile."""
        self._ending = [thread for thread in self._ending if thread.is_alive()]
        self._ending.append(threading.Thread(target=mirror.stop, name="mirror-end"))
        self._ending[-1].start()


def _setting(config: MirrorConfig, analysis: Analysis, key: bytes) -> Setting:
    spec, features = analysis.spec, analysis.features
    # The monitor's file and the mirror's change at moments of their own.
    agreed = config.plan.reading in ("", reading_of(spec))
    known = agreed and (features or config.plan.sort == "body")
    reader = PairReader(spec, features, config) if known else None
    redactor = Redactor(spec.capture, [feature.name for feature in features])
    logged = config.logged and spec.labels is not None and reader is not None and config.plan.sort != "body"
    rows = CandidateRows(spec, spec.labels, features, config) if logged and spec.labels is not None else None
    return Setting(config, reader, redactor, int(spec.capture.max_body_bytes), key, rows)
