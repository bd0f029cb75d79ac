"""The plan of a namespace where one monitor has no entry, and another has the same pods."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
from driftline_operator import names
from driftline_operator.controller.observed import Installation, NamespaceState, observe
from driftline_operator.controller.plan.namespace import Plan, plan
from driftline_operator.controller.plan.suspension import injection_key
from driftline_operator.injection.decide import decide
from driftline_operator.injection.sidecars import Settings
from driftline_operator.injection.told import Told, read
from driftline_operator.injector.monitors import Monitors

from tests.support.patches import patched
from tests.support.pods import container, pod, port

Json = dict[str, Any]
NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
SETTINGS = Settings(image="sidecar:test")
INSTALLATION = Installation(sidecar=SETTINGS, bundle=b"PEM", url="https://localhost:1")
APP = container(
    ports=[port(8080, "http"), port(9000, "rest")], resources={"limits": {"cpu": "1", "memory": "1Gi"}}
)
POD = pod(APP, metadata={"creationTimestamp": "2026-11-27T11:00:00Z"})


def body(name: str, given: str | int = "http", age: int = 1, **spec: Any) -> Json:
    usual = {
        "selector": {"matchLabels": {"app": "census"}},
        "endpoint": {"port": given},
        "model": {"name": "census", "type": "classification"},
        "schema": {"prediction": {"name": "employed"}},
    }
    metadata = {"name": name, "namespace": "ml", "uid": f"uid-{name}", "generation": 1}
    metadata["creationTimestamp"] = f"2026-11-2{age}T12:00:00Z"
    kind = {"apiVersion": "driftline.io/v1alpha1", "kind": "ModelMonitor"}
    return {**kind, "metadata": metadata, "spec": {**usual, **spec}}


REDIRECT: Json = {"injection": {"mode": "Redirect"}}


def state(*bodies: Json, labels: Json | None = None, **fields: Any) -> NamespaceState:
    observed = tuple(observe(each) for each in bodies)
    return NamespaceState("ml", labels or {}, True, observed, **{"pods": (POD,), **fields})


def planned(given: NamespaceState) -> Plan:
    return plan(given, INSTALLATION, NOW)


def paths(found: Plan) -> dict[str, str]:
    """By monitor: what is told behind its entry's own path."""
    entries = found.webhooks.body["webhooks"] if found.webhooks else []
    made = {}
    for each in entries:
        monitor = each["name"].partition(".")[0]
        whole = each["clientConfig"]["url"]
        own = names.webhook_path("ml", monitor, f"uid-{monitor}", 1)
        made[monitor] = whole.removeprefix(INSTALLATION.url + own)
    return made


def test_a_monitor_without_entry_is_not_brought_in_by_anothers() -> None:
    """Else a namespace that takes no NET_ADMIN would refuse the pod for a monitor that was held back."""
    given = state(
        body("older", **REDIRECT),
        body("younger", "rest", 2),
        labels={"pod-security.kubernetes.io/enforce": "baseline"},
    )
    found = planned(given)
    assert [each.reason for each in found.monitors["older"].hindrances] == ["PodSecurity"]
    assert paths(found) == {"younger": "/without/older"}
    monitors = Monitors()
    monitors.replace([body("older", **REDIRECT), body("younger", "rest", 2)])
    told = read(paths(found)["younger"])
    selecting = monitors.selecting("ml", {"app": "census"})
    assert [each.metadata.name for each in told.among(selecting)] == ["younger"]


def test_what_controller_and_injector_decide_is_the_same() -> None:
    """Else pods would look outdated for ever."""
    bodies = body("older", **REDIRECT), body("younger", "rest", 2)
    demanding = {"metadata": {"name": "q"}, "spec": {"hard": {"limits.cpu": "10"}}}
    fields: Json = {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}, "quotas": (demanding,)}
    told = read(paths(planned(state(*bodies, **fields)))["younger"])
    assert told == Told("500m", ("older",))
    monitors = Monitors()
    monitors.replace(bodies)
    wanted = told.among(monitors.selecting("ml", {"app": "census"}))
    injected = patched(POD, decide(POD, wanted, told.settings(SETTINGS)).patch)
    found = planned(state(*bodies, pods=(injected,), **fields)).monitors["younger"].survey
    assert (found.injected, found.outdated) == (1, 0)


def test_nothing_is_told_where_there_is_nothing_to_tell() -> None:
    assert paths(planned(state(body("older"), body("younger", "rest", 2)))) == {"older": "", "younger": ""}


def test_monitors_of_other_pods_are_not_told_about() -> None:
    other = body("other", selector={"matchLabels": {"app": "fares"}}, **REDIRECT)
    given = state(body("census"), other, labels={"pod-security.kubernetes.io/enforce": "baseline"})
    assert paths(planned(given)) == {"census": ""}


def test_an_entry_that_would_have_to_name_more_than_a_request_holds_is_not_made() -> None:
    """The injector's server would refuse the request, and the pod start without a word."""
    held = [body(f"held-{n:03}-{'x' * 48}", **REDIRECT) for n in range(200)]
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    others: Json = {"selector": {"matchLabels": {"app": "fares"}}}
    found = planned(state(*held[:100], body("census"), body("fares", **others), labels=labels))
    assert len(paths(found)["census"]) > 5_000
    found = planned(state(*held, body("census"), body("fares", **others), labels=labels))
    assert paths(found) == {"fares": ""}
    (why,) = found.monitors["census"].hindrances
    assert why.reason == "TooManyMonitors"


def test_a_suspended_monitor_is_held_back_too() -> None:
    bodies = body("older"), body("younger", "rest", 2)
    observed = observe(bodies[0])
    assert observed.monitor is not None
    remembered = {"older": injection_key(observed.monitor, SETTINGS)}
    found = planned(state(*bodies, suspended=remembered))
    assert [each.reason for each in found.monitors["older"].hindrances] == ["InjectionSuspended"]
    assert paths(found) == {"younger": "/without/older"}


def test_what_is_told_is_read_back() -> None:
    for told in (Told(), Told("500m"), Told(held=("a", "b.c")), Told("1", ("without", "limit"))):
        assert read(told.path.removeprefix("/")) == told
    assert read("later/words") == Told()
    assert Told().settings(SETTINGS) is SETTINGS
    assert Told("500m").settings(SETTINGS) == msgspec.structs.replace(SETTINGS, cpu_limit="500m")


JOB = {"kind": "Job", "name": "scores", "controller": True}


def ended(exit_code: int, container: str = names.REDIRECT_CONTAINER, digest: str = "") -> Json:
    """A Job's pod that failed, an hour after it was made."""
    bodies = body("census", **REDIRECT)
    monitor = observe(bodies).monitor
    assert monitor is not None
    bare = {**POD, "metadata": {**POD["metadata"], "ownerReferences": [JOB]}}
    found: Json = patched(bare, decide(bare, [monitor], SETTINGS).patch)
    if digest:
        found["metadata"]["annotations"][names.INJECTION_HASH_ANNOTATION] = digest
    told = {"exitCode": exit_code, "reason": "Error", "message": "ip: Operation not supported"}
    status = {"name": container, "state": {"terminated": told}}
    return {**found, "status": {"phase": "Failed", "initContainerStatuses": [status]}}


def suspended(*pods: Json, **fields: Any) -> str:
    found = planned(state(body("census", **REDIRECT), pods=pods, **fields)).monitors["census"]
    assert bool(found.suspension.key) == bool(found.suspension.message)
    return found.suspension.message


def test_a_jobs_pod_that_could_not_be_redirected_suspends_the_injection() -> None:
    assert "driftline-redirect of pod census-1: Error (ip: Operation not supported)" in suspended(ended(71))
    assert suspended(ended(0)) == ""
    assert suspended(ended(137, names.PROXY_CONTAINER)) == "", "killed with a pod that failed by itself"
    assert suspended(ended(71, digest="older")) == "", "another would be of another form"


def refusing(message: str, status: str = "True") -> Json:
    condition = {"type": "ReplicaFailure", "status": status, "reason": "FailedCreate", "message": message}
    metadata = {"name": "census", "namespace": "ml", "uid": "d"}
    template = {"metadata": {"labels": {"app": "census"}}, "spec": POD["spec"]}
    spec = {"replicas": 2, "template": template}
    return {"kind": "Deployment", "metadata": metadata, "spec": spec, "status": {"conditions": [condition]}}


def test_pods_that_a_policy_refuses_for_their_sidecar_suspend_the_injection() -> None:
    """Whatever enforces it: a cluster's default level, a policy engine."""
    said = 'pods "census-x" is forbidden: container "driftline-redirect" must not include "NET_ADMIN"'

    def found(workload: Json) -> str:
        return suspended(workloads={("Deployment", "census"): workload})

    assert said in found(refusing(said))
    assert found(refusing('pods "census-x" is forbidden: container "model" must not run as root')) == ""
    assert found(refusing(said, "False")) == ""
