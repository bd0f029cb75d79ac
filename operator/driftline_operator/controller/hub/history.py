"""The fleet's pane history in the hub: a checkpoint has room for 700 kB, 30 days may need more."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from driftline_operator.controller.hub.client import HubClient, SentPane
from driftline_operator.controller.hub.opinions import Away
from driftline_operator.controller.monitors import Key
from driftline_operator.fleet.checkpoint import LeftOut
from driftline_operator.fleet.pods import Place

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 512 << 10
"""Bytes of panes in a request."""

_AGAIN: Final = 60.0
"""Seconds in which nothing is sent after the hub didn't take it."""

Pane = tuple[int, int, bytes]
"""Start, length (seconds) and what is packed there."""


class PaneHistory:
    """For one replica, while it acts. `client` None: Driftline is installed without its hub."""

    def __init__(self, client: HubClient | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._quiet_until = 0.0
        """A hub that hangs must not hold up the rounds for each monitor."""
        self._sent: dict[Key, tuple[str, dict[Place, int]]] = {}

    def forget(self) -> None:
        """Another controller has acted meanwhile."""
        self._sent.clear()

    async def keep(self, key: Key, profile: str, panes: Sequence[Pane]) -> bool:
        """Send what the hub hasn't yet; False: it couldn't be sent, and will be the next time."""
        if self._client is None or self._clock() < self._quiet_until:
            return False
        known, sent = self._sent.get(key, (profile, {}))
        if known != profile:
            sent = {}
        present = {(start, length): zlib.crc32(data) for start, length, data in panes}
        fresh = [each for each in panes if sent.get(each[:2]) != present[each[:2]]]
        for part in _parts(fresh):
            away = await self._client.put_panes(key, profile, part)
            if away is not None:
                self._quiet_until = self._clock() + _AGAIN
                _log.warning("%s/%s: pane history isn't kept: %s", *key, away.message)
                return False
        self._sent[key] = profile, present
        return True

    async def recall(self, key: Key, profile: str, left_out: LeftOut) -> dict[Place, bytes]:
        """Those of the wanted panes that the hub has; none where it can't be asked."""
        found: dict[Place, bytes] = {}
        if self._client is None:
            return found
        for length in left_out.lengths:
            starts = [start for start, seconds in left_out.panes if seconds == length]
            panes = await self._client.panes(key, profile, length, min(starts), max(starts) + 1)
            if isinstance(panes, Away):
                _log.warning("%s/%s: pane history can't be had: %s", *key, panes.message)
                return {}
            found |= {(int(each.start), length): each.body for each in panes}
        return found


def _parts(panes: Sequence[Pane]) -> Iterator[list[SentPane]]:
    part: list[SentPane] = []
    for each in panes:
        if part and sum(len(other.body) for other in part) + len(each[2]) > _AT_ONCE:
            yield part
            part = []
        part.append(SentPane(*each))
    if part:
        yield part
