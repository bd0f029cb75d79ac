"""The controller and the injector as programs against a real API server: from a monitor to its status."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from driftline_operator import names
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    MODEL_MONITORS,
    NAMESPACES,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    SHADOW_BINDINGS,
    WEBHOOKS,
    Resource,
)

from e2e.cluster.control_plane import ControlPlane
from tests.integration.test_injector import MONITOR, model_pod
from tests.support.operators import Operator, operator

Json = dict[str, Any]

POLICIES = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy",
    namespaced=False,
)  # fmt: skip


@pytest.fixture
async def own(api: Api) -> str:
    """The operator's namespace."""
    name = f"driftline-{os.urandom(3).hex()}"
    await api.create(NAMESPACES, None, {"metadata": {"name": name}})
    return name


@pytest.fixture
async def running(plane: ControlPlane, own: str, namespace: str, tmp_path: Path) -> AsyncIterator[Operator]:
    with operator(plane, own, namespace, tmp_path) as found:
        yield found


def monitor(name: str = "census", **spec: Any) -> Json:
    return {**MONITOR, "metadata": {"name": name}, "spec": {**MONITOR["spec"], **spec}}


def deployment(name: str = "census", replicas: int = 2) -> Json:
    template = model_pod("x", app="census")
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "census"}},
            "template": {"metadata": {"labels": {"app": "census"}}, "spec": template["spec"]},
        },
    }


async def eventually(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Until it is true; what it was, last, otherwise."""
    found: Any = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    found = await holds()
                    if found:
                        return found
                except ApiError as error:
                    if not error.missing:
                        raise
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {found}") from None


async def conditions(api: Api, namespace: str, name: str = "census") -> dict[str, Json]:
    found = await api.get(MODEL_MONITORS, namespace, name)
    return {each["type"]: each for each in (found.get("status") or {}).get("conditions") or []}


async def has(api: Api, namespace: str, aspect: str, status: str, reason: str, name: str = "census") -> Json:
    """Waits for a condition; says what there was instead."""
    last: dict[str, Json] = {}

    async def found() -> Json | None:
        nonlocal last
        last = await conditions(api, namespace, name)
        each = last.get(aspect, {})
        return each if (each.get("status"), each.get("reason")) == (status, reason) else None

    try:
        met: Json = await eventually(found)
    except AssertionError:
        raise AssertionError(f"{aspect} is not {status}/{reason}: {last.get(aspect)}") from None
    return met


async def entries(api: Api, namespace: str) -> list[Json]:
    found = await api.get(WEBHOOKS, None, names.webhook_configuration(namespace))
    return list(found.get("webhooks") or [])


async def pods_of(api: Api, namespace: str) -> list[Json]:
    found, _ = await api.list(PODS, namespace)
    return [dict(each) for each in found if not each["metadata"].get("deletionTimestamp")]


def is_injected(pod: Json) -> bool:
    return any(each["name"] == names.PROXY_CONTAINER for each in pod["spec"].get("initContainers") or [])


async def test_sidecars_come_under_a_quota_that_demands_cpu_limits(
    api: Api, namespace: str, running: Operator
) -> None:
    """The API server's own admission refuses pods where a container, ours too, has none."""
    hard = {"limits.cpu": "4", "limits.memory": "4Gi"}
    await api.create(RESOURCE_QUOTAS, namespace, {"metadata": {"name": "team"}, "spec": {"hard": hard}})
    await api.create(MODEL_MONITORS, namespace, monitor())
    await eventually(lambda: told(api, namespace, "/limit/500m"))
    await asyncio.sleep(1)
    given = deployment()
    limited = {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}}
    given["spec"]["template"]["spec"]["containers"][0]["resources"] = limited
    await api.create(DEPLOYMENTS, namespace, given)
    await has(api, namespace, "Injected", "True", "AllInjected")
    for each in await pods_of(api, namespace):
        assert [one["resources"]["limits"]["cpu"] for one in each["spec"]["initContainers"]] == ["500m"] * 2
    # Two pods of 1500m are in; with a third's sidecars there would be more than 4.
    await api.patch(DEPLOYMENTS, namespace, "census", {"spec": {"replicas": 3}})
    found = await has(api, namespace, "Injected", "False", "Quota")
    assert "no room for the sidecars' limits.cpu" in found["message"]
    await eventually(lambda: has_pods(api, namespace, 3))
    assert sorted(is_injected(each) for each in await pods_of(api, namespace)) == [False, True, True]


async def told(api: Api, namespace: str, what: str) -> bool:
    return all(each["clientConfig"]["url"].endswith(what) for each in await entries(api, namespace))


async def has_pods(api: Api, namespace: str, number: int) -> bool:
    return len(await pods_of(api, namespace)) == number


async def test_redirect_waits_for_a_namespace_that_admits_it(
    api: Api, namespace: str, running: Operator
) -> None:
    enforce = "pod-security.kubernetes.io/enforce"
    await api.patch(NAMESPACES, None, namespace, {"metadata": {"labels": {enforce: "baseline"}}})
    given = monitor(injection={"mode": "Redirect"})
    await api.create(MODEL_MONITORS, namespace, given)
    found = await has(api, namespace, "Injected", "False", "PodSecurity")
    assert f"{enforce}: baseline" in found["message"]
    await api.create(DEPLOYMENTS, namespace, deployment())
    await eventually(lambda: has_pods(api, namespace, 2))
    assert not any(is_injected(each) for each in await pods_of(api, namespace))
    await api.patch(NAMESPACES, None, namespace, {"metadata": {"labels": {enforce: "privileged"}}})
    await has(api, namespace, "Injected", "False", "StartedEarlier")
    await asyncio.sleep(1)
    pod = (await pods_of(api, namespace))[0]["metadata"]["name"]
    await api.delete(PODS, namespace, pod)
    await eventually(lambda: one_injected(api, namespace))
    (new,) = [each for each in await pods_of(api, namespace) if is_injected(each)]
    first = new["spec"]["initContainers"][0]
    assert (first["name"], first["securityContext"]["capabilities"]["add"]) == (
        names.REDIRECT_CONTAINER,
        ["NET_ADMIN"],
    )
    assert new["spec"]["containers"][0]["ports"][0]["containerPort"] == 8080


async def one_injected(api: Api, namespace: str) -> bool:
    return sum(is_injected(each) for each in await pods_of(api, namespace)) == 1


async def test_from_monitor_to_injected_pods(api: Api, namespace: str, running: Operator) -> None:
    await api.create(MODEL_MONITORS, namespace, monitor())
    await has(api, namespace, "Injected", "Unknown", "NoPods")
    (entry,) = await entries(api, namespace)
    assert entry["failurePolicy"] == "Ignore"
    assert entry["objectSelector"] == {"matchLabels": {"app": "census"}}
    mounted = await api.get(CONFIG_MAPS, namespace, names.config_map("census"))
    assert "kind: ModelMonitor" in mounted["data"][names.MONITOR_KEY]
    assert "BEGIN CERTIFICATE" in mounted["data"][names.CA_KEY]
    assert (await api.get(SECRETS, namespace, names.TOKEN_SECRET))["data"][names.TOKEN_KEY]
    await asyncio.sleep(1)  # until the API server has read the entry
    await api.create(DEPLOYMENTS, namespace, deployment())
    found = await has(api, namespace, "Injected", "True", "AllInjected")
    assert found["message"] == "2/2 pods"
    assert all(is_injected(each) for each in await pods_of(api, namespace))
    status = (await api.get(MODEL_MONITORS, namespace, "census"))["status"]
    assert status["injected"] == "2/2"
    assert status["pods"] == {"expected": 2, "injected": 2, "outdated": 0}
    assert status["observedGeneration"] == 1
    await has(api, namespace, "ReferenceReady", "False", "NoReference")
    await has(api, namespace, "DataDrift", "Unknown", "NoReference")
    await has(api, namespace, "Ready", "False", "NoReference")


async def test_pods_that_slipped_through_show_and_are_mended_on_request(
    api: Api, namespace: str, running: Operator
) -> None:
    await api.create(DEPLOYMENTS, namespace, deployment())
    await eventually(lambda: pods_of(api, namespace))
    await api.create(MODEL_MONITORS, namespace, monitor())
    found = await has(api, namespace, "Injected", "False", "StartedEarlier")
    assert found["message"].startswith("0/2 pods: 2 StartedEarlier")
    await asyncio.sleep(1)
    assert not any(is_injected(each) for each in await pods_of(api, namespace))
    # What a kubelet would tell, so that the rollout counts as settled.
    status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}
    await api.patch(DEPLOYMENTS, namespace, "census", {"status": status}, subresource="status")
    patch = {"spec": {"injection": {"restart": "OnChange"}}}
    await api.patch(MODEL_MONITORS, namespace, "census", patch)

    async def one_injected() -> bool:
        return any(is_injected(each) for each in await pods_of(api, namespace))

    await eventually(one_injected)


async def test_two_monitors_on_one_pod_the_older_wins_and_both_say_so(
    api: Api, namespace: str, running: Operator
) -> None:
    await api.create(MODEL_MONITORS, namespace, monitor("first"))
    await asyncio.sleep(1.1)  # creation times have seconds
    await api.create(MODEL_MONITORS, namespace, monitor("second"))

    async def both() -> bool:
        return len(await entries(api, namespace)) == 2

    await eventually(both)
    await asyncio.sleep(1)
    await api.create(PODS, namespace, model_pod("census-0", app="census"))
    older = await has(api, namespace, "Injected", "True", "AllInjected", "first")
    assert older["message"] == "1/1 pods; of the same requests nothing goes to the younger second"
    found = await has(api, namespace, "Injected", "False", "Conflict", "second")
    assert "first" in found["message"]


async def test_what_a_deleted_monitor_leaves(api: Api, namespace: str, running: Operator) -> None:
    await api.create(MODEL_MONITORS, namespace, monitor())
    await eventually(lambda: entries(api, namespace))
    await api.create(PODS, namespace, model_pod("bare", app="other"))
    await api.delete(MODEL_MONITORS, namespace, "census")

    async def gone() -> bool:
        for resource, place, name in (
            (WEBHOOKS, None, names.webhook_configuration(namespace)),
            (CONFIG_MAPS, namespace, names.config_map("census")),
            (SECRETS, namespace, names.TOKEN_SECRET),
        ):
            with contextlib.suppress(ApiError):
                await api.get(resource, place, name)
                return False
        return True

    await eventually(gone, 60)


async def test_sidecars_that_fail_to_start_suspend_the_injection(
    api: Api, namespace: str, running: Operator
) -> None:
    await api.create(MODEL_MONITORS, namespace, monitor())
    await eventually(lambda: entries(api, namespace))
    await asyncio.sleep(1)
    pod = await api.create(PODS, namespace, model_pod("census-0", app="census"))
    assert is_injected(dict(pod))
    # What a kubelet would tell of an image that can't be pulled.
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    told = {
        "phase": "Pending",
        "initContainerStatuses": [
            {
                "name": names.PROXY_CONTAINER,
                "state": waiting,
                "ready": False,
                "restartCount": 0,
                "image": "sidecar:test",
                "imageID": "",
            }
        ],
    }
    await api.patch(PODS, namespace, "census-0", {"status": told}, subresource="status")
    await has(api, namespace, "Injected", "True", "AllInjected")

    async def suspended() -> bool:
        return not await entries(api, namespace)

    async def none_left() -> bool:
        try:
            return await suspended()
        except ApiError as error:
            return error.missing

    await eventually(none_left, 90)
    found = await has(api, namespace, "Injected", "False", "InjectionSuspended")
    assert "ImagePullBackOff" in found["message"]
    after = await api.create(PODS, namespace, model_pod("census-1", app="census"))
    assert not is_injected(dict(after))
    # The failing pod has gone: the injection stays suspended, until its form changes.
    await api.delete(PODS, namespace, "census-0")
    await asyncio.sleep(2)
    await has(api, namespace, "Injected", "False", "InjectionSuspended")
    patch = {"spec": {"injection": {"proxy": {"resources": {"requests": {"cpu": "60m"}}}}}}
    await api.patch(MODEL_MONITORS, namespace, "census", patch)
    await eventually(lambda: entries(api, namespace))


async def test_pods_that_a_policy_refuses_start_without_sidecar(
    api: Api, namespace: str, running: Operator
) -> None:
    """A policy that Driftline knows nothing of: the Deployment's own status tells."""
    if not await api.serves(POLICIES):
        pytest.skip("this Kubernetes has no ValidatingAdmissionPolicy (1.30)")
    inits = "has(object.spec.initContainers) ? object.spec.initContainers : []"
    own = f"({inits}).all(each, !each.name.startsWith('driftline-'))"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    validation = {"expression": own, "message": "container driftline-proxy is not of our registry"}
    constraints = {"resourceRules": [rule]}
    spec = {"failurePolicy": "Fail", "matchConstraints": constraints, "validations": [validation]}
    await api.create(POLICIES, None, {"metadata": {"name": namespace}, "spec": spec})
    place = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": namespace, "validationActions": ["Deny"], "matchResources": place}
    await api.create(SHADOW_BINDINGS, None, {"metadata": {"name": namespace}, "spec": binding})
    await api.create(MODEL_MONITORS, namespace, monitor())
    await eventually(lambda: entries(api, namespace))
    await asyncio.sleep(2)
    await api.create(DEPLOYMENTS, namespace, deployment())
    found = await has(api, namespace, "Injected", "False", "InjectionSuspended")
    assert "container driftline-proxy is not of our registry" in found["message"]
    await eventually(lambda: has_pods(api, namespace, 2), 60)
    assert not any(is_injected(each) for each in await pods_of(api, namespace))
    await api.delete(SHADOW_BINDINGS, None, namespace)
    await api.delete(POLICIES, None, namespace)


async def test_the_kill_switch_withdraws_every_entry(
    api: Api, own: str, namespace: str, running: Operator
) -> None:
    await api.create(MODEL_MONITORS, namespace, monitor())
    await eventually(lambda: entries(api, namespace))
    switch = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.SETTINGS_CONFIG_MAP}}
    await api.apply(CONFIG_MAPS, own, {**switch, "data": {names.SETTINGS_INJECTION_KEY: "disabled"}})
    await has(api, namespace, "Injected", "False", "Disabled")

    async def none_left() -> bool:
        try:
            return not await entries(api, namespace)
        except ApiError as error:
            return error.missing

    await eventually(none_left)
    await api.apply(CONFIG_MAPS, own, {**switch, "data": {names.SETTINGS_INJECTION_KEY: "enabled"}})
    await eventually(lambda: entries(api, namespace))


async def test_events_on_transitions_only(api: Api, namespace: str, running: Operator) -> None:
    await api.create(MODEL_MONITORS, namespace, monitor())
    await has(api, namespace, "Injected", "Unknown", "NoPods")
    await asyncio.sleep(3)
    found, _ = await api.list(EVENTS, namespace)
    said = [each["reason"] for each in found if each["regarding"]["kind"] == "ModelMonitor"]
    assert sorted(said) == sorted(set(said))
    assert "NoReference" in said
