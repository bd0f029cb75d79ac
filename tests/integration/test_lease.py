"""Two contenders at a real API server: one acts at a time, and the other within the lease's duration."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from driftline_operator.cluster.api import Api
from driftline_operator.cluster.lease import Leadership
from driftline_operator.cluster.resources import LEASES

DURATION = 2.0


def contender(api: Api, namespace: str, name: str) -> Leadership:
    return Leadership(api, namespace, "driftline-controller", name, time.monotonic, DURATION)


@contextlib.asynccontextmanager
async def contending(leadership: Leadership) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(leadership.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def eventually(holds: Callable[[], object], seconds: float = 10.0) -> float:
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_one_at_a_time_and_a_released_lease_is_taken_at_once(api: Api, namespace: str) -> None:
    first, second = contender(api, namespace, "first"), contender(api, namespace, "second")
    async with contending(second):
        await eventually(lambda: second.held)
        async with contending(first):
            for _ in range(100):
                assert second.held
                assert not first.held
                await asyncio.sleep(0.03)
            await second.release()
            await eventually(lambda: first.held or second.held, DURATION)
        assert not (first.held and second.held)


async def test_who_stops_renewing_may_not_write_before_another_may(api: Api, namespace: str) -> None:
    first, second = contender(api, namespace, "first"), contender(api, namespace, "second")
    await first.turn()
    assert first.held
    async with contending(second):  # `first` hangs from here on
        while first.held:
            assert not second.held
            await asyncio.sleep(0.01)
        took = await eventually(lambda: second.held)
        assert took < 2 * DURATION
    lease = await api.get(LEASES, namespace, "driftline-controller")
    assert lease["spec"]["leaseTransitions"] == 1
    assert lease["spec"]["holderIdentity"] == ""
    await first.turn()
    assert first.held
    assert 0 < first.remaining <= DURATION
