"""A watch cache whose API server forgets: lists anew, ever less often."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import PODS, Object
from driftline_operator.cluster.watching import Cache


class Forgetful(Api):
    """Every watch is too old at once; one may last a while first."""

    def __init__(self) -> None:
        self.lists = 0
        self.now = 0.0
        self.lasts = 0.0

    async def list(self, *_: Any, **__: Any) -> tuple[list[Object], str]:
        self.lists += 1
        return [], "1"

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[tuple[str, Object]]:
        self.now += self.lasts
        raise ApiError(410, "Expired", "too old resource version", "GET")
        yield


async def waits(api: Forgetful, monkeypatch: pytest.MonkeyPatch, rounds: int) -> list[float]:
    """The pauses between lists."""
    found: list[float] = []
    done = asyncio.Event()

    async def sleep(seconds: float) -> None:
        found.append(seconds)
        if len(found) == rounds:
            done.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(random, "uniform", lambda *_: 1.0)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    task = asyncio.create_task(Cache(PODS, lambda: api.now).run(api))
    await done.wait()
    task.cancel()
    return found


async def test_an_api_server_that_forgets_at_once_is_listed_from_ever_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = Forgetful()
    found = await waits(api, monkeypatch, 10)
    assert found[:4] == pytest.approx([0.2, 0.4, 0.8, 1.6])
    assert found[-1] == 30.0
    assert api.lists == 10


async def test_after_a_watch_that_held_the_pause_is_short_again(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Forgetful()
    api.lasts = 290.0
    assert await waits(api, monkeypatch, 5) == pytest.approx([0.2] * 5)
