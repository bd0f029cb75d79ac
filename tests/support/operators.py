"""The operator's programs as a test's children, against a real API server."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from e2e.cluster.control_plane import ControlPlane
from tests.support.children import child, eventually, free_port, listens

PROGRAM = [sys.executable, "-c", "import sys; from driftline_operator.main import main; sys.exit(main())"]
IMAGE = "sidecar:test"


class Operator(NamedTuple):
    """Where the programs answer."""

    controller: int
    injector: int
    pids: tuple[int, int]


def controller(
    plane: ControlPlane, namespace: str, watched: str, injector: int, metrics: int, *more: str
) -> list[str]:
    """The command of a controller whose webhooks lead to an injector on this machine."""
    return [
        *PROGRAM, "controller", f"--namespace={namespace}", f"--kubeconfig={plane.kubeconfig}",
        f"--watch-namespaces={watched}", f"--metrics=127.0.0.1:{metrics}",
        f"--intake=127.0.0.1:{free_port()}", f"--injector-url=https://localhost:{injector}",
        f"--sidecar-image={IMAGE}", "--lease-duration=3s", "--status-interval=1s", "--pull-interval=1s",
        *more,
    ]  # fmt: skip


@contextlib.contextmanager
def operator(
    plane: ControlPlane, namespace: str, watched: str, directory: Path, *more: str
) -> Iterator[Operator]:
    """A controller and an injector, for the monitors of the namespace `watched`."""
    listen, aside, metrics = free_port(), free_port(), free_port()
    injecting = [
        *PROGRAM, "injector", f"--namespace={namespace}", f"--kubeconfig={plane.kubeconfig}",
        f"--watch-namespaces={watched}", f"--listen=127.0.0.1:{listen}", f"--metrics=127.0.0.1:{aside}",
        f"--sidecar-image={IMAGE}",
    ]  # fmt: skip
    controlling = controller(plane, namespace, watched, listen, metrics, *more)
    with (
        child(controlling, directory / "controller.log") as first,
        child(injecting, directory / "injector.log") as second,
    ):
        eventually(lambda: listens(listen), 20)  # it has a certificate by then
        yield Operator(metrics, aside, (first.pid, second.pid))
