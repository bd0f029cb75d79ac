"""What a mirror holds: exchanges that wait to be sent or are under way, within a number and bytes.

The analysis puts them in and the mirror takes them out, each in a thread of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from driftline_sidecar.analyzer.mirror.book import Result
from driftline_sidecar.exchange import Exchange

QUEUE_BYTES: Final = 8 << 20
"""Of all that is held."""


@dataclass(slots=True, eq=False)
class Item:
    """An eligible exchange, the day in which it became so, and what came of it once it was sent."""

    exchange: Exchange
    day: int
    result: Result = None

    @property
    def cost(self) -> int:
        """Bytes."""
        e = self.exchange
        return len(e.request_head) + len(e.request_body) + len(e.response_head) + len(e.response_body)


class Waiting:
    """Held from `put` to `release`, whether it was taken out or not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Item] = deque()
        self._held: set[Item] = set()
        self._bytes = 0

    def __len__(self) -> int:
        """How many wait to be taken."""
        return len(self._queue)

    def has_room(self, item: Item, most: int) -> bool:
        """Whether one more may wait, where `most` may."""
        return len(self._queue) < most and self._bytes + item.cost <= QUEUE_BYTES

    def put(self, item: Item) -> None:
        """The last of those that wait."""
        with self._lock:
            self._queue.append(item)
            self._held.add(item)
            self._bytes += item.cost

    def take(self) -> Item:
        """The one that has waited longest. Raises IndexError where none waits."""
        return self._queue.popleft()

    def holds(self, item: Item) -> bool:
        """False once it was released, or all were."""
        return item in self._held

    def release(self, item: Item) -> None:
        """No more is to be made of it."""
        with self._lock:
            if item in self._held:
                self._held.discard(item)
                self._bytes -= item.cost

    def release_all(self) -> list[Item]:
        """Those that were held."""
        with self._lock:
            held = [*self._held]
            self._held.clear()
            self._queue.clear()
            self._bytes = 0
        return held
