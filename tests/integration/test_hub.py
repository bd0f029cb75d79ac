"""Controller and hub as programs: a monitor is told, labels come, its status says how good the model is."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from driftline_operator import names
from driftline_operator.cluster.api import Api
from driftline_operator.cluster.resources import MODEL_MONITORS, SECRETS

from e2e.cluster.control_plane import ControlPlane
from tests.integration.test_controller import conditions, eventually, has, monitor, own
from tests.support.children import child, free_port, listens
from tests.support.operators import PROGRAM, Operator, operator

__all__ = ["own"]  # a fixture

USER = "a-user-s-token"
LABELLED: dict[str, Any] = {
    "labels": {"ages": ["1s"], "retention": {"age": "48h"}},
    "windows": ["10s", "60s"],
    "pane": "2s",
    "performance": {
        "thresholds": [{"metric": "accuracy", "min": 0.7}],
        "minLabels": 100,
        "sustain": {"windows": 1, "of": 1},
    },
}


@pytest.fixture
def hub_port() -> int:
    return free_port()


@pytest.fixture
async def running(
    plane: ControlPlane, own: str, namespace: str, tmp_path: Path, hub_port: int
) -> AsyncIterator[Operator]:
    hub = (f"--hub-url=https://localhost:{hub_port}", "--hub-service=driftline-hub")
    with operator(plane, own, namespace, tmp_path, *hub) as found:
        yield found


async def mounted(api: Api, own: str, directory: Path) -> None:
    """The files that the hub's pod mounts, once the controller has made the Secrets."""

    async def secret(name: str) -> dict[str, bytes]:
        found = await eventually(lambda: api.get(SECRETS, own, name))
        return {key: base64.b64decode(value) for key, value in found["data"].items()}

    tokens = directory / "tokens"
    tokens.mkdir()
    access = await secret(names.HUB_SECRET)
    (tokens / "controller.yaml").write_bytes(access[names.HUB_TOKENS_KEY])
    digest = hashlib.sha256(USER.encode()).hexdigest()
    grant = f"{{sha256: {digest}, namespace: '*', scopes: [intake, label, read]}}"
    (tokens / "users.yaml").write_text(f"tokens: [{grant}]\n")
    serving = await secret(names.CERTIFICATE_SECRET)
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (directory / name).write_bytes(serving[name])


@contextlib.asynccontextmanager
async def a_hub(directory: Path, port: int) -> AsyncIterator[None]:
    command = [
        *PROGRAM, "hub", f"--database=sqlite:///{directory}/hub.db", f"--listen=127.0.0.1:{port}",
        f"--metrics=127.0.0.1:{free_port()}", f"--tokens={directory}/tokens", "--evaluate-every=1s",
        f"--tls-cert={directory}/tls.crt", f"--tls-key={directory}/tls.key",
    ]  # fmt: skip

    async def up() -> bool:
        return listens(port)

    with child(command, directory / "hub.log"):
        await eventually(up, 30)
        yield


async def post(directory: Path, port: int, path: str, body: Any) -> dict[str, Any]:
    context = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    headers = {"Authorization": f"Bearer {USER}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"https://localhost:{port}{path}", json=body, ssl=context) as answer,
    ):
        said: dict[str, Any] = await answer.json()
        assert answer.status == 200, said
        return said


async def send(directory: Path, port: int, namespace: str, boot: str, right: float) -> None:
    """200 predictions of just now, of which that share was right."""
    where = {"namespace": namespace, "monitor": "census"}
    now = time.time()
    predictions: list[dict[str, Any]] = [
        {"id": f"{boot}-{k}", "at": now - k / 100, "sequence": k, "prediction": "1"} for k in range(200)
    ]
    await post(directory, port, "/v1/predictions", {**where, "boot": boot, "predictions": predictions})
    labels = [
        {"id": each["id"], "label": "1" if k < 200 * right else "0", "at": each["at"]}
        for k, each in enumerate(predictions)
    ]
    await post(directory, port, f"/v1/labels?namespace={namespace}&monitor=census", labels)


async def tells(api: Api, namespace: str, words: str) -> bool:
    """Whether the condition Performance says this."""
    return words in (await conditions(api, namespace))["Performance"]["message"]


async def test_labels_become_a_condition(
    api: Api, own: str, namespace: str, running: Operator, tmp_path: Path, hub_port: int
) -> None:
    given = monitor(**LABELLED)
    given["spec"]["schema"]["prediction"] = {"name": "label", "positive": "1"}
    await api.create(MODEL_MONITORS, namespace, given)
    await has(api, namespace, "Performance", "Unknown", "HubUnreachable")
    await mounted(api, own, tmp_path)
    async with a_hub(tmp_path, hub_port):
        await has(api, namespace, "Performance", "Unknown", "NoData")
        await has(api, namespace, "ConceptDrift", "Unknown", "NoReference")
        await send(tmp_path, hub_port, namespace, "good", right=0.95)
        await has(api, namespace, "Performance", "True", "WithinThresholds")
        # The predictions are of two seconds, and come of age one after the other.
        await eventually(lambda: tells(api, namespace, "accuracy 0.95 "))
        status = (await api.get(MODEL_MONITORS, namespace, "census"))["status"]["performance"]
        assert (status["labels"], status["coverage"], status["age"]) == (200, 1, "1s")
        accuracy = next(each for each in status["metrics"] if each["metric"] == "accuracy")
        assert accuracy["value"] == 0.95
        assert accuracy["low"] < 0.95 < accuracy["high"]
        for boot in ("bad", "worse", "worst"):
            await send(tmp_path, hub_port, namespace, boot, right=0.3)
        bad = await has(api, namespace, "Performance", "False", "ThresholdCrossed")
        assert "at least 0.7 wanted" in bad["message"]
    # Gone again: what was known is no word about now.
    await has(api, namespace, "Performance", "Unknown", "HubUnreachable")
    assert "Fairness" not in await conditions(api, namespace)


async def test_a_deleted_monitor_is_taken_back(
    api: Api, own: str, namespace: str, running: Operator, tmp_path: Path, hub_port: int
) -> None:
    await api.create(MODEL_MONITORS, namespace, monitor(**LABELLED))
    await mounted(api, own, tmp_path)
    async with a_hub(tmp_path, hub_port):
        await has(api, namespace, "Performance", "Unknown", "NoData")
        await api.delete(MODEL_MONITORS, namespace, "census")
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
        headers = {"Authorization": f"Bearer {USER}"}

        async def gone() -> bool:
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.get(f"https://localhost:{hub_port}/v1/monitors", ssl=context) as answer,
            ):
                known: dict[str, Any] = await answer.json()
                return known == {"monitors": []}

        await eventually(gone)


async def test_without_a_hub_it_is_said(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path
) -> None:
    with operator(plane, own, namespace, tmp_path):
        await api.create(MODEL_MONITORS, namespace, monitor(**LABELLED))
        found = await has(api, namespace, "Performance", "Unknown", "NoHub")
        assert "hub.enabled" in found["message"]
