"""Builds the programs of the cluster and the tests once, and keeps them outside the checkout.

One Go program holds etcd and all Kubernetes components; the others are smaller. What each is made from is
hashed: a changed go.mod, go.sum or main.go is built anew beside the older ones.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster.report import ClusterError, step

SOURCE = Path(__file__).parent
OLDEST = SOURCE / "oldest"
"""The control plane of the oldest minor that the chart supports, a module of its own."""
CERT_MANAGER = SOURCE / "certmanager"
"""A program of cert-manager's own controllers, a module of its own."""
PIPELINES = SOURCE / "pipelines"
"""What Argo Rollouts and Flagger do with an answer, of their own code, a module of its own."""
INPUTS = ("go.mod", "go.sum", "main.go")
STRIPPED = "-s -w"
HELM_VERSION = "v3.22.0"
PROMETHEUS_VERSION = "v0.313.0"
"""Of the module; the program calls itself 3.13.0."""


def cache() -> Path:
    """Where binaries are kept: DRIFTLINE_CACHE, else below the user's cache directory."""
    named = os.environ.get("DRIFTLINE_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = Path(named) if named else base / "driftline"
    found.mkdir(parents=True, exist_ok=True)
    return found


def kubernetes_version(source: Path = SOURCE) -> str:
    """The version in go.mod, such as v1.36.3."""
    return _required(source, "k8s.io/kubernetes")


def _required(source: Path, module: str) -> str:
    match = re.search(rf"{re.escape(module)} (v[0-9.]+)", (source / "go.mod").read_text())
    if match is None:
        raise ClusterError(f"{source / 'go.mod'}: requires no {module}")
    return match[1]


def tested() -> Path:
    """The module of the control plane that tests run; DRIFTLINE_KUBERNETES=oldest: the oldest minor."""
    wanted = os.environ.get("DRIFTLINE_KUBERNETES", "newest")
    if wanted not in ("newest", "oldest"):
        raise ClusterError(f"DRIFTLINE_KUBERNETES is newest or oldest, not {wanted!r}")
    return OLDEST if wanted == "oldest" else SOURCE


def control_plane() -> Path:
    """What API server and controller-manager run of."""
    return binary(tested())


# Each of these gives a program, built if need be, and raises ClusterError where it can't be.


def binary(source: Path = SOURCE) -> Path:
    """etcd and Kubernetes."""
    version = kubernetes_version(source)
    _, minor, _ = version.split(".")
    flags = [STRIPPED]
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        values = {"gitVersion": version, "gitMajor": "1", "gitMinor": minor}
        flags += [f"-X {package}.{name}={value}" for name, value in values.items()]
    return _of(source, f"kube-{version}", "about 8 minutes on two cores", " ".join(flags))


def cert_manager() -> Path:
    """cert-manager's controllers."""
    version = _required(CERT_MANAGER, "github.com/cert-manager/cert-manager")
    return _of(CERT_MANAGER, f"cert-manager-{version}", "two minutes")


def pipelines() -> Path:
    """What asks as Argo Rollouts and as Flagger do."""
    return _of(PIPELINES, "pipelines", "four minutes")


def helm() -> Path:
    """Helm's command."""
    return _released("helm", "helm.sh/helm/v3", HELM_VERSION)


def prometheus() -> Path:
    """Prometheus, as Debian's can't find pods by the API; of all ways to find targets only Kubernetes'."""
    tags = "netgo,remove_all_sd,enable_kubernetes_sd"
    return _released("prometheus", "github.com/prometheus/prometheus", PROMETHEUS_VERSION, "-tags", tags)


def cert_manager_definitions() -> Path:
    """The folder of cert-manager's resource definitions, in its module."""
    module = "github.com/cert-manager/cert-manager"
    found = go(["list", "-m", "-f", "{{.Dir}}", module], dict(os.environ), CERT_MANAGER)
    return Path(found.strip()) / "deploy" / "crds"


def _of(source: Path, name: str, lasts: str, flags: str = STRIPPED) -> Path:
    """The program of a module of this project."""
    digest = hashlib.sha256(b"".join((source / each).read_bytes() for each in INPUTS)).hexdigest()[:16]
    return _kept(f"{name}-{digest}", lasts, lambda made: _build(made, source, ".", "-ldflags", flags))


def _released(name: str, module: str, version: str, *options: str) -> Path:
    """The command of a released module, built in the module's own folder, for it may replace modules."""

    def build(made: Path) -> None:
        found = json.loads(go(["mod", "download", "-json", f"{module}@{version}"], dict(os.environ)))
        _build(made, Path(found["Dir"]), f"./cmd/{name}", "-ldflags", STRIPPED, *options)

    return _kept(f"{name}-{version}", "minutes", build)


def _build(made: Path, source: Path, package: str, *options: str) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly"}
    go(["build", "-trimpath", *options, "-o", str(made), package], environment, source)


def _kept(name: str, lasts: str, build: Callable[[Path], None]) -> Path:
    """What is in the cache by that name; built by one process at a time, and there only once it is whole."""
    path = cache() / name
    if path.exists():
        return path
    with locked(cache() / f"{name}.lock"):
        if not path.exists():
            made = cache() / f"{name}.part"
            with step(f"building {name} ({lasts}, once)"):
                build(made)
            made.rename(path)
    return path


def go(arguments: list[str], environment: dict[str, str], source: Path = SOURCE) -> str:
    """Go's command; what it prints. Raises ClusterError where it fails."""
    program = shutil.which("go")
    if program is None:
        raise ClusterError("Go is not on the path; the cluster's programs are built with Go 1.26 or newer")
    ended = subprocess.run(
        [program, *arguments], cwd=source, env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise ClusterError(f"go {arguments[0]} ended with {ended.returncode}:\n{ended.stderr[-3000:]}")
    return ended.stdout


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock among processes, for as long as the block lasts."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
