"""How Prometheus finds the sidecars: by PodMonitors, or by annotations where nobody reads such.

Both programs must decide alike, for annotations are part of what a pod would get now. With `auto` the cluster
decides, and it is asked again: the Prometheus Operator may come later than Driftline.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from driftline_operator.cluster.api import ApiError
from driftline_operator.cluster.resources import POD_MONITORS, Resource

_log = logging.getLogger(__name__)

AGAIN: Final = 300.0
"""Seconds between two looks, for who has no other rhythm."""


class Discovery(Protocol):
    """Knows which kinds the API server serves."""

    async def serves(self, resource: Resource) -> bool:
        """Does it know that kind?"""


class Scraping:
    """`wanted`: auto, podmonitor, annotations or none. With `auto`, `look` before anything is asked."""

    def __init__(self, wanted: str, api: Discovery) -> None:
        self._wanted, self._api = wanted, api
        self._served = False

    @property
    def pod_monitors(self) -> bool:
        """Are the sidecars announced by PodMonitors?"""
        return self._served if self._wanted == "auto" else self._wanted == "podmonitor"

    @property
    def annotations(self) -> bool:
        """Do pods get annotations?"""
        return not self._served if self._wanted == "auto" else self._wanted == "annotations"

    async def look(self) -> bool:
        """Ask the cluster, where it decides; whether it decides otherwise than before. Raises ApiError."""
        before = self._served
        if self._wanted == "auto":
            self._served = await self._api.serves(POD_MONITORS)
        return self._served != before

    async def changed(self, every: float = AGAIN) -> None:
        """Wait until it is decided otherwise."""
        while True:
            await asyncio.sleep(every)
            try:
                if await self.look():
                    break
            except ApiError as error:
                _log.warning("whether there are PodMonitors can't be told: %s", error)
        _log.info("sidecars are found by %s from now on", "a PodMonitor" if self._served else "annotations")
