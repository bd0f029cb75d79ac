"""Asks a running Driftline for its report: what `driftline top` and the written report show."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import TypeVar

import msgspec
from driftline.errors import DriftlineError
from driftline.report import Report
from driftline_sidecar.analyzer.history import HistoryReport, TrafficHistory

from driftline_cli.exits import EX_UNAVAILABLE

T = TypeVar("T")

EMPTY_HISTORY = HistoryReport(TrafficHistory([], [], [], [], [], []), {})
_MAX_BYTES = 64 << 20


class Unavailable(DriftlineError):
    """Nothing answers at the URL, or something that isn't Driftline."""

    exit_code = EX_UNAVAILABLE


class AdminClient:
    """Reads from one admin address. No proxies of the environment: the address is a near one."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise Unavailable(f"{url}: must be an http:// URL such as http://127.0.0.1:15090")
        self._timeout = timeout
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def report(self) -> Report:
        """The report of now; raises Unavailable."""
        return self._get("/v1/report", Report)

    def history(self) -> HistoryReport:
        """How it came to be; empty where the program on the other side is older than this."""
        try:
            return self._get("/v1/history", HistoryReport)
        except Unavailable:
            return EMPTY_HISTORY

    def _get(self, path: str, kind: type[T]) -> T:
        try:
            with self._opener.open(self.url + path, timeout=self._timeout) as answer:
                raw = answer.read(_MAX_BYTES)
        except urllib.error.HTTPError as error:
            raise Unavailable(f"{self.url}{path} answers {error.code} {error.reason}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Unavailable(f"{self.url}: nothing answers ({reason})") from error
        try:
            return msgspec.json.decode(raw, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Unavailable(f"{self.url}{path} is not a Driftline admin address ({error})") from error
