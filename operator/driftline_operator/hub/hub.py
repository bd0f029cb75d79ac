"""A hub's parts together: database, what is known, who may ask, and the threads that ask the database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftline_operator.hub import registry
from driftline_operator.hub.database import Database, away, retrying, unwritable
from driftline_operator.hub.limits import Buckets, Limits, Room
from driftline_operator.hub.refusal import Refusal
from driftline_operator.hub.registry import Known, Registry
from driftline_operator.hub.strata import Numbers
from driftline_operator.hub.tokens import Grant, TokenFile, find, of_sidecars

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_LOOK_AGAIN = 0.1
"""Seconds between looks for monitors and tokens that aren't known."""

Report = Callable[[Connection, Known], object | None]
"""What was found of a monitor's performance; None: nothing was evaluated yet."""


class Hub:
    """Everything that the API's handlers share. Its methods that are `async` run on the event loop."""

    def __init__(
        self,
        database: Database,
        tokens: TokenFile,
        limits: Limits | None = None,
        report: Report = lambda *_: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database, self.tokens, self.clock = database, tokens, clock
        self.limits = limits or Limits()
        self.report = report
        self.numbers = Numbers(database, self.clock)
        self.registry = Registry()
        self.buckets = Buckets(self.limits.rate, self.limits.burst)
        self.room = Room(max(self.limits.held, self.limits.upload, self.limits.body))
        self.problem = "the database was not asked yet"
        """Why this replica isn't ready; empty: it is."""
        self._full = False
        """A write failed as on a full disk: until one succeeds this replica isn't ready."""
        # SQLite has one writer: a second thread would only poll for its lock.
        self._takers = ThreadPoolExecutor(4 if database.postgres else 1, "intake")
        self._askers = ThreadPoolExecutor(2, "asking")
        self._decoders = ThreadPoolExecutor(2, "decoding")
        self._waiting = 0
        self._looking = asyncio.Lock()
        self._looked = -_LOOK_AGAIN

    async def take(self, work: Callable[[], _T]) -> _T:
        """Run what writes, in a thread. Raises Refusal (503): too much waits, or the database is away."""
        return await self._run(self._takers, work)

    async def decode(self, work: Callable[[], _T]) -> _T:
        """Run what makes events of a body, in a thread: the event loop has others to answer meanwhile."""
        return await self._run(self._decoders, work)

    async def ask(self, work: Callable[[Connection], _T]) -> _T:
        """Run what only reads, in a thread, on one consistent view."""

        def reading() -> _T:
            with self.database.reading() as connection:
                return work(connection)

        return await self._run(self._askers, reading)

    def write(self, work: Callable[[Connection], _T]) -> _T:
        """One transaction, from a thread; again where another one was in its way."""
        for attempt in count():
            try:
                with self.database.writing() as connection:
                    return work(connection)
            except sa.exc.DBAPIError as error:
                if not retrying(attempt, error):
                    raise
        raise AssertionError

    async def known(self, namespace: str, name: str) -> Known:
        """A monitor; an unknown one may just have been told to another replica. Raises Refusal (404, 503)."""
        try:
            return self.registry.find(namespace, name)
        except Refusal:
            await self._look_again()
            return self.registry.find(namespace, name)

    async def grant(self, authorization: str) -> Grant:
        """What a request's token may do. Raises Refusal (401); 503 until monitors and tokens were read."""
        if self.registry.revision < 0:  # a 404 or 401 would be taken as final
            raise Refusal(503, "the hub is starting: its monitors were not read yet", retry=1.0)
        try:
            return find(authorization, self._grants())
        except Refusal:
            await self._look_again()
            return find(authorization, self._grants())

    async def refresh(self) -> None:
        """Read monitors and tokens again where they have changed; `problem` says how that went."""

        def look() -> Registry:
            with self.database.reading() as connection:
                same = registry.revision(connection) == self.registry.revision
                return self.registry if same else registry.read(connection)

        def write() -> None:
            self.write(lambda connection: registry.rise(connection, "probe"))

        try:
            if self._full:
                await asyncio.to_thread(write)
                self._full = False
            self.registry = await asyncio.to_thread(look)  # not behind what others ask, which may take long
            self.problem = ""
        except sa.exc.SQLAlchemyError as error:
            if not self.problem:
                _log.warning("the database doesn't answer: %s", str(error)[:300])
            self.problem = "the database"

    def pay(self, grant: Grant, events: int) -> None:
        """Raises Refusal (429) where the token has sent too much."""
        wait = self.buckets.take(grant.sha256, events, time.monotonic())
        if wait:
            message = f"more than {self.limits.rate:g} events per second with this token"
            raise Refusal(429, message, retry=wait)

    def close(self) -> None:
        """Wait for what is being written, then leave the database."""
        for each in (self._decoders, self._takers, self._askers):
            each.shutdown(cancel_futures=False)
        self.database.close()

    def _grants(self) -> list[Grant]:
        return [*self.tokens.grants, *of_sidecars(self.registry.tokens)]

    async def _look_again(self) -> None:
        """Look once after this was asked, for all who wait. Raises Refusal (503): it can't be known now."""
        asked = time.monotonic()
        async with self._looking:
            if self._looked < asked:
                await asyncio.sleep(max(0.0, self._looked + _LOOK_AGAIN - asked))
                self._looked = time.monotonic()
                await self.refresh()
        if self.problem:
            raise Refusal(503, f"waiting for {self.problem}", retry=2.0)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        if self._waiting >= self.limits.waiting:
            raise Refusal(503, "too many requests wait for the database: nothing was taken", retry=1.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, work)
        except sa.exc.SQLAlchemyError as error:
            refusal = away(error)
            if refusal is None:
                raise
            _log.warning("the database can't be asked: %s", str(error)[:300])
            self._full = self._full or unwritable(error)
            raise refusal from error
        finally:
            self._waiting -= 1
