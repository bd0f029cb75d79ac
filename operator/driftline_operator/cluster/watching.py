"""A cache of one kind's objects, kept by list and watch: what informers are in Go.

Level-triggered: a listener is told which object changed, and reads the cache; a missed or doubled
word costs nothing. After a lost connection the watch resumes; where that is no longer possible
(410 Gone), all is listed again and what disappeared meanwhile is told as deleted.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import Object, Resource

_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 30.0

_log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace (empty for kinds without) and name."""


class Clock(Protocol):
    """Seconds that only go up."""

    def __call__(self) -> float:
        """Now."""


def key_of(found: Object) -> Key:
    """An object's namespace and name."""
    metadata = found["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Cache:
    """The objects of one kind, in a namespace or in all (None), after labels or fields."""

    def __init__(
        self,
        resource: Resource,
        clock: Clock,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        trim: Callable[[Object], Object] = lambda found: found,
        metadata_only: bool = False,
    ) -> None:
        """`trim` keeps of an object what is needed: a cluster's pods whole are many megabytes.

        With `metadata_only` the API server sends no more than metadata: a cluster's ConfigMaps are many too.
        """
        self.resource = resource
        self.synced = asyncio.Event()
        """Set once all objects were listed; it stays set through reconnections."""
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._trim = trim
        self._metadata_only = metadata_only
        self._clock = clock
        self._objects: dict[str, dict[str, Object]] = {}
        self._listeners: list[Callable[[Key], None]] = []
        self._heard: float | None = None
        self._resume = ""
        """The resource version to watch from; empty: list first."""

    def __iter__(self) -> Iterator[Object]:
        return iter([found for each in self._objects.values() for found in each.values()])

    def __len__(self) -> int:
        return sum(len(each) for each in self._objects.values())

    def get(self, namespace: str, name: str) -> Object | None:
        """One object, if it is there."""
        return self._objects.get(namespace, {}).get(name)

    def within(self, namespace: str) -> tuple[Object, ...]:
        """The objects of one namespace."""
        return tuple(self._objects.get(namespace, {}).values())

    def age(self) -> float | None:
        """Seconds since the API server was last heard of; None before the first list."""
        return None if self._heard is None else self._clock() - self._heard

    def on_change(self, listener: Callable[[Key], None]) -> None:
        """Call `listener` with the key of each object that came, changed or went."""
        self._listeners.append(listener)

    async def run(self, api: Api) -> None:
        """Keep the cache until cancelled."""
        wait = _FIRST_WAIT
        while True:
            began = self._clock()
            try:
                if not self._resume:
                    await self._list(api)
                await self._watch(api)
                wait = _FIRST_WAIT
            except ApiError as error:
                if error.expired or error.status in (400, 404):
                    self._resume = ""
                if self._clock() - began > _LONGEST_WAIT:
                    wait = _FIRST_WAIT
                level = logging.INFO if error.expired else logging.WARNING
                _log.log(level, "watch of %s lost, again in %.1f s: %s", self.resource.plural, wait, error)
                # After 410 too: an API server that forgets at once would be listed from without a pause.
                await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311 - spreads the load
                wait = min(wait * 2, _LONGEST_WAIT)

    async def _list(self, api: Api) -> None:
        found, self._resume = await api.list(
            self.resource,
            self._namespace,
            labels=self._labels,
            fields=self._fields,
            metadata_only=self._metadata_only,
        )
        before, self._objects = self._objects, {}
        changed: list[Key] = []
        for each in found:
            namespace, name = key_of(each)
            self._objects.setdefault(namespace, {})[name] = self._trim(each)
            if _version(before.get(namespace, {}).get(name)) != _version(each):
                changed.append((namespace, name))
        gone = [
            (namespace, name)
            for namespace, known in before.items()
            for name in known
            if self.get(namespace, name) is None
        ]
        self._hear()
        self.synced.set()
        for key in (*changed, *gone):
            self._tell(key)

    async def _watch(self, api: Api) -> None:
        events = api.watch(
            self.resource,
            self._namespace,
            self._resume,
            labels=self._labels,
            fields=self._fields,
            metadata_only=self._metadata_only,
        )
        async for kind, found in events:
            self._resume = found["metadata"]["resourceVersion"]
            self._hear()
            if kind == "BOOKMARK":
                continue
            key = key_of(found)
            namespace, name = key
            if kind != "DELETED":
                self._objects.setdefault(namespace, {})[name] = self._trim(found)
            elif namespace in self._objects:
                self._objects[namespace].pop(name, None)
                if not self._objects[namespace]:
                    del self._objects[namespace]
            self._tell(key)
        self._hear()

    def _hear(self) -> None:
        self._heard = self._clock()

    def _tell(self, key: Key) -> None:
        for listener in self._listeners:
            listener(key)


def _version(found: Object | None) -> str | None:
    return None if found is None else found["metadata"].get("resourceVersion")
