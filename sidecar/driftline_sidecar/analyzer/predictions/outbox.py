"""One monitor's way to the hub: rows become packets, packets wait, and go when the hub takes them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import Counter
from pathlib import Path
from typing import Final

import aiohttp
from driftline.backoff import pause_after
from driftline.events import Prediction

from driftline_sidecar.analyzer.predictions import sending
from driftline_sidecar.analyzer.predictions.packet import MOST_ROWS, Packet, halves, pack
from driftline_sidecar.analyzer.predictions.rows import Drop, Rows
from driftline_sidecar.analyzer.predictions.sending import Answer, Hub, Sent
from driftline_sidecar.analyzer.predictions.spool import Entry, Room, Spool, discard
from driftline_sidecar.courtesy import give_way
from driftline_sidecar.logs import event

FILL_SECONDS: Final = 1.0
"""How long rows wait for others to share a packet with."""
_RETRY_DISK_SECONDS: Final = 10.0
_LAST_PAUSE_SECONDS: Final = 0.3
_LAST_WRITES_SECONDS: Final = 1.0


class Outbox:
    """The log of one monitor. `add` and `seal` are quick; the tasks do the rest."""

    def __init__(self, namespace: str, monitor: str, hub: Hub, room: Room, directory: Path | None) -> None:
        self.delivered = 0
        """Rows that the hub has acknowledged."""
        self.dropped: Counter[Drop] = Counter()
        self.sends: Counter[Sent] = Counter()
        self._namespace, self._monitor, self._hub = namespace, monitor, hub
        self._spool = Spool(room, directory)
        self._filling: dict[int, list[Prediction]] = {}
        self._filling_since = 0.0
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._disk = asyncio.Event()
        """Something is to be written to the directory, or removed from it."""
        self._closing = asyncio.Event()
        self._last: Sent | None = None
        self._said: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def key(self) -> str:
        """`namespace/name` of the monitor."""
        return f"{self._namespace}/{self._monitor}"

    @property
    def backlog_bytes(self) -> int:
        """Of packets that wait."""
        return self._spool.bytes

    @property
    def backlog_rows(self) -> int:
        """That wait, in packets or for one."""
        return self._spool.rows + sum(map(len, self._filling.values()))

    def all_dropped(self) -> Counter[Drop]:
        """Rows by why they are not in the hub."""
        return self.dropped + Counter({Drop.SPOOL_FULL: self._spool.evicted})

    # ---- in ----

    def add(self, rows: Rows, now: float) -> None:
        """Take rows; those that fill a packet are written at once."""
        self.dropped.update(rows.dropped)
        if not any(self._filling.values()):
            self._filling_since = now
        for boot, predictions in rows.by_boot.items():
            filling = self._filling.setdefault(boot, [])
            filling += predictions
            while len(filling) >= MOST_ROWS:
                self._put(boot, filling[:MOST_ROWS])
                del filling[:MOST_ROWS]

    def seal(self, now: float) -> None:
        """Write the rows that have waited long enough for others."""
        if now - self._filling_since < FILL_SECONDS:
            return
        for boot, filling in self._filling.items():
            if filling:
                self._put(boot, filling)
        self._filling = {}

    def _put(self, boot: int, predictions: list[Prediction]) -> None:
        give_way()
        self._spool.put(pack(self._namespace, self._monitor, boot, predictions))
        self._wake()
        self._disk.set()

    def _wake(self) -> None:
        self._idle.clear()
        self._work.set()

    # ---- out ----

    def start(self) -> None:
        """Begin with what an earlier analyzer left."""
        try:
            rows = self._spool.found()
        except OSError as error:
            self._say_once("spool_unusable", f"predictions wait in memory only: {error.strerror or error}")
            rows = 0
        if rows:
            event(logging.INFO, "spool_found", "predictions of an earlier run", monitor=self.key, count=rows)
            self._wake()
        self._tasks = [asyncio.create_task(work()) for work in (self._deliver, self._store)]

    async def close(self, seconds: float) -> None:
        """Deliver what can be delivered in that time; what can't stays in the directory, or is counted."""
        self.seal(math.inf)
        self._closing.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LAST_WRITES_SECONDS):
                await self._store_all()
        lost = self._spool.unstored_rows
        self.dropped[Drop.ENDED] += lost
        if len(self._spool):
            said = f"{self._spool.rows - lost} rows wait in the directory, {lost} are lost"
            event(logging.WARNING, "predictions_left", said, monitor=self.key)

    async def _deliver(self) -> None:
        failures = 0
        async with aiohttp.ClientSession() as session:
            while True:
                entry = self._spool.first()
                if entry is None:
                    self._work.clear()
                    self._idle.set()
                    await self._work.wait()
                    continue
                answer = await self._try(session, entry)
                self.sends[answer.outcome] += 1
                self._tell(answer.outcome)
                if self._settles(entry, answer.outcome):
                    failures = 0
                    self._disk.set()
                    continue
                failures += 1
                await self._rest(pause_after(failures, answer.pause))

    async def _try(self, session: aiohttp.ClientSession, entry: Entry) -> Answer:
        try:
            body = entry.body if entry.body is not None else await asyncio.to_thread(entry.load)
        except OSError as error:
            self._say_once("spool_damaged", f"a packet can't be read again: {error.strerror or error}")
            return Answer(Sent.DAMAGED)
        return await sending.send(session, self._hub, body)

    def _settles(self, entry: Entry, outcome: Sent) -> bool:
        """Whether the packet is done with; else it waits, and those behind it too."""
        if outcome is Sent.DELIVERED:
            self.delivered += entry.rows
            if not self._spool.remove(entry):  # it had to go while it was under way, and arrived all the same
                self._spool.evicted -= entry.rows
            return True
        if outcome is Sent.TOO_LARGE:
            parts = self._parts(entry)
            if parts is not None:
                self._spool.replace(entry, parts)
                return True
        if outcome in (Sent.TOO_LARGE, Sent.REFUSED, Sent.DAMAGED):
            if self._spool.remove(entry):
                self.dropped[Drop.FAULT if outcome is Sent.DAMAGED else Drop.REFUSED] += entry.rows
            return True
        return False

    def _parts(self, entry: Entry) -> tuple[Packet, Packet] | None:
        try:
            return halves(Packet(entry.rows, entry.load()))
        except OSError:
            return None

    async def _rest(self, seconds: float) -> None:
        """Wait; the end of the analyzer gets shorter pauses."""
        if self._closing.is_set():
            await asyncio.sleep(min(seconds, _LAST_PAUSE_SECONDS))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    # ---- the directory ----

    async def _store(self) -> None:
        while True:
            await self._disk.wait()
            self._disk.clear()
            try:
                await self._store_all()
            except OSError as error:
                self._say_once(
                    "spool_unusable", f"predictions wait in memory only: {error.strerror or error}"
                )
                await asyncio.sleep(_RETRY_DISK_SECONDS)
                self._disk.set()

    async def _store_all(self) -> None:
        """Write what is in memory only, remove what is done with. Raises OSError."""
        while True:
            garbage = self._spool.collect()
            if garbage:
                await asyncio.to_thread(discard, garbage)
            entry = self._spool.unstored()
            if entry is None:
                if not self._spool.garbage:
                    return
                continue
            path = self._spool.name(entry)
            await asyncio.to_thread(entry.store, path)
            self._spool.stored(entry, path)

    # ---- what is said ----

    def _tell(self, outcome: Sent) -> None:
        """Each change of fortune, once."""
        if outcome is self._last or outcome is Sent.TOO_LARGE:
            return
        before, self._last = self._last, outcome
        if outcome is not Sent.DELIVERED:
            level = logging.ERROR if outcome in (Sent.REFUSED, Sent.UNAUTHORIZED) else logging.WARNING
            event(level, "hub_unwilling", f"predictions for the hub: {outcome.value}", monitor=self.key)
        elif before is not None:
            event(logging.INFO, "hub_takes", "the hub takes predictions again", monitor=self.key)

    def _say_once(self, name: str, said: str) -> None:
        if name not in self._said:
            self._said.add(name)
            event(logging.WARNING, name, said, monitor=self.key)
