"""What speaks against an injection, seen from Services, NetworkPolicies and probes."""

from __future__ import annotations

from typing import Any

import pytest
from driftline.spec import Endpoint, Injection
from driftline.spec.injection import AppPort
from driftline_operator.controller.observed import NamespaceState, Observed
from driftline_operator.controller.plan.preconditions import caution, preconditions
from driftline_operator.injection.original import original
from driftline_operator.injection.sidecars import Settings

from tests.support import pods
from tests.support.specs import monitor

Json = dict[str, Any]
SETTINGS = Settings(image="sidecar:test")
RENAME = monitor(endpoint=Endpoint(port="http"))
SWAP = monitor(
    endpoint=Endpoint(port="http"),
    injection=Injection(mode="PortSwap", app=AppPort(port=8081, env="PORT")),
)


REDIRECT = monitor(endpoint=Endpoint(port="http"), injection=Injection(mode="Redirect"))


def service(target: int | str, app: str = "census", **port: Any) -> Json:
    ports = [{"port": 80, "targetPort": target, **port}]
    return {"metadata": {"name": "census"}, "spec": {"selector": {"app": app}, "ports": ports}}


def policy(*ports: Json, app: str | None = "census") -> Json:
    selector = {} if app is None else {"matchLabels": {"app": app}}
    spec = {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": [{"ports": list(ports)}]}
    return {"metadata": {"name": "census"}, "spec": spec}


def state(*pod: Json, services: tuple[Json, ...] = (), policies: tuple[Json, ...] = ()) -> NamespaceState:
    return NamespaceState(
        "ml", {}, True, (), pods=pod or (pods.pod(pods.serving()),), services=services, policies=policies
    )


def reasons(found: NamespaceState, given: Any = RENAME) -> list[str]:
    return [each.reason for each in preconditions(given, found, SETTINGS)]


def test_a_service_by_name_follows_the_sidecar() -> None:
    assert reasons(state(services=(service("http"),))) == []


def test_several_services_by_name_all_follow() -> None:
    assert reasons(state(services=(service("http"), headless(), service(9000, name="metrics")))) == []


def headless(target: int | str = "http", **port: Any) -> Json:
    given = service(target, **port)
    given["metadata"], given["spec"]["clusterIP"] = {"name": "census-headless"}, "None"
    return given


def test_who_has_only_a_headless_service_is_told_what_goes_past() -> None:
    """Its clients get addresses and no number; the app's own leads to the app, as before."""
    said = caution(RENAME, state(services=(headless(),)))
    assert "census-headless is headless" in said
    assert "number 8080 go past" in said
    assert reasons(state(services=(headless(),))) == [], "EndpointSlices lead to the sidecar all the same"


@pytest.mark.parametrize(
    ("given", "services"),
    [
        (RENAME, ()),
        (RENAME, (headless(), service("http"))),
        (RENAME, (headless("metrics"),)),
        (SWAP, (headless(),)),
        (REDIRECT, (headless(),)),
    ],
)
def test_where_another_way_leads_to_the_sidecar_nothing_is_told(
    given: Any, services: tuple[Json, ...]
) -> None:
    assert caution(given, state(services=services)) == ""


def test_a_service_by_number_would_go_past_it() -> None:
    (found,) = preconditions(RENAME, state(services=(service("http"), service(8080))), SETTINGS)
    assert found.reason == "NumericTargetPort"
    assert "targetPort: http" in found.message


def test_a_service_that_names_no_target_port_points_at_its_own_number() -> None:
    given = service("http")
    given["spec"]["ports"] = [{"port": 8080}]
    assert reasons(state(services=(given,))) == ["NumericTargetPort"]


@pytest.mark.parametrize("given", [SWAP, REDIRECT])
def test_port_swap_and_redirect_carry_both(given: Any) -> None:
    assert reasons(state(services=(service(8080),), policies=(policy({"port": 8080}),)), given) == []


@pytest.mark.parametrize(
    ("level", "given", "reason"),
    [
        ("baseline", REDIRECT, ["PodSecurity"]),
        ("restricted", REDIRECT, ["PodSecurity"]),
        ("privileged", REDIRECT, []),
        ("baseline", RENAME, []),
        ("restricted", RENAME, []),
        ("restricted", SWAP, []),
    ],
)
def test_levels_of_pod_security(level: str, given: Any, reason: list[str]) -> None:
    enforcing = state()._replace(labels={"pod-security.kubernetes.io/enforce": level})
    assert reasons(enforcing, given) == reason
    assert reasons(enforcing._replace(pods=()), given) == reason, "before the first pod comes"
    assert reasons(state()._replace(labels={"pod-security.kubernetes.io/warn": level}), given) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": {"istio-injection": "enabled"}},
        {"labels": {"istio.io/rev": "stable"}},
        {"labels": {"istio.io/dataplane-mode": "ambient"}},
        {"annotations": {"linkerd.io/inject": "enabled"}},
    ],
)
def test_a_namespace_in_a_mesh_is_redirected_already(fields: Json) -> None:
    meshed = state()._replace(**fields)
    assert reasons(meshed, REDIRECT) == ["Mesh"]
    assert reasons(meshed, RENAME) == []


def test_a_policy_for_the_second_port_means_the_second_number() -> None:
    both = pods.pod(pods.container(ports=[pods.port(8080, "http"), pods.port(9000, "rest")]))
    second = monitor("rest", endpoint=Endpoint(port="rest"))
    given = state(both, policies=(policy({"port": 9000}, {"port": 15080}),))
    alone = given._replace(monitors=(Observed({"metadata": {"name": "rest"}}, second),))
    assert reasons(alone, second) == []
    first = Observed({"metadata": {"name": "census"}}, RENAME)
    (found,) = preconditions(second, given._replace(monitors=(first, *alone.monitors)), SETTINGS)
    assert "15083" in found.message


def test_policies_of_all_together() -> None:
    assert reasons(state(policies=(policy({"port": 8080}), policy({"port": 15080})))) == []


@pytest.mark.parametrize("other", [service(8080, app="other"), service(9090), service(9000, name="metrics")])
def test_services_of_other_pods_and_ports_do_not_matter(other: Json) -> None:
    assert reasons(state(services=(other,))) == []


def test_a_service_without_selector_does_not_matter() -> None:
    given = service(8080)
    del given["spec"]["selector"]
    assert reasons(state(services=(given,))) == []


@pytest.mark.parametrize("app", ["census", None])
def test_a_policy_by_number_would_cut_the_sidecar_off(app: str | None) -> None:
    found = state(policies=(policy({"protocol": "TCP", "port": 8080}, app=app),))
    assert reasons(found) == ["NetworkPolicy"]


@pytest.mark.parametrize(
    "ports",
    [
        ({"port": 8080}, {"port": 15080}),
        ({"port": 8000, "endPort": 16000},),
        ({"port": "http"},),
        (),
        ({"port": 8080, "protocol": "UDP"},),
    ],
)
def test_policies_that_let_the_sidecar_in(ports: tuple[Json, ...]) -> None:
    assert reasons(state(policies=(policy(*ports),))) == []


def test_tls_by_name_probe_or_service() -> None:
    named = pods.pod(pods.container(ports=[pods.port(8443, "https")]))
    given = monitor(endpoint=Endpoint(port="https"))
    assert reasons(state(named), given) == ["TLS"]
    probe = {"httpGet": {"path": "/", "port": "http", "scheme": "HTTPS"}}
    assert reasons(
        state(pods.pod(pods.container(ports=[pods.port(8080, "http")], readinessProbe=probe)))
    ) == ["TLS"]
    assert reasons(state(services=(service("http", appProtocol="https"),))) == ["TLS"]


def test_pods_that_are_kept_out_do_not_matter() -> None:
    out = pods.pod(pods.serving(), metadata={"labels": {"app": "census", "driftline.io/inject": "false"}})
    assert reasons(state(out, services=(service(8080),))) == []


def test_an_injected_pod_is_seen_as_it_was() -> None:
    """Else a Service by number would be found for bare pods, and forgotten once they are injected."""
    relay = {"name": "driftline-proxy", "args": ["--relay=:15080=127.0.0.1:8080,port=8080/http"]}
    injected = pods.pod(
        pods.container(ports=[pods.port(15080, "http"), pods.port(8080)]), initContainers=[relay]
    )
    assert reasons(state(injected, services=(service(8080),))) == ["NumericTargetPort"]
    assert reasons(state(injected, services=(service("http"),))) == []


def test_a_redirected_pod_is_seen_as_it_was() -> None:
    """Its entry stands as ever; without name it must not be taken for what PortRename leaves."""
    relay = {"name": "driftline-proxy", "args": ["--relay=:15080=127.0.0.1:8080,port=8080"]}
    given = pods.pod(pods.container(ports=[pods.port(8080)]), initContainers=[relay])
    assert original(given)["spec"]["containers"] == given["spec"]["containers"]
    assert original(given)["spec"]["initContainers"] == []
