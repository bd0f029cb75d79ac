"""Asks the hub for what labels say of the shadows whose gate has a performance rule."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from driftline.errors import DataError
from driftline.shadow.gate import DAY, read_days
from driftline.shadow.performance import Performance
from driftline.shadow.rules import asks_for_labels
from driftline.spec.shadow import ShadowSpec

from driftline_operator.controller.hub.client import HubClient
from driftline_operator.controller.hub.opinions import Away
from driftline_operator.controller.running import Running
from driftline_operator.shadow.book import Labels, days_of

_log = logging.getLogger(__name__)

ASK_SECONDS: Final = 30.0


class _Told(NamedTuple):
    performance: Performance
    age: float
    """Predictions younger than that are in none of it, so a day is whole so many seconds later."""


class ShadowLabels:
    """For one replica, while it acts. `now`: unix seconds."""

    def __init__(
        self, client: HubClient, running: Callable[[], Iterable[Running]], now: Callable[[], float]
    ) -> None:
        self._client, self._running, self._now = client, running, now

    async def turn(self) -> None:
        """Ask for those that are due. A hub that is away leaves what was known."""
        for known in [*self._running()]:
            spec, course = known.observed.spec, known.course
            due = self._now() - known.labels.at >= ASK_SECONDS
            if spec is None or course.began is None or course.ended is not None or not due:
                continue
            if asks_for_labels(spec.gate):
                await self._ask(known, spec, course.began)

    async def _ask(self, known: Running, spec: ShadowSpec, began: float) -> None:
        every = await self._told(known, spec, None)
        if every is None:
            return
        now = self._now()
        elapsed = known.course.elapsed(now)
        days = min(days_of(elapsed, spec), max(0, int((elapsed - every.age) // DAY)))
        whole = 0 if known.book is None else read_days(spec.gate, days, known.book.days)
        of_days = await self._told(known, spec, began + whole * DAY) if whole else None
        if of_days is not None or not whole:
            of = None if of_days is None else of_days.performance
            known.labels = Labels(every.performance, of, now)

    async def _told(self, known: Running, spec: ShadowSpec, before: float | None) -> _Told | None:
        key = known.observed.namespace, spec.monitor_ref.name
        found = await self._client.labelled(key, known.course, before)
        if isinstance(found, Away):
            _log.info("shadow %s/%s: no labels: %s", *known.observed.key, found.message)
            return None
        try:
            return _Told(found.performance(), found.age)
        except DataError as error:
            _log.warning("shadow %s/%s: %s", *known.observed.key, error)
            return None
