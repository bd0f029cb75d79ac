"""How a Prometheus finds the sidecars: the jobs that the documentation shows, on a pod as it is injected."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from driftline.spec import Endpoint
from driftline_operator import names
from driftline_operator.cluster.api import ApiError
from driftline_operator.cluster.resources import POD_MONITORS, Resource
from driftline_operator.controller.observed import observe
from driftline_operator.controller.plan.objects import pod_monitor
from driftline_operator.injection.decide import decide
from driftline_operator.injection.sidecars import Settings
from driftline_operator.scraping import Scraping

from tests.support.children import REPO, child, eventually, free_port
from tests.support.patches import patched
from tests.support.pods import Json, container, pod, port, serving
from tests.support.specs import monitor
from tests.support.tools import need

EXAMPLE = REPO / "examples" / "prometheus.yml"


def injected() -> Json:
    """A pod with metrics and annotations of its own, as the injector leaves it."""
    own = container("model", ports=[port(8080, "http"), port(9100, "metrics")])
    before = pod(
        own, metadata={"annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9100"}}
    )
    decision = decide(before, [monitor(endpoint=Endpoint(port="http"))], Settings(image="a:1", scrape=True))
    assert decision.injects
    after: Json = patched(before, decision.patch)
    return after


def discovered(found: Json, address: str) -> list[Json]:
    """Targets and labels that Prometheus' `role: pod` makes of a pod: one for each declared port."""
    metadata = found["metadata"]
    labels = {
        "__meta_kubernetes_namespace": metadata["namespace"],
        "__meta_kubernetes_pod_name": metadata["name"],
        "__meta_kubernetes_pod_phase": found.get("status", {}).get("phase", "Running"),
    }
    for name, value in metadata["labels"].items():
        labels[
            f"__meta_kubernetes_pod_label_{name.replace('.', '_').replace('/', '_').replace('-', '_')}"
        ] = value
    return [
        {
            "targets": [f"{address}:{each['containerPort']}"],
            "labels": {
                **labels,
                "__meta_kubernetes_pod_container_name": of["name"],
                "__meta_kubernetes_pod_container_port_name": each.get("name", ""),
            },
        }
        for of in [*found["spec"]["containers"], *found["spec"].get("initContainers", [])]
        for each in of.get("ports") or []
    ]


def selected(job: Json, pods: list[Json]) -> list[Json]:
    """The pods that the API server gives for a job's selector."""
    (source,) = job["kubernetes_sd_configs"]
    (selector,) = source["selectors"]
    assert (source["role"], selector["role"]) == ("pod", "pod")
    name, _, value = selector["label"].partition("=")
    return [each for each in pods if each["metadata"]["labels"].get(name) == value]


def targets(config: Json, pods: list[Json], directory: Path) -> list[Json]:
    """What a real Prometheus scrapes, given the discovered ports by files instead of by the API server."""
    for job in config["scrape_configs"]:
        found = directory / f"{job['job_name']}.json"
        asked = selected(job, pods)
        found.write_text(json.dumps([each for one in asked for each in discovered(one, "127.0.0.1")]))
        del job["kubernetes_sd_configs"]
        job["file_sd_configs"] = [{"files": [str(found)]}]
    path, web = directory / "prometheus.yml", free_port()
    path.write_text(yaml.safe_dump(config))
    checked = subprocess.run(["promtool", "check", "config", str(path)], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    command = ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={directory / 'tsdb'}"]
    active: list[Json] = []
    with child([*command, f"--web.listen-address=127.0.0.1:{web}"], directory / "prometheus.log"):

        def asked_it() -> bool:
            nonlocal active
            url = f"http://127.0.0.1:{web}/api/v1/targets?state=active"
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    active = json.load(answer)["data"]["activeTargets"]
            except OSError:
                return False
            return bool(active)

        eventually(asked_it, 30)
    return active


def operator_pod(component: str, number: int) -> Json:
    labels = {"app.kubernetes.io/name": "driftline", "app.kubernetes.io/component": component}
    metadata = {"name": component, "namespace": "driftline-system", "labels": labels}
    return pod(
        container(component, ports=[port(9443, "webhook"), port(number, "metrics")]), metadata=metadata
    )


def test_the_documented_jobs_find_both_ports_of_a_sidecar_and_the_operator(tmp_path: Path) -> None:
    need("prometheus")
    ended = {**injected(), "status": {"phase": "Succeeded"}}
    pods = [
        injected(),
        ended,
        pod(serving()),
        operator_pod("controller", 8080),
        operator_pod("injector", 8081),
    ]
    config: Any = yaml.safe_load(EXAMPLE.read_text())
    found = {
        (each["labels"]["job"], each["scrapeUrl"].removeprefix("http://127.0.0.1:"), each["labels"]["pod"])
        for each in targets(config, pods, tmp_path)
    }
    assert found == {
        ("driftline-sidecars", f"{names.HEALTH_PORT}/metrics", "census-1"),
        ("driftline-sidecars", f"{names.ADMIN_PORT}/metrics", "census-1"),
        ("driftline-operator", "8080/metrics", "controller"),
        ("driftline-operator", "8081/metrics", "injector"),
    }


def test_annotations_of_the_models_own_stay() -> None:
    annotations = injected()["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "9100"


def test_a_pod_monitor_names_ports_that_the_sidecars_have() -> None:
    body = {
        "apiVersion": "driftline.io/v1alpha1",
        "kind": "ModelMonitor",
        "metadata": {"name": "census", "namespace": "ml", "uid": "u-1"},
    }
    made = pod_monitor([observe(body)]).body
    declared = {
        each["name"]: of["name"] for of in injected()["spec"]["initContainers"] for each in of["ports"]
    }
    endpoints = made["spec"]["podMetricsEndpoints"]
    assert {declared[each["port"]] for each in endpoints} == {names.PROXY_CONTAINER, names.ANALYZER_CONTAINER}
    # The series say their namespace themselves: without this it would be `exported_namespace`.
    assert all(each["honorLabels"] is True and each["path"] == "/metrics" for each in endpoints)
    labels = injected()["metadata"]["labels"]
    assert made["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert (made["metadata"]["namespace"], made["metadata"]["ownerReferences"][0]["uid"]) == ("ml", "u-1")


class Server:
    """Serves PodMonitors or not; None: doesn't answer."""

    def __init__(self, *answers: bool | None) -> None:
        self._answers = list(answers)

    async def serves(self, resource: Resource) -> bool:
        assert resource is POD_MONITORS
        answer = self._answers.pop(0)
        if answer is None:
            raise ApiError(503, "", "away", "GET")
        return answer


async def test_a_prometheus_operator_that_comes_later_is_noticed_and_so_is_its_end() -> None:
    scraping = Scraping("auto", Server(False, False, None, True, False))
    assert not await scraping.look()
    assert (scraping.pod_monitors, scraping.annotations) == (False, True)
    await scraping.changed(0.0)
    assert (scraping.pod_monitors, scraping.annotations) == (True, False)
    await scraping.changed(0.0)
    assert (scraping.pod_monitors, scraping.annotations) == (False, True)


@pytest.mark.parametrize(
    ("wanted", "decided"),
    [("podmonitor", (True, False)), ("annotations", (False, True)), ("none", (False, False))],
)
async def test_what_is_said_is_not_asked_about(wanted: str, decided: tuple[bool, bool]) -> None:
    scraping = Scraping(wanted, Server())
    assert not await scraping.look()
    assert (scraping.pod_monitors, scraping.annotations) == decided
