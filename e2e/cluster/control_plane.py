"""etcd, API server and controller-manager on loopback, up in seconds: for tests that need no pods to run.

All that it has lies in one directory, and its processes die with the one that started them.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import pki
from e2e.cluster.build import binary, control_plane
from e2e.cluster.report import ClusterError, step

READY_SECONDS = 60.0
_CLIENTS = (
    ("admin", "admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", None),
)

_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": ["admin"]}, {"level": "None"}],
}


@dataclass(frozen=True)
class ControlPlane:
    """A running one. `server`: its URL; `kubeconfig`: a cluster administrator's."""

    directory: Path
    server: str
    kubeconfig: Path

    @property
    def audit(self) -> Path:
        """The administrator's requests, one JSON object a line."""
        return self.directory / "audit.log"


@contextlib.contextmanager
def running(directory: Path) -> Iterator[ControlPlane]:
    """A new, empty control plane with its files in `directory`; ended with the block."""
    etcd, components = binary(), control_plane()
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack, step("starting etcd, API server and controller-manager"):
        peer, client, api = (_free_port() for _ in range(3))
        plane = _prepare(directory, f"https://127.0.0.1:{api}")
        commands: list[tuple[str, list[str], Callable[[], bool]]] = [
            ("etcd", _etcd(directory, peer, client), lambda: _answers(f"http://127.0.0.1:{client}/health")),
            ("kube-apiserver", _api_server(directory, client, api), lambda: _ready(plane)),
            ("kube-controller-manager", _controller_manager(directory), lambda: True),
        ]
        for name, arguments, ready in commands:
            program = etcd if name == "etcd" else components
            log = directory / f"{name}.log"
            process = stack.enter_context(_child([str(program), name, *arguments], log))
            _await(name, process, log, ready)
        kept = stack.pop_all()
    with kept:
        yield plane


def _prepare(directory: Path, server: str) -> ControlPlane:
    authority = pki.authority(directory)
    authority.server("apiserver")
    pki.service_account_keys(directory)
    (directory / "audit-policy.json").write_text(json.dumps(_AUDIT))
    for name, user, group in _CLIENTS:
        authority.client(name, user, group)
        authority.kubeconfig(name, server)
    return ControlPlane(directory, server, directory / "admin.kubeconfig")


def _etcd(directory: Path, peer: int, client: int) -> list[str]:
    peer_url, client_url = f"http://127.0.0.1:{peer}", f"http://127.0.0.1:{client}"
    return [
        f"--data-dir={directory / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        f"--listen-client-urls={client_url}",
        f"--advertise-client-urls={client_url}",
    ]


def _api_server(directory: Path, etcd: int, port: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={directory / 'apiserver.crt'}",
        f"--tls-private-key-file={directory / 'apiserver.key'}",
        f"--client-ca-file={directory / 'ca.crt'}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={directory / 'sa.pub'}",
        f"--service-account-signing-key-file={directory / 'sa.key'}",
        "--endpoint-reconciler-type=none",
        f"--audit-policy-file={directory / 'audit-policy.json'}",
        f"--audit-log-path={directory / 'audit.log'}",
    ]


def _controller_manager(directory: Path) -> list[str]:
    return [
        f"--kubeconfig={directory / 'controller-manager.kubeconfig'}",
        f"--service-account-private-key-file={directory / 'sa.key'}",
        f"--root-ca-file={directory / 'ca.crt'}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--controllers=*,-nodeipam,-cloud-node-lifecycle,-nodelifecycle",
        "--bind-address=127.0.0.1",
        f"--secure-port={_free_port()}",
        f"--cert-dir={directory / 'controller-manager'}",
    ]


@contextlib.contextmanager
def _child(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    # A test run that is killed leaves no cluster behind.
    bound = ["setpriv", "--pdeathsig", "KILL", *command]
    with log.open("ab") as output:
        process = subprocess.Popen(bound, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()  # nothing in it outlives the tests
        process.wait(10)


def _await(name: str, process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:]
            ended = "it runs" if process.poll() is None else f"exit status {process.poll()}"
            raise ClusterError(f"{name} did not come up ({ended}); {log} ends with:\n{said}")
        time.sleep(0.05)


def _ready(plane: ControlPlane) -> bool:
    context = ssl.create_default_context(cafile=plane.directory / "ca.crt")
    context.load_cert_chain(plane.directory / "admin.crt", plane.directory / "admin.key")
    return _answers(f"{plane.server}/readyz", context)


def _answers(url: str, context: ssl.SSLContext | None = None) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
