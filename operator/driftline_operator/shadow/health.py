"""How a candidate fares, from its Deployment and its pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from driftline_operator.cluster.resources import Object
from driftline_operator.controller.plan.workloads import template_pod
from driftline_operator.injection import pod as pods
from driftline_operator.shadow.candidate import meets
from driftline_operator.shadow.reasons import Health

_PASSING: Final = ("ContainerCreating", "PodInitializing", "")


class Found(NamedTuple):
    """Ready: one pod of it answers."""

    ready: bool
    reason: str
    message: str

    def noting(self, note: str) -> Found:
        """The same, with that in its message."""
        return self._replace(message=f"{self.message}; {note}") if note else self


def health(
    deployment: Object | None, service: Object | None, every: Iterable[Object], marks: Mapping[str, str]
) -> Found:
    """Of the candidate whose pods, and Service's selector, carry those labels.

    Pods of an older candidate of the same shadow have another mark: they count for nothing. What a pod says
    goes before what the Deployment says.
    """
    if deployment is None or service is None or not _mean(deployment, service, marks):
        return Found(ready=False, reason=Health.STARTING, message="its Deployment and Service are being made")
    wanted = int((deployment.get("spec") or {}).get("replicas", 1))
    own = [each for each in every if meets(marks, pods.labels(each))]
    ready = sum(map(_is_ready, own))
    if ready:
        return Found(ready=True, reason=Health.READY, message=f"{ready} of {wanted} pods are ready")
    complaint = next(_complaints(own), None)
    if complaint is not None:
        return Found(False, *complaint)
    conditions = (deployment.get("status") or {}).get("conditions") or []
    for kind in ("ReplicaFailure", "Progressing"):
        said = _condition(conditions, kind)
        if said is not None and said["status"] == ("True" if kind == "ReplicaFailure" else "False"):
            return Found(False, Health.NO_PROGRESS, str(said.get("message", ""))[:300])
    return Found(ready=False, reason=Health.STARTING, message=f"0 of {wanted} pods are ready")


def health_of_service(service: Object, every: Iterable[Object]) -> Found:
    """Of a candidate that runs already, behind a Service of somebody's: one pod that it selects is ready.

    One without a selector has its endpoints from elsewhere, and counts as ready.
    """
    name, selector = service["metadata"]["name"], service["spec"].get("selector") or {}
    if not selector:
        return Found(ready=True, reason=Health.READY, message=f"Service {name}, which selects no pods")
    own = [each for each in every if meets(selector, pods.labels(each))]
    ready = sum(map(_is_ready, own))
    said = f"Service {name}: {ready} of {len(own)} pods are ready"
    if ready:
        return Found(ready=True, reason=Health.READY, message=said)
    complaint = next(_complaints(own), None)
    return Found(False, *complaint) if complaint else Found(False, Health.STARTING, said)


def _mean(deployment: Object, service: Object, marks: Mapping[str, str]) -> bool:
    """Are both, as the cluster has them by now, of that candidate, and was the Deployment acted upon?"""
    observed = (deployment.get("status") or {}).get("observedGeneration", 0)
    return (
        meets(marks, pods.labels(template_pod(deployment)))
        and meets(marks, service["spec"].get("selector") or {})
        and observed >= deployment["metadata"].get("generation", 0)
    )


def _is_ready(pod: Object) -> bool:
    said = _condition((pod.get("status") or {}).get("conditions") or [], "Ready")
    return said is not None and said["status"] == "True" and not pod["metadata"].get("deletionTimestamp")


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
