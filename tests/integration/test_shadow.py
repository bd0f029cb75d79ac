"""Shadows under a real controller and a real API server: candidate, mirror, verdict, promotion.

The test stands for the kubelet (it tells of running containers) and for the sidecars, which serve real parts.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from driftline.shadow.codec import WARMING
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.runtime import MirrorConfig, decode_mirror
from driftline_operator import names
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    MODEL_MONITORS,
    PODS,
    SERVICES,
    SHADOW_BINDINGS,
    SHADOW_DEPLOYMENTS,
    STATEFUL_SETS,
    Resource,
)
from driftline_operator.shadow import course as courses
from driftline_operator.shadow.book import ShadowBook

from e2e.cluster.control_plane import ControlPlane
from tests.integration.test_controller import (
    POLICIES,
    deployment,
    entries,
    eventually,
    own,
    pods_of,
)
from tests.integration.test_fleet import MONITOR
from tests.support.charts import documents
from tests.support.children import child, count, free_port, listens
from tests.support.operators import Operator, controller, operator
from tests.support.shadow_fleet import FakeSidecar, part

Json = dict[str, Any]
__all__ = ["own"]

NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
CANDIDATE = names.candidate("v4")
UNGUARDED = "--no-shadow-policy"


def shadow(**spec: Any) -> Json:
    usual = {
        "monitorRef": {"name": "census"},
        "candidate": {"patch": {"image": "census:4"}},
        "minPairs": 300,
        "duration": "1h",
        "traffic": {"timeout": "1s"},
        "gate": {"agreement": 0.9, "errorRate": 0.05, "minTime": "2s", "allowUnderADay": True},
    }
    kind = {"apiVersion": "driftline.io/v1alpha1", "kind": "ShadowDeployment"}
    return {**kind, "metadata": {"name": "v4"}, "spec": {**usual, **spec}}


async def runs(api: Api, namespace: str, pod: Json, address: str) -> None:
    """Tell of a pod that it runs, and is ready."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    common = {"state": {"running": {"startedAt": now}}, "ready": True, "restartCount": 0}
    common |= {"image": "x", "imageID": ""}

    def statuses(kind: str) -> list[Json]:
        return [{"name": each["name"], **common} for each in pod["spec"].get(kind) or []]

    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
        "initContainerStatuses": statuses("initContainers"),
        "containerStatuses": statuses("containers"),
    }
    await api.patch(PODS, namespace, pod["metadata"]["name"], {"status": status}, subresource="status")


async def is_candidate(api: Api, namespace: str) -> list[Json]:
    return [
        each for each in await pods_of(api, namespace) if names.SHADOW_LABEL in each["metadata"]["labels"]
    ]


@pytest.fixture
async def sidecars(api: Api, namespace: str) -> AsyncIterator[list[FakeSidecar]]:
    """Addresses that no other test has."""
    third = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) + 101
    made = [FakeSidecar(f"127.0.{third}.{number}") for number in (1, 2)]
    for each in made:
        await each.start()
    yield made
    for each in made:
        await each.stop()


async def live(
    api: Api, namespace: str, sidecars: list[FakeSidecar], kind: Resource = DEPLOYMENTS
) -> list[Json]:
    """A monitored workload whose pods' sidecars answer."""
    spec = {key: value for key, value in MONITOR["spec"].items() if key != "reference"}
    await api.create(MODEL_MONITORS, namespace, {**MONITOR, "spec": spec})
    await eventually(lambda: entries(api, namespace))
    await asyncio.sleep(1)
    await api.create(kind, namespace, workload(kind))

    async def both() -> list[Json]:
        found = await pods_of(api, namespace)
        return found if len(found) == 2 else []

    found: list[Json] = await eventually(both)
    for pod, each in zip(found, sidecars, strict=True):
        assert pod["spec"]["initContainers"][0]["name"] == names.PROXY_CONTAINER
        await runs(api, namespace, pod, each.address)
    return found


def workload(kind: Resource) -> Json:
    """The same model as another kind of workload; its pods are made at once."""
    found: Json = {**deployment(), "kind": kind.kind}
    if kind is STATEFUL_SETS:
        found["spec"] |= {"serviceName": "census", "podManagementPolicy": "Parallel"}
    if kind is DAEMON_SETS:
        found["spec"].pop("replicas")
        # Nodes that never say that they are ready are tainted.
        found["spec"]["template"]["spec"]["tolerations"] = [{"operator": "Exists"}]
    return found


async def nodes(api: Api) -> None:
    """Two, for a DaemonSet's pods; nothing runs on them."""
    for name in ("one", "two"):
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        try:
            await api.create(NODES, None, node)
        except ApiError as error:
            if error.status != 409:
                raise


async def status(api: Api, namespace: str) -> Json:
    found = await api.get(SHADOW_DEPLOYMENTS, namespace, "v4")
    return dict(found.get("status") or {})


async def says(
    api: Api, namespace: str, aspect: str, expected: str, reason: str, seconds: float = 20
) -> Json:
    """Waits for a condition; says what there was instead."""
    last: list[Json] = []

    async def found() -> Json | None:
        nonlocal last
        last = (await status(api, namespace)).get("conditions") or []
        return next(
            (e for e in last if (e["type"], e["status"], e["reason"]) == (aspect, expected, reason)), None
        )

    try:
        met: Json = await eventually(found, seconds)
    except AssertionError:
        raise AssertionError(f"{aspect} is not {expected}/{reason}: {last}") from None
    return met


async def mirror(api: Api, namespace: str) -> MirrorConfig | None:
    found = await api.get(CONFIG_MAPS, namespace, names.config_map("census"))
    text = (found.get("data") or {}).get(names.SHADOW_KEY)
    return None if text is None else decode_mirror(text.encode())


async def begun(api: Api, namespace: str) -> MirrorConfig:
    """The candidate is said to be ready, and the mirrors are told of it."""
    found = await eventually(lambda: is_candidate(api, namespace))
    await says(api, namespace, "CandidateReady", "False", "Starting")
    await runs(api, namespace, found[0], "127.0.0.1")
    config: MirrorConfig = await eventually(lambda: mirror(api, namespace))
    await says(api, namespace, "CandidateReady", "True", "Ready")
    return config


async def missing(api: Api, resource: Any, namespace: str, name: str) -> bool:
    try:
        await api.get(resource, namespace, name)
    except ApiError as error:
        return error.missing
    return False


@pytest.mark.timeout(240)
async def test_from_a_candidate_to_its_verdict_over_a_failover(
    api: Api,
    plane: ControlPlane,
    own: str,
    namespace: str,
    tmp_path: Path,
    sidecars: list[FakeSidecar],
) -> None:
    with operator(plane, own, namespace, tmp_path, UNGUARDED) as running, ExitStack() as end:
        pods = await live(api, namespace, sidecars)
        uids = [each["metadata"]["uid"] for each in pods]
        await api.create(SHADOW_DEPLOYMENTS, namespace, shadow())
        config = await begun(api, namespace)

        made = await api.get(DEPLOYMENTS, namespace, CANDIDATE)
        template = made["spec"]["template"]
        assert [each["image"] for each in template["spec"]["containers"]] == ["census:4"]
        assert set(template["metadata"]["labels"]) == {
            names.SHADOW_LABEL,
            names.CANDIDATE_LABEL,
            names.INJECT_LABEL,
        }
        assert made["metadata"]["ownerReferences"][0]["kind"] == "ShadowDeployment"
        candidate = (await is_candidate(api, namespace))[0]
        assert not candidate["spec"].get("initContainers")
        service = await api.get(SERVICES, namespace, CANDIDATE)
        assert config.url == f"http://{CANDIDATE}.{namespace}.svc:{service['spec']['ports'][0]['port']}"
        assert config.ready
        assert config.live == "http://127.0.0.1:8080"
        assert (await status(api, namespace))["verdict"] == "Inconclusive"

        # One pod alone isn't enough; told again and again, it counts once.
        sidecars[0].parts = [part(config, uids[0], 200, failed=2, dropped=3, waiting=1)]

        async def counted(eligible: int, paired: int) -> Json | None:
            found = await status(api, namespace)
            account = found.get("account") or {}
            return found if (account.get("eligible"), account.get("paired")) == (eligible, paired) else None

        found = await eventually(lambda: counted(206, 200))
        assert found["account"]["failed"] == {"Timeout": 2}
        assert found["account"]["dropped"] == {"QueueFull": 3}
        assert found["verdict"] == "Inconclusive"
        asked = sidecars[0].asked
        await eventually(lambda: _later(sidecars[0], asked + 2))
        assert await counted(206, 200)
        assert len(sidecars[0].tokens) == 1

        # The second pod ends right after it was asked; then the controller is killed.
        sidecars[1].parts = [part(config, uids[1], 150, waiting=4)]
        await eventually(lambda: counted(360, 350))
        await _kept(api, namespace, 360)
        await sidecars[1].stop()
        metrics = free_port()
        second = controller(plane, own, namespace, running.injector, metrics, UNGUARDED)
        end.enter_context(child(second, tmp_path / "second.log"))
        await eventually(lambda: asyncio.to_thread(listens, metrics))
        os.kill(running.pids[0], signal.SIGKILL)
        sidecars[0].parts = [part(config, uids[0], 400, failed=2, dropped=3, sequence=2)]

        # Of the second pod nobody knows what it has seen meanwhile: what was said last stands.
        asked = sidecars[0].asked
        await eventually(lambda: _later(sidecars[0], asked + 3))
        assert await counted(360, 350)
        sidecars[1].parts = [part(config, uids[1], 0, boot="boot-2")]
        await sidecars[1].start()

        # The first pod's later part takes the earlier one's place, the second's is what the other had kept.
        found = await eventually(lambda: counted(405 + 154, 400 + 150), 30)
        await says(api, namespace, "Promotable", "True", "AllRulesHold", 30)
        found = await status(api, namespace)
        account = found["account"]
        assert account["eligible"] == (
            account["mirrored"] + sum(account["dropped"].values()) + account["lost"] + account["waiting"]
        )
        assert account["mirrored"] == account["paired"] + sum(account["failed"].values())
        rules = {each["rule"]: each for each in found["rules"]}
        assert rules["agreement"]["verdict"] == "Pass"
        assert rules["agreement"]["value"] == 1.0
        again = await mirror(api, namespace)
        assert again is not None
        assert again.life == config.life
        async with aiohttp.ClientSession() as session:
            series = await (await session.get(f"http://127.0.0.1:{metrics}/metrics")).text()
            url = f"http://127.0.0.1:{metrics}/v1/shadows/{namespace}/v4"
            assert (await (await session.get(url)).json())["verdict"] == "Promotable"
            assert (await session.post(url)).status == 200
        common = {"namespace": namespace, "monitor": "census", "shadow": "v4"}
        assert count(series, "shadow_verdict", **common, verdict="Promotable") == 1
        assert count(series, "shadow_requests", **common, kind="eligible") == 559
        assert count(series, "shadow_rule_value", **common, rule="agreement") == 1
        for log in ("controller.log", "second.log"):
            assert "Traceback" not in (tmp_path / log).read_text()


async def _later(sidecar: FakeSidecar, asked: int) -> bool:
    return sidecar.asked >= asked


async def _kept(api: Api, namespace: str, eligible: int) -> None:
    """Until the pairs are in the shadow's ConfigMap; only once a minute are they written unasked."""
    observed = await api.get(SHADOW_DEPLOYMENTS, namespace, "v4")
    uid, generation = observed["metadata"]["uid"], observed["metadata"]["generation"]

    async def there() -> bool:
        found = await api.get(CONFIG_MAPS, namespace, names.shadow_config_map("v4"))
        plan = courses.decode(found["data"][names.COURSE_KEY], uid, generation).plan
        assert isinstance(plan, ComparisonPlan)
        book = ShadowBook(uid, generation, plan)
        data = (found.get("binaryData") or {}).get(names.PAIRS_KEY)
        if data is None:
            return False
        book.restore(base64.b64decode(data))
        return book.snapshot().account.eligible == eligible

    await eventually(there, 70)


@pytest.mark.timeout(120)
async def test_a_rejected_candidate_is_ended_and_mirrored_no_more(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    with operator(plane, own, namespace, tmp_path, UNGUARDED):
        pods = await live(api, namespace, sidecars)
        await api.create(SHADOW_DEPLOYMENTS, namespace, shadow(onFail="Delete"))
        config = await begun(api, namespace)
        sidecars[0].parts = [part(config, pods[0]["metadata"]["uid"], 400, disagreement=0.6)]
        await says(api, namespace, "Finished", "True", "Rejected")
        found = await status(api, namespace)
        assert (found["verdict"], found["reason"]) == ("Rejected", "RuleBroken")
        await eventually(lambda: missing(api, DEPLOYMENTS, namespace, CANDIDATE))
        await eventually(lambda: missing(api, SERVICES, namespace, CANDIDATE))

        async def told_no_more() -> bool:
            return await mirror(api, namespace) is None

        await eventually(told_no_more)
        # What is so is not written again.
        await asyncio.sleep(2)
        before = (await api.get(SHADOW_DEPLOYMENTS, namespace, "v4"))["metadata"]["resourceVersion"]
        await asyncio.sleep(3)
        after = (await api.get(SHADOW_DEPLOYMENTS, namespace, "v4"))["metadata"]["resourceVersion"]
        assert after == before
        # Another generation of the spec begins anew.
        await api.patch(SHADOW_DEPLOYMENTS, namespace, "v4", {"spec": {"minPairs": 200}})
        await eventually(lambda: is_candidate(api, namespace))
        await says(api, namespace, "Finished", "False", "Running")
        assert (await status(api, namespace))["account"]["eligible"] == 0


async def test_a_candidate_is_warmed_up_before_its_pairs_count(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    candidate = {"patch": {"image": "census:4"}, "warmUp": "3s"}
    with operator(plane, own, namespace, tmp_path, UNGUARDED):
        pods = await live(api, namespace, sidecars)
        uid = pods[0]["metadata"]["uid"]
        await api.create(SHADOW_DEPLOYMENTS, namespace, shadow(candidate=candidate))
        warming = await begun(api, namespace)
        assert warming.warming
        await says(api, namespace, "Mirroring", "False", "WarmingUp")
        # While no pod sends it copies, nothing gets warm.
        await asyncio.sleep(4)
        told = await mirror(api, namespace)
        assert told is not None
        assert told.warming
        assert "started" not in await status(api, namespace)

        sidecars[0].parts = [part(warming, uid, 0, day=WARMING)]

        async def compares() -> MirrorConfig | None:
            found = await mirror(api, namespace)
            return None if found is None or found.warming else found

        config = await eventually(compares)
        assert config.began >= warming.began + 4 + 3
        await says(api, namespace, "Mirroring", "False", "NotBegun")
        sidecars[0].parts += [part(config, uid, 400, boot="boot-2")]
        await says(api, namespace, "Mirroring", "True", "Mirroring")
        found = await eventually(lambda: _eligible(api, namespace))
        assert found["account"]["paired"] == found["account"]["eligible"] == 400
        assert found["started"]


async def _eligible(api: Api, namespace: str) -> Json | None:
    found = await status(api, namespace)
    return found if found.get("account", {}).get("eligible") else None


@pytest.mark.parametrize(
    "content",
    [
        {"account": {"dropped": {"BreakerOpen": 158}, "failed": {"Reset": 6}}, "outputs": {}},
        {"account": {"dropped": {}, "failed": {}}, "outputs": {"psi": 0.5, "shift": 0.1}},
    ],
)
async def test_a_status_can_become_empty_again(api: Api, namespace: str, content: Json) -> None:
    """As after a failover, whose controller knows what was kept a minute ago. Apply makes null of a map
    whose last entry goes, unless the map is atomic."""
    made = await api.create(SHADOW_DEPLOYMENTS, namespace, shadow())
    kind = {"apiVersion": made["apiVersion"], "kind": made["kind"]}
    body = {**kind, "metadata": {"name": "v4", "namespace": namespace, "uid": made["metadata"]["uid"]}}
    empty: Json = {"account": {"dropped": {}, "failed": {}}, "outputs": {}}
    for status_ in (content, empty, content):
        wanted = {**body, "status": status_}
        written = await api.apply(SHADOW_DEPLOYMENTS, namespace, wanted, subresource="status")
        for key in ("dropped", "failed"):
            assert written["status"]["account"][key] == status_["account"][key]
        assert written["status"].get("outputs") == status_.get("outputs")


@pytest.mark.timeout(120)
async def test_a_service_that_would_send_it_live_traffic_ends_the_candidate(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    with operator(plane, own, namespace, tmp_path, UNGUARDED):
        await live(api, namespace, sidecars)
        patch = {"image": "census:4", "template": {"metadata": {"labels": {"track": "next"}}}}
        await api.create(SHADOW_DEPLOYMENTS, namespace, shadow(candidate={"patch": patch}))
        await begun(api, namespace)
        selecting = {
            "metadata": {"name": "wide"},
            "spec": {"selector": {"track": "next"}, "ports": [{"port": 80}]},
        }
        await api.create(SERVICES, namespace, selecting)
        met = await says(api, namespace, "CandidateReady", "False", "SelectedByService")
        assert "wide" in met["message"]
        await eventually(lambda: missing(api, DEPLOYMENTS, namespace, CANDIDATE))
        await api.delete(SERVICES, namespace, "wide")
        await eventually(lambda: is_candidate(api, namespace))


@pytest.mark.timeout(120)
async def test_without_the_policy_no_candidate_is_run(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    with operator(plane, own, namespace, tmp_path):
        await live(api, namespace, sidecars)
        await api.create(SHADOW_DEPLOYMENTS, namespace, shadow())
        await says(api, namespace, "CandidateReady", "False", "Unguarded")
        await asyncio.sleep(2)
        assert not await is_candidate(api, namespace)


async def promotable(
    api: Api, namespace: str, sidecars: list[FakeSidecar], kind: Resource = DEPLOYMENTS, **spec: Any
) -> None:
    """A candidate that is as the live model."""
    pods = await live(api, namespace, sidecars, kind)
    await api.create(SHADOW_DEPLOYMENTS, namespace, shadow(**spec))
    config = await begun(api, namespace)
    paired(sidecars, pods, config)
    await says(api, namespace, "Promotable", "True", "AllRulesHold")


async def asked_as_a_gate(running: Operator, namespace: str) -> tuple[int, Json]:
    """What a Flagger webhook is answered."""
    url = f"http://127.0.0.1:{running.controller}/v1/shadows/{namespace}/v4"
    async with aiohttp.ClientSession() as session:
        answer = await session.post(url)
        return answer.status, await answer.json()


async def taken_back(api: Api, running: Operator, namespace: str, reason: str) -> None:
    """Status, condition and gate all say that there is no verdict, and why."""
    await says(api, namespace, "Promotable", "Unknown", reason)
    found = await status(api, namespace)
    assert (found["verdict"], found["reason"]) == ("Inconclusive", reason)

    async def refuses() -> bool:
        code, body = await asked_as_a_gate(running, namespace)
        return (code, body["verdict"], body["reason"]) == (409, "Inconclusive", reason)

    await eventually(refuses)


@pytest.mark.timeout(180)
async def test_a_monitor_that_reads_otherwise_ends_the_comparison(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    with operator(plane, own, namespace, tmp_path, UNGUARDED) as running:
        await promotable(api, namespace, sidecars)
        assert (await asked_as_a_gate(running, namespace))[0] == 200
        # What only the judging of drift goes by changes nothing.
        await api.patch(MODEL_MONITORS, namespace, "census", {"spec": {"drift": {"minRows": 2000}}})
        await asyncio.sleep(3)
        assert await mirror(api, namespace) is not None
        other = {"spec": {"schema": {"prediction": {"name": "label", "path": "$.version"}}}}
        await api.patch(MODEL_MONITORS, namespace, "census", other)
        await says(api, namespace, "Finished", "True", "MonitorChanged")
        await taken_back(api, running, namespace, "MonitorChanged")

        async def told_no_more() -> bool:
            return await mirror(api, namespace) is None

        await eventually(told_no_more)
        marked = {"metadata": {"annotations": {names.PROMOTE_ANNOTATION: "1"}}}
        await api.patch(SHADOW_DEPLOYMENTS, namespace, "v4", marked)
        await says(api, namespace, "Promoted", "False", "NotPromotable")


@pytest.mark.timeout(180)
async def test_of_another_live_model_or_none_there_is_no_verdict(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    with operator(plane, own, namespace, tmp_path, UNGUARDED) as running:
        await promotable(api, namespace, sidecars)
        found = await api.get(DEPLOYMENTS, namespace, "census")
        containers = found["spec"]["template"]["spec"]["containers"]
        containers[0]["image"] = "census:99"
        changed = {"spec": {"template": {"spec": {"containers": containers}}}}
        await api.patch(DEPLOYMENTS, namespace, "census", changed)
        await says(api, namespace, "Finished", "True", "LiveChanged")
        await taken_back(api, running, namespace, "LiveChanged")
        await api.delete(MODEL_MONITORS, namespace, "census")
        await says(api, namespace, "CandidateReady", "False", "MonitorNotFound")
        await taken_back(api, running, namespace, "LiveChanged")


@pytest.mark.timeout(180)
async def test_without_its_monitor_there_is_no_verdict(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    with operator(plane, own, namespace, tmp_path, UNGUARDED) as running:
        await promotable(api, namespace, sidecars)
        await api.delete(MODEL_MONITORS, namespace, "census")
        await taken_back(api, running, namespace, "MonitorNotFound")


@pytest.mark.timeout(240)
async def test_who_may_write_config_maps_changes_no_workload_by_it(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    """A promotion is made up whose rollback would bring a template of one's own; then the controller ends."""
    with operator(plane, own, namespace, tmp_path, UNGUARDED):
        await live(api, namespace, sidecars)
        await api.patch(DEPLOYMENTS, namespace, "census", {"spec": {"progressDeadlineSeconds": 30}})
        await api.create(SHADOW_DEPLOYMENTS, namespace, shadow())
        config = await begun(api, namespace)
        await eventually(lambda: has_started(api, namespace))
        before = await image(api, namespace)
    name = names.shadow_config_map("v4")
    kept = await api.get(CONFIG_MAPS, namespace, name)
    course = json.loads(kept["data"][names.COURSE_KEY])
    template = (await api.get(DEPLOYMENTS, namespace, "census"))["spec"]["template"]
    template["spec"]["containers"][0] |= {"image": "evil:1", "securityContext": {"privileged": True}}
    course["rollout"] = {
        "state": "RollingOut", "since": time.time() - 5, "before": template, "message": "",
    }  # fmt: skip
    forged = {"data": {names.COURSE_KEY: json.dumps(course)}}
    await api.patch(CONFIG_MAPS, namespace, name, forged)
    (tmp_path / "second").mkdir()
    with operator(plane, own, namespace, tmp_path / "second", UNGUARDED):
        await says(api, namespace, "Finished", "False", "BegunAnew", 40)
        again = await eventually(lambda: begun_anew(api, namespace, config), 40)
        assert again.shadow == config.shadow
        await asyncio.sleep(5)
        assert await image(api, namespace) == before
        kept = await api.get(CONFIG_MAPS, namespace, name)
        assert json.loads(kept["data"][names.COURSE_KEY]).get("rollout") is None
    assert "signed with the namespace's token" in (tmp_path / "second" / "controller.log").read_text()


async def has_started(api: Api, namespace: str) -> bool:
    return (await status(api, namespace)).get("started") is not None


async def begun_anew(api: Api, namespace: str, before: MirrorConfig) -> MirrorConfig | None:
    found = await mirror(api, namespace)
    return found if found is not None and found.began > before.began else None


def paired(sidecars: list[FakeSidecar], pods: list[Json], config: MirrorConfig) -> None:
    """Both pods mirror, and tell of a candidate that is as the live model."""
    for sidecar, pod, pairs in zip(sidecars, pods, (400, 0), strict=True):
        sidecar.parts = [part(config, pod["metadata"]["uid"], pairs)]


@pytest.mark.timeout(180)
async def test_an_older_candidates_pods_never_answer_for_a_newer_one(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    with operator(plane, own, namespace, tmp_path, UNGUARDED):
        await promotable(api, namespace, sidecars)
        (older,) = await is_candidate(api, namespace)
        # No kubelet will ever say that a pod of this one is ready: its image can't be pulled.
        other = {"spec": {"candidate": {"patch": {"image": "census:none"}}}}
        await api.patch(SHADOW_DEPLOYMENTS, namespace, "v4", other)
        await says(api, namespace, "CandidateReady", "False", "Starting")

        async def newer() -> list[Json]:
            found = await is_candidate(api, namespace)
            return [each for each in found if each["spec"]["containers"][0]["image"] == "census:none"]

        (pod,) = await eventually(newer)
        assert [each["metadata"]["uid"] for each in await is_candidate(api, namespace)] == [
            pod["metadata"]["uid"]
        ], "the older one's has ended"
        await asyncio.sleep(4)  # twice the gate's minimum time
        found = await status(api, namespace)
        assert (found["observedGeneration"], found["verdict"]) == (2, "Inconclusive")
        assert "started" not in found
        assert await mirror(api, namespace) is None
        meant = (await api.get(SERVICES, namespace, CANDIDATE))["spec"]["selector"].items()
        assert meant <= pod["metadata"]["labels"].items()
        assert not meant <= older["metadata"]["labels"].items()
        await says(api, namespace, "CandidateReady", "False", "Starting")

        await runs(api, namespace, pod, "127.0.0.1")
        await says(api, namespace, "CandidateReady", "True", "Ready")
        config = await eventually(lambda: mirror_of(api, namespace, 2))
        assert config.ready
        # The same candidate on other terms goes on with its pods.
        await api.patch(SHADOW_DEPLOYMENTS, namespace, "v4", {"spec": {"minPairs": 200}})
        await eventually(lambda: mirror_of(api, namespace, 3))
        assert [each["metadata"]["uid"] for each in await is_candidate(api, namespace)] == [
            pod["metadata"]["uid"]
        ]


@pytest.mark.timeout(120)
async def test_a_refused_request_promotes_nothing_later(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    with operator(plane, own, namespace, tmp_path, UNGUARDED):
        pods = await live(api, namespace, sidecars)
        await api.create(SHADOW_DEPLOYMENTS, namespace, shadow())
        config = await begun(api, namespace)
        marked: Json = {"metadata": {"annotations": {names.PROMOTE_ANNOTATION: "1"}}}
        await api.patch(SHADOW_DEPLOYMENTS, namespace, "v4", marked)
        await says(api, namespace, "Promoted", "False", "NotPromotable")
        paired(sidecars, pods, config)
        await says(api, namespace, "Promotable", "True", "AllRulesHold")
        await asyncio.sleep(3)
        met = await says(api, namespace, "Promoted", "False", "NotPromotable")
        assert await image(api, namespace) != "census:4"
        again = "driftline.io/promote=1/AGAIN"
        assert again in met["message"]
        marked["metadata"]["annotations"][names.PROMOTE_ANNOTATION] = again.partition("=")[2]
        await api.patch(SHADOW_DEPLOYMENTS, namespace, "v4", marked)
        await eventually(lambda: _is(api, namespace, DEPLOYMENTS, "census:4"))


async def image(api: Api, namespace: str, kind: Resource = DEPLOYMENTS) -> str:
    found = await api.get(kind, namespace, "census")
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


async def renewed(api: Api, namespace: str) -> list[Json]:
    found = await pods_of(api, namespace)
    return [
        each for each in found
        if names.SHADOW_LABEL not in each["metadata"]["labels"]
        and each["spec"]["containers"][0]["image"] == "census:4"
    ]  # fmt: skip


@pytest.mark.timeout(180)
async def test_a_promotion_by_annotation_changes_workload_and_model_version(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    with operator(plane, own, namespace, tmp_path, UNGUARDED):
        candidate = {"patch": {"image": "census:4"}, "modelVersion": "4"}
        await promotable(api, namespace, sidecars, candidate=candidate)
        kept = await api.get(CONFIG_MAPS, namespace, names.shadow_config_map("v4"))
        assert "image: census:4" in kept["data"][names.PATCH_KEY]
        marked: Json = {"metadata": {"annotations": {names.PROMOTE_ANNOTATION: "7"}}}
        await api.patch(SHADOW_DEPLOYMENTS, namespace, "v4", marked)
        await says(api, namespace, "Promoted", "False", "OtherGeneration")
        assert await image(api, namespace) != "census:4"

        marked["metadata"]["annotations"][names.PROMOTE_ANNOTATION] = "1"
        await api.patch(SHADOW_DEPLOYMENTS, namespace, "v4", marked)
        await says(api, namespace, "Promoted", "False", "RollingOut")
        await rolls_out(api, namespace)
        assert await image(api, namespace) == "census:4"
        monitor = await api.get(MODEL_MONITORS, namespace, "census")
        assert monitor["spec"]["model"]["version"] == "4"
        await says(api, namespace, "Finished", "True", "Promoted")
        await eventually(lambda: missing(api, DEPLOYMENTS, namespace, CANDIDATE))
        assert "Traceback" not in (tmp_path / "controller.log").read_text()


async def rolls_out(api: Api, namespace: str) -> None:
    """Tell that the new pods are ready, one after another, as a kubelet would, until it is promoted."""
    ready: set[str] = set()

    async def rolled() -> bool:
        for pod in await renewed(api, namespace):
            if pod["metadata"]["uid"] not in ready:
                ready.add(pod["metadata"]["uid"])
                await runs(api, namespace, pod, "127.0.0.9")
        for each in (await api.list(PODS, namespace))[0]:
            if each["metadata"].get("deletionTimestamp"):
                await _forced(api, namespace, str(each["metadata"]["name"]))
        conditions = {e["type"]: e for e in (await status(api, namespace))["conditions"]}
        return bool(conditions["Promoted"]["status"] == "True")

    await eventually(rolled, 60)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", [STATEFUL_SETS, DAEMON_SETS], ids=lambda kind: str(kind.kind))
async def test_other_workloads_are_promoted_too(
    api: Api,
    plane: ControlPlane,
    own: str,
    namespace: str,
    tmp_path: Path,
    sidecars: list[FakeSidecar],
    kind: Resource,
) -> None:
    if kind is DAEMON_SETS:
        await nodes(api)
    with operator(plane, own, namespace, tmp_path, UNGUARDED):
        candidate = {"patch": {"image": "census:4"}, "modelVersion": "4"}
        await promotable(api, namespace, sidecars, kind, candidate=candidate, onPass="Promote")
        await eventually(lambda: _is(api, namespace, kind, "census:4"))
        await rolls_out(api, namespace)
        assert len(await renewed(api, namespace)) == 2
        monitor = await api.get(MODEL_MONITORS, namespace, "census")
        assert monitor["spec"]["model"]["version"] == "4"
        await says(api, namespace, "Finished", "True", "Promoted")
        assert "Traceback" not in (tmp_path / "controller.log").read_text()


async def _is(api: Api, namespace: str, kind: Resource, expected: str) -> bool:
    return await image(api, namespace, kind) == expected


async def _forced(api: Api, namespace: str, name: str) -> None:
    """End a pod at once, as a kubelet that has stopped its containers."""
    try:
        path = PODS.path(namespace, name)
        await api._object("DELETE", path, body={"gracePeriodSeconds": 0})
    except ApiError as error:
        if not error.missing:
            raise


@pytest.mark.timeout(180)
async def test_a_promotion_that_doesnt_become_ready_is_taken_back(
    api: Api, plane: ControlPlane, own: str, namespace: str, tmp_path: Path, sidecars: list[FakeSidecar]
) -> None:
    with operator(plane, own, namespace, tmp_path, UNGUARDED):
        await promotable(api, namespace, sidecars)
        before = (await api.get(DEPLOYMENTS, namespace, "census"))["spec"]["template"]
        await api.patch(DEPLOYMENTS, namespace, "census", {"spec": {"progressDeadlineSeconds": 5}})
        await api.patch(SHADOW_DEPLOYMENTS, namespace, "v4", {"spec": {"onPass": "Promote"}})
        # The spec is another generation: it begins anew, and promotes by itself once it may.
        found = await eventually(lambda: mirror_of(api, namespace, 2))
        for sidecar, pairs in zip(sidecars, (400, 0), strict=True):
            sidecar.parts = [part(found, sidecar.parts[0].pod, pairs)]
        await eventually(lambda: renewed(api, namespace), 40)
        met = await says(api, namespace, "Promoted", "False", "RolledBack", 40)
        assert "all its pods are ready" in met["message"]
        await says(api, namespace, "Finished", "True", "RolledBack")
        after = (await api.get(DEPLOYMENTS, namespace, "census"))["spec"]["template"]
        assert after == before


async def mirror_of(api: Api, namespace: str, generation: int) -> MirrorConfig | None:
    found = await mirror(api, namespace)
    return found if found is not None and found.shadow.generation == generation else None


@pytest.mark.usefixtures("policies")
async def test_who_asks_must_be_allowed_to_do_it(api: Api, namespace: str, kubectl: list[str]) -> None:
    """The chart's policy, with a user who may write ShadowDeployments and nothing else."""
    may(kubectl, namespace, "shadows", "create,update,patch,get", "shadowdeployments.driftline.io")
    apply = ["create", "-f", "-"]

    def refused() -> bool:
        said = as_ana(kubectl, namespace, apply, shadow())
        if "right to create Deployments" in said:
            return True
        as_ana(kubectl, namespace, apply, shadow())
        subprocess.run([*kubectl, "delete", "sd", "v4", "-n", namespace, "--wait=false"], check=False)
        return False

    await eventually(lambda: asyncio.to_thread(refused))  # the policy takes a moment to come into force
    service = shadow(candidate={"service": {"name": "v4", "port": 80}})
    assert "created" in as_ana(kubectl, namespace, apply, service)
    runs_pods = ["patch", "sd", "v4", "--type=merge", "-p",
                 '{"spec":{"candidate":{"service":null,"patch":{"image":"census:4"}}}}']  # fmt: skip
    promotes = ["annotate", "sd", "v4", f"{names.PROMOTE_ANNOTATION}=1"]
    whole = ["patch", "sd", "v4", "--type=merge", "-p", '{"spec":{"traffic":{"allowSensitive":true}}}']
    assert "right to create Deployments" in as_ana(kubectl, namespace, runs_pods)
    said = as_ana(kubectl, namespace, whole)
    assert "allowSensitive needs the right to create Deployments" in said
    assert "right to patch Deployments" in as_ana(kubectl, namespace, promotes)
    assert "annotated" in as_ana(kubectl, namespace, ["annotate", "sd", "v4", "a=b"])

    may(kubectl, namespace, "runs", "create", "deployments.apps")
    await eventually(lambda: asyncio.to_thread(lambda: "patched" in as_ana(kubectl, namespace, runs_pods)))
    assert "patched" in as_ana(kubectl, namespace, whole)
    by_itself = ["patch", "sd", "v4", "--type=merge", "-p", '{"spec":{"onPass":"Promote"}}']
    assert "right to patch Deployments" in as_ana(kubectl, namespace, by_itself)
    kinds = "deployments.apps,statefulsets.apps,daemonsets.apps"
    may(kubectl, namespace, "promotes", "patch", kinds)
    await eventually(lambda: asyncio.to_thread(lambda: "patched" in as_ana(kubectl, namespace, by_itself)))


@pytest.fixture
async def policies(api: Api) -> AsyncIterator[None]:
    """The chart's admission policies, which come into force a moment later, and none for the next test."""
    kinds = {each.kind: each for each in (POLICIES, SHADOW_BINDINGS)}
    found = [(kinds[each["kind"]], each) for each in documents({}) if each["kind"] in kinds]
    if not await api.serves(POLICIES):
        assert found == []
        pytest.skip("this Kubernetes has no ValidatingAdmissionPolicy (1.30)")
    for resource, each in found:
        await api.apply(resource, None, each)
    yield
    for resource, each in found:
        await api.delete(resource, None, each["metadata"]["name"])


def may(kubectl: list[str], namespace: str, name: str, verbs: str, resources: str) -> None:
    """Give the user ana a right."""
    role = ["create", "role", name, f"--verb={verbs}", f"--resource={resources}"]
    binding = ["create", "rolebinding", name, f"--role={name}", "--user=ana"]
    for each in (role, binding):
        subprocess.run([*kubectl, *each, "-n", namespace], check=True, capture_output=True)


def as_ana(kubectl: list[str], namespace: str, command: list[str], document: Json | None = None) -> str:
    """What kubectl said."""
    given = "" if document is None else json.dumps(document)
    done = subprocess.run(
        [*kubectl, "--as=ana", "-n", namespace, *command],
        input=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr
