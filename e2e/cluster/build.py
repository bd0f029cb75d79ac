"""Builds the cluster's binary once, and keeps it outside the checkout.

One Go program holds etcd and all Kubernetes components. What it is made from is hashed; a changed go.mod,
go.sum or main.go is built anew beside the older ones.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster.report import ClusterError, step

SOURCE = Path(__file__).parent
OLDEST = SOURCE / "oldest"
"""The control plane of the oldest minor that the chart supports, a module of its own."""
INPUTS = ("go.mod", "go.sum", "main.go")
HELM_VERSION = "v3.22.0"
CERT_MANAGER = SOURCE / "certmanager"
"""A program of cert-manager's own controllers, a module of its own."""
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


def cert_manager_version() -> str:
    """The version in its go.mod, such as v1.21.2."""
    return _required(CERT_MANAGER, "github.com/cert-manager/cert-manager")


def _required(source: Path, module: str) -> str:
    match = re.search(rf"{re.escape(module)} (v[0-9.]+)", (source / "go.mod").read_text())
    if match is None:
        raise ClusterError(f"{source / 'go.mod'}: requires no {module}")
    return match[1]


def binary(source: Path = SOURCE) -> Path:
    """The program, built if need be (minutes the first time). Raises ClusterError where it can't be built."""
    path = cache() / f"kube-{kubernetes_version(source)}-{_digest(source)}"
    if path.exists():
        return path
    with locked(cache() / "build.lock"):
        if not path.exists():
            _build(source, path)
    return path


def _digest(source: Path) -> str:
    return hashlib.sha256(b"".join((source / name).read_bytes() for name in INPUTS)).hexdigest()[:16]


def tested() -> Path:
    """The module of the control plane that tests run; DRIFTLINE_KUBERNETES=oldest: the oldest minor."""
    wanted = os.environ.get("DRIFTLINE_KUBERNETES", "newest")
    if wanted not in ("newest", "oldest"):
        raise ClusterError(f"DRIFTLINE_KUBERNETES is newest or oldest, not {wanted!r}")
    return OLDEST if wanted == "oldest" else SOURCE


def control_plane() -> Path:
    """What API server and controller-manager run of."""
    return binary(tested())


def helm() -> Path:
    """Helm's command, built if need be. Raises ClusterError where it can't be built."""
    path = cache() / f"helm-{HELM_VERSION}"
    if path.exists():
        return path
    with locked(cache() / "helm.lock"), step(f"building Helm {HELM_VERSION} (a minute, once)"):
        if not path.exists():
            folder = cache() / "helm.part"
            environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(folder)}
            go(["install", f"helm.sh/helm/v3/cmd/helm@{HELM_VERSION}"], environment)
            (folder / "helm").rename(path)
    return path


def cert_manager() -> Path:
    """cert-manager's controllers, built if need be. Raises ClusterError where they can't be."""
    version = cert_manager_version()
    path = cache() / f"cert-manager-{version}-{_digest(CERT_MANAGER)}"
    if path.exists():
        return path
    with (
        locked(cache() / "cert-manager.lock"),
        step(f"building cert-manager {version} (two minutes, once)"),
    ):
        if not path.exists():
            made = path.with_suffix(".part")
            environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
            options = ["-trimpath", "-ldflags", "-s -w", "-o", str(made)]
            go(["build", *options, "."], environment, CERT_MANAGER)
            made.rename(path)
    return path


def cert_manager_definitions() -> Path:
    """The folder of cert-manager's resource definitions, in its module."""
    module = "github.com/cert-manager/cert-manager"
    found = go(["list", "-m", "-f", "{{.Dir}}", module], dict(os.environ), CERT_MANAGER)
    return Path(found.strip()) / "deploy" / "crds"


def prometheus() -> Path:
    """Prometheus, built if need be: Debian's can't find pods by the API. Raises ClusterError."""
    path = cache() / f"prometheus-{PROMETHEUS_VERSION}"
    if path.exists():
        return path
    with (
        locked(cache() / "prometheus.lock"),
        step(f"building Prometheus {PROMETHEUS_VERSION} (minutes, once)"),
    ):
        if not path.exists():
            _build_prometheus(path)
    return path


def _build_prometheus(path: Path) -> None:
    """In the module's own folder, for it replaces modules; of all ways to find targets only Kubernetes'."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly"}
    module = f"github.com/prometheus/prometheus@{PROMETHEUS_VERSION}"
    folder = json.loads(go(["mod", "download", "-json", module], environment))["Dir"]
    made = path.with_suffix(".part")
    tags = "netgo,remove_all_sd,enable_kubernetes_sd"
    options = ["-trimpath", "-tags", tags, "-ldflags", "-s -w", "-o", str(made)]
    go(["build", "-C", folder, *options, "./cmd/prometheus"], environment)
    made.rename(path)


def _build(source: Path, path: Path) -> None:
    version = kubernetes_version(source)
    _, minor, _ = version.split(".")
    flags = ["-s", "-w"]
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        values = {"gitVersion": version, "gitMajor": "1", "gitMinor": minor}
        flags += [f"-X {package}.{name}={value}" for name, value in values.items()]
    made = path.with_suffix(".part")
    with step(f"building Kubernetes {version} (about 8 minutes on two cores, once)"):
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        go(["build", "-trimpath", "-ldflags", " ".join(flags), "-o", str(made), "."], environment, source)
        made.rename(path)


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
