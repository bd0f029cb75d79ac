"""Requests and watches against a real API server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import CONFIG_MAPS, MODEL_MONITORS, POD_MONITORS
from driftline_operator.cluster.watching import Cache, Key


@contextlib.asynccontextmanager
async def kept(cache: Cache, api: Api) -> AsyncIterator[Cache]:
    task = asyncio.create_task(cache.run(api))
    try:
        async with asyncio.timeout(10):
            await cache.synced.wait()
        yield cache
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.02)


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_objects_come_change_and_go(api: Api, namespace: str) -> None:
    await api.create(CONFIG_MAPS, namespace, config_map("before"))
    told: list[Key] = []
    cache = Cache(CONFIG_MAPS, time.monotonic, namespace=namespace)
    cache.on_change(told.append)
    async with kept(cache, api):
        assert cache.get(namespace, "before") is not None
        await api.apply(CONFIG_MAPS, namespace, config_map("later", a="1"))
        await eventually(lambda: cache.get(namespace, "later"))
        await api.apply(CONFIG_MAPS, namespace, config_map("later", a="2"))
        await eventually(lambda: (cache.get(namespace, "later") or {}).get("data") == {"a": "2"})
        await api.delete(CONFIG_MAPS, namespace, "later")
        await eventually(lambda: cache.get(namespace, "later") is None)
        age = cache.age()
        assert age is not None
        assert age < 10
    assert (namespace, "before") in told
    assert told.count((namespace, "later")) >= 3


@pytest.mark.parametrize("expired", [False, True], ids=["resumed", "listed anew"])
async def test_what_went_while_the_watch_was_lost_is_told(api: Api, namespace: str, expired: bool) -> None:
    await api.create(CONFIG_MAPS, namespace, config_map("one"))
    cache = Cache(CONFIG_MAPS, time.monotonic, namespace=namespace)
    async with kept(cache, api):
        assert cache.get(namespace, "one") is not None
    await api.delete(CONFIG_MAPS, namespace, "one")
    if expired:
        cache._resume = ""  # as after 410 Gone
    told: list[Key] = []
    cache.on_change(told.append)
    async with kept(cache, api):
        await eventually(lambda: (namespace, "one") in told)
        assert cache.get(namespace, "one") is None


async def test_refusals_carry_kubernetes_own_words(api: Api, namespace: str) -> None:
    with pytest.raises(ApiError, match="not found") as missing:
        await api.get(CONFIG_MAPS, namespace, "none")
    assert (missing.value.missing, missing.value.reason) == (True, "NotFound")
    await api.create(CONFIG_MAPS, namespace, config_map("one"))
    with pytest.raises(ApiError) as twice:
        await api.create(CONFIG_MAPS, namespace, config_map("one"))
    assert (twice.value.status, twice.value.reason) == (409, "AlreadyExists")
    await api.delete(CONFIG_MAPS, namespace, "one")
    await api.delete(CONFIG_MAPS, namespace, "one")


async def test_lists_of_many_pages(api: Api, namespace: str) -> None:
    names = [f"m{number:04d}" for number in range(620)]
    await asyncio.gather(*(api.create(CONFIG_MAPS, namespace, config_map(name)) for name in names))
    found, version = await api.list(CONFIG_MAPS, namespace)
    assert {each["metadata"]["name"] for each in found} >= set(names)
    assert version


async def test_which_kinds_are_served(api: Api) -> None:
    assert await api.serves(MODEL_MONITORS)
    assert not await api.serves(POD_MONITORS)
