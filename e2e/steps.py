"""What the end-to-end tests do again and again: bring a monitored model up, drive it, look at its pods."""

from __future__ import annotations

from typing import Any

from e2e import scenes
from e2e.conftest import Cluster, eventually

Json = dict[str, Any]


def watched(cluster: Cluster, namespace: str, given: Json, *more: Json) -> None:
    """The monitor first, and its webhook entry in force before the model's pods come."""
    cluster.apply(namespace, scenes.profile(given), given)
    entry = ("get", "mutatingwebhookconfigurations", f"driftline-{namespace}", "-o", "name")
    eventually(lambda: cluster.kubectl(*entry, check=False))
    eventually(lambda: is_so(cluster, namespace, "ReferenceReady"))
    if more:
        cluster.apply(namespace, *more)


def is_so(cluster: Cluster, namespace: str, aspect: str, status: str = "True") -> dict[str, str] | None:
    """The monitor's condition, if it has that status."""
    found = cluster.conditions(namespace).get(aspect, {})
    return found if found.get("status") == status else None


def says(cluster: Cluster, namespace: str, aspect: str, reason: str) -> dict[str, str] | None:
    """The monitor's condition, if that is its reason."""
    found = cluster.conditions(namespace).get(aspect, {})
    return found if found.get("reason") == reason else None


def rolled_out(cluster: Cluster, namespace: str, what: str = "deployment/flights") -> None:
    """All of its pods are new and ready."""
    cluster.kubectl("-n", namespace, "rollout", "status", what, "--timeout=180s")


def model_pods(cluster: Cluster, namespace: str, selector: str = "app=flights") -> list[Json]:
    """Those that aren't ending."""
    found = cluster.get(namespace, "pods", "-l", selector)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def sidecar_status(cluster: Cluster, namespace: str, pod: str, container: str) -> Json:
    """What the kubelet says of one of a pod's sidecars."""
    found = cluster.get(namespace, "pod", pod)["status"].get("initContainerStatuses", [])
    return next((each for each in found if each["name"] == container), {"restartCount": 0})


def begun(cluster: Cluster, namespace: str, *loads: str) -> None:
    """The load pods send."""
    for name in loads:
        eventually(lambda name=name: "begins" in cluster.kubectl("-n", namespace, "logs", name, check=False))  # type: ignore[misc]


def stopped(cluster: Cluster, namespace: str, load: str) -> Json:
    """Tell a load pod to stop; how it went."""
    program = "import os, signal; os.kill(1, signal.SIGTERM)"
    # Its container may be gone before the command has ended in it: what it says at its end is what counts.
    cluster.kubectl("-n", namespace, "exec", load, "--", "python", "-c", program, check=False)
    return scenes.loaded(cluster, namespace, load)


def connections_only(said: Json) -> bool:
    """Did requests fail only as they do at a pod that isn't there? A 502 is another thing."""
    return not any(each.startswith("HTTPError") for each in said["errors"])
