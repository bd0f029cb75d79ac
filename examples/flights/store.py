"""The demo's hub: a database in .demo/, a token for the sidecar and one for the airline, and what it says."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pandas as pd
from driftline.client import AsyncHub, Hub, HubError
from driftline.performance.report import HubReport

from examples.flights import truth
from examples.flights.history import Calendar
from examples.flights.processes import BIN, port, running
from examples.flights.replay import Progress

MONITOR = "flights"
EVALUATED_EVERY = "2s"
ALL_IN_WITHIN = 30.0
"""Seconds for the sidecar to have sent its last predictions."""
POLL = 1.0


class HubPlace:
    """Where it is, and who may ask it what."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url, self._directory = url, directory
        self._tokens = {"sidecar": secrets.token_urlsafe(24), "airline": secrets.token_urlsafe(24)}

    @contextmanager
    def running(self, monitor: Path, profile: Path) -> Iterator[None]:
        """The hub, with an empty database."""
        for old in self._directory.glob("hub.db*"):
            old.unlink()
        _private(self._directory / "sidecar.token", self._tokens["sidecar"])
        _private(self._directory / "tokens.yaml", self._grants())
        database, health = f"sqlite:///{(self._directory / 'hub.db').absolute()}", port(8091)
        command: list[object] = [BIN / "driftline", "hub", "--database", database, "-f", monitor]
        command += ["--profile", profile, "--tokens", self._directory / "tokens.yaml"]
        command += ["--listen", self.url.removeprefix("http://"), "--metrics", f"127.0.0.1:{health}"]
        command += ["--evaluate-every", EVALUATED_EVERY]
        with running(self._directory / "hub.log", command, f"http://127.0.0.1:{health}/readyz"):
            yield

    def sidecar_options(self) -> list[object]:
        """Of `driftline run`."""
        return ["--hub", self.url, "--hub-token", self._directory / "sidecar.token"]

    def labels(self) -> AsyncHub:
        """The airline's way in."""
        return AsyncHub(self.url, self._tokens["airline"], monitor=MONITOR)

    @contextmanager
    def watched(self) -> Iterator[list[HubReport]]:
        """Every evaluation that is made meanwhile, in a list that grows."""
        watcher = _Watcher(self._client())
        watcher.start()
        try:
            yield watcher.reports
        finally:
            watcher.stop()

    def ask(
        self, progress: Progress, frame: pd.DataFrame, reports: Sequence[HubReport], calendar: Calendar
    ) -> truth.Truth:
        """How good the model was, once the hub has all predictions. Raises HubError."""
        with self._client() as hub:
            deadline = time.monotonic() + ALL_IN_WITHIN
            while truth.predictions(hub, progress) < progress.rows and time.monotonic() < deadline:
                time.sleep(POLL)
            return truth.ask(hub, progress, frame, reports, calendar)

    def _client(self) -> Hub:
        return Hub(self.url, self._tokens["airline"], monitor=MONITOR, patience=5.0)

    def _grants(self) -> str:
        grants = [_grant(self._tokens["sidecar"], "intake"), _grant(self._tokens["airline"], "label", "read")]
        return msgspec.yaml.encode({"tokens": grants}).decode()


def _grant(token: str, *scopes: str) -> dict[str, object]:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return {"sha256": digest, "namespace": "default", "scopes": scopes}


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


class _Watcher(threading.Thread):
    """Asks for the hub's report again and again, and keeps each evaluation once."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(daemon=True)
        self.reports: list[HubReport] = []
        self._hub = hub
        self._stopped = threading.Event()

    def run(self) -> None:
        """Poll until stopped."""
        with self._hub:
            while not self._stopped.wait(POLL):
                self._ask()

    def _ask(self) -> None:
        try:
            report = msgspec.convert(self._hub.report(), HubReport)
        except HubError:  # nothing was evaluated yet
            return
        if not self.reports or report.at > self.reports[-1].at:
            self.reports.append(report)

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        self.join()
