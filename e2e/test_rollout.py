"""A rollout under load, beside the same rollout of the same model without sidecar."""

from __future__ import annotations

import pytest

from e2e import scenes, steps
from e2e.conftest import Cluster

NEVER = {"driftline.io/inject": "false"}


@pytest.mark.parametrize("lasting", [True, False], ids=["a model that lasts", "a model that ends at once"])
def test_a_rollout_loses_no_request_for_the_sidecar(
    cluster: Cluster, driftline: str, namespace: str, lasting: bool
) -> None:
    given = scenes.container(**(scenes.LASTING if lasting else {}))
    steps.watched(
        cluster,
        namespace,
        scenes.monitor(),
        scenes.service(name="watched"),
        scenes.deployment(2, "watched", containers=[given]),
        scenes.service(name="bare"),
        scenes.deployment(2, "bare", NEVER, containers=[given]),
    )
    both = ("deployment/watched", "deployment/bare")
    for each in both:
        steps.rolled_out(cluster, namespace, each)
    assert scenes.sidecars(cluster, namespace, "part=watched") == [True] * 2
    assert scenes.sidecars(cluster, namespace, "part=bare") == [False] * 2
    for name in ("watched", "bare"):
        cluster.apply(namespace, scenes.load(f"load-{name}", rate=20, to=name))
    steps.begun(cluster, namespace, "load-watched", "load-bare")
    before = {each["metadata"]["name"] for each in steps.model_pods(cluster, namespace)}
    cluster.kubectl("-n", namespace, "rollout", "restart", *both)
    for each in both:
        steps.rolled_out(cluster, namespace, each)
    cluster.kubectl("-n", namespace, "wait", "pod", *before, "--for=delete", "--timeout=90s")
    watched = steps.stopped(cluster, namespace, "load-watched")
    bare = steps.stopped(cluster, namespace, "load-bare")
    print(
        f"failed of sent: watched {watched['failed']}/{watched['sent']}, bare {bare['failed']}/{bare['sent']}"
    )
    assert before & set(watched["pods"]), "served by the old pods"
    assert set(watched["pods"]) - before, "and by the new ones"
    if lasting:
        assert bare["failed"] == 0, f"the model itself: {bare['errors']}"
        assert watched["failed"] == 0, watched["errors"]
        return
    # How many hit a pod that has gone is chance, with and without: what they see there must be the same, and
    # the count no more than four standard deviations of a difference of two such counts above.
    assert steps.connections_only(watched), watched["errors"]
    chance = 4 * (2 * (bare["failed"] + 1)) ** 0.5
    assert watched["failed"] <= bare["failed"] + chance, (watched["errors"], bare["errors"])
