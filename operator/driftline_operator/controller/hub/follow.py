"""Keeps the hub told of all monitors, and the monitors' status told of what the hub says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from driftline.performance.report import HubReport

from driftline_operator.conditions import HubReason
from driftline_operator.controller.hub.client import HubClient
from driftline_operator.controller.hub.opinions import NO_HUB, Away, Opinion, aspects, opinion
from driftline_operator.controller.hub.registry import Registration, registration, steps
from driftline_operator.controller.monitors import Key, MonitorStore
from driftline_operator.controller.observed import Observed, Reference

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 8
_NOT_ASKED: Final = Away(HubReason.NOT_TOLD, "the hub has not been asked yet")


class HubFollower:
    """For one replica, while it acts. `client` None: Driftline is installed without its hub.

    `reference_of`, `token_of`: of a monitor its profile, of a namespace its token. `now`: unix seconds.
    """

    def __init__(
        self,
        client: HubClient | None,
        store: MonitorStore,
        reference_of: Callable[[Key], Reference | None],
        token_of: Callable[[str], str | None],
        now: Callable[[], float],
    ) -> None:
        self._client, self._store = client, store
        self._reference_of, self._token_of, self._now = reference_of, token_of, now
        self._told: dict[Key, str] = {}
        self._said: dict[Key, HubReport | Away] = {}

    def opinion(self, observed: Observed) -> Opinion:
        """What the hub says of a monitor now."""
        if observed.monitor is None:
            return Opinion()
        default = NO_HUB if self._client is None else _NOT_ASKED
        said = self._said.get((observed.namespace, observed.name), default)
        return opinion(observed.monitor.spec, said, self._now())

    def forget(self) -> None:
        """Another controller has told the hub meanwhile: tell it all again."""
        self._told.clear()

    async def turn(self) -> set[str]:
        """Tell and ask; the namespaces whose monitors' status may have to be written."""
        if self._client is None:
            return set()
        every = self._store.every()
        await self._tell(self._client, every)
        asked = [
            key for key, each in every.items() if each.monitor is not None and aspects(each.monitor.spec)
        ]
        limit = asyncio.Semaphore(_AT_ONCE)

        async def ask(client: HubClient, key: Key) -> None:
            async with limit:
                self._said[key] = await client.report(key)

        await asyncio.gather(*(ask(self._client, key) for key in asked))
        for key in [key for key in self._said if key not in asked]:
            del self._said[key]
        return {key[0] for key in asked}

    async def _tell(self, client: HubClient, every: dict[Key, Observed]) -> None:
        present = await client.monitors()
        if isinstance(present, Away):
            _log.warning("hub: %s", present.message)
            return
        wanted: dict[Key, Registration] = {}
        for key, each in every.items():
            told = registration(each, self._reference_of(key), self._token_of(key[0]))
            if told is not None:
                wanted[key] = told
        found = steps(wanted, self._told, present, every.keys())
        for key, told in found.put.items():
            refused = await client.put(key, told)
            if refused is None:
                self._told[key] = told.digest
            else:
                _log.warning("hub: %s/%s: %s", *key, refused.message)
        for key in found.remove:
            self._told.pop(key, None)
            refused = await client.remove(key)
            if refused is not None:
                _log.warning("hub: %s/%s: %s", *key, refused.message)
