"""Why something is as it is, in one word: the same in annotation, Event, condition and metric."""

from __future__ import annotations

from enum import StrEnum


class SkipReason(StrEnum):
    """Why a pod, or one monitor's port on it, gets no sidecar."""

    OPT_OUT = "OptOut"
    """The pod carries `driftline.io/inject: "false"`."""
    DISABLED = "Disabled"
    """The kill switch is on."""
    ALREADY_INJECTED = "AlreadyInjected"
    HOST_NETWORK = "HostNetwork"
    """Ports of the host can't be taken over without touching other pods."""
    NO_MONITOR = "NoMonitor"
    """No monitor selects the pod any longer."""
    CONTAINER_NOT_FOUND = "ContainerNotFound"
    PORT_NOT_FOUND = "PortNotFound"
    """No container declares `endpoint.port`."""
    PORT_AMBIGUOUS = "PortAmbiguous"
    """Several containers declare it."""
    UNNAMED_PORT = "UnnamedPort"
    """PortRename moves a port's name, and this one has none."""
    PORT_PROTOCOL = "PortProtocol"
    """The port isn't TCP."""
    PORT_TAKEN = "PortTaken"
    """A container listens where the sidecar or the moved app would."""
    PRIVILEGED_PORT = "PrivilegedPort"
    """PortSwap listens on the app's number, and a container without root can't below 1024."""
    CONFLICT = "Conflict"
    """An older monitor has the same requests of the same port."""
    MODE_CONFLICT = "ModeConflict"
    """An older monitor takes the same port over in another mode."""
    TOO_MANY_PORTS = "TooManyPorts"
    MODE_UNAVAILABLE = "ModeUnavailable"
    """This version can't do that mode yet."""
    INVALID_POD = "InvalidPod"
    """The pod's own fields contradict each other; the API server will say more."""
