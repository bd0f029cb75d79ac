"""Says what became of each flight, as an airline would: once it has landed, through `driftline.client`.

A year in two minutes has hours of 14 ms. Labels would come before the hub has the prediction, and nothing
would be seen of their being late: so the hours until a flight has landed last half a second each.
"""

from __future__ import annotations

import asyncio
import heapq
import time

from driftline.client import AsyncHub
from driftline.events import Label
from driftline.prediction_ids import row_id

from examples.flights.flights import Request

SECONDS_AN_HOUR = 0.5
EVERY = 0.25
"""Seconds between two looks for flights that have landed."""


class Landings:
    """Flights in the air. `answered` is the replay's; `run` sends until `finish`."""

    def __init__(self, hub: AsyncHub) -> None:
        self._hub = hub
        self._air: list[tuple[float, str, str]] = []
        self.sent = 0

    def answered(self, request: Request, at: float) -> None:
        """Flights of a request that was answered at that Unix time."""
        for row, outcome in enumerate(request.outcomes):
            known = at + outcome.hours * SECONDS_AN_HOUR
            heapq.heappush(self._air, (known, row_id(request.id, row), outcome.label))

    async def run(self) -> None:
        """Send the labels of what has landed, again and again. Raises HubError."""
        while True:
            await asyncio.sleep(EVERY)
            await self._send()

    async def finish(self) -> None:
        """Send the rest, each when it has landed. Raises HubError."""
        while self._air:
            await self._send()
            await asyncio.sleep(EVERY)

    async def _send(self) -> None:
        landed = []
        while self._air and self._air[0][0] <= time.time():
            known, identity, label = heapq.heappop(self._air)
            landed.append(Label(id=identity, label=label, at=known))
        self.sent += (await self._hub.labels(landed)).accepted
