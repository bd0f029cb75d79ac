"""How a candidate fares, from its Deployment and its pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from driftline_operator import names
from driftline_operator.cluster.resources import Object
from driftline_operator.injection import pod as pods
from driftline_operator.shadow.reasons import Health

_PASSING: Final = ("ContainerCreating", "PodInitializing", "")


class Found(NamedTuple):
    """Ready: one pod of it answers."""

    ready: bool
    reason: str
    message: str


def health(deployment: Object | None, every: Iterable[Object], uid: str) -> Found:
    """Of the candidate of the shadow with that UID. What a pod says goes before what its Deployment says."""
    if deployment is None:
        return Found(ready=False, reason=Health.STARTING, message="the Deployment is being made")
    status = deployment.get("status") or {}
    wanted = int((deployment.get("spec") or {}).get("replicas", 1))
    ready = int(status.get("readyReplicas") or 0)
    if ready:
        return Found(ready=True, reason=Health.READY, message=f"{ready} of {wanted} pods are ready")
    own = [each for each in every if pods.labels(each).get(names.SHADOW_LABEL) == uid]
    complaint = next(_complaints(own), None)
    if complaint is not None:
        return Found(False, *complaint)
    for kind in ("ReplicaFailure", "Progressing"):
        said = _condition(status.get("conditions") or [], kind)
        if said is not None and said["status"] == ("True" if kind == "ReplicaFailure" else "False"):
            return Found(False, Health.NO_PROGRESS, str(said.get("message", ""))[:300])
    return Found(ready=False, reason=Health.STARTING, message=f"0 of {wanted} pods are ready")


def _condition(found: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any] | None:
    return next((each for each in found if each["type"] == kind), None)


def _complaints(own: Iterable[Object]) -> Iterator[tuple[Health, str]]:
    for pod in own:
        status = pod.get("status") or {}
        for container in (
            *(status.get("initContainerStatuses") or ()),
            *(status.get("containerStatuses") or ()),
        ):
            what = f"{pod['metadata']['name']}/{container['name']}"
            waiting = (container.get("state") or {}).get("waiting") or {}
            ended = (container.get("lastState") or {}).get("terminated") or {}
            word = str(waiting.get("reason") or "")
            if word == "CrashLoopBackOff" or (
                ended.get("exitCode") and int(container.get("restartCount", 0)) > 1
            ):
                code = f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode', '?')}"
                yield Health.CRASHING, f"{what}: {code}, {container.get('restartCount', 0)} restarts"
            elif word not in _PASSING:
                yield Health.NOT_STARTED, f"{what}: {word}: {str(waiting.get('message', ''))[:200]}"
