"""Leader election over a Lease of the API server: one acts at a time, another when it can't."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
from collections.abc import Callable
from typing import Any

from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.election import Move, Seen, move, observe
from driftline_operator.cluster.resources import LEASES, Object

_log = logging.getLogger(__name__)


class Leadership:
    """One contender. `held` is asked before every write: after the deadline it is False, whatever hangs."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float],
        duration: float = 15.0,
    ) -> None:
        """`clock`: seconds that only go up. `duration`: seconds for which it holds."""
        self._api, self._namespace, self._name, self._identity = api, namespace, name, identity
        self._clock = clock
        self._duration = duration
        self._pause = duration / 5
        self._seen: Seen | None = None
        self._deadline = float("-inf")
        self._spec: dict[str, Any] = {}

    @property
    def held(self) -> bool:
        """May this contender begin a write now?"""
        return self._clock() < self._deadline

    @property
    def remaining(self) -> float:
        """Seconds for which it may; 0 where it may not. A write's own timeout must fit in."""
        return max(0.0, self._deadline - self._clock())

    async def run(self) -> None:
        """Contend until cancelled, and then let go of the lease."""
        try:
            while True:
                await self.turn()
                await asyncio.sleep(self._pause)
        finally:
            await asyncio.shield(self.release())

    async def turn(self) -> None:
        """Look at the lease once, and do what may be done. Errors are logged: the deadline runs on."""
        began = self._clock()
        had = self.held
        try:
            async with asyncio.timeout(self._duration / 2):
                await self._contend(began)
        except TimeoutError:
            _log.warning("lease %s: no answer for %.0f s", self._name, self._duration / 2)
        except ApiError as error:
            if error.status == 409:
                _log.info("lease %s: another was quicker", self._name)
            else:
                _log.warning("lease %s: %s", self._name, error)
        if self.held and not had:
            _log.info("lease %s is held by %s", self._name, self._identity)
        elif had and not self.held:
            _log.warning("lease %s is lost", self._name)

    async def release(self) -> None:
        """Let another act at once. No write may begin after this."""
        held, self._deadline = self.held, float("-inf")
        if not held or self._seen is None:
            return
        spec = {**self._spec, "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._api.replace(LEASES, self._namespace, self._name, self._body(spec, self._seen.version))
        except ApiError as error:
            _log.warning("lease %s was not released: %s", self._name, error)

    async def _contend(self, began: float) -> None:
        lease: Object | None
        try:
            lease = await self._api.get(LEASES, self._namespace, self._name)
        except ApiError as error:
            if not error.missing:
                raise
            lease = None
        self._seen = observe(self._seen, lease, self._clock())
        what = move(self._seen, self._identity, self._clock())
        if what is Move.WAIT:
            self._deadline = float("-inf")
            return
        before = {} if lease is None else dict(lease.get("spec") or {})
        spec = self._claim(before, taken=what is not Move.RENEW)
        if self._seen is None:
            written = await self._api.create(LEASES, self._namespace, self._body(spec, None))
        else:
            body = self._body(spec, self._seen.version)
            written = await self._api.replace(LEASES, self._namespace, self._name, body)
        self._spec = spec
        self._seen = observe(self._seen, written, self._clock())
        self._deadline = began + self._duration

    def _claim(self, before: dict[str, Any], *, taken: bool) -> dict[str, Any]:
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # for people; never compared
        spec = {**before, "holderIdentity": self._identity, "renewTime": now}
        spec["leaseDurationSeconds"] = math.ceil(self._duration)  # others may wait longer, never less
        if taken:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(before.get("leaseTransitions") or 0) + bool(before)
        return spec

    def _body(self, spec: dict[str, Any], version: str | None) -> Object:
        metadata = {"name": self._name, "namespace": self._namespace}
        if version is not None:
            metadata["resourceVersion"] = version
        kind = {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
        return {**kind, "metadata": metadata, "spec": spec}
