"""Quotas and limit ranges: what they demand of sidecars, and pods that they'd refuse for their sidecar."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from driftline.spec import ContainerResources, Endpoint, Injection, ModelMonitor, SidecarContainer
from driftline_operator.controller.observed import NamespaceState
from driftline_operator.controller.plan.preconditions import preconditions
from driftline_operator.controller.plan.quotas import cpu_limit
from driftline_operator.injection.amounts import amount, total
from driftline_operator.injection.sidecars import Settings

from tests.support.pods import container, pod, port
from tests.support.specs import monitor

Json = dict[str, Any]
SETTINGS = Settings(image="sidecar:test")
"""Its sidecars ask for 100m CPU and 192Mi together, and are limited to 768Mi."""
MONITOR = monitor(endpoint=Endpoint(port="http"))
HALF: Json = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


def app(resources: Json | None = None, **spec: Any) -> Json:
    return pod(
        container(ports=[port(8080, "http")], resources=HALF if resources is None else resources), **spec
    )


def deployment(replicas: int, of: Json) -> Json:
    template = {"metadata": {"labels": of["metadata"]["labels"]}, "spec": of["spec"]}
    return {
        "kind": "Deployment",
        "metadata": {"name": "census", "namespace": "ml", "uid": "d"},
        "spec": {"replicas": replicas, "template": template},
    }


def quota(hard: Json, used: Json | None = None, **spec: Any) -> Json:
    status = {"hard": hard, "used": dict.fromkeys(hard, "0") | (used or {})}
    return {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}, "status": status}


def limits(kind: str = "Container", **entry: Any) -> Json:
    return {"metadata": {"name": "usual"}, "spec": {"limits": [{"type": kind, **entry}]}}


def said(
    *quotas: Json,
    ranges: tuple[Json, ...] = (),
    pods: tuple[Json, ...] = (),
    replicas: int = 1,
    of: Json | None = None,
    given: ModelMonitor = MONITOR,
) -> str:
    workload = deployment(replicas, of or app())
    state = NamespaceState(
        "ml", {}, True, (), pods=pods, quotas=quotas, limit_ranges=ranges,
        workloads={("Deployment", "census"): workload},
    )  # fmt: skip
    found = preconditions(given, state, SETTINGS)
    assert [each.reason for each in found] in ([], ["Quota"])
    return found[0].message if found else ""


def test_without_quotas_nothing_is_said() -> None:
    assert said() == ""


def test_a_quota_demands_cpu_limits_of_sidecars_too() -> None:
    demanding = quota({"limits.cpu": "10"})
    assert cpu_limit([demanding], []) == "500m"
    assert cpu_limit([quota({"requests.cpu": "10"})], []) == ""
    assert cpu_limit([demanding], [limits(default={"cpu": "200m"})]) == ""
    assert cpu_limit([demanding], [limits("Pod", max={"cpu": "4"})]) == "500m"
    # Without it the pod would be refused, and with the limit range's it is admitted.
    assert "demands limits.cpu of container driftline-proxy" in said(demanding)
    given = limits(default={"cpu": "200m"}, defaultRequest={"cpu": "100m"})
    assert said(demanding, ranges=(given,)) == ""


def test_who_is_refused_anyway_is_not_refused_for_the_sidecar() -> None:
    assert said(quota({"limits.cpu": "10"}), of=app(resources={})) == ""


def test_room_is_counted_over_all_replicas() -> None:
    assert said(quota({"requests.cpu": "1800m"}), replicas=3) == ""  # 3 x (500m + 100m)
    assert "no room for the sidecars' requests.cpu" in said(quota({"requests.cpu": "1799m"}), replicas=3)
    assert said(quota({"requests.cpu": "1400m"}), replicas=3) == ""  # without sidecars there is none either
    assert said(quota({"memory": "3648Mi"}), replicas=3) == ""
    assert "memory" in said(quota({"memory": "3647Mi"}), replicas=3)


def test_what_others_use_is_taken_off_and_own_pods_are_not_counted_twice() -> None:
    owner = {"kind": "Deployment", "name": "census", "controller": True}
    owned = tuple(
        app(metadata={"name": f"census-{number}", "ownerReferences": [owner]}) for number in range(3)
    )
    full = quota({"requests.cpu": "2"}, {"requests.cpu": "1500m"})
    assert said(full, pods=owned, replicas=3) == ""
    busy = quota({"requests.cpu": "2"}, {"requests.cpu": "1750m"})
    assert "no room" in said(busy, pods=owned, replicas=3)


def test_scopes_decide_which_pods_a_quota_means() -> None:
    tight = {"requests.cpu": "550m"}
    assert "no room" in said(quota(tight, scopes=["NotTerminating"]))
    assert said(quota(tight, scopes=["Terminating"])) == ""
    assert "no room" in said(quota(tight, scopes=["Terminating"]), of=app(activeDeadlineSeconds=60))
    high = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}
    assert said(quota(tight, scopeSelector=high)) == ""
    assert "no room" in said(quota(tight, scopeSelector=high), of=app(priorityClassName="high"))


def test_a_best_effort_pod_comes_under_a_quota_that_it_escaped() -> None:
    found = said(quota({"requests.cpu": "10"}, scopes=["NotBestEffort"]), of=app(resources={}))
    assert "demands requests.cpu of container model" in found


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            limits(min={"cpu": "100m"}),
            "cpu of container driftline-proxy (LimitRange usual) must be at least 100m",
        ),
        (limits(max={"memory": "1Gi"}), ""),
        (limits("Pod", max={"memory": "1Gi"}), "memory of the pod (LimitRange usual) must be at most 1Gi"),
        (limits("Pod", max={"memory": "2Gi"}), ""),
        (limits(maxLimitRequestRatio={"memory": "2"}), "the limit must be at most 2 times the request"),
        (limits(maxLimitRequestRatio={"memory": "4"}), ""),
    ],
)
def test_limit_ranges(entry: Json, message: str) -> None:
    assert message in said(ranges=(entry,))
    assert bool(said(ranges=(entry,))) == bool(message)


def test_a_monitors_own_resources_mend_it() -> None:
    more = SidecarContainer(resources=ContainerResources(requests={"cpu": "100m"}))
    given = monitor(endpoint=Endpoint(port="http"), injection=Injection(proxy=more, analyzer=more))
    assert said(ranges=(limits(min={"cpu": "100m"}),), given=given) == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250m", Fraction(1, 4)),
        ("1", Fraction(1)),
        (2, Fraction(2)),
        ("1.5", Fraction(3, 2)),
        ("1Gi", Fraction(2**30)),
        ("100n", Fraction(1, 10**7)),
        ("1e3", Fraction(1000)),
        ("2E", Fraction(2 * 10**18)),
        ("128974848000m", Fraction(128974848)),
    ],
)
def test_quantities(text: object, value: Fraction) -> None:
    assert amount(text) == value


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1i", "1ki", "one", "1e", "--1"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        amount(text)


def test_init_containers_count_as_the_scheduler_counts_them() -> None:
    def asking(name: str, cpu: str, **fields: Any) -> Json:
        return container(name, resources={"requests": {"cpu": cpu}}, **fields)

    native = asking("native", "100m", restartPolicy="Always")
    assert total(pod(asking("app", "1"), initContainers=[native]), "requests", "cpu") == Fraction(11, 10)
    fetch = asking("fetch", "2")
    assert total(pod(asking("app", "1"), initContainers=[native, fetch]), "requests", "cpu") == Fraction(
        21, 10
    )
    assert total(pod(asking("app", "1"), initContainers=[fetch, native]), "requests", "cpu") == 2
