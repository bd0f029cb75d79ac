"""What a controller asks of the API server while nothing changes: its lease, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from driftline.profile_codec import encode_profile
from driftline_operator import names
from driftline_operator.cluster.api import Api
from driftline_operator.cluster.resources import CONFIG_MAPS, MODEL_MONITORS, PODS

from e2e.cluster.control_plane import ControlPlane
from tests.integration.test_controller import entries, eventually, has, own
from tests.integration.test_fleet import Kubelet
from tests.integration.test_injector import model_pod
from tests.support.fleets import reference
from tests.support.operators import operator

__all__ = ["own"]

MONITORS, PODS_EACH = 3, 2
REST_SECONDS = 10.0
ROUNDS = 5
"""In that time, at the least: a round a second is asked for, of a machine that others share."""
PROFILE = reference(2000)


def monitor(name: str) -> dict[str, Any]:
    features = [{"name": "age", "type": "numeric"}, {"name": "job", "type": "categorical"}]
    return {
        "apiVersion": "driftline.io/v1alpha1",
        "kind": "ModelMonitor",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "endpoint": {"port": "http", "paths": ["/predict"]},
            "model": {"name": "census", "type": "classification"},
            "schema": {"features": features, "prediction": {"name": "employed", "path": "$.label"}},
            "reference": {"profile": {"configMap": "census-profile"}},
            "pane": "5s",
            "windows": ["10s", "20s"],
        },
    }


@pytest.fixture
async def analyzers(tmp_path: Path) -> AsyncIterator[dict[str, int]]:
    """Answer for pods that have counted nothing new; how often each was asked, by its address."""
    asked: dict[str, int] = {}
    began = time.time() - 60

    async def panes(request: web.Request) -> web.Response:
        asked[request.host.rpartition(":")[0]] += 1
        place = {"X-Driftline-Cursor": f"boot:{PROFILE.hash[:16]}:1", "X-Driftline-Began": str(began)}
        return web.Response(body=b"", headers=place)

    app = web.Application()
    app.router.add_get("/v1/panes", panes)
    runner = web.AppRunner(app)
    await runner.setup()
    third = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) + 1
    for number in range(MONITORS * PODS_EACH):
        address = f"127.0.{third}.{100 + number}"
        asked[address] = 0
        await web.TCPSite(runner, address, names.ADMIN_PORT).start()
    yield asked
    await runner.cleanup()


def calls(plane: ControlPlane) -> list[tuple[str, str]]:
    """Verb and resource of every call that wasn't a component's own, in order; open watches left out."""
    found = [json.loads(line) for line in plane.audit.read_text().splitlines()]
    return [
        (each["verb"], each.get("objectRef", {}).get("resource", each["requestURI"]))
        for each in found
        if each["stage"] == "ResponseComplete" and each["verb"] != "watch"
    ]


@pytest.mark.timeout(180)
async def test_at_rest_only_the_lease_is_renewed(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, analyzers: dict[str, int]
) -> None:
    profile = {"profile": base64.b64encode(encode_profile(PROFILE)).decode()}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "census-profile"}}
    await api.create(CONFIG_MAPS, namespace, {**body, "binaryData": profile})
    with operator(plane, own, namespace, tmp_path):
        for number in range(MONITORS):
            await api.create(MODEL_MONITORS, namespace, monitor(f"m{number}"))

        async def entered() -> bool:
            return len(await entries(api, namespace)) == MONITORS

        await eventually(entered)
        await asyncio.sleep(1)  # until the API server has read the entries
        for number, address in enumerate(analyzers):
            pod = f"pod-{number}"
            await api.create(PODS, namespace, model_pod(pod, app=f"m{number % MONITORS}"))
            await Kubelet(pod, address, tmp_path).run(api, namespace)
        for number in range(MONITORS):
            await has(api, namespace, "Ready", "True", "Monitoring", f"m{number}")

        async def quiet() -> bool:
            before = len(calls(plane))
            await asyncio.sleep(3)
            return {what for _, what in calls(plane)[before:]} == {"leases"}

        await asyncio.sleep(25)  # until the longest window is whole, and pods are settled
        await eventually(quiet, 60)
        before, rounds = len(calls(plane)), dict(analyzers)
        await asyncio.sleep(REST_SECONDS)
        rest = Counter(calls(plane)[before:])
        print(f"{rest} in {min(analyzers[each] - rounds[each] for each in analyzers)} rounds")
        assert {what for _, what in rest} == {"leases"}, rest
        for address, count in analyzers.items():
            assert count - rounds[address] >= ROUNDS
