"""What pipelines are told."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from driftline_operator.controller.verdicts import routes
from driftline_operator.shadow.verdicts import answer

Json = dict[str, Any]


def found(verdict: str = "Promotable", observed: int = 1) -> Json:
    status = {"verdict": verdict, "reason": "R", "observedGeneration": observed, "pairs": 7, "coverage": 0.5}
    return {"metadata": {"name": "v4", "generation": 1}, "status": status}


@pytest.mark.parametrize("verdict", ["Promotable", "Rejected", "Inconclusive"])
def test_the_verdict_is_told(verdict: str) -> None:
    told = answer(found(verdict), as_gate=False)
    assert (told.status, told.body["verdict"], told.body["pairs"]) == (200, verdict, 7)
    assert told.body["promotable"] == (verdict == "Promotable")
    assert told.body["rejected"] == (verdict == "Rejected")
    assert answer(found(verdict), as_gate=True).status == (200 if verdict == "Promotable" else 409)


@pytest.mark.parametrize("given", [found(observed=2), {"metadata": {"name": "v4", "generation": 1}}])
def test_what_isnt_judged_is_inconclusive(given: Json) -> None:
    told = answer(given, as_gate=True)
    assert (told.status, told.body["verdict"], told.body["reason"]) == (409, "Inconclusive", "NoData")


async def test_over_http() -> None:
    synced = False
    app = web.Application()
    app.router.add_routes(routes(lambda place: [found()] if place == "ml" else [], lambda: synced))
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/v1/shadows/ml/v4")).status == 503
        synced = True
        assert (await (await client.get("/v1/shadows/ml/v4")).json())["verdict"] == "Promotable"
        assert (await client.post("/v1/shadows/ml/v4", json={"name": "x"})).status == 200
        assert (await client.get("/v1/shadows/other/v4")).status == 404
