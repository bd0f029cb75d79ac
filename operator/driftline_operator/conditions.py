"""The conditions of a ModelMonitor and the closed lists of their reasons. Pure.

Where a monitor's injection is refused, the reason is the SkipReason itself: one word everywhere.
`Unknown` is the status of what can't be told: no data is never a pass.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """As Kubernetes writes it."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Aspect(StrEnum):
    """The types of conditions, in the order in which they are shown."""

    READY = "Ready"
    INJECTED = "Injected"
    REFERENCE_READY = "ReferenceReady"
    DATA_DRIFT = "DataDrift"
    PREDICTION_DRIFT = "PredictionDrift"
    DATA_QUALITY = "DataQuality"
    PERFORMANCE = "Performance"
    CONCEPT_DRIFT = "ConceptDrift"
    FAIRNESS = "Fairness"


class ShadowAspect(StrEnum):
    """Those of a ShadowDeployment; their reasons are in `shadow.reasons`."""

    CANDIDATE_READY = "CandidateReady"
    MIRRORING = "Mirroring"
    PROMOTABLE = "Promotable"
    """The verdict: True Promotable, False Rejected, Unknown Inconclusive."""
    PROMOTED = "Promoted"
    FINISHED = "Finished"


class ReadyReason(StrEnum):
    """Why a monitor does its work, or what keeps it from it: the first that applies."""

    MONITORING = "Monitoring"
    INVALID_SPEC = "InvalidSpec"
    """The API server took it, but the sidecar couldn't: the message names field and value."""
    NOT_INJECTED = "NotInjected"
    """No pod of it carries the sidecar; the condition Injected says why."""
    NO_REFERENCE = "NoReference"
    """Nothing to compare with; the condition ReferenceReady says why."""
    NO_ANSWER = "NoAnswer"
    """None of the injected pods' analyzers could be asked."""


class InjectedReason(StrEnum):
    """Whether the selected pods carry the sidecar. Further reasons: every SkipReason."""

    ALL_INJECTED = "AllInjected"
    PARTLY_INJECTED = "PartlyInjected"
    """Some pods started without: before the monitor, or while no injector answered."""
    OUTDATED = "Outdated"
    """All carry it, some in an older form."""
    HEADLESS_SERVICE = "HeadlessService"
    """All carry it, but who calls the pods by the app's number goes past it."""
    NO_PODS = "NoPods"
    INVALID_SPEC = "InvalidSpec"
    SUSPENDED = "InjectionSuspended"
    """Injected sidecars fail to start: new pods start without until that is mended."""
    NO_CERTIFICATE = "NoCertificate"
    """The webhook can't be asked yet."""
    TOO_MANY_MONITORS = "TooManyMonitors"
    """The namespace's webhook entries don't fit one object, or what is told in one doesn't fit a request."""
    NAME_CONFLICT = "NameConflict"
    """An older monitor's objects have the names that this one's would have."""


class ReferenceReason(StrEnum):
    """What live traffic is compared with."""

    PROFILE_LOADED = "ProfileLoaded"
    CAPTURED = "Captured"
    CAPTURING = "Capturing"
    """The first rows of live traffic are being gathered."""
    NO_REFERENCE = "NoReference"
    """The spec names neither a profile nor a capture."""
    PROFILE_NOT_FOUND = "ProfileNotFound"
    PROFILE_INVALID = "ProfileInvalid"
    PROFILE_TOO_LARGE = "ProfileTooLarge"
    PROFILE_OUTSIDE = "ProfileOutside"
    """`reference.profile.file` is of one machine: in a cluster a ConfigMap holds it."""
    CAPTURE_FAILED = "CaptureFailed"
    """Rows came, but make no profile; the message says why."""
    INVALID_SPEC = "InvalidSpec"


class DriftReason(StrEnum):
    """DataDrift, PredictionDrift and DataQuality."""

    DRIFT_DETECTED = "DriftDetected"
    NO_DRIFT = "NoDrift"
    WITHIN_LIMITS = "WithinLimits"
    """DataQuality: nothing is above the monitor's limits."""
    LIMITS_EXCEEDED = "LimitsExceeded"
    INSUFFICIENT_DATA = "InsufficientData"
    """Too few rows, or the window isn't full yet."""
    NO_DATA = "NoData"
    NO_REFERENCE = "NoReference"
    LOW_COVERAGE = "LowCoverage"
    """Of too large a share of the pods' time the counts couldn't be had."""
    STALE = "Stale"
    """No round over the pods has ended for long; the controller's log says why."""
    INVALID_SPEC = "InvalidSpec"


class HubReason(StrEnum):
    """Performance, ConceptDrift and Fairness: what the hub found, or why there is no word of it."""

    WITHIN_THRESHOLDS = "WithinThresholds"
    THRESHOLD_CROSSED = "ThresholdCrossed"
    """Performance: a metric with its whole interval; Fairness: a difference of groups. It lasts."""
    CONCEPT_CHANGED = "ConceptChanged"
    NO_CHANGE = "NoChange"
    NO_THRESHOLDS = "NoThresholds"
    """The spec sets none: figures are said, nothing is judged."""
    NOT_ASKED = "NotAsked"
    """ConceptDrift: the spec has no `performance`."""
    NO_DATA = "NoData"
    NO_LABELS = "NoLabels"
    INSUFFICIENT_LABELS = "InsufficientLabels"
    UNKNOWN_CLASS = "UnknownClass"
    """Labels or predictions name classes that the spec doesn't know; which one is positive isn't clear."""
    NO_REFERENCE = "NoReference"
    """The comparison needs a reference profile with labels."""
    TOO_FEW_GROUPS = "TooFewGroups"
    UNCERTAIN = "Uncertain"
    """A value is beyond a threshold, its interval reaches across: neither pass nor fail."""
    UNDEFINED = "Undefined"
    """The metric has no value of these rows; the message says why."""
    NO_HUB = "NoHub"
    UNREACHABLE = "HubUnreachable"
    REFUSED = "HubRefused"
    """The hub doesn't take this controller's token, or the monitor; the message says which."""
    NOT_TOLD = "HubNotTold"
    """The hub doesn't know the monitor yet."""
    STALE = "StaleReport"


class Finding(NamedTuple):
    """One condition as it is found now."""

    aspect: Aspect | ShadowAspect
    status: Status
    reason: str
    message: str
