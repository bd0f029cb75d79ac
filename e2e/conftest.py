"""A cluster with Driftline installed by Helm: one of our own, or the one that KUBECONFIG names.

In a cluster of the user's own the images must be there under the names that `e2e.cluster.images` gives them,
and what needs the node itself (to kill a container, restart the API server) is skipped.
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
from e2e.cluster.build import binary, cache, helm, locked, prometheus
from e2e.cluster.report import ClusterError
from e2e.turns import Turn, turn

REPO = Path(__file__).parents[1]
SYSTEM = "driftline-e2e-system"
VALUES = {
    "controller.pullInterval": "3s",
    "controller.statusInterval": "1s",
    "controller.leaseDuration": "10s",
    "controller.resources.requests.cpu": "20m",
    "injector.resources.requests.cpu": "20m",
}
LAST = ("test_hub", "test_outages", "test_uninstall")
"""Modules that want the installation for themselves."""


class Cluster(NamedTuple):
    """Where it is, and the two commands."""

    kubeconfig: Path
    own: bool

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """What kubectl says; fails the test where it fails."""
        return self.kubectl_and_warnings(*arguments, stdin=stdin, check=check)[0]

    def kubectl_and_warnings(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> tuple[str, str]:
        """Its standard output, and what it says beside."""
        return _run([str(binary()), "kubectl", f"--kubeconfig={self.kubeconfig}", *arguments], stdin, check)

    def helm(self, *arguments: str, check: bool = True) -> str:
        """What Helm says."""
        return _run([str(helm()), f"--kubeconfig={self.kubeconfig}", *arguments], None, check)[0]

    def apply(self, namespace: str, *documents: dict[str, Any]) -> None:
        """Server-side apply."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.kubectl("-n", namespace, "apply", "--server-side", "-f", "-", stdin=json.dumps(listed))

    def get(self, namespace: str, kind: str, *arguments: str) -> Any:
        """Objects as JSON."""
        return json.loads(self.kubectl("-n", namespace, "get", kind, *arguments, "-o", "json"))

    def conditions(self, namespace: str, monitor: str = "flights") -> dict[str, dict[str, str]]:
        """A monitor's conditions by type."""
        found = self.get(namespace, "mm", monitor)
        return {each["type"]: each for each in found.get("status", {}).get("conditions", [])}


def _run(command: Sequence[str], stdin: str | None, check: bool) -> tuple[str, str]:
    ended = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd=REPO)
    if check and ended.returncode:
        raise AssertionError(f"{' '.join(command)}:\n{ended.stderr or ended.stdout}")
    return ended.stdout, ended.stderr


def eventually(holds: Callable[[], Any], seconds: float = 60.0, every: float = 0.5) -> Any:
    """What it returns once it is true; the last of it in the failure otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s; last: {found!r}"
        time.sleep(every)


def _cluster() -> Cluster:
    named = os.environ.get("KUBECONFIG")
    return (
        Cluster(Path(named), own=False)
        if named
        else Cluster(node.Node(node.run_directory()).kubeconfig, own=True)
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """The cluster, with the images in it and nothing of an earlier run. Our own stays for the next one."""
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    found = _cluster()
    try:
        if found.own:
            up = node.up()
            images.load_project(up)
            images.load_metrics_server(up)
            prometheus()  # nothing is built while tests are timed
        found.helm("uninstall", "driftline", "-n", SYSTEM, "--ignore-not-found", "--wait", check=False)
    except ClusterError as error:
        pytest.exit(str(error), 69)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing of ours is left in the cluster."""
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    found = _cluster()
    if found.own and not found.kubeconfig.exists():
        return
    found.helm("uninstall", "driftline", "-n", SYSTEM, "--ignore-not-found", "--wait", check=False)
    if found.own:  # it is kept on purpose, and belongs to the release's namespace
        definitions = (definition.name for definition in DEFINITIONS)
        found.kubectl("delete", "crd", *definitions, "--ignore-not-found", check=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rollouts, traffic and verdicts take their time; waiting for the others' end doesn't count."""
    ours = [item for item in items if Path(str(item.fspath)).parent == Path(__file__).parent]
    for item in ours:
        item.add_marker(pytest.mark.timeout(600, func_only=True))
    items.sort(key=lambda item: LAST.index(item.path.stem) if item.path.stem in LAST else -1)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Running, with the images in it."""
    return _cluster()


@pytest.fixture(scope="session")
def own_node(cluster: Cluster) -> node.Node:
    """The machine that the cluster runs on."""
    if not cluster.own:
        pytest.skip("needs the node itself: not to be had in a cluster that KUBECONFIG names")
    return node.Node(node.run_directory())


@pytest.fixture
def installation() -> Iterator[Turn]:
    """The share that a test has in it."""
    with turn() as mine:
        yield mine


@pytest.fixture
def driftline(cluster: Cluster, installation: Turn) -> str:
    """The namespace in which it is installed."""
    with locked(cache() / "e2e-install.lock"):
        if "deployed" not in cluster.helm("list", "-n", SYSTEM, "--filter", "^driftline$"):
            install(cluster)
    return SYSTEM


def install(cluster: Cluster, **changed: str) -> None:
    """Install, or change the installation's values (`__` stands for the dot)."""
    values = VALUES | {key.replace("__", "."): value for key, value in changed.items()}
    settings = [f"--set={key}={value}" for key, value in values.items()]
    command = ["upgrade", "--install", "driftline", "charts/driftline", "-n", SYSTEM, "--create-namespace"]
    try:
        cluster.helm(*command, "--wait", "--timeout=120s", *settings)
    except AssertionError as error:
        pods = cluster.kubectl("-n", SYSTEM, "get", "pods", check=False)
        logs = cluster.kubectl("-n", SYSTEM, "logs", "-l", "app.kubernetes.io/name=driftline", check=False)
        raise AssertionError(f"{error}\n{pods}\n{logs[-3000:]}") from None


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """Of the test's own, deleted with it."""
    name = f"e2e-{os.urandom(3).hex()}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
