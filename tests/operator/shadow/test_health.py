"""When a candidate is ready: only its own pods say so, once the cluster means it and no older one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from driftline.shadow.runtime import decode_mirror
from driftline_operator import names
from driftline_operator.controller.gather import trim_pod
from driftline_operator.controller.observed import NamespaceState

from tests.operator.shadow.test_plan import (
    comparing,
    planned,
    ready,
    reason,
    running,
    service,
    shadow,
    state,
    workload,
)

Json = dict[str, Any]
NEWER = shadow(candidate={"patch": {"image": "census:none"}})


def is_ready(body: Json, given: NamespaceState) -> bool:
    """Told so to people, and to the mirrors."""
    made = planned(body, given, told=comparing())
    assert made.mirror is not None
    ready = decode_mirror(made.mirror[1].encode()).ready
    assert (reason(made) == "Ready") == ready
    return ready


def mixed(newer: str) -> NamespaceState:
    """The older candidate's state, but for those objects of the newer one."""
    old, new = running(shadow()), running(NEWER)
    name = names.candidate("v4")
    deployments = {**old.workloads, ("Deployment", name): new.workloads["Deployment", name]}
    return old._replace(
        workloads=deployments if "Deployment" in newer else old.workloads,
        services=new.services if "Service" in newer else old.services,
        pods=(*old.pods, *new.pods) if "pods" in newer else old.pods,
    )


def test_its_own_pod_says_that_it_is_ready() -> None:
    assert is_ready(shadow(), running(shadow()))
    assert is_ready(NEWER, running(NEWER))


@pytest.mark.parametrize("there", ["", "Deployment", "Deployment Service", "Service pods", "Deployment pods"])
def test_an_older_candidates_pods_say_nothing_of_a_newer_one(there: str) -> None:
    assert not is_ready(NEWER, mixed(there))
    assert is_ready(NEWER, mixed("Deployment Service pods"))


def behind(status: str = "True", app: str = "v4", **metadata: Any) -> Json:
    """A pod as the watch keeps it."""
    conditions = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": status}]
    told = {"phase": "Running", "conditions": conditions}
    named = {"name": f"{app}-1", "namespace": "ml", "uid": f"uid-{app}", "labels": {"app": app}}
    return dict(trim_pod({"metadata": {**named, **metadata}, "spec": {}, "status": told}))


@pytest.mark.parametrize(
    ("pods", "is_so"),
    [
        ((), False),
        ((behind("False"),), False),
        ((behind(app="other"),), False),
        ((behind(deletionTimestamp="2026-11-27T12:00:00Z"),), False),
        ((behind("False"), behind()), True),
    ],
)
def test_a_service_that_is_given_is_ready_with_a_pod_that_it_selects(pods: Any, is_so: bool) -> None:
    given = shadow(candidate={"service": {"name": "v4", "port": 80}})
    led = state(pods=pods, services=(service("v4", {"app": "v4"}),))
    assert is_ready(given, led) == is_so
    begun = planned(given, led)
    assert (begun.course.began is not None) == is_so
    assert is_so or ready(begun).startswith("Service v4: 0 of ")


def test_a_service_without_a_selector_has_its_endpoints_from_elsewhere() -> None:
    given = shadow(candidate={"service": {"name": "v4", "port": 80}})
    assert is_ready(given, state(services=(service("v4", {}),)))


def test_before_the_comparison_begins_it_waits_for_its_own_pods() -> None:
    made = planned(NEWER, running(shadow()))
    assert (reason(made), made.course.began, made.mirror) == ("Starting", None, None)


def test_the_same_candidate_on_other_terms_goes_on() -> None:
    assert is_ready(shadow(minPairs=5), running(shadow()))
    assert is_ready(
        shadow(candidate={"patch": {"image": "census:4"}, "modelVersion": "4"}), running(shadow())
    )


def test_what_the_deployment_has_not_acted_upon_is_not_said_of_it() -> None:
    failed = [{"type": "Progressing", "status": "False", "message": "too late"}]
    late = running(shadow(), conditions=failed)._replace(pods=())
    assert reason(planned(shadow(), late)) == "ProgressDeadlineExceeded"
    late.workloads["Deployment", names.candidate("v4")]["metadata"]["generation"] = 2
    assert reason(planned(shadow(), late)) == "Starting"


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
        {"status": {}},
        {"deletionTimestamp": "2026-11-27T12:00:00Z"},
    ],
)
def test_a_pod_that_is_not_ready_or_goes_counts_for_nothing(change: Json) -> None:
    given = running(shadow())
    pod = copy.deepcopy(dict(given.pods[0]))
    pod["metadata"] |= {key: value for key, value in change.items() if key != "status"}
    pod["status"] = change.get("status", pod["status"])
    assert not is_ready(shadow(), given._replace(pods=(pod,)))


def test_the_mark_is_the_pod_templates() -> None:
    def mark(body: Json, live: Json | None = None) -> str:
        found = planned(body, running(body, live)).wanted
        assert found is not None
        return found.mark

    assert mark(shadow()) == mark(shadow(minPairs=7)) != mark(NEWER)
    other = workload()
    other["spec"]["template"]["spec"] = {**other["spec"]["template"]["spec"], "dnsPolicy": "Default"}
    assert mark(shadow(), other) != mark(shadow())
