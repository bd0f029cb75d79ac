"""A real control plane for all tests of this directory, one a pytest worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator

import pytest
from driftline.crd import DEFINITIONS, crd
from driftline_operator.cluster.api import Api, ApiError, load
from driftline_operator.cluster.resources import NAMESPACES, Resource

from e2e.cluster.build import binary
from e2e.cluster.control_plane import ControlPlane, running
from tests.support.tools import need

CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """API server, etcd and controller-manager, with the custom resource definition in force."""
    need("go")
    with running(tmp_path_factory.mktemp("control-plane")) as found:
        asyncio.run(_install(found))
        yield found


async def _install(plane: ControlPlane) -> None:
    async with Api(await load(str(plane.kubeconfig))) as api:
        for definition in DEFINITIONS:
            await api.apply(CRDS, None, crd(definition))
            await _established(api, definition.name)


async def _established(api: Api, name: str) -> None:
    for _ in range(200):
        found = await api.get(CRDS, None, name)
        conditions = {c["type"]: c for c in found.get("status", {}).get("conditions") or []}
        if conditions.get("Established", {}).get("status") == "True":
            assert conditions["NamesAccepted"]["status"] == "True"
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not established: {conditions}")


@pytest.fixture
async def api(plane: ControlPlane) -> AsyncIterator[Api]:
    """As a cluster's administrator."""
    async with Api(await load(str(plane.kubeconfig))) as found:
        yield found


@pytest.fixture
async def namespace(api: Api) -> str:
    """A namespace of the test's own, in which pods can be made at once."""
    name = f"test-{os.urandom(4).hex()}"
    await api.create(NAMESPACES, None, {"metadata": {"name": name}})
    with contextlib.suppress(ApiError):  # the controller-manager makes it too, within seconds
        await api.create(ACCOUNTS, name, {"metadata": {"name": "default"}})
    return name


@pytest.fixture
def kubectl(plane: ControlPlane) -> list[str]:
    """The command of the same version, with the administrator's kubeconfig."""
    return [str(binary()), "kubectl", f"--kubeconfig={plane.kubeconfig}"]
