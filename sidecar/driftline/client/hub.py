"""The hub for programs without an event loop, by the standard library alone."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from driftline.backoff import retry_after
from driftline.client.calls import PATIENCE, TIMEOUT, Calls
from driftline.client.events import Id, Outcome, Time, feedback_of, kpi_of
from driftline.client.steps import Pause, Reply, Request, Steps
from driftline.events import Accepted, Feedback, Kpi, Label

T = TypeVar("T")
_MOST_BYTES = 64 << 20


class Hub:
    """One monitor's hub. Not for several threads at once. Every method raises HubError."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        namespace: str = "default",
        monitor: str,
        ca_file: str | Path | None = None,
        patience: float = PATIENCE,
        timeout: float = TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`token`: of scope `label` to send, `read` to ask. `ca_file`: the authority of its certificate.

        `patience`: seconds of pauses after which trying again ends; `timeout`: for one answer.
        """
        self._calls = Calls(url, namespace, monitor, patience)
        self._token = token
        self._timeout = timeout
        self._sleep = sleep
        parts = urlsplit(self._calls.url)
        self._context = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._address = parts.hostname or "", parts.port
        self._prefix = parts.path
        self._connection: http.client.HTTPConnection | None = None

    def label(self, identity: Id, label: Outcome, at: Time | None = None) -> Accepted:
        """What became true of one prediction; sent again, or corrected later, the newest counts."""
        return self.labels([(identity, label, at)])

    def labels(self, labels: Iterable[Label | tuple[Any, ...]]) -> Accepted:
        """Many, in batches: `Label`s, `(id, label)` or `(id, label, at)`."""
        return self._do(self._calls.labels(labels))

    def feedback(
        self,
        identity: Id,
        thumb: Literal["up", "down"] | None = None,
        score: float | None = None,
        comment: str = "",
        at: Time | None = None,
        event: str = "",
    ) -> Accepted:
        """What a person says of an answer: a thumb, a score from 0 to 1, a comment."""
        return self.feedbacks([feedback_of(identity, thumb, score, comment, at, event)])

    def feedbacks(self, feedback: Iterable[Feedback]) -> Accepted:
        """Many (`feedback_of` makes one)."""
        return self._do(self._calls.feedback(feedback))

    def kpi(
        self, identity: Id, name: str, value: float = 1.0, at: Time | None = None, event: str = ""
    ) -> Accepted:
        """A business figure of the monitor's `kpis` that a prediction led to."""
        return self.kpis([kpi_of(identity, name, value, at, event)])

    def kpis(self, kpis: Iterable[Kpi]) -> Accepted:
        """Many (`kpi_of` makes one)."""
        return self._do(self._calls.kpis(kpis))

    def report(self) -> dict[str, object]:
        """How good the model was: performance, concept drift, fairness, KPIs."""
        return self._do(self._calls.report())

    def metrics(
        self,
        start: Time | None = None,
        end: Time | None = None,
        *,
        age: float | None = None,
        segment: str | None = None,
        step: float | None = None,
        estimate: bool = False,
    ) -> dict[str, object]:
        """Sums and metrics of the predictions of [start, end), by version and variant.

        `age`: with the labels known at that age, in seconds; `segment`: by its values; `step`: by slices of
        so many seconds; `estimate`: what can be said before labels, too.
        """
        return self._do(self._calls.metrics(start, end, age, segment, step, estimate))

    def prediction(self, identity: Id) -> dict[str, object]:
        """A prediction with what became of it."""
        return self._do(self._calls.prediction(identity))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _do(self, steps: Steps[T]) -> T:
        reply: Reply | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                found: T = end.value
                return found
            if isinstance(step, Pause):
                self._sleep(step.seconds)
                reply = None
            else:
                reply = self._ask(step)

    def _ask(self, request: Request) -> Reply:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        for kept in (self._connection is not None, False):
            try:
                connection = self._connected()
                connection.request(request.method, self._prefix + request.path, request.body or None, headers)
                answer = connection.getresponse()
                pause = retry_after(answer.headers.get("Retry-After"))
                return Reply(answer.status, answer.read(_MOST_BYTES), pause)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if not kept:  # else the hub has closed a connection that had been idle: a new one, at once
                    return Reply(0, f"{self._calls.url}: {str(error) or type(error).__name__}".encode())
        raise AssertionError("the second try was on a new connection")

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            host, port = self._address
            if self._context is None:
                self._connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
            else:
                self._connection = http.client.HTTPSConnection(
                    host, port, timeout=self._timeout, context=self._context
                )
        return self._connection
