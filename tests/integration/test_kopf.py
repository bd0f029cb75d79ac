"""kopf in its own thread, against a real API server."""

from __future__ import annotations

import asyncio
import dataclasses
import threading

import kopf
import pytest
from driftline_operator.cluster.api import Api, load
from driftline_operator.cluster.resources import MODEL_MONITORS, Object
from driftline_operator.controller import handlers

from e2e.cluster.control_plane import ControlPlane
from tests.integration.test_controller import monitor
from tests.integration.test_watching import eventually


async def test_credentials_refused_once_end_neither_the_watch_nor_our_tasks(
    plane: ControlPlane, api: Api, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "AGAIN", 0.2)
    right = handlers.connection(await load(str(plane.kubeconfig)), None)
    wrong = dataclasses.replace(right, certificate_path=None, private_key_path=None, token="refused")
    logins: list[str] = []
    noted: list[Object] = []

    def login() -> kopf.ConnectionInfo:
        logins.append(threading.current_thread().name)
        return wrong if lives == [1] else right

    lives: list[int] = []

    def made() -> object:
        lives.append(len(lives) + 1)
        return handlers.registry(lambda _, body: noted.append(body), login, own=False)

    ready, stop = asyncio.Event(), asyncio.Event()
    watching = asyncio.create_task(handlers.watch(made, [namespace], ready.set, stop))
    bystander = asyncio.create_task(asyncio.Event().wait())
    await api.create(MODEL_MONITORS, namespace, monitor())
    try:
        await eventually(lambda: [each["metadata"]["name"] for each in noted])
        assert lives == [1, 2]
        assert logins[0] == "kopf"
        assert not bystander.done()
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await watching
        bystander.cancel()
