"""What the tests of shadows apply and look at: a monitor a path, candidates by environment, accounts."""

from __future__ import annotations

import csv
import gzip
import json
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
from driftline_operator import names

from e2e import scenes
from e2e.conftest import REPO, Cluster, eventually
from e2e.model.load import Load

Json = dict[str, Any]

HURRIED: Json = {"minTime": "5s", "allowUnderADay": True}
"""A verdict on seconds, said so: the gate asks for a day otherwise."""


def path(name: str) -> str:
    """The model's path of that monitor."""
    return f"/{name}/predict"


def monitor(name: str, **spec: Any) -> Json:
    """One of several on the same pods: by its path."""
    return scenes.monitor(name, endpoint={"port": "http", "paths": [path(name)]}, **spec)


def shadow(name: str, env: dict[str, str], gate: Json, **spec: Any) -> Json:
    """A candidate that is the live model with other variables; of the monitor of its name."""
    given = [{"name": key, "value": value} for key, value in {"TRACK": "shadow", **env}.items()]
    return {
        "apiVersion": "driftline.io/v1alpha1",
        "kind": "ShadowDeployment",
        "metadata": {"name": name},
        "spec": {
            "monitorRef": {"name": name},
            "candidate": {"patch": {"env": given}},
            "minPairs": 100,
            "duration": "1h",
            "traffic": {"timeout": "2s", "queue": 1000},
            "gate": HURRIED | gate,
            **spec,
        },
    }


def watched(cluster: Cluster, namespace: str, monitors: Collection[Json], *more: Json) -> None:
    """The monitors first, and the webhook's entries in force before pods come."""
    cluster.apply(namespace, scenes.profile(next(iter(monitors))), *monitors)

    def entered() -> bool:
        found = cluster.kubectl(
            "get", "mutatingwebhookconfigurations", f"driftline-{namespace}", "-o", "json", check=False
        )
        return bool(found) and len(json.loads(found)["webhooks"]) == len(monitors)

    eventually(entered)
    for name in [each["metadata"]["name"] for each in monitors]:

        def is_loaded(name: str = name) -> bool:
            found = cluster.conditions(namespace, name).get("ReferenceReady", {})
            return found.get("status") == "True"

        eventually(is_loaded)
    cluster.apply(namespace, *more)


def status(cluster: Cluster, namespace: str, name: str) -> Json:
    """What the shadow's status says."""
    found: Json = cluster.get(namespace, "sd", name).get("status", {})
    return found


def rule(found: Json, name: str) -> Json:
    """One rule of a status; empty before it is judged."""
    return next((each for each in found.get("rules", ()) if each["rule"] == name), {})


def condition(found: Json, aspect: str) -> Json:
    """One condition of a status."""
    return next((each for each in found.get("conditions", ()) if each["type"] == aspect), {})


def until(
    cluster: Cluster, namespace: str, name: str, holds: Callable[[Json], bool], seconds: float = 300.0
) -> Json:
    """The shadow's status once that holds of it; all of it in the failure otherwise."""
    deadline = time.monotonic() + seconds
    while not holds(found := status(cluster, namespace, name)):
        assert time.monotonic() < deadline, f"{name} after {seconds:.0f} s: {json.dumps(found, indent=1)}"
        time.sleep(0.5)
    return found


def candidate_url(cluster: Cluster, namespace: str, name: str) -> str:
    """Of that shadow's candidate, for who is in the cluster."""
    service = cluster.get(namespace, "service", names.candidate(name))
    return f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"


def mirroring(cluster: Cluster, namespace: str, *names: str) -> None:
    """Their candidates are ready, and the sidecars told."""
    for name in names:
        until(cluster, namespace, name, lambda found: bool(found.get("started")))


def any_eligible(found: Json) -> bool:
    """Have the sidecars begun to count?"""
    return int(found.get("account", {}).get("eligible", 0)) > 0


def settled(cluster: Cluster, namespace: str, name: str) -> Json:
    """The account once nothing waits and nothing changes any more; it adds up."""
    last: list[Json] = []

    def still() -> Json | None:
        found: Json = status(cluster, namespace, name)["account"]
        last.append(found)
        same = len(last) > 5 and all(each == found for each in last[-5:])
        return found if same and not found.get("waiting") else None

    found: Json = eventually(still, 180, every=1.0)
    adds_up(found)
    return found


def adds_up(account: Json) -> None:
    """Eligible = mirrored + dropped + lost + waiting, mirrored = paired + failed."""
    mirrored = account.get("mirrored", 0)
    dropped, failed = (sum(account.get(kind, {}).values()) for kind in ("dropped", "failed"))
    rest = account.get("lost", 0) + account.get("waiting", 0)
    assert account.get("eligible", 0) == mirrored + dropped + rest, account
    assert mirrored == account.get("paired", 0) + failed, account


# ---- the same comparison, offline ----


def fitted(months: Collection[int]) -> dict[str, float]:
    """A logistic regression of `late` on the year of flights, by Newton's method: what `WEIGHTS` takes."""
    with gzip.open(REPO / "examples" / "flights" / "flights.csv.gz", "rt") as file:
        rows = [
            (float(row["dep_delay"]), row["carrier"] == "AA", 1.0, row["late"] == "1")
            for row in csv.DictReader(file)
            if int(row["month"]) in months
        ]
    known = np.array(rows, np.float64)
    x, late = known[:, :3], known[:, 3]
    weights = np.zeros(3)
    for _ in range(25):
        share = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        curvature = (x * (share * (1 - share))[:, None]).T @ x
        weights += np.linalg.solve(curvature, x.T @ (late - share))
    return dict(zip(("delay", "AA", "bias"), weights.tolist(), strict=True))


def disagreements(first: dict[str, float], second: dict[str, float], seed: int, requests: int) -> list[float]:
    """Of each request that `load.py` sent with that seed: the share of rows on which the models differ."""
    load = Load("", 0.0, seed)
    bodies: Iterable[list[dict[str, Any]]] = (load.body()["instances"] for _ in range(requests))
    return [float(np.mean([late(first, row) != late(second, row) for row in rows])) for rows in bodies]


def late(weights: dict[str, float], row: dict[str, Any]) -> bool:
    """As `model/app.py` has it."""
    score = weights["delay"] * row["delay"] + weights["AA"] * (row["carrier"] == "AA") + weights["bias"]
    return bool(score > 0)
