"""The chart's life with real Helm on an API server of its own: an older release, upgraded, run, uninstalled.

No kubelet is there, so the test runs the programs itself, each with the token of the account that the chart
made for it: what the chart's rights don't allow fails here as it would in a cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from driftline_operator import names
from driftline_operator.cluster.api import Api, load
from driftline_operator.cluster.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    MODEL_MONITORS,
    NAMESPACES,
    PODS,
    SECRETS,
    WEBHOOKS,
    Resource,
)

from e2e.cluster.build import binary, helm
from e2e.cluster.control_plane import ControlPlane
from e2e.cluster.control_plane import running as control_plane
from tests.integration.conftest import CRDS
from tests.integration.test_controller import deployment, eventually, has, is_injected, monitor, pods_of
from tests.support.charts import CHART
from tests.support.children import child, free_port
from tests.support.operators import IMAGE, PROGRAM
from tests.support.tools import need

JOBS = Resource("batch", "v1", "jobs", "Job")
CRD = "modelmonitors.driftline.io"
SYSTEM = "driftline-system"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Without the definition: Helm installs it."""
    need("go")
    with control_plane(tmp_path_factory.mktemp("release")) as found:
        yield found


class Release:
    """Helm, kubectl and the accounts' tokens."""

    def __init__(self, plane: ControlPlane, directory: Path) -> None:
        self._plane, self._directory = plane, directory

    async def helm(self, *arguments: object) -> str:
        command = [str(helm()), f"--kubeconfig={self._plane.kubeconfig}", *map(str, arguments)]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()

    def kubeconfig(self, account: str, namespace: str = SYSTEM) -> Path:
        """Signs in as a service account, as its pods do."""
        kubectl = [str(binary()), "kubectl", f"--kubeconfig={self._plane.kubeconfig}", "-n", namespace]
        made = subprocess.run(
            [*kubectl, "create", "token", account], capture_output=True, text=True, check=True
        )
        config = yaml.safe_load(self._plane.kubeconfig.read_text())
        config["users"] = [
            {"name": each["name"], "user": {"token": made.stdout.strip()}} for each in config["users"]
        ]
        path = self._directory / f"{account}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    @contextlib.contextmanager
    def programs(self, *more: str, controlling: Sequence[str] = ()) -> Iterator[list[Path]]:
        """Controller and injector, by default for all namespaces; their logs. `controlling`: the former's."""
        listen, metrics = free_port(), free_port()
        common = [f"--namespace={SYSTEM}", f"--sidecar-image={IMAGE}", *more]
        injecting = [
            *PROGRAM, "injector", *common, f"--kubeconfig={self.kubeconfig('driftline-injector')}",
            f"--listen=127.0.0.1:{listen}", f"--metrics=127.0.0.1:{free_port()}",
        ]  # fmt: skip
        acting = [
            *PROGRAM, "controller", *common, *controlling,
            f"--kubeconfig={self.kubeconfig('driftline-controller')}",
            f"--metrics=127.0.0.1:{metrics}", f"--intake=127.0.0.1:{free_port()}",
            f"--injector-url=https://localhost:{listen}", "--lease-duration=3s", "--status-interval=1s",
            "--pull-interval=1s",
        ]  # fmt: skip
        logs = [self._directory / "controller.log", self._directory / "injector.log"]
        with child(acting, logs[0]), child(injecting, logs[1]):
            yield logs

    async def uninstall(self, api: Api, namespace: str = SYSTEM) -> None:
        """`helm uninstall`, with the hook's Job run as a kubelet would."""
        helming = asyncio.create_task(self.helm("uninstall", "driftline", "-n", namespace, "--timeout=90s"))
        job = await eventually(lambda: api.get(JOBS, namespace, "driftline-cleanup"))
        (container,) = job["spec"]["template"]["spec"]["containers"]
        account = job["spec"]["template"]["spec"]["serviceAccountName"]
        kubeconfig = self.kubeconfig(account, namespace)
        ended = await asyncio.create_subprocess_exec(
            *PROGRAM, *container["args"], f"--namespace={namespace}", f"--kubeconfig={kubeconfig}",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await ended.communicate()
        assert ended.returncode == 0, said.decode()

        async def pod() -> Json | None:
            found, _ = await api.list(
                PODS, namespace, labels="batch.kubernetes.io/job-name=driftline-cleanup"
            )
            return dict(found[0]) if found else None

        made = await eventually(pod)
        over = {"status": {"phase": "Succeeded"}}
        await api.patch(PODS, namespace, made["metadata"]["name"], over, subresource="status")
        await helming


@pytest.fixture
def release(plane: ControlPlane, tmp_path: Path) -> Release:
    return Release(plane, tmp_path)


@pytest.fixture
async def models(api: Api) -> str:
    """A namespace with a model."""
    await api.create(NAMESPACES, None, {"metadata": {"name": "models"}})
    await api.create(DEPLOYMENTS, "models", deployment())
    return "models"


def older(directory: Path) -> Path:
    """The chart of an earlier release, whose definition knew neither `spec.metrics` nor the column Rows."""
    chart = directory / "older"
    shutil.copytree(CHART, chart)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump({**about, "version": "0.0.1", "appVersion": "0.0.1"}))
    path = chart / "files" / "crds" / f"{CRD}.yaml"
    crd = yaml.safe_load(path.read_text())
    (version,) = crd["spec"]["versions"]
    del version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["metrics"]
    version["additionalPrinterColumns"] = [
        each for each in version["additionalPrinterColumns"] if each["name"] != "Rows"
    ]
    path.write_text(yaml.safe_dump(crd))
    return chart


async def definition(api: Api) -> tuple[set[str], set[str], Json]:
    """Fields of the spec, columns, metadata."""
    found = await api.get(CRDS, None, CRD)
    (version,) = found["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return set(spec), {each["name"] for each in version["additionalPrinterColumns"]}, found["metadata"]


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_release_from_its_first_day_to_its_last(
    plane: ControlPlane, release: Release, models: str, tmp_path: Path
) -> None:
    async with Api(await load(str(plane.kubeconfig))) as api:
        await _upgraded(api, release, models, tmp_path)
        await _run(api, release, models)
        await _run_in_namespaces(api, release, models)
        await _uninstalled(api, release, models)
        await _installed_elsewhere(api, release, models)


async def _upgraded(api: Api, release: Release, models: str, tmp_path: Path) -> None:
    """The definition is upgraded with the release, and the monitors stay what they were."""
    await release.helm("install", "driftline", older(tmp_path), "-n", SYSTEM, "--create-namespace")
    fields, columns, _ = await definition(api)
    assert "metrics" not in fields
    assert "Rows" not in columns
    written = monitor(injection={"restart": "OnChange"})
    before = await eventually(lambda: api.create(MODEL_MONITORS, models, written))
    said = await release.helm("upgrade", "driftline", CHART, "-n", SYSTEM)
    assert "REVISION: 2" in said
    fields, columns, _ = await definition(api)
    assert "metrics" in fields
    assert "Rows" in columns
    after = await api.get(MODEL_MONITORS, models, "census")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert {key: value for key, value in after["spec"].items() if key != "metrics"} == before["spec"]
    changed = {"spec": {"metrics": {"maxSeries": 500}}}

    async def known() -> bool:
        found = await api.patch(MODEL_MONITORS, models, "census", changed)
        return bool(found["spec"].get("metrics", {}).get("maxSeries") == 500)

    await eventually(known)  # the API server serves the new form a moment later


async def _run(api: Api, release: Release, models: str) -> None:
    """With the chart's rights and no others, all of the operator's work can be done."""
    with release.programs() as logs:
        await eventually(lambda: _restarted(api, models))
        for pod in await pods_of(api, models):
            if not is_injected(pod):  # no kubelet makes the new one ready, so the rollout waits
                await api.delete(PODS, models, pod["metadata"]["name"])
        await has(api, models, "Injected", "True", "AllInjected")
        await api.get(SECRETS, models, names.TOKEN_SECRET)
        await api.get(LEASES, SYSTEM, names.LEASE)
        await eventually(lambda: _events(api, models))
        await api.patch(MODEL_MONITORS, models, "census", {"spec": {"reference": {"capture": {"rows": 500}}}})
        await has(api, models, "ReferenceReady", "False", "Capturing")
    _check_allowed(logs)


async def _run_in_namespaces(api: Api, release: Release, models: str) -> None:
    """The same with Roles in the watched namespace, and no right on what is in others."""
    await release.helm("upgrade", "driftline", CHART, "-n", SYSTEM, f"--set=watchNamespaces={{{models}}}")
    with release.programs(f"--watch-namespaces={models}") as logs:
        reference = {"capture": None, "profile": {"configMap": "none"}}
        await api.patch(MODEL_MONITORS, models, "census", {"spec": {"reference": reference}})
        await has(api, models, "ReferenceReady", "False", "ProfileNotFound")
        pod = (await pods_of(api, models))[0]["metadata"]["name"]
        await api.delete(PODS, models, pod)
        await has(api, models, "Injected", "True", "AllInjected")
    _check_allowed(logs)


def _check_allowed(logs: list[Path]) -> None:
    for log in logs:
        refused = [
            line for line in log.read_text().splitlines() if "forbidden" in line.lower() or " 403 " in line
        ]
        assert refused == []


async def _restarted(api: Api, models: str) -> bool:
    """The workload's pods that began before the monitor get their sidecar by a rollout."""
    return any(is_injected(each) for each in await pods_of(api, models))


async def _events(api: Api, models: str) -> list[Json]:
    found, _ = await api.list(EVENTS, models)
    return [dict(each) for each in found if each.get("reportingController", "").startswith("driftline")]


async def _uninstalled(api: Api, release: Release, models: str) -> None:
    """What the release made goes; the definition, the monitors and what they own stay."""
    assert (await api.list(WEBHOOKS, labels=f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"))[0]
    await release.uninstall(api)
    assert (await api.list(WEBHOOKS, labels=f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"))[0] == []
    for resource in (SECRETS, LEASES, DEPLOYMENTS, CONFIG_MAPS, *ROLES):
        found, _ = await api.list(resource, SYSTEM if resource.namespaced else None)
        left = [each["metadata"]["name"] for each in found]
        assert [each for each in left if "driftline" in each] == [], resource.plural
    _, _, metadata = await definition(api)
    assert metadata["annotations"]["helm.sh/resource-policy"] == "keep"
    await api.get(MODEL_MONITORS, models, "census")
    await api.get(CONFIG_MAPS, models, names.config_map("census"))
    await api.get(SECRETS, models, names.TOKEN_SECRET)


async def _installed_elsewhere(api: Api, release: Release, models: str) -> None:
    """The definition that stayed is taken over, monitors and all; with crds.keep=false it goes at last."""
    before = await api.get(MODEL_MONITORS, models, "census")
    install = ["install", "driftline", CHART, "-n", "elsewhere", "--create-namespace", "--take-ownership"]
    await release.helm(*install, "--set=crds.keep=false")
    after = await api.get(MODEL_MONITORS, models, "census")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    await release.uninstall(api, "elsewhere")

    async def gone() -> bool:
        found, _ = await api.list(CRDS)
        return CRD not in [each["metadata"]["name"] for each in found]

    await eventually(gone)


ROLES = [
    Resource("rbac.authorization.k8s.io", "v1", plural, kind, namespaced=not kind.startswith("Cluster"))
    for plural, kind in (
        ("roles", "Role"),
        ("rolebindings", "RoleBinding"),
        ("clusterroles", "ClusterRole"),
        ("clusterrolebindings", "ClusterRoleBinding"),
    )
]
