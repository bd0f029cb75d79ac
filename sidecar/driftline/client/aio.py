"""The hub for programs with an event loop, by aiohttp."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import aiohttp
from yarl import URL  # aiohttp's own

from driftline.backoff import retry_after
from driftline.client.calls import PATIENCE, TIMEOUT, Calls
from driftline.client.events import Id, Outcome, Time, feedback_of, kpi_of
from driftline.client.steps import Pause, Reply, Request, Steps
from driftline.events import Accepted, Feedback, Kpi, Label

T = TypeVar("T")


class AsyncHub:
    """As `Hub`, with `await`; calls may run side by side."""

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
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """As `Hub`."""
        self._calls = Calls(url, namespace, monitor, patience)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._sleep = sleep
        self._ssl: ssl.SSLContext | bool = True
        if self._calls.url.startswith("https://"):
            self._ssl = ssl.create_default_context(cafile=ca_file)
        self._session: aiohttp.ClientSession | None = None

    async def label(self, identity: Id, label: Outcome, at: Time | None = None) -> Accepted:
        """What became true of one prediction; sent again, or corrected later, the newest counts."""
        return await self.labels([(identity, label, at)])

    async def labels(self, labels: Iterable[Label | tuple[Any, ...]]) -> Accepted:
        """Many, in batches: `Label`s, `(id, label)` or `(id, label, at)`."""
        return await self._do(self._calls.labels(labels))

    async def feedback(
        self,
        identity: Id,
        thumb: Literal["up", "down"] | None = None,
        score: float | None = None,
        comment: str = "",
        at: Time | None = None,
        event: str = "",
    ) -> Accepted:
        """What a person says of an answer: a thumb, a score from 0 to 1, a comment."""
        return await self.feedbacks([feedback_of(identity, thumb, score, comment, at, event)])

    async def feedbacks(self, feedback: Iterable[Feedback]) -> Accepted:
        """Many (`feedback_of` makes one)."""
        return await self._do(self._calls.feedback(feedback))

    async def kpi(
        self, identity: Id, name: str, value: float = 1.0, at: Time | None = None, event: str = ""
    ) -> Accepted:
        """A business figure of the monitor's `kpis` that a prediction led to."""
        return await self.kpis([kpi_of(identity, name, value, at, event)])

    async def kpis(self, kpis: Iterable[Kpi]) -> Accepted:
        """Many (`kpi_of` makes one)."""
        return await self._do(self._calls.kpis(kpis))

    async def report(self) -> dict[str, object]:
        """How good the model was: performance, concept drift, fairness, KPIs."""
        return await self._do(self._calls.report())

    async def metrics(
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
        return await self._do(self._calls.metrics(start, end, age, segment, step, estimate))

    async def prediction(self, identity: Id) -> dict[str, object]:
        """A prediction with what became of it."""
        return await self._do(self._calls.prediction(identity))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _do(self, steps: Steps[T]) -> T:
        reply: Reply | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                found: T = end.value
                return found
            if isinstance(step, Pause):
                await self._sleep(step.seconds)
                reply = None
            else:
                reply = await self._ask(step)

    async def _ask(self, request: Request) -> Reply:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout)
        # Already quoted: aiohttp would quote once more.
        url = URL(self._calls.url + request.path, encoded=True)
        try:
            async with self._session.request(
                request.method, url, data=request.body or None, ssl=self._ssl, allow_redirects=False
            ) as answer:
                pause = retry_after(answer.headers.get("Retry-After"))
                return Reply(answer.status, await answer.read(), pause)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Reply(0, f"{self._calls.url}: {str(error) or type(error).__name__}".encode())
