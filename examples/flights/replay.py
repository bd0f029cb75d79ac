"""Replays the year over HTTP: real requests on a few kept-alive connections, paced as the calendar is.

    python -m examples.flights.replay --url http://127.0.0.1:15080/predict --seconds 120

Prints one line per replayed week. A server that can't keep up delays the replay; no request is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

import aiohttp
import pandas as pd

from examples.flights import flights

CONNECTIONS = 8
WEEK = timedelta(days=7)
BETWEEN_MONTHS = 0.05
"""Seconds in which nothing is sent, longer than clocks of this machine's processes differ."""


@dataclass
class Progress:
    """What has been sent so far; `reached` is the calendar's time of the last request handed out."""

    reached: datetime = flights.YEAR_STARTS
    requests: int = 0
    rows: int = 0
    failed: int = 0
    late_by: float = 0.0
    """Seconds by which the last request started after its due time."""
    marks: list[tuple[float, datetime]] = field(default_factory=list)
    """(Unix time, calendar time) at the start of each replayed day: maps a window's end to a date."""
    months: dict[int, float] = field(default_factory=dict)
    """Unix time at which each month began; nothing of the month before was under way."""
    ended: float = 0.0
    """Unix time."""


class Pace:
    """Maps the calendar onto `seconds` of wall time, from `start` on (`clock` seconds)."""

    def __init__(self, seconds: float, start: float) -> None:
        self.start = start
        self.scale = seconds / (flights.YEAR_ENDS - flights.YEAR_STARTS).total_seconds()

    def due(self, when: datetime) -> float:
        """The clock's time at which the calendar's `when` is to be replayed."""
        return self.start + (when - flights.YEAR_STARTS).total_seconds() * self.scale


async def replay(
    url: str,
    seconds: float,
    tick: Callable[[Progress], None],
    connections: int = CONNECTIONS,
    *,
    frame: pd.DataFrame | None = None,
    answered: Callable[[flights.Request, float], None] = lambda *_: None,
) -> Progress:
    """Send every flight of the year to `url` within `seconds`; `tick` is called once per replayed day.

    `frame`: other flights than all. `answered` is told of each request and the Unix time of its answer. A
    month begins when all of the one before is answered: so their predictions are told apart by time.
    """
    progress = Progress()
    todo = flights.requests(flights.load() if frame is None else frame)
    pace = Pace(seconds, time.monotonic())
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector, raise_for_status=False) as session:
        for month, group in groupby(todo, key=lambda request: request.due.month):
            requests = iter(group)
            progress.months[month] = time.time()
            senders = [
                _send(session, url, requests, pace, progress, tick, answered) for _ in range(connections)
            ]
            await asyncio.gather(*senders)
            await asyncio.sleep(BETWEEN_MONTHS)
        progress.ended = time.time()
    return progress


async def _send(
    session: aiohttp.ClientSession,
    url: str,
    todo: Iterator[flights.Request],
    pace: Pace,
    progress: Progress,
    tick: Callable[[Progress], None],
    answered: Callable[[flights.Request, float], None],
) -> None:
    """Take the next request, wait until it is due, send it: what one connection does."""
    for request in todo:
        wait = pace.due(request.due) - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        progress.late_by = max(0.0, -wait)
        if request.due.date() > progress.reached.date() or not progress.marks:
            progress.reached = request.due
            progress.marks.append((time.time(), request.due))
            tick(progress)
        headers = {"x-request-id": request.id}
        try:
            async with session.post(url, json=request.body, headers=headers) as response:
                await response.read()
                progress.failed += response.status >= 400
            answered(request, time.time())
        except aiohttp.ClientError:
            progress.failed += 1
        progress.requests += 1
        progress.rows += len(request.flights)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--url", default="http://127.0.0.1:15080/predict", help="with its path (default %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=120.0, help="how long the year lasts (default 120)")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    options = parser.parse_args()

    next_line = flights.YEAR_STARTS

    def tick(progress: Progress) -> None:
        nonlocal next_line
        if progress.reached >= next_line:
            next_line = progress.reached + WEEK
            print(
                f"{progress.reached:%d %b}  {progress.requests:6d} requests  {progress.rows:7d} flights",
                flush=True,
            )

    done = asyncio.run(replay(options.url, options.seconds, tick, options.connections))
    print(f"done: {done.requests} requests, {done.rows} flights, {done.failed} failed")


if __name__ == "__main__":
    main()
