"""Which workloads are rolled out anew, for monitors that ask for it (`injection.restart: OnChange`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from driftline_operator import names
from driftline_operator.cluster.resources import Object
from driftline_operator.controller.observed import Installation, NamespaceState
from driftline_operator.controller.plan.pods import time_of
from driftline_operator.controller.plan.workloads import is_settled, template_pod, workload_of
from driftline_operator.injection import pod as pods
from driftline_operator.injection.decide import decide
from driftline_operator.injection.selectors import matches

AGAIN: Final = dt.timedelta(minutes=10)
"""A rollout that didn't bring the sidecar is repeated no sooner: the injectors may have been away."""


class Restart(NamedTuple):
    """A rollout to ask for."""

    kind: str
    name: str
    patch: dict[str, Any]
    """Merge patch of the workload."""
    why: str


def restarts(
    state: NamespaceState, installation: Installation, entered: Collection[str], now: dt.datetime
) -> list[Restart]:
    """Rollouts of workloads with pods that lack what they would get now.

    `entered`: the monitors whose webhook entry is in force; without it a rollout would bring nothing.
    """
    known = [
        each.monitor for each in state.monitors if each.monitor is not None and each.name not in state.held
    ]
    planned: dict[str, Restart] = {}
    for pod in state.pods:
        workload = workload_of(pod, state.workloads)
        if workload is None or pod["metadata"].get("deletionTimestamp"):
            continue
        key = str(workload["metadata"].get("uid", ""))
        if key in planned or pods.labels(pod).get(names.INJECT_LABEL) == "false":
            continue
        selecting = [each for each in known if matches(each.spec.selector, pods.labels(pod))]
        asking = [
            each
            for each in selecting
            if each.spec.injection.restart == "OnChange" and each.metadata.name in entered
        ]
        if not asking:
            continue
        decision = decide(
            template_pod(workload), selecting, installation.sidecar, enabled=installation.enabled
        )
        has = (pod["metadata"].get("annotations") or {}).get(names.INJECTION_HASH_ANNOTATION)
        if not decision.digest or has == decision.digest or not _is_due(workload, decision.digest, now):
            continue
        planned[key] = _restart(workload, decision.digest, bare=has is None, now=now)
    return list(planned.values())


def _is_due(workload: Object, digest: str, now: dt.datetime) -> bool:
    if not is_settled(workload):
        return False
    marks = (workload["spec"]["template"].get("metadata") or {}).get("annotations") or {}
    if marks.get(names.RESTARTED_ANNOTATION) != digest:
        return True
    try:
        return now - time_of(marks[names.RESTARTED_AT_ANNOTATION]) >= AGAIN
    except (KeyError, ValueError, TypeError):
        return True


def _restart(workload: Object, digest: str, *, bare: bool, now: dt.datetime) -> Restart:
    marks = {
        names.RESTARTED_ANNOTATION: digest,
        names.RESTARTED_AT_ANNOTATION: now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    patch = {"spec": {"template": {"metadata": {"annotations": marks}}}}
    why = "pods without sidecar" if bare else "pods whose sidecar is of an older form"
    return Restart(workload["kind"], workload["metadata"]["name"], patch, why)
