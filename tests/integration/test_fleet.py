"""A fleet of real analyzers under a real controller: a common reference, verdicts, last panes, failover.

The test stands for the kubelet only: it writes what pods mount, and tells the API server of running
containers.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from driftline_operator import names
from driftline_operator.cluster.api import Api
from driftline_operator.cluster.resources import CONFIG_MAPS, MODEL_MONITORS, PODS, SECRETS

from e2e.cluster.control_plane import ControlPlane
from tests.integration.test_controller import conditions, entries, eventually, has, own
from tests.integration.test_injector import model_pod
from tests.support.analysis import frames, predicted
from tests.support.children import child, free_port, listens, python
from tests.support.operators import controller, operator

Json = dict[str, Any]
__all__ = ["own"]

MONITOR: Json = {
    "apiVersion": "driftline.io/v1alpha1",
    "kind": "ModelMonitor",
    "metadata": {"name": "census"},
    "spec": {
        "selector": {"matchLabels": {"app": "census"}},
        "endpoint": {"port": "http", "paths": ["/predict"]},
        "model": {"name": "census", "version": "1", "type": "classification"},
        "schema": {
            "features": [{"name": "age", "type": "numeric"}, {"name": "city", "type": "categorical"}],
            "prediction": {"name": "label", "path": "$.label"},
        },
        "reference": {"capture": {"rows": 600}},
        "pane": "1s",
        "windows": ["4s", "20s"],
        "drift": {"minRows": 50, "minRequests": 10},
    },
}


class Kubelet(NamedTuple):
    """Stands for it, for one pod."""

    name: str
    address: str
    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "config"

    async def mount(self, api: Api, namespace: str) -> None:
        """The monitor's ConfigMap and the token, by a symlink that is swapped at once."""
        found = await api.get(CONFIG_MAPS, namespace, names.config_map("census"))
        token = await api.get(SECRETS, namespace, names.TOKEN_SECRET)
        (self.directory / "token").write_bytes(base64.b64decode(token["data"]["token"]))
        fresh = self.config / f"..{time.monotonic_ns()}"
        (fresh / "census").mkdir(parents=True)
        for key, text in (found.get("data") or {}).items():
            (fresh / "census" / key).write_text(text)
        for key, text in (found.get("binaryData") or {}).items():
            (fresh / "census" / key).write_bytes(base64.b64decode(text))
        swapped = self.config / "..swap"
        swapped.symlink_to(fresh.name)
        swapped.rename(self.config / "..data")
        link = self.config / "census"
        if not link.is_symlink():
            link.symlink_to("..data/census")

    async def run(self, api: Api, namespace: str) -> None:
        """Tell of the pod that it runs."""
        running = {"running": {"startedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}}
        own = (names.PROXY_CONTAINER, names.ANALYZER_CONTAINER)
        common = {"state": running, "ready": True, "restartCount": 0, "image": "x", "imageID": ""}
        status = {
            "phase": "Running",
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "initContainerStatuses": [{"name": name, **common} for name in own],
        }
        await api.patch(PODS, namespace, self.name, {"status": status}, subresource="status")

    def send(self, count: int, seed: int, shift: float = 0.0) -> None:
        """Predictions of this moment, as the proxy's worker hands them over."""
        generator = np.random.default_rng(seed)
        now = time.time()
        given = [
            predicted(now, float(generator.normal(40 + shift, 5)), ["Rome", "Oslo"][n % 2], sequence=n + 1)
            for n in range(count)
        ]
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.directory / "tee.sock"))
            sock.sendall(frames(given, boot=seed + 1))
            sock.recv(64)  # acknowledged


@pytest.fixture
def kubelets(tmp_path: Path) -> list[Kubelet]:
    """Two pods' directories and addresses; no other test has these."""
    third = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) + 1
    made = []
    for number in (1, 2):
        directory = tmp_path / f"pod-{number}"
        (directory / "config").mkdir(parents=True)
        made.append(Kubelet(f"census-{number}", f"127.0.{third}.{number}", directory))
    return made


def analyzer(kubelet: Kubelet, uid: str, intake: int) -> list[str]:
    at = kubelet.directory
    return [
        "env", f"DRIFTLINE_POD_NAME={kubelet.name}", f"DRIFTLINE_POD_UID={uid}",
        *python(
            "-m", "driftline_sidecar.main", "analyzer", "--config", str(kubelet.config),
            "--tee", str(at / "tee.sock"), "--admin", f"{kubelet.address}:{names.ADMIN_PORT}",
            "--token", str(at / "token"), "--fleet", "--push", f"https://localhost:{intake}",
        ),
    ]  # fmt: skip


async def exists(path: Path) -> None:
    async with asyncio.timeout(20):
        while not path.exists():
            await asyncio.sleep(0.05)


async def rows(api: Api, namespace: str) -> int:
    found = await api.get(MODEL_MONITORS, namespace, "census")
    return int((found.get("status") or {}).get("rows") or 0)


async def settled(api: Api, namespace: str) -> dict[str, Any] | None:
    """The condition Ready, once it has stood for two seconds."""
    before = (await conditions(api, namespace))["Ready"]
    await asyncio.sleep(2)
    after = (await conditions(api, namespace))["Ready"]
    return after if before["lastTransitionTime"] == after["lastTransitionTime"] else None


@pytest.mark.timeout(240)
async def test_a_fleet_from_capture_to_failover(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, kubelets: list[Kubelet]
) -> None:
    intake = free_port()
    with (
        operator(plane, own, namespace, tmp_path, f"--intake=127.0.0.1:{intake}") as running,
        ExitStack() as end,
    ):
        await api.create(MODEL_MONITORS, namespace, MONITOR)
        await eventually(lambda: entries(api, namespace))
        await asyncio.sleep(1)
        analyzers = []
        for each in kubelets:
            pod = await api.create(PODS, namespace, model_pod(each.name, app="census"))
            await each.mount(api, namespace)
            command = analyzer(each, pod["metadata"]["uid"], intake)
            analyzers.append(end.enter_context(child(command, each.directory / "log")))
            await exists(each.directory / "tee.sock")
            await each.run(api, namespace)

        # Neither pod has rows enough alone; together they have, and every pod gets the same profile.
        for number, each in enumerate(kubelets):
            each.send(400, number)
        await has(api, namespace, "ReferenceReady", "True", "Captured")
        mounted = await api.get(CONFIG_MAPS, namespace, names.config_map("census"))
        digest = mounted["metadata"]["annotations"][names.PROFILE_HASH_ANNOTATION]
        kept = await api.get(CONFIG_MAPS, namespace, names.profile_config_map("census", digest))
        assert kept["immutable"]
        assert kept["binaryData"]["profile"] == mounted["binaryData"]["profile"]
        for each in kubelets:
            await each.mount(api, namespace)

        # What both saw, together.
        async def counted() -> bool:
            for number, each in enumerate(kubelets):
                await asyncio.to_thread(each.send, 40, 100 + number + int(time.time()))
            found = await conditions(api, namespace)
            return bool(found["DataQuality"]["status"] == found["Ready"]["status"] == "True")

        await eventually(counted, 40)
        found = (await api.get(MODEL_MONITORS, namespace, "census"))["status"]
        assert found["pods"] == {"expected": 2, "injected": 2, "outdated": 0}
        assert found["profileHash"] == digest

        # One pod ends: what it hadn't given yet is pushed, and taken.
        kubelets[1].send(30, 999)
        await asyncio.sleep(0.5)
        analyzers[1].send_signal(signal.SIGTERM)
        analyzers[1].wait(15)
        assert "the last panes: delivered" in (kubelets[1].directory / "log").read_text()
        await api.delete(PODS, namespace, kubelets[1].name)

        # Another controller takes over within the lease, and counts on.
        before = await rows(api, namespace)
        assert before > 0
        metrics = free_port()
        second = controller(
            plane, own, namespace, running.injector, metrics, f"--intake=127.0.0.1:{free_port()}"
        )
        end.enter_context(child(second, tmp_path / "second.log"))
        await eventually(lambda: asyncio.to_thread(listens, metrics))
        stood = await eventually(lambda: settled(api, namespace), 30)  # from the pod that went
        os.kill(running.pids[0], signal.SIGKILL)
        at_its_end = await rows(api, namespace)

        async def taken_over() -> bool:
            await asyncio.to_thread(kubelets[0].send, 40, int(time.time()))
            found = await conditions(api, namespace)
            held = "is held by" in (tmp_path / "second.log").read_text()
            anew = await rows(api, namespace) not in (0, at_its_end)
            return held and found["Ready"]["status"] == "True" and anew

        await eventually(taken_over, 30)
        now = (await conditions(api, namespace))["Ready"]
        assert (stood["status"], stood["lastTransitionTime"]) == ("True", now["lastTransitionTime"])
        for log in ("controller.log", "second.log"):
            assert "Traceback" not in (tmp_path / log).read_text()
