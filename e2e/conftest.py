"""A cluster with Driftline installed by Helm: one of our own, or the one that KUBECONFIG names.

In a cluster of the user's own the images must be there under the names that `e2e.cluster.images` gives them.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from driftline.crd import DEFINITIONS

from e2e.cluster import images, node
from e2e.cluster.build import binary, helm

REPO = Path(__file__).parents[1]
SYSTEM = "driftline-e2e-system"
VALUES = {
    "controller.pullInterval": "3s",
    "controller.statusInterval": "1s",
    "controller.leaseDuration": "10s",
    "controller.resources.requests.cpu": "20m",
    "injector.resources.requests.cpu": "20m",
}


class Cluster(NamedTuple):
    """Where it is, and the two commands."""

    kubeconfig: Path
    own: bool

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """What kubectl says; fails the test where it fails."""
        return _run([str(binary()), "kubectl", f"--kubeconfig={self.kubeconfig}", *arguments], stdin, check)

    def helm(self, *arguments: str, check: bool = True) -> str:
        """What Helm says."""
        return _run([str(helm()), f"--kubeconfig={self.kubeconfig}", *arguments], None, check)

    def apply(self, namespace: str, *documents: dict[str, Any]) -> None:
        """Server-side apply."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.kubectl("-n", namespace, "apply", "--server-side", "-f", "-", stdin=json.dumps(listed))

    def get(self, namespace: str, kind: str, *arguments: str) -> Any:
        """Objects as JSON."""
        return json.loads(self.kubectl("-n", namespace, "get", kind, *arguments, "-o", "json"))

    def conditions(self, namespace: str, monitor: str) -> dict[str, dict[str, str]]:
        """A monitor's conditions by type."""
        found = self.get(namespace, "mm", monitor)
        return {each["type"]: each for each in found.get("status", {}).get("conditions", [])}


def _run(command: Sequence[str], stdin: str | None, check: bool) -> str:
    ended = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd=REPO)
    if check and ended.returncode:
        raise AssertionError(f"{' '.join(command)}:\n{ended.stderr or ended.stdout}")
    return ended.stdout


def eventually(holds: Callable[[], Any], seconds: float = 60.0, every: float = 0.5) -> Any:
    """What it returns once it is true; the last of it in the failure otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s; last: {found!r}"
        time.sleep(every)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Running, with the images in it. Our own stays for the next run: `make cluster-down` ends it."""
    named = os.environ.get("KUBECONFIG")
    if named:
        yield Cluster(Path(named), own=False)
        return
    found = node.up()
    images.load_project(found)
    yield Cluster(found.kubeconfig, own=True)


@pytest.fixture(scope="session")
def driftline(cluster: Cluster) -> Iterator[str]:
    """The namespace in which it is installed."""
    values = [f"--set={key}={value}" for key, value in VALUES.items()]
    cluster.helm("uninstall", "driftline", "-n", SYSTEM, "--ignore-not-found", "--wait", check=False)
    install = ["upgrade", "--install", "driftline", "charts/driftline", "-n", SYSTEM, "--create-namespace"]
    try:
        cluster.helm(*install, "--wait", "--timeout=120s", *values)
    except AssertionError as error:
        pods = cluster.kubectl("-n", SYSTEM, "get", "pods", check=False)
        logs = cluster.kubectl("-n", SYSTEM, "logs", "-l", "app.kubernetes.io/name=driftline", check=False)
        raise AssertionError(f"{error}\n{pods}\n{logs[-3000:]}") from None
    yield SYSTEM
    cluster.helm("uninstall", "driftline", "-n", SYSTEM, "--ignore-not-found", "--wait")
    if cluster.own:  # it is kept on purpose, and belongs to the release's namespace
        definitions = (definition.name for definition in DEFINITIONS)
        cluster.kubectl("delete", "crd", *definitions, "--ignore-not-found")


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """Of the test's own, deleted with it."""
    name = f"e2e-{os.urandom(3).hex()}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rollouts, traffic and verdicts take their time."""
    for item in items:
        if Path(str(item.fspath)).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(600))
