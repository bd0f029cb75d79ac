"""The hub's commands of docs/kubernetes.md, as they stand there, with real Helm and kubectl."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from driftline_operator.cluster.api import Api, load
from driftline_operator.cluster.resources import DEPLOYMENTS, SECRETS
from driftline_operator.hub.tokens import TokenFile

from e2e.cluster.build import binary, helm
from e2e.cluster.control_plane import ControlPlane
from e2e.cluster.control_plane import running as control_plane
from tests.support.tools import need

REPO = Path(__file__).parents[2]
SYSTEM = "driftline-system"
MIRROR = "registry.example.com/mirror"


def block(document: str, holds: str) -> str:
    """The first code block of a document that has that text."""
    blocks: list[str] = re.findall(r"```\w+\n(.*?)```", (REPO / "docs" / document).read_text(), re.DOTALL)
    return next(each for each in blocks if holds in each)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Of its own: Helm installs the definitions."""
    need("go")
    with control_plane(tmp_path_factory.mktemp("documented")) as found:
        yield found


def run(commands: str, plane: ControlPlane, folder: Path) -> None:
    """In a shell, from a folder that has the chart, with `kubectl` and `helm` on the path."""
    for name, command in (("kubectl", f"{binary()} kubectl"), ("helm", str(helm()))):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o755)
    (folder / "charts").symlink_to(REPO / "charts")
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "KUBECONFIG": str(plane.kubeconfig)}
    ended = subprocess.run(
        ["sh", "-euc", commands], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


async def test_the_hub_is_installed_by_the_documented_commands(plane: ControlPlane, tmp_path: Path) -> None:
    tokens = block("hub.md", "tokens:")
    (tmp_path / "tokens.yaml").write_text(tokens)
    install = f"helm install driftline charts/driftline -n {SYSTEM} --create-namespace"
    run(f"{install} --set image.registry={MIRROR}\n" + block("kubernetes.md", "hub-users"), plane, tmp_path)
    async with Api(await load(str(plane.kubeconfig))) as api:
        hub = await api.get(DEPLOYMENTS, SYSTEM, "driftline-hub")
        secret = await api.get(SECRETS, SYSTEM, "hub-users")
    (container,) = hub["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith(MIRROR)  # what was set before is kept
    mounted = next(each for each in hub["spec"]["template"]["spec"]["volumes"] if each["name"] == "tokens")
    assert {"secret": {"name": "hub-users"}} in mounted["projected"]["sources"]
    assert [each.namespace for each in TokenFile(tmp_path / "tokens.yaml").grants] == ["default", "*"]
    assert set(secret["data"]) == {"users.yaml"}
