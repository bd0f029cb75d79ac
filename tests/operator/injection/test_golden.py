"""Pods before and after: each case is a file of `golden/`, written anew with UPDATE_GOLDEN=1."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from driftline.spec import AppPort, ContainerResources, Endpoint, Injection, ModelMonitor, SidecarContainer
from driftline_operator.injection.decide import Decision, decide
from driftline_operator.injection.sidecars import Settings

from tests.support.patches import patched
from tests.support.pods import Json, container, pod, port, serving
from tests.support.specs import monitor

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = Settings(
    image="driftline-sidecar:test", push_url="https://driftline-controller.driftline-system.svc:8443"
)
HTTP = Endpoint(port="http")
REDIRECT = Injection(mode="Redirect")
SWAP = Injection(mode="PortSwap", app=AppPort(port=8081, env="PORT"))
FULL = {"cpu": "1", "memory": "1Gi"}


def watching(name: str = "census", endpoint: Endpoint = HTTP, **fields: Any) -> ModelMonitor:
    return monitor(name, endpoint=endpoint, **fields)


Case = tuple[Json, Sequence[ModelMonitor], Settings]


def case(of: Json, *monitors: ModelMonitor, settings: Settings = SETTINGS) -> Case:
    return of, monitors or (watching(),), settings


CASES: dict[str, Case] = {
    "a-hub": case(
        pod(serving()),
        settings=Settings(
            image="driftline-sidecar:test", hub_url="https://driftline-hub.driftline-system.svc:8444"
        ),
    ),
    "named-port": case(pod(serving())),
    "numeric-port-of-a-named-entry": case(pod(serving()), watching(endpoint=Endpoint(port=8080))),
    "numeric-port-without-name": case(
        pod(container(ports=[port(8080)])), watching(endpoint=Endpoint(port=8080))
    ),
    "several-containers": case(
        pod(container("log", ports=[port(9000, "logs")]), serving(), container("cache", ports=[port(6379)]))
    ),
    "a-container-by-name": case(
        pod(container("a", [port(8080, "http")]), container("b", [port(8080, "grpc")])),
        watching(endpoint=Endpoint(port=8080), injection=Injection(container="b")),
    ),
    "ambiguous": case(
        pod(container("a", [port(8080, "http")]), container("b", [port(8080, "grpc")])),
        watching(endpoint=Endpoint(port=8080)),
    ),
    "no-such-container": case(pod(serving()), watching(injection=Injection(container="modle"))),
    "no-such-port": case(pod(container(ports=[port(8080, "web")]))),
    "udp": case(pod(container(ports=[port(8080, "http", protocol="UDP")]))),
    "probes-and-hooks": case(
        pod(
            container(
                ports=[port(8080, "http"), port(8000, "metrics")],
                livenessProbe={"tcpSocket": {"port": "http"}},
                readinessProbe={"grpc": {"port": 8080}},
                startupProbe={"httpGet": {"path": "/", "port": "metrics"}},
                lifecycle={
                    "preStop": {"httpGet": {"path": "/drain", "port": "http"}},
                    "postStart": {"exec": {"command": ["true"]}},
                },
            )
        )
    ),
    "existing-init-containers": case(
        pod(
            serving(),
            initContainers=[
                container("fetch", restartPolicy=None),
                container("native", restartPolicy="Always"),
            ],
        )
    ),
    "istio": case(
        pod(
            serving(),
            metadata={"labels": {"app": "census", "security.istio.io/tlsMode": "istio"}},
            initContainers=[container("istio-init"), container("istio-proxy", restartPolicy="Always")],
        )
    ),
    "istio-as-an-app-container": case(
        pod(
            serving(),
            container("istio-proxy", [port(15090, "http-envoy-prom")]),
            initContainers=[container("istio-init")],
        )
    ),
    "linkerd-as-a-native-sidecar": case(
        pod(
            serving(),
            metadata={"annotations": {"linkerd.io/inject": "enabled"}},
            initContainers=[container("linkerd-init"), container("linkerd-proxy", restartPolicy="Always")],
        )
    ),
    "linkerd": case(
        pod(
            container("linkerd-proxy", [port(4143, "linkerd-proxy"), port(4191, "linkerd-admin")]),
            serving(),
            initContainers=[container("linkerd-init")],
        )
    ),
    "host-network": case(pod(serving(), hostNetwork=True)),
    "opt-out": case(pod(serving(), metadata={"labels": {"app": "census", "driftline.io/inject": "false"}})),
    "job": case(
        pod(serving(), restartPolicy="Never", metadata={"ownerReferences": [{"kind": "Job", "name": "j"}]})
    ),
    "indexed-job": case(
        pod(
            serving(env=[{"name": "JOB_COMPLETION_INDEX", "value": "2"}]),
            metadata={
                "labels": {"app": "census", "batch.kubernetes.io/job-completion-index": "2"},
                "ownerReferences": [{"kind": "Job", "name": "j", "controller": True}],
            },
            restartPolicy="OnFailure",
            activeDeadlineSeconds=600,
        )
    ),
    "redirect-in-a-job": case(
        pod(serving(), restartPolicy="Never", metadata={"ownerReferences": [{"kind": "Job", "name": "j"}]}),
        watching(injection=REDIRECT),
    ),
    "daemon-set": case(
        pod(serving(), metadata={"ownerReferences": [{"kind": "DaemonSet", "name": "census"}]})
    ),
    "stateful-set": case(
        pod(
            serving(),
            metadata={
                "labels": {"app": "census", "statefulset.kubernetes.io/pod-name": "census-0"},
                "ownerReferences": [{"kind": "StatefulSet", "name": "census"}],
            },
            hostname="census-0",
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data-census-0"}}],
        )
    ),
    "restricted-level": case(
        pod(
            serving(securityContext={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}),
            securityContext={"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
        )
    ),
    "guaranteed": case(
        pod(container(ports=[port(8080, "http")], resources={"limits": FULL, "requests": FULL}))
    ),
    "resource-overrides": case(
        pod(serving()),
        watching(
            injection=Injection(
                proxy=SidecarContainer(resources=ContainerResources(requests={"cpu": "250m"})),
                analyzer=SidecarContainer(resources=ContainerResources(limits={"memory": "2Gi"})),
            )
        ),
    ),
    "pull-secrets": case(
        pod(serving(), imagePullSecrets=[{"name": "apps"}]),
        watching(injection=Injection(image_pull_secrets=("regcred", "apps"))),
        settings=Settings(image="registry.example.com/driftline-sidecar:test", pull_secrets=("regcred",)),
    ),
    "two-monitors-on-two-ports": case(
        pod(container(ports=[port(8080, "http"), port(9000, "rest")])),
        watching("older"),
        watching("younger", Endpoint(port="rest")),
    ),
    "two-monitors-by-path": case(
        pod(serving()),
        watching("older", Endpoint(port="http", paths=("/a",))),
        watching("younger", Endpoint(port="http", paths=("/b",))),
    ),
    "two-monitors-in-conflict": case(
        pod(serving()),
        watching("older", Endpoint(port="http", paths=("/a",))),
        watching("younger", Endpoint(port=8080, paths=("/a", "/b"))),
    ),
    "two-monitors-in-two-modes": case(pod(serving()), watching("older"), watching("younger", injection=SWAP)),
    "port-swap-by-variable": case(
        pod(serving(env=[{"name": "PORT", "value": "8080"}, {"name": "HOME", "value": "/"}])),
        watching(injection=SWAP),
    ),
    "port-swap-by-arguments": case(
        pod(container(ports=[port(8080)], args=["serve", "--port", "8080"])),
        watching(
            endpoint=Endpoint(port=8080),
            injection=Injection(mode="PortSwap", app=AppPort(port=8081, args=("serve", "--port", "8081"))),
        ),
    ),
    "port-swap-to-a-taken-port": case(
        pod(container(ports=[port(8080, "http"), port(8081)])), watching(injection=SWAP)
    ),
    "port-swap-below-1024": case(pod(container(ports=[port(80, "http")])), watching(injection=SWAP)),
    "the-sidecars-port-is-taken": case(pod(container(ports=[port(8080, "http"), port(15080)]))),
    "the-sidecars-health-port-is-taken": case(pod(container(ports=[port(8080, "http"), port(15081)]))),
    "port-swap-where-the-analyzers-port-is-taken": case(
        pod(container(ports=[port(8080, "http"), port(15082)])), watching(injection=SWAP)
    ),
    "redirect": case(pod(serving()), watching(injection=REDIRECT)),
    "redirect-by-number-with-probes-and-hooks": case(
        pod(
            container(
                ports=[port(8080)],
                livenessProbe={"tcpSocket": {"port": 8080}},
                readinessProbe={"grpc": {"port": 8080}},
                startupProbe={"httpGet": {"path": "/", "port": 8080, "host": "gate.example.com"}},
                lifecycle={"preStop": {"httpGet": {"path": "/drain", "port": 8080}}},
            )
        ),
        watching(endpoint=Endpoint(port=8080), injection=REDIRECT),
    ),
    "redirect-of-two-ports": case(
        pod(container(ports=[port(8080, "http"), port(9000, "rest")])),
        watching("older", injection=REDIRECT),
        watching("younger", Endpoint(port="rest"), injection=REDIRECT),
    ),
    "redirect-and-rename-in-conflict": case(
        pod(serving()),
        watching("older", injection=REDIRECT),
        watching("younger", Endpoint(port="http", paths=("/a",))),
    ),
    "redirect-and-rename-of-two-ports": case(
        pod(container(ports=[port(8080, "http"), port(9000, "rest")])),
        watching("older"),
        watching("younger", Endpoint(port="rest"), injection=REDIRECT),
    ),
    "redirect-in-a-guaranteed-pod": case(
        pod(container(ports=[port(8080, "http")], resources={"limits": FULL, "requests": FULL})),
        watching(injection=REDIRECT),
    ),
    "redirect-where-a-mesh-does": case(
        pod(serving(), initContainers=[container("istio-init")]), watching(injection=REDIRECT)
    ),
    "cpu-limit-for-a-quota": case(
        pod(serving()), settings=msgspec.structs.replace(SETTINGS, cpu_limit="500m")
    ),
    "scrape-annotations": case(
        pod(serving(), metadata={"annotations": {"prometheus.io/port": "9102"}}),
        settings=Settings(image="driftline-sidecar:test", scrape=True),
    ),
    "without-owner-or-labels": case(pod(serving(), metadata={"labels": None})),
}


class Plain(yaml.SafeDumper):
    """Writes what occurs twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def shown(decision: Decision, before: Json) -> Json:
    """What a golden file holds: the decision in words, and the pod that comes of it."""
    document: Json = {"decision": decision.word, "message": decision.message}
    if decision.monitors:
        document["monitors"] = list(decision.monitors)
    if decision.refused:
        document["refused"] = [
            {"monitor": each.monitor, "reason": each.reason.value, "message": each.message}
            for each in decision.refused
        ]
    if decision.injects:
        document["pod"] = patched(before, decision.patch)
    return document


@pytest.mark.parametrize("name", CASES)
def test_pods_become_what_the_file_says(name: str) -> None:
    before, monitors, settings = CASES[name]
    kept = copy.deepcopy(before)
    decision = decide(before, monitors, settings)
    assert before == kept, "the pod that was asked about has changed"
    path = GOLDEN / f"{name}.yaml"
    document = shown(decision, before)
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.dump(document, Dumper=Plain, sort_keys=False, width=110))
    assert yaml.safe_load(path.read_text()) == document


def test_every_file_has_its_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_second_call_changes_nothing(name: str) -> None:
    before, monitors, settings = CASES[name]
    first = decide(before, monitors, settings)
    again = decide(patched(before, first.patch), monitors, settings)
    assert again.patch == ()
    assert again.word == ("AlreadyInjected" if first.injects else first.word)


def test_what_another_webhook_adds_in_between_stays() -> None:
    before, monitors, settings = CASES["named-port"]
    after = patched(before, decide(before, monitors, settings).patch)
    after["spec"]["initContainers"].append(container("istio-proxy", restartPolicy="Always"))
    again = decide(after, monitors, settings)
    assert (again.word, again.patch) == ("AlreadyInjected", ())


def test_the_kill_switch_is_the_reason() -> None:
    decision = decide(pod(serving()), [watching()], SETTINGS, enabled=False)
    assert (decision.word, decision.patch) == ("Disabled", ())


def test_no_monitor_is_a_reason() -> None:
    assert decide(pod(serving()), [], SETTINGS).word == "NoMonitor"


def test_injected_pods_fit_the_restricted_level() -> None:
    before, monitors, settings = CASES["restricted-level"]
    after = patched(before, decide(before, monitors, settings).patch)
    for each in after["spec"]["initContainers"]:
        context = each["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] != 0
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("hostPath" in volume for volume in after["spec"]["volumes"])
