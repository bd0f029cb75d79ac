"""Writes what isn't already so, by server-side apply; nothing at all where nothing changed.

What was applied is remembered by its hash, and by the resource version that the API server gave it: a plan
that is the same, over an object that nobody touched, costs no request. Whoever changed the object made
another version, and what is ours in it is applied again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from driftline_operator.cluster.api import MERGE, Api, ApiError
from driftline_operator.cluster.resources import Object, Resource
from driftline_operator.controller.plan.objects import Desired

_log = logging.getLogger(__name__)

Key = tuple[str, str, str]
_T = TypeVar("_T")


class NotLeading(Exception):
    """Another controller acts: nothing may be written."""


class Applier:
    """`remaining`: seconds for which may be written, 0 where it may not be: a write begins within them, and
    is broken off at their end. `version` tells an object's version from the watch caches.

    `written` is called for each write.
    """

    def __init__(
        self,
        api: Api,
        remaining: Callable[[], float],
        version: Callable[[str, str, str], str | None],
        written: Callable[[], object] = lambda: None,
    ) -> None:
        self._api = api
        self._remaining = remaining
        self._version = version
        self._applied: dict[Key, tuple[str, str]] = {}
        self._written = written

    async def write(self, request: Callable[[], Awaitable[_T]]) -> _T:
        """Make a request that changes something. Raises NotLeading where, or once, nothing may be written."""
        left = self._remaining()
        if left <= 0:
            raise NotLeading
        self._written()
        try:
            async with asyncio.timeout(left):
                return await request()
        except TimeoutError:
            raise NotLeading from None

    def forget(self) -> None:
        """Another may have written meanwhile: take nothing for applied."""
        self._applied.clear()

    async def ensure(self, desired: Desired) -> bool:
        """Apply it if need be; was there a write? Raises ApiError, NotLeading."""
        digest = hashlib.sha256(msgspec.json.encode(desired.body, order="sorted")).hexdigest()
        # A version that the watch hasn't brought yet means one request too many, which changes nothing.
        if self._applied.get(desired.key) == (digest, self._version(*desired.key)):
            return False
        written = await self.write(lambda: self._api.apply(desired.resource, desired.namespace, desired.body))
        self._applied[desired.key] = digest, str(written["metadata"]["resourceVersion"])
        return True

    async def remove(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Delete it if it is there."""
        self._applied.pop((resource.plural, namespace or "", name), None)
        await self.write(lambda: self._api.delete(resource, namespace, name))
        _log.info("deleted %s %s", resource.kind, f"{namespace}/{name}" if namespace else name)

    async def status(self, resource: Resource, body: Object) -> Object:
        """Apply the status subresource."""
        namespace = body["metadata"]["namespace"]
        return await self.write(lambda: self._api.apply(resource, namespace, body, subresource="status"))

    async def create(self, resource: Resource, namespace: str, body: Object) -> None:
        """A new object, such as an Event; one of that name is enough."""
        try:
            await self.write(lambda: self._api.create(resource, namespace, body))
        except ApiError as error:
            if error.status != 409:
                raise

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: object, *, kind: str = MERGE
    ) -> None:
        """A merge patch, or of that kind."""
        await self.write(lambda: self._api.patch(resource, namespace, name, body, kind=kind))
