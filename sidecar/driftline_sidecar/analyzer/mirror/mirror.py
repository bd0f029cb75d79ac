"""The mirror of one monitor: a thread with an event loop of its own, behind a bounded queue.

What is offered comes from the analysis, which never waits for it. What goes wrong here ends in the account.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

import uvloop
from driftline.shadow.account import Drop, Failure
from driftline.shadow.runtime import MirrorConfig

from driftline_sidecar.analyzer.mirror.admission import flaw, goes_twice, is_eligible
from driftline_sidecar.analyzer.mirror.book import Book
from driftline_sidecar.analyzer.mirror.breaker import Breaker
from driftline_sidecar.analyzer.mirror.bucket import Bucket
from driftline_sidecar.analyzer.mirror.labelled import CandidateRows
from driftline_sidecar.analyzer.mirror.notes import Notes
from driftline_sidecar.analyzer.mirror.reading import Outcome, PairReader
from driftline_sidecar.analyzer.mirror.requests import Copy, copy_of
from driftline_sidecar.analyzer.mirror.sending import Answer, Missed, Reply, Sender
from driftline_sidecar.analyzer.mirror.shelf import Counter, Shelf
from driftline_sidecar.analyzer.predictions.rows import Rows
from driftline_sidecar.courtesy import give_way
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.logs import event
from driftline_sidecar.redact import Redactor

QUEUE_BYTES: Final = 8 << 20
"""Of exchanges that wait or are under way."""
NICER: Final = 10
MOST_LOGGED: Final = 10_000
"""Requests whose rows wait for the prediction log; it takes them several times a second."""
FLUSH_SECONDS: Final = 0.25
SAVE_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 2.0
_RESTART_SECONDS: Final = 1.0
_JOIN_SECONDS: Final = DRAIN_SECONDS + 3.0


class Setting(NamedTuple):
    """What may change while a life goes on. `reader` None: features aren't known yet; `key`: the marker's."""

    config: MirrorConfig
    reader: PairReader | None
    redactor: Redactor
    max_body_bytes: int
    key: bytes
    rows: CandidateRows | None = None
    """Makes rows of the hub of the candidate's answers; None: they aren't asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    exchange: Exchange
    day: int

    @property
    def cost(self) -> int:
        e = self.exchange
        return len(e.request_head) + len(e.request_body) + len(e.response_head) + len(e.response_body)


class Mirror:
    """One life: from `start` to `stop`. Safe to use from the analysis' thread."""

    def __init__(self, setting: Setting, book: Book, shelf: Shelf, counter: Counter) -> None:
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
        self._queue: deque[_Item] = deque()
        self._held: set[_Item] = set()
        """All that waits, in the queue or under way."""
        self._held_bytes = 0
        self._done: list[tuple[_Item, Outcome]] = []
        self._logged: deque[Rows] = deque(maxlen=MOST_LOGGED)
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
                any_taken |= self._offer(_Item(exchange, day))
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

    def logged(self) -> Iterator[Rows]:
        """What the candidate answered since the last time, for the hub."""
        with suppress(IndexError):
            while True:
                yield self._logged.popleft()

    @property
    def resting(self) -> bool:
        """Whether the candidate failed so often that it is left alone."""
        return self._breaker.is_open

    def _offer(self, item: _Item) -> bool:
        with self._lock:
            dropped = self._obstacle(item)
            self.book.offer(item.day, dropped)
            if dropped is None:
                self._queue.append(item)
                self._held.add(item)
                self._held_bytes += item.cost
        return dropped is None

    def _obstacle(self, item: _Item) -> Drop | None:
        now, setting = time.monotonic(), self.setting
        traffic = setting.config.traffic
        if not setting.config.ready or setting.reader is None or self._stopping:
            return Drop.NOT_READY
        if (found := flaw(item.exchange, setting.max_body_bytes)) is not None:
            return found
        if not self._breaker.allows(now):
            return Drop.BREAKER_OPEN
        if len(self._queue) >= traffic.queue or self._held_bytes + item.cost > QUEUE_BYTES:
            return Drop.QUEUE_FULL
        return None if self._bucket.take(now) else Drop.BUDGET

    # ---- the thread ----

    def _run(self) -> None:
        thread = threading.get_native_id()
        with suppress(OSError):  # a lower priority is a courtesy, not a condition
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICER)
        while not self._stopping:
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(self._serve())
            except Exception as error:  # noqa: BLE001 - a fault here must reach neither the analysis nor the account
                self.restarts += 1
                self._tell(error)
                self._lose_all()
                time.sleep(_RESTART_SECONDS)

    async def _serve(self) -> None:
        self._arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        sender = Sender(self.setting.max_body_bytes)
        under_way: set[asyncio.Task[None]] = set()
        keeping = asyncio.create_task(self._keep())
        try:
            while not self._stopping:
                self._arrived.clear()
                self._send_what_may(sender, under_way)
                waiting = asyncio.create_task(self._arrived.wait())
                await asyncio.wait({waiting, keeping, *under_way}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if keeping.done():
                    keeping.result()
            if under_way:
                await asyncio.wait(under_way, timeout=DRAIN_SECONDS)
        finally:
            self._loop = None
            for task in (keeping, *under_way):
                task.cancel()
            await asyncio.gather(keeping, *under_way, return_exceptions=True)
            await sender.close()
        self._settle()

    def _send_what_may(self, sender: Sender, under_way: set[asyncio.Task[None]]) -> None:
        while self._queue and len(under_way) < self.setting.config.traffic.max_concurrent:
            item = self._queue.popleft()
            if not self._breaker.allows(time.monotonic()):
                self.book.drop(item.day, Drop.BREAKER_OPEN)
                self._release(item)
                continue
            self._breaker = self._breaker.sent()
            task = asyncio.create_task(self._mirror(sender, item))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    async def _keep(self) -> None:
        saved = time.monotonic()
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self._settle()
            if time.monotonic() - saved >= SAVE_SECONDS:
                saved = time.monotonic()
                self.flush()

    async def _mirror(self, sender: Sender, item: _Item) -> None:
        try:
            outcome = await self._outcome(sender, item)
        except Exception as error:  # noqa: BLE001 - one request must not end the mirror
            self._tell(error)
            self._breaker = self._breaker.abandoned()
            self.book.lose([item.day])
            self._release(item)
            return
        if outcome is None:
            self._breaker = self._breaker.abandoned()
            self.book.drop(item.day, Drop.UNREDACTABLE)
            self._release(item)
            return
        self._done.append((item, outcome))

    async def _outcome(self, sender: Sender, item: _Item) -> Outcome | None:
        """What came of it; None where it must not be sent."""
        setting, exchange = self.setting, item.exchange
        if setting.reader is None:
            return None
        copy = self._copy(setting, exchange)
        if copy is None:
            return None
        config, timeout = setting.config, float(setting.config.traffic.timeout)
        twice = bool(config.live) and goes_twice(config, exchange)
        rounds: list[tuple[Reply, Reply]] = []
        if twice:
            for _ in range(2):
                live, candidate = await asyncio.gather(
                    sender.send(config.live, copy, setting.key, exchange.id, timeout),
                    sender.send(config.url, copy, setting.key, exchange.id, timeout),
                )
                rounds.append((live, candidate))
            reply = rounds[0][1]
        else:
            reply = await sender.send(config.url, copy, setting.key, exchange.id, timeout)
        self._note(reply)
        give_way()
        outcome = setting.reader.outcome(exchange, reply)
        self.notes.take(outcome)
        if setting.rows is not None and outcome.pair is not None and isinstance(reply, Answer):
            self._logged.append(setting.rows.read(exchange, reply, time.time()))
        return Outcome(
            outcome.live_failed,
            outcome.candidate_failed,
            outcome.failure,
            outcome.pair,
            live_seconds=_seconds(rounds[0][0]) if twice else None,
            candidate_seconds=_seconds(reply) if twice or not config.aa.share else None,
            repeat=setting.reader.repeat(exchange, rounds) if twice else None,
        )

    def _copy(self, setting: Setting, exchange: Exchange) -> Copy | None:
        if setting.config.traffic.allow_sensitive:
            return copy_of(exchange)
        redacted = setting.redactor(exchange)
        if exchange.request_body and not redacted.request_body:
            return None
        return copy_of(redacted)

    def _note(self, reply: Reply) -> None:
        """Only what says that the candidate is ill: not that it refuses a request, or answers at length."""
        ill = (
            reply.status >= 500
            if isinstance(reply, Answer)
            else reply.failure is not Failure.ANSWER_TOO_LARGE
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
        done, self._done = [(item, outcome) for item, outcome in self._done if item in self._held], []
        for day in sorted({item.day for item, _ in done}):
            of_day = [(item, outcome) for item, outcome in done if item.day == day]
            self.book.settle(day, [outcome for _, outcome in of_day])
            for item, _ in of_day:
                self._release(item)

    def _release(self, item: _Item) -> None:
        with self._lock:
            if item in self._held:
                self._held.discard(item)
                self._held_bytes -= item.cost

    def _lose_all(self) -> None:
        with self._lock:
            held = [*self._held]
            self._held.clear()
            self._held_bytes = 0
            self._queue.clear()
            self._done = []
        self.book.lose(item.day for item in held)

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


def _seconds(reply: Reply) -> float | None:
    """How long an answer took; of one that never came, how long it was waited for."""
    if isinstance(reply, Missed):
        return reply.seconds if reply.failure is Failure.TIMEOUT else None
    return reply.seconds if reply.fine else None
