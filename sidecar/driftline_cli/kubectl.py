"""The cluster by way of `kubectl`, which the user has and which knows how to sign in.

A client library would weigh more than all else the command line needs, and would read kubeconfigs, plug-ins
and proxies a second time. Server-side apply needs nothing but the objects.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from driftline.errors import DriftlineError

from driftline_cli.exits import EX_UNAVAILABLE

_SECONDS = 60


class ClusterError(DriftlineError):
    """kubectl isn't there, or the cluster refused; the message says what it said."""

    exit_code = EX_UNAVAILABLE


class Kubectl(NamedTuple):
    """Which cluster, and which namespace of it; empty: what the kubeconfig says."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""

    def apply(self, objects: Sequence[Mapping[str, Any]], *, force: bool) -> None:
        """Server-side apply, in order. Raises ClusterError; what was applied before it stays."""
        options = ["apply", "--server-side", "--field-manager=driftline-cli", "--filename=-"]
        if force:
            options.append("--force-conflicts")
        for each in objects:
            try:
                self._run(options, json.dumps(each))
            except ClusterError as error:
                if "conflict" not in str(error):
                    raise
                raise ClusterError(f"{error}\n--force takes it over") from error

    def names(self, kind: str, label: str) -> list[str]:
        """The objects with that label. Raises ClusterError."""
        said = self._run(["get", kind, f"--selector={label}", "--output=name"])
        return [line.partition("/")[2] for line in said.splitlines()]

    def delete(self, kind: str, names: Sequence[str]) -> None:
        """Delete these; those that are gone already are fine. Raises ClusterError."""
        self._run(["delete", kind, "--ignore-not-found", "--wait=false", *names])

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object. Raises ClusterError."""
        found: dict[str, Any] = json.loads(self._run(["get", kind, name, "--output=json"]))
        return found

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """One object; None where there is none. Raises ClusterError."""
        said = self._run(["get", kind, name, "--ignore-not-found", "--output=json"])
        found: dict[str, Any] | None = json.loads(said) if said.strip() else None
        return found

    def annotate(self, kind: str, name: str, key: str, value: str) -> None:
        """Set an annotation, whatever it was. Raises ClusterError."""
        self._run(["annotate", kind, name, f"{key}={value}", "--overwrite"])

    def _run(self, arguments: Sequence[str], given: str = "") -> str:
        places = {"kubeconfig": self.kubeconfig, "context": self.context, "namespace": self.namespace}
        command = ["kubectl", *(f"--{key}={value}" for key, value in places.items() if value), *arguments]
        try:
            done = subprocess.run(
                command, input=given, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except FileNotFoundError as error:
            raise ClusterError("kubectl is not on the path; the cluster is asked by it") from error
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"kubectl {arguments[0]}: no answer for {_SECONDS} s") from error
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip() or f"ended with {done.returncode}"
            raise ClusterError(f"kubectl {arguments[0]}: {said}")
        return done.stdout
