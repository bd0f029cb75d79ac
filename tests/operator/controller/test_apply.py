"""Writes: none begins, and none goes on, once another may act; none is made where nothing changed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from driftline_operator.cluster.api import Api
from driftline_operator.cluster.resources import CONFIG_MAPS
from driftline_operator.controller.apply import Applier, NotLeading
from driftline_operator.controller.plan.objects import Desired

Json = dict[str, Any]


class Slow(Api):
    """Each request takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.begun, self.ended = seconds, 0, 0

    async def apply(self, *_: Any, **__: Any) -> Json:
        self.begun += 1
        await asyncio.sleep(self.seconds)
        self.ended += 1
        return {"metadata": {"resourceVersion": "1"}}


def desired(text: str = "") -> Desired:
    body = {"metadata": {"name": "driftline-census", "namespace": "ml"}, "data": {"text": text}}
    return Desired(CONFIG_MAPS, "ml", body)


async def test_without_the_lease_nothing_is_written() -> None:
    api = Slow(0.0)
    with pytest.raises(NotLeading):
        await Applier(api, lambda: 0.0, lambda *_: None).ensure(desired())
    assert api.begun == 0


async def test_a_write_is_broken_off_where_the_lease_ends() -> None:
    api = Slow(30.0)
    async with asyncio.timeout(10):
        with pytest.raises(NotLeading):
            await Applier(api, lambda: 0.05, lambda *_: None).ensure(desired())
    assert (api.begun, api.ended) == (1, 0)


async def test_what_is_already_so_is_not_written_again() -> None:
    api = Slow(0.0)
    applier = Applier(api, lambda: 10.0, lambda *_: "1")
    assert [await applier.ensure(desired()) for _ in range(2)] == [True, False]
    assert await applier.ensure(desired("other"))
    assert api.ended == 2
