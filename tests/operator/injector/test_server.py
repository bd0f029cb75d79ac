"""The webhook over HTTP, with the real decision behind it: what is told in the path, and what fails."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from driftline.spec import Endpoint
from driftline_operator.controller.plan.webhooks import MOST_PATH
from driftline_operator.injection.decide import Decision, decide
from driftline_operator.injection.sidecars import Settings
from driftline_operator.injector.review import Question
from driftline_operator.injector.server import MOST_BYTES, Room, Series, application
from prometheus_client import CollectorRegistry

from tests.support.patches import patched
from tests.support.pods import pod, serving
from tests.support.specs import monitor

Json = dict[str, Any]
PATH = "/inject/ml/census/uid-1/3"
MONITORS = [monitor("census", endpoint=Endpoint(port="http"))]


def decided(question: Question) -> Decision:
    """As the program does."""
    settings = question.told.settings(Settings(image="sidecar:test"))
    return decide(question.pod, question.told.among(MONITORS), settings)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def client(registry: CollectorRegistry) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(application(decided, Series(registry)))) as found:
        yield found


async def reviewed(client: TestClient[Any, Any], path: str, of: Json) -> Json:
    request = {"uid": "u1", "namespace": "ml", "operation": "CREATE", "kind": {"kind": "Pod"}, "object": of}
    answered = await client.post(path, json={"request": request})
    assert answered.status == 200
    response: Json = (await answered.json())["response"]
    return response


def counted(registry: CollectorRegistry, result: str) -> float:
    return registry.get_sample_value("modelmonitor_injector_reviews_total", {"result": result}) or 0.0


async def test_what_the_controller_tells_reaches_the_decision(client: TestClient[Any, Any]) -> None:
    said = await reviewed(client, f"{PATH}/limit/300m", pod(serving()))
    after = patched(pod(serving()), json.loads(base64.b64decode(said["patch"])))
    assert [each["resources"]["limits"]["cpu"] for each in after["spec"]["initContainers"]] == ["300m"] * 2
    assert "patch" not in await reviewed(client, f"{PATH}/without/census", pod(serving()))
    assert "patch" in await reviewed(client, f"{PATH}/without/other", pod(serving()))
    assert "patch" in await reviewed(client, PATH, pod(serving()))


@pytest.mark.parametrize(
    ("path", "of", "error"),
    [
        (f"{PATH}/limit/much", pod(serving()), "ValueError"),
        (PATH, pod(serving(), initContainers=[{"image": "nameless:1"}]), "KeyError"),
        (PATH, {"metadata": {}, "spec": None}, "AttributeError"),
    ],
)
async def test_a_real_error_inside_admits_the_pod_with_a_warning_and_is_counted(
    client: TestClient[Any, Any], registry: CollectorRegistry, path: str, of: Json, error: str
) -> None:
    said = await reviewed(client, path, of)
    assert (said["uid"], said["allowed"]) == ("u1", True)
    assert "patch" not in said
    assert said["warnings"] == [f"driftline: {error}: the pod starts without sidecar"]
    assert counted(registry, "InternalError") == 1
    assert "patch" in await reviewed(client, PATH, pod(serving())), "the next pod is injected"
    assert counted(registry, "Injected") == 1


async def test_a_review_larger_than_any_is_not_read(
    client: TestClient[Any, Any], registry: CollectorRegistry
) -> None:
    answered = await client.post(PATH, data=io.BytesIO(b"x" * (MOST_BYTES + 1)))
    assert answered.status == 413
    assert counted(registry, "TooLarge") == 1


async def test_reviews_hold_so_many_bytes_at_once_and_no_longer_than_they_may(
    registry: CollectorRegistry,
) -> None:
    """Someone who sends slowly keeps others out for as long as a body may take, not for ever."""
    app = application(decided, Series(registry), Room(most=40_000, seconds=1.0))
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x" * 39_000
        begun.set()
        await go_on.wait()
        yield b"x"

    async with TestClient(TestServer(app)) as client:
        slow = asyncio.create_task(client.post(PATH, data=slowly()))
        await begun.wait()
        await asyncio.sleep(0.1)  # what was sent has come
        request = {"uid": "u1", "namespace": "ml", "object": pod(serving(), metadata={"note": "x" * 2_000})}
        assert (await client.post(PATH, json={"request": request})).status == 503
        assert counted(registry, "Busy") == 1
        assert (await slow).status == 408
        go_on.set()
        assert counted(registry, "TooSlow") == 1
        assert "patch" in await reviewed(client, PATH, pod(serving()))


async def test_the_longest_path_that_the_controller_writes_is_taken(client: TestClient[Any, Any]) -> None:
    names = [f"held-{n:03}-{'x' * 48}" for n in range(200)]
    path = f"{PATH}/without/{'/'.join(names)}"[:MOST_PATH]
    assert len(path) == MOST_PATH
    assert "patch" in await reviewed(client, path, pod(serving()))
