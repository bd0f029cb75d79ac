"""The closed lists of reasons of a ShadowDeployment's conditions (`conditions.ShadowAspect`)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

RUNNING: Final = "Running"
"""Reason of Finished, of a shadow that has not come to its end."""


class Refusal(StrEnum):
    """Why no candidate is run, or it is run no longer: reasons of CandidateReady."""

    INVALID_SPEC = "InvalidSpec"
    MONITOR_NOT_FOUND = "MonitorNotFound"
    MONITOR_INVALID = "MonitorInvalid"
    MONITOR_MISMATCH = "MonitorMismatch"
    """Something of the spec can never come true with this monitor: a path, a segment, a rule."""
    SECOND_SHADOW = "SecondShadow"
    """An older shadow of the monitor is under way: one at a time."""
    NO_WORKLOAD = "NoWorkload"
    """No Deployment, StatefulSet or DaemonSet has pods of the monitor."""
    SEVERAL_WORKLOADS = "SeveralWorkloads"
    PATCH_INVALID = "PatchInvalid"
    HOST_NETWORK = "HostNetwork"
    """Its pods would be in their node's network, where they answer, and reach, whom live pods do."""
    PORT_NOT_FOUND = "PortNotFound"
    """No container of the candidate declares the monitor's port."""
    SELECTED_BY_SERVICE = "SelectedByService"
    """A Service would send it live traffic."""
    SELECTED_BY_WORKLOAD = "SelectedByWorkload"
    """A workload's selector, or an autoscaler by it, would count its pods."""
    NAME_TAKEN = "NameTaken"
    """Somebody else's object has the name of the candidate's."""
    SERVICE_NOT_FOUND = "ServiceNotFound"
    EXTERNAL_SERVICE = "ExternalService"
    """It is an ExternalName: an alias leads anywhere, and who may create Services makes one."""
    UNGUARDED = "Unguarded"
    """The policy is not in force by which only who may create Deployments may ask for a candidate, or for
    what is redacted otherwise."""
    NOT_ALLOWED = "NotAllowed"
    """This installation runs no candidates."""
    API_REFUSED = "ApiRefused"
    """The API server refused the candidate, the shadow's ConfigMap or the model's version: a quota, a policy,
    a form that is none."""


class Health(StrEnum):
    """How a candidate that is run fares: further reasons of CandidateReady."""

    READY = "Ready"
    STARTING = "Starting"
    NOT_STARTED = "NotStarted"
    """Its pods wait: for an image, a volume, a node."""
    CRASHING = "Crashing"
    NO_PROGRESS = "ProgressDeadlineExceeded"
    ENDED = "Ended"
    """It is run no longer."""


class Mirroring(StrEnum):
    """Reasons of Mirroring."""

    MIRRORING = "Mirroring"
    NOT_ASKED_YET = "NotAskedYet"
    """No round over the live pods has come since the controller, or the comparison, began."""
    NO_PODS = "NoLivePods"
    """No live pod with a sidecar can be asked."""
    NO_ANSWER = "NoAnswer"
    """Of none of the live pods the pairs could be had."""
    NOT_BEGUN = "NotBegun"
    """They answer, and none has read its configuration yet."""
    NO_CANDIDATE = "NoCandidate"
    WARMING_UP = "WarmingUp"
    NOT_KEPT = "NotKept"
    """The pairs fit their ConfigMap no longer."""
    NO_PLAN = "NoPlan"
    """The monitor's reference isn't there yet: it says how answers are compared."""
    ENDED = "Ended"


class Ending(StrEnum):
    """Why a shadow has come to its end: reasons of Finished."""

    REJECTED = "Rejected"
    DURATION_OVER = "DurationOver"
    LIVE_CHANGED = "LiveChanged"
    """The live workload's pods became others: the pairs would be of two live models."""
    MONITOR_CHANGED = "MonitorChanged"
    """The monitor reads bodies otherwise: the pairs would be of two questions."""
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    NOT_AUTHENTIC = "NotAuthentic"
    """It had ended, or was promoting, and what was kept of it is not what a controller wrote."""

    @property
    def keeps_verdict(self) -> bool:
        """Does the last verdict stand? Else it is about what isn't so any more, and there is none."""
        return self in (Ending.REJECTED, Ending.DURATION_OVER, Ending.PROMOTED)


class Promotion(StrEnum):
    """Reasons of Promoted."""

    NOT_ASKED = "NotAsked"
    NOT_PROMOTABLE = "NotPromotable"
    """It was asked for, and the verdict isn't Promotable."""
    OLD_GENERATION = "OtherGeneration"
    """The annotation names another generation of the spec than the one that was compared."""
    NO_FORM = "NoForm"
    """A Service has no form that could be promoted."""
    LIVE_CHANGED = "LiveChanged"
    """The live workload isn't the one that was compared any more."""
    PORT_LOST = "ServicePortLost"
    """A Service of the live pods would lead to a port that they don't have any more."""
    ROLLING_OUT = "RollingOut"
    PROMOTED = "Promoted"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"


UNTOLD: Final = frozenset({RUNNING, Mirroring.NOT_ASKED_YET, Promotion.NOT_ASKED})
"""No Event says so: nothing has happened."""
CALM: Final = frozenset({Health.STARTING, Health.ENDED, Promotion.ROLLING_OUT})
"""Its Event is no Warning, though the condition is False."""
