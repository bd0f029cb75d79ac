"""How long the API server waits for the injector: pods created at 50 a second, with 1 and with 500 monitors.

    .venv/bin/python -m benchmarks.webhook [SECONDS]

A real control plane, the injector as its own program with TLS. Two figures: reviews sent to the injector
as the API server sends them, and whole pod creations through the API server, with the webhook and without.
Prints a table; gates on nothing.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from driftline.crd import crd
from driftline_operator.cluster.api import Api, load
from driftline_operator.cluster.resources import MODEL_MONITORS, NAMESPACES, PODS, SECRETS, WEBHOOKS

from e2e.cluster.control_plane import running
from tests.integration.conftest import CRDS
from tests.integration.test_injector import MONITOR, certificate_secret, certificates, model_pod
from tests.support.children import child, eventually, free_port, listens
from tests.support.operators import PROGRAM

RATE = 50
Json = dict[str, Any]


def monitor(number: int) -> Json:
    """One of many in a namespace, with pods of its own."""
    selector = {"matchLabels": {"app": f"model-{number}"}}
    return {
        **MONITOR,
        "metadata": {"name": f"model-{number}"},
        "spec": {**MONITOR["spec"], "selector": selector},
    }


def entry(namespace: str, number: int, port: int, bundle: bytes) -> Json:
    """Its webhook entry."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    return {
        "name": f"model-{number}.{namespace}.inject.driftline.io",
        "clientConfig": {
            "url": f"https://localhost:{port}/inject/{namespace}/model-{number}/uid/1",
            "caBundle": base64.b64encode(bundle).decode(),
        },
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "objectSelector": {"matchLabels": {"app": f"model-{number}"}},
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "reinvocationPolicy": "IfNeeded",
        "timeoutSeconds": 5,
        "admissionReviewVersions": ["v1"],
    }


async def paced(seconds: float, act: Callable[[int], Awaitable[None]]) -> list[float]:
    """Begin RATE a second, whatever earlier ones do; the seconds that each took."""
    took: list[float] = []

    async def one(number: int) -> None:
        began = time.perf_counter()
        await act(number)
        took.append(time.perf_counter() - began)

    began = time.perf_counter()
    tasks = []
    for number in range(int(seconds * RATE)):
        await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    return took


def row(name: str, monitors: int, took: list[float]) -> str:
    """A line of the table."""
    p50, p99, most = (np.quantile(took, q) * 1000 for q in (0.5, 0.99, 1.0))
    return f"| {name} | {monitors} | {len(took)} | {p50:.1f} | {p99:.1f} | {most:.1f} |"


async def measure(api: Api, kubeconfig: Path, monitors: int, seconds: float, folder: Path) -> list[str]:
    """The lines for so many monitors in one namespace."""
    namespace, own = f"bench-{monitors}", f"own-{monitors}"
    for name in (namespace, own):
        await api.create(NAMESPACES, None, {"metadata": {"name": name}})
    for number in range(monitors):
        await api.create(MODEL_MONITORS, namespace, monitor(number))
    _, held = certificates(folder)
    await api.apply(SECRETS, own, certificate_secret(held))
    port, aside = free_port(), free_port()
    command = [
        *PROGRAM, "injector", f"--namespace={own}", f"--kubeconfig={kubeconfig}",
        f"--listen=127.0.0.1:{port}", f"--metrics=127.0.0.1:{aside}", "--sidecar-image=sidecar:bench",
    ]  # fmt: skip

    async def create(kind: str, number: int) -> None:
        pod = model_pod(f"{kind}-{number}", app=f"model-{number % monitors}")
        await api.create(PODS, namespace, pod)

    await asyncio.sleep(6)  # the namespace's service account comes
    lines = [row("pod creation without webhook", monitors, await paced(seconds, lambda n: create("bare", n)))]
    with child(command, folder / f"injector-{monitors}.log"):
        try:
            await asyncio.to_thread(eventually, lambda: listens(port), 60)
        except AssertionError:
            raise SystemExit((folder / f"injector-{monitors}.log").read_text()[-3000:]) from None
        context = ssl.create_default_context(cadata=held.bundle.decode())
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:

            async def review(number: int) -> None:
                pod = model_pod(f"pod-{number}", app=f"model-{number % monitors}")
                request = {
                    "uid": str(number), "kind": {"kind": "Pod"}, "operation": "CREATE",
                    "namespace": namespace, "object": pod,
                }  # fmt: skip
                url = f"https://localhost:{port}/inject/{namespace}/x/y/1"
                async with session.post(url, data=json.dumps({"request": request})) as answer:
                    found = (await answer.json())["response"]
                if not found.get("patch"):
                    raise SystemExit(f"not injected: {found}")

            await paced(2, review)
            lines.append(row("review over TLS", monitors, await paced(seconds, review)))
        entries = [entry(namespace, number, port, held.bundle) for number in range(monitors)]
        kind = {"apiVersion": WEBHOOKS.api_version, "kind": WEBHOOKS.kind}
        await api.apply(WEBHOOKS, None, {**kind, "metadata": {"name": namespace}, "webhooks": entries})
        await asyncio.sleep(3)
        took = await paced(seconds, lambda n: create("injected", n))
        lines.append(row("pod creation with webhook", monitors, took))
        last = await api.get(PODS, namespace, f"injected-{int(seconds * RATE) - 1}")
        if len(last["spec"].get("initContainers") or []) != 2:
            raise SystemExit("the last pod was not injected")
        await api.delete(WEBHOOKS, None, namespace)
    return lines


async def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with running(folder / "plane") as plane:
            async with Api(await load(str(plane.kubeconfig))) as api:
                await api.apply(CRDS, None, crd())
                await asyncio.sleep(3)
                lines = []
                for monitors in (1, 500):
                    lines += await measure(api, plane.kubeconfig, monitors, seconds, folder)
    print("| what | monitors | calls | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    asyncio.run(main())
