"""Sidecars that don't start."""

from __future__ import annotations

from e2e import scenes, steps
from e2e.conftest import Cluster, eventually


def test_a_sidecar_that_cannot_start_suspends_the_injection(
    cluster: Cluster, driftline: str, namespace: str
) -> None:
    # Less memory than the interpreter needs: it is killed again and again.
    given = scenes.monitor(
        injection={"proxy": {"resources": {"limits": {"memory": "6Mi"}, "requests": {"memory": "6Mi"}}}}
    )
    steps.watched(cluster, namespace, given, scenes.service(), scenes.deployment(1))
    found = eventually(lambda: steps.says(cluster, namespace, "Injected", "InjectionSuspended"), 150)
    assert "driftline-proxy" in found["message"]
    cluster.kubectl("-n", namespace, "delete", "pods", "-l", "app=flights", "--wait=false")
    steps.rolled_out(cluster, namespace)
    assert scenes.sidecars(cluster, namespace) == [False]
