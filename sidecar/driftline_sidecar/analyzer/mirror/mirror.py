"""The mirror of one monitor: a thread with an event loop of its own, behind a bounded queue.

What is offered comes from the analysis, which never waits for it. What goes wrong here ends in the account.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import uvloop
from driftline.shadow.account import Drop, Failure

from driftline_sidecar.analyzer.mirror import errand
from driftline_sidecar.analyzer.mirror.admission import flaw, is_eligible
from driftline_sidecar.analyzer.mirror.book import LOST, Book
from driftline_sidecar.analyzer.mirror.breaker import Breaker
from driftline_sidecar.analyzer.mirror.bucket import Bucket
from driftline_sidecar.analyzer.mirror.errand import Setting
from driftline_sidecar.analyzer.mirror.logged import Logged
from driftline_sidecar.analyzer.mirror.notes import Notes
from driftline_sidecar.analyzer.mirror.sending import Answer, Reply, Sender
from driftline_sidecar.analyzer.mirror.shelf import Counter, Shelf
from driftline_sidecar.analyzer.mirror.waiting import QUEUE_BYTES, Item, Waiting
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.logs import event

NICER: Final = 10
FLUSH_SECONDS: Final = 0.25
SAVE_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 2.0
_RESTART_SECONDS: Final = 1.0
_JOIN_SECONDS: Final = DRAIN_SECONDS + 3.0


class Mirror:
    """One life: from `start` to `stop`. Safe to use from the analysis' thread."""

    def __init__(self, setting: Setting, book: Book, shelf: Shelf, counter: Counter, logged: Logged) -> None:
        """`logged`: takes what the candidate answered, for the hub."""
        self.setting = setting
        self.book = book
        self.shelf = shelf
        self.notes = Notes(setting.config.shadow.name)
        self.restarts = 0
        """How often its loop failed and was begun again."""
        self._counter = counter
        self._bucket = Bucket(setting.config.traffic.budget, time.monotonic())
        self._breaker = Breaker()
        self._lock = threading.Lock()
        self._waiting = Waiting()
        self._under_way: dict[asyncio.Task[None], Item] = {}
        self._back: list[Item] = []
        """What is to be counted."""
        self._logged = logged
        self._stopping = False
        self._told = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    # ---- the analysis' side ----

    def start(self) -> None:
        """Begin."""
        self.shelf.put(self.book.parts())
        self._thread.start()

    def replace(self, setting: Setting) -> None:
        """Go on otherwise: another address, another budget. The life must be the same."""
        if setting.config.traffic.budget != self.setting.config.traffic.budget:
            self._bucket = Bucket(setting.config.traffic.budget, time.monotonic())
        if setting.config.url != self.setting.config.url:
            self._breaker = Breaker()
        self.setting = setting

    def offer(self, exchanges: Iterable[Exchange], now: float) -> None:
        """Take what is eligible, as far as there is room; `now` in unix seconds. Never waits.

        After the comparison's end nothing is eligible: the controller that ends it may be gone for good.
        """
        config = self.setting.config
        if now >= config.until:
            return
        day, any_taken = config.day(now), False
        for exchange in exchanges:
            if is_eligible(config, exchange):
                any_taken |= self._offer(Item(exchange, day))
        self._counter.set(self.book.eligible)
        if any_taken and self._loop is not None:
            with suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self._arrived.set)

    def stop(self) -> None:
        """End: what is under way has two seconds, the rest is lost."""
        self._stopping = True
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._arrived.set)
        self._thread.join(_JOIN_SECONDS)
        self._lose_all()
        self.shelf.put(self.book.parts())
        self._counter.close()

    def flush(self) -> None:
        """Write what is counted, so that it can be fetched."""
        self.shelf.put(self.book.parts())

    @property
    def resting(self) -> bool:
        """Whether the candidate failed so often that it is left alone."""
        return self._breaker.is_open

    def _offer(self, item: Item) -> bool:
        with self._lock:
            dropped = self._obstacle(item)
            self.book.offer(item.day, dropped)
            if dropped is None:
                self._waiting.put(item)
        return dropped is None

    def _obstacle(self, item: Item) -> Drop | None:
        """What is not the candidate's doing comes first: it is told apart from what is."""
        now, setting = time.monotonic(), self.setting
        if setting.reader is None or self._stopping:
            return Drop.STARTING
        if (found := flaw(item.exchange, setting.max_body_bytes)) is not None:
            return found
        if item.cost > QUEUE_BYTES:
            return Drop.BODY_TOO_LARGE
        if not setting.config.ready:
            return Drop.NOT_READY
        if not self._breaker.allows(now):
            return Drop.BREAKER_OPEN
        if not self._waiting.has_room(item, setting.config.traffic.queue):
            return Drop.QUEUE_FULL
        return None if self._bucket.take(now) else Drop.BUDGET

    # ---- the thread ----

    def _run(self) -> None:
        with suppress(OSError):  # courtesies, not conditions
            _give_precedence(threading.get_native_id())
        while not self._stopping:
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(self._serve())
            except Exception as error:  # noqa: BLE001 - a fault here must reach neither the analysis nor the account
                self.restarts += 1
                self._tell(error)
                self._lose_all()
                self._breaker = self._breaker.abandoned()  # its probe is lost too
                time.sleep(_RESTART_SECONDS)

    async def _serve(self) -> None:
        self._arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        sender = Sender(self.setting.max_body_bytes)
        keeping = asyncio.create_task(self._keep())
        try:
            while not self._stopping:
                self._arrived.clear()
                self._send_what_may(sender)
                waiting = asyncio.create_task(self._arrived.wait())
                await asyncio.wait({waiting, keeping, *self._under_way}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                self._take_back()
                if keeping.done():
                    keeping.result()
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=DRAIN_SECONDS)
        finally:
            self._loop = None
            self._take_back()
            rest = [keeping, *self._under_way]
            self._under_way.clear()
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            await sender.close()
        self._settle()

    def _send_what_may(self, sender: Sender) -> None:
        while len(self._waiting) and len(self._under_way) < self.setting.config.traffic.max_concurrent:
            item = self._waiting.take()
            if not self._breaker.allows(time.monotonic()):
                self.book.drop(item.day, Drop.BREAKER_OPEN)
                self._waiting.release(item)
                continue
            self._breaker = self._breaker.sent()
            self._under_way[asyncio.create_task(self._mirror(sender, item))] = item

    def _take_back(self) -> None:
        """Whatever was under way and is no longer, with or without a result."""
        for task in [task for task in self._under_way if task.done()]:
            self._back.append(self._under_way.pop(task))

    async def _keep(self) -> None:
        saved = time.monotonic()
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self._settle()
            if time.monotonic() - saved >= SAVE_SECONDS:
                saved = time.monotonic()
                self.flush()

    async def _mirror(self, sender: Sender, item: Item) -> None:
        try:
            found = await errand.run(self.setting, sender, item.exchange)
        except Exception as error:  # noqa: BLE001 - one request must not end the mirror
            self._tell(error)
            self._breaker = self._breaker.abandoned()
            item.result = LOST
            return
        if isinstance(found, Drop):
            self._breaker = self._breaker.abandoned()
            item.result = found
            return
        self._note(found.reply)
        self.notes.take(found.outcome)
        if found.rows is not None:
            self._logged.put(found.rows)
        item.result = found.outcome

    def _note(self, reply: Reply) -> None:
        """Only what says that the candidate is ill: not that it refuses a request, or answers at length."""
        ill = (
            reply.status >= 500
            if isinstance(reply, Answer)
            else reply.failure not in (Failure.ANSWER_TOO_LARGE, Failure.NO_ROOM)
        )
        was = self._breaker.is_open
        self._breaker = self._breaker.failed(time.monotonic()) if ill else self._breaker.succeeded()
        if self._breaker.is_open != was:
            said = "keeps failing: it is left to rest" if ill else "answers again"
            event(
                logging.WARNING,
                "shadow_breaker",
                f"the candidate {said}",
                shadow=self.setting.config.shadow.name,
            )

    def _settle(self) -> None:
        """Count what has come back. What fails to be counted is lost, and says so."""
        back, self._back = [item for item in self._back if self._waiting.holds(item)], []
        for day in sorted({item.day for item in back}):
            of_day = [item for item in back if item.day == day]
            self.book.settle(day, [item.result for item in of_day], time.time())
            for item in of_day:
                self._waiting.release(item)

    def _lose_all(self) -> None:
        with self._lock:
            self._back = []
            self.book.lose(item.day for item in self._waiting.release_all())

    def _tell(self, error: Exception) -> None:
        """Once, by its type only: a message may quote a body."""
        if not self._told:
            self._told = True
            kind = type(error).__name__
            event(
                logging.ERROR,
                "mirror_error",
                f"the mirror failed: {kind}",
                shadow=self.setting.config.shadow.name,
            )


def _give_precedence(thread: int) -> None:
    """A lower priority, and a policy that interrupts nobody: a candidate's answer waits for whoever runs, who
    may be the live model. Nice alone weighs within the sidecar's own cgroup only."""
    os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICER)
    os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
