"""A real API server asks the injector about pods: what comes back fits the restricted level."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from driftline_operator import names
from driftline_operator.certificates.plan import Held, renew
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import (
    CONFIG_MAPS,
    MODEL_MONITORS,
    NAMESPACES,
    PODS,
    SECRETS,
    WEBHOOKS,
    Resource,
)
from driftline_operator.cluster.watching import Cache
from driftline_operator.injection.decide import Decision, decide
from driftline_operator.injection.sidecars import Settings
from driftline_operator.injection.told import Told
from driftline_operator.injector.monitors import Monitors
from driftline_operator.injector.review import Question
from driftline_operator.injector.server import Series, application, serve
from prometheus_client import CollectorRegistry

from e2e.cluster.control_plane import ControlPlane
from tests.support.children import child, count, free_port

ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
SETTINGS = Settings(image="driftline-sidecar:test")
Json = dict[str, Any]

MONITOR: Json = {
    "apiVersion": "driftline.io/v1alpha1",
    "kind": "ModelMonitor",
    "metadata": {"name": "census"},
    "spec": {
        "selector": {"matchLabels": {"app": "census"}},
        "endpoint": {"port": "http"},
        "model": {"name": "census", "type": "classification"},
        "schema": {"prediction": {"name": "employed"}},
    },
}


def model_pod(name: str, **labels: str) -> Json:
    """A pod that fits the restricted level."""
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "model",
        "image": "model:1",
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
        "securityContext": context,
    }
    spec = {"containers": [container], "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def certificates(directory: Path) -> tuple[ssl.SSLContext, Held]:
    held = renew(None, ["localhost"], dt.datetime.now(dt.UTC))
    (directory / "tls.crt").write_bytes(held.serving.pem)
    (directory / "tls.key").write_bytes(held.serving.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    return context, held


def configuration(namespace: str, port: int, held: Held) -> Json:
    path = names.webhook_path(namespace, "census", "uid", 1)
    entry = {
        "name": names.webhook_entry(namespace, "census"),
        "clientConfig": {
            "url": f"https://localhost:{port}{path}",
            "caBundle": base64.b64encode(held.bundle).decode(),
        },
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "objectSelector": MONITOR["spec"]["selector"],
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "timeoutSeconds": 5,
        "reinvocationPolicy": "IfNeeded",
        "admissionReviewVersions": ["v1"],
    }
    kind = {"apiVersion": WEBHOOKS.api_version, "kind": WEBHOOKS.kind}
    return {**kind, "metadata": {"name": names.webhook_configuration(namespace)}, "webhooks": [entry]}


@contextlib.asynccontextmanager
async def injector(
    api: Api, namespace: str, directory: Path, decided: Callable[[Monitors, Question], Decision]
) -> AsyncIterator[CollectorRegistry]:
    """The injector's parts as its program puts them together, and the entry that leads to them."""
    tls, held = certificates(directory)
    monitors, registry = Monitors(), CollectorRegistry()
    cache = Cache(MODEL_MONITORS, time.monotonic)
    cache.on_change(lambda _: monitors.replace(cache))
    watching = asyncio.create_task(cache.run(api))
    async with asyncio.timeout(10):
        await cache.synced.wait()
    app = application(lambda question: decided(monitors, question), Series(registry))
    runner, port = await serve(app, "127.0.0.1", 0, tls)
    await api.apply(WEBHOOKS, None, configuration(namespace, port, held))
    try:
        yield registry
    finally:
        await runner.cleanup()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def usual(monitors: Monitors, question: Question) -> Decision:
    labels = question.pod["metadata"].get("labels") or {}
    return decide(question.pod, monitors.selecting(question.namespace, labels), SETTINGS)


def broken(monitors: Monitors, question: Question) -> Decision:
    raise RuntimeError("a fault")


@pytest.fixture
async def restricted(api: Api, namespace: str) -> str:
    """A namespace that takes only pods of the restricted level, with its service account."""
    return await enforcing(api, namespace, "restricted")


async def enforcing(api: Api, namespace: str, level: str) -> str:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}}
    await api.patch(NAMESPACES, None, namespace, label)
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(ApiError):
                await api.get(ACCOUNTS, namespace, "default")
                return namespace
            await asyncio.sleep(0.1)


def reviews(registry: CollectorRegistry, result: str) -> float:
    return registry.get_sample_value("modelmonitor_injector_reviews_total", {"result": result}) or 0.0


async def created(api: Api, namespace: str, name: str, **labels: str) -> Json:
    return dict(await api.create(PODS, namespace, model_pod(name, **labels)))


async def injected_within_seconds(api: Api, namespace: str) -> Json:
    """A webhook is in force a moment after it was written."""
    for number in range(50):
        found = await created(api, namespace, f"census-{number}", app="census")
        if found["spec"].get("initContainers"):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("no pod was injected")


@pytest.mark.parametrize("level", ["restricted", "baseline"])
async def test_a_pod_comes_back_with_its_sidecar(
    api: Api, namespace: str, level: str, tmp_path: Path
) -> None:
    restricted = await enforcing(api, namespace, level)
    await api.create(MODEL_MONITORS, restricted, MONITOR)
    async with injector(api, restricted, tmp_path, usual) as registry:
        found = await injected_within_seconds(api, restricted)
        first, second = found["spec"]["initContainers"]
        assert (first["name"], second["name"]) == (names.PROXY_CONTAINER, names.ANALYZER_CONTAINER)
        assert first["restartPolicy"] == second["restartPolicy"] == "Always"
        ports = found["spec"]["containers"][0]["ports"]
        assert [(each.get("name"), each["containerPort"]) for each in ports] == [
            ("http", 15080),
            (None, 8080),
        ]
        assert found["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] == 8080
        assert found["metadata"]["annotations"][names.MONITORS_ANNOTATION] == "census"
        assert reviews(registry, "Injected") == 1
        other = await created(api, restricted, "other", app="fares")
        assert "initContainers" not in other["spec"]
        await created(api, restricted, "out", app="census", **{names.INJECT_LABEL: "false"})
        assert reviews(registry, "OptOut") == 1
        assert reviews(registry, "NoMonitor") == 0
    bare = await created(api, restricted, "while-none-answers", app="census")
    assert "initContainers" not in bare["spec"]


async def test_a_fault_inside_lets_the_pod_start_and_the_user_is_told(
    api: Api, kubectl: list[str], restricted: str, tmp_path: Path
) -> None:
    await api.create(MODEL_MONITORS, restricted, MONITOR)
    async with injector(api, restricted, tmp_path, broken) as registry:
        for number in range(50):
            found = await created(api, restricted, f"census-{number}", app="census")
            assert "initContainers" not in found["spec"]
            if reviews(registry, "InternalError"):
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError("the injector was never asked")
        command = [*kubectl, "-n", restricted, "create", "--dry-run=server", "-f", "-"]
        document = json.dumps(model_pod("told", app="census")).encode()
        create = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        created_it, warned = await create.communicate(document)
        assert b"pod/told created" in created_it
        assert b"Warning: driftline: RuntimeError: the pod starts without sidecar" in warned


def mesh_like(review: Json) -> Json:
    """What another webhook answers: it adds an init container, as a mesh's does."""
    request = review["request"]
    added = {**model_pod("x")["spec"]["containers"][0], "name": "added-later", "ports": []}
    added.pop("readinessProbe", None)
    place = "/spec/initContainers/-" if request["object"]["spec"].get("initContainers") else None
    patch = [{"op": "add", "path": place or "/spec/initContainers", "value": added if place else [added]}]
    names_of = [each["name"] for each in request["object"]["spec"].get("initContainers") or []]
    response: Json = {"uid": request["uid"], "allowed": True}
    if "added-later" not in names_of:
        encoded = base64.b64encode(json.dumps(patch).encode()).decode()
        response |= {"patchType": "JSONPatch", "patch": encoded}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


async def test_the_api_server_asks_again_after_another_webhook_and_nothing_is_done_twice(
    api: Api, restricted: str, tmp_path: Path
) -> None:
    await api.create(MODEL_MONITORS, restricted, MONITOR)

    async def later(request: web.Request) -> web.Response:
        return web.json_response(mesh_like(await request.json()))

    tls, held = certificates(tmp_path)
    other = web.Application()
    other.router.add_post("/{any:.*}", later)
    async with injector(api, restricted, tmp_path, usual) as registry:
        await injected_within_seconds(api, restricted)
        runner, port = await serve(other, "127.0.0.1", 0, tls)
        configured = configuration(restricted, port, held)
        configured["metadata"]["name"] = f"later-{restricted}"  # webhooks are called in the order of names
        configured["webhooks"][0] |= {"name": "later.example.com"}
        await api.apply(WEBHOOKS, None, configured)
        try:
            found: Json = {}
            for number in range(50):
                found = await created(api, restricted, f"both-{number}", app="census")
                if len(found["spec"]["initContainers"]) > 2:
                    break
                await asyncio.sleep(0.1)
            ours = [names.PROXY_CONTAINER, names.ANALYZER_CONTAINER]
            assert [each["name"] for each in found["spec"]["initContainers"]] == [*ours, "added-later"]
            assert reviews(registry, "AlreadyInjected") >= 1
        finally:
            await api.delete(WEBHOOKS, None, f"later-{restricted}")
            await runner.cleanup()


async def test_the_api_server_takes_what_is_told_as_a_path(api: Api, restricted: str, tmp_path: Path) -> None:
    """A Service's path is checked step by step; a URL's isn't."""
    _, held = certificates(tmp_path)
    told = Told("500m", ("census", "fares.v2")).path
    given = configuration(restricted, 1, held)
    path = names.webhook_path(restricted, "other", "0b7e1a5e-3f5d-4f6e-9d0b-2a51c0c1d2e3", 12, told)
    client = {"caBundle": given["webhooks"][0]["clientConfig"]["caBundle"]}
    client["service"] = {"namespace": restricted, "name": "injector", "path": path}
    given["webhooks"][0] |= {"clientConfig": client}
    await api.apply(WEBHOOKS, None, given)
    (found,) = (await api.get(WEBHOOKS, None, given["metadata"]["name"]))["webhooks"]
    assert found["clientConfig"]["service"]["path"].endswith("/12/limit/500m/without/census/fares.v2")
    await api.delete(WEBHOOKS, None, given["metadata"]["name"])


def certificate_secret(held: Held) -> Json:
    data = {"tls.crt": held.serving.pem, "tls.key": held.serving.key_pem, "ca.crt": held.bundle}
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    kind = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls"}
    return {**kind, "metadata": {"name": names.CERTIFICATE_SECRET}, "data": encoded}


def switch(word: str) -> Json:
    kind = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.SETTINGS_CONFIG_MAP}}
    return {**kind, "data": {names.SETTINGS_INJECTION_KEY: word}}


def asked(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


async def within_seconds(holds: Callable[[], Awaitable[object]], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.1)


async def test_the_program_serves_renews_and_obeys_the_switch(
    api: Api, plane: ControlPlane, restricted: str, tmp_path: Path
) -> None:
    listen, metrics = free_port(), free_port()
    command = [sys.executable, "-c", "import sys; from driftline_operator.main import main; sys.exit(main())"]
    command += ["injector", f"--namespace={restricted}", f"--kubeconfig={plane.kubeconfig}"]
    command += [f"--listen=127.0.0.1:{listen}", f"--metrics=127.0.0.1:{metrics}"]
    command += ["--sidecar-image=sidecar:program", '--proxy-resources={"requests": {"cpu": "70m"}}']
    await api.create(MODEL_MONITORS, restricted, MONITOR)
    number = iter(range(1000))

    async def injected() -> bool:
        found = await created(api, restricted, f"census-{next(number)}", app="census")
        return bool(found["spec"].get("initContainers"))

    with child(command, tmp_path / "injector.log") as process:
        lacking = (503, "waiting for a certificate\n")  # once the watches are in
        await within_seconds(lambda: asyncio.to_thread(lambda: asked(metrics, "/readyz") == lacking))
        _, held = certificates(tmp_path)
        await api.apply(SECRETS, restricted, certificate_secret(held))
        await within_seconds(lambda: asyncio.to_thread(lambda: asked(metrics, "/readyz")[0] == 200))
        await api.apply(WEBHOOKS, None, configuration(restricted, listen, held))
        await within_seconds(injected)
        last = await api.get(PODS, restricted, f"census-{next(number) - 1}")
        proxy = last["spec"]["initContainers"][0]
        assert proxy["image"] == "sidecar:program"
        assert proxy["resources"]["requests"] == {"cpu": "70m"}
        assert last["metadata"]["annotations"]["prometheus.io/port"] == str(names.ADMIN_PORT)
        # Another certificate of another authority, in force without a restart.
        _, other = certificates(tmp_path)
        await api.apply(SECRETS, restricted, certificate_secret(other))
        await api.apply(WEBHOOKS, None, configuration(restricted, listen, other))
        await within_seconds(injected)
        text = asked(metrics, "/metrics")[1]
        ends = other.expires.timestamp()
        assert count(text, "injector_certificate_expiry_timestamp_seconds") == pytest.approx(ends)
        # The kill switch, and back.
        await api.apply(CONFIG_MAPS, restricted, switch("disabled"))
        await within_seconds(lambda: negated(injected))
        assert count(asked(metrics, "/metrics")[1], "injector_reviews_total", result="Disabled") >= 1
        await api.apply(CONFIG_MAPS, restricted, switch("enabled"))
        await within_seconds(injected)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 10) == 0
    assert "Traceback" not in (tmp_path / "injector.log").read_text()


async def negated(holds: Callable[[], Awaitable[bool]]) -> bool:
    return not await holds()
