"""How the sidecar comes before one port of a pod.

PortRename: the container's entry keeps its name and gets the sidecar's number; the app's own number stays as
an entry without name. Services that point at the name follow it to the sidecar, the app is not touched.

PortSwap: the sidecar listens on the app's number and the app is told another one, by an environment variable
or its arguments. For Services, NetworkPolicies and platforms that go by number.

Redirect: the pod keeps its ports, and its kernel sends what arrives for the app's number to the sidecar. The
last resort: it needs NET_ADMIN. What the kubelet asks would arrive there too, so probes and hooks get a
number of the sidecar's own, which is sent on to the app.

Probes and lifecycle hooks go on to the app itself: what they name, by name or number, becomes its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from driftline.spec import AppPort, ModelMonitor

from driftline_operator import names
from driftline_operator.injection import pod as pods
from driftline_operator.injection.pod import Json, PortEntry
from driftline_operator.reasons import SkipReason

_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS: Final = ("postStart", "preStop")
_HANDLERS: Final = ("httpGet", "tcpSocket", "grpc")
_FIRST_UNPRIVILEGED: Final = 1024
_ALWAYS_OWN: Final = frozenset({names.HEALTH_PORT, names.ADMIN_PORT})
"""What the sidecar listens on whatever it relays."""


class Refused(Exception):
    """The port can't be taken over; `reason` says why in a word, the message what to do."""

    def __init__(self, reason: SkipReason, message: str) -> None:
        """`message`: for a person."""
        super().__init__(message)
        self.reason = reason


class Relay(NamedTuple):
    """One port taken over: where the sidecar listens, where the app does, and in which mode."""

    mode: str
    found: PortEntry
    listen: int
    upstream: int
    app: AppPort | None
    direct: int = 0
    """Redirect: the number at which the kubelet reaches the app past the sidecar."""

    @property
    def redirections(self) -> tuple[str, ...]:
        """For `driftline-sidecar redirect --port`, `8080:15080`; none where nothing is redirected."""
        if self.mode != "Redirect":
            return ()
        return f"{self.found.number}:{self.listen}", f"{self.direct}:{self.upstream}"

    @property
    def numbers(self) -> set[int]:
        """The pod's numbers that it uses up."""
        return {self.listen, self.upstream, self.direct} - {0}

    @property
    def argument(self) -> str:
        """The proxy's `--relay`: `:15080=127.0.0.1:8080,port=8080/http`, the port as monitors may name it."""
        name = f"/{self.found.name}" if self.found.name else ""
        return f":{self.listen}=127.0.0.1:{self.upstream},port={self.found.number}{name}"


def find(pod: Mapping[str, Any], monitor: ModelMonitor) -> PortEntry:
    """The entry that `endpoint.port` means, in the container that the monitor names. Raises Refused."""
    wanted, container = monitor.spec.endpoint.port, monitor.spec.injection.container
    known = [each["name"] for each in pods.containers(pod)]
    if container is not None and container not in known:
        raise Refused(
            SkipReason.CONTAINER_NOT_FOUND,
            f"no container {container!r} (injection.container); there are {', '.join(known)}",
        )
    found = [
        each
        for each in pods.ports(pod)
        if wanted in (each.name, each.number) and container in (None, known[each.container])
    ]
    if not found:
        raise Refused(
            SkipReason.PORT_NOT_FOUND,
            f"no container declares port {wanted!r} (endpoint.port): add it to its ports",
        )
    if len(found) > 1:
        raise Refused(
            SkipReason.PORT_AMBIGUOUS,
            f"{len(found)} entries are port {wanted!r}: name the container (injection.container)",
        )
    if found[0].protocol != "TCP":
        raise Refused(
            SkipReason.PORT_PROTOCOL, f"port {wanted!r} is {found[0].protocol}: only TCP is relayed"
        )
    return found[0]


def relay(found: PortEntry, monitor: ModelMonitor, used: set[int], declared: set[int]) -> Relay:
    """What is to be done for that port. Raises Refused.

    `used`: the pod's numbers that older monitors' relays have; `declared`: those of its containers.
    """
    mode = monitor.spec.injection.mode
    if declared & _ALWAYS_OWN:
        port = min(declared & _ALWAYS_OWN)
        raise Refused(SkipReason.PORT_TAKEN, f"a container declares port {port}, which is the sidecar's")
    if mode == "PortSwap":
        return _swapped(found, monitor.spec.injection.app, used | declared)
    listen = _own_port(used, declared)
    if mode == "Redirect":
        direct = _own_port(used | {listen}, declared)
        return Relay("Redirect", found, listen, found.number, None, direct)
    if not found.name:
        raise Refused(
            SkipReason.UNNAMED_PORT,
            f"port {found.number} has no name that Services could follow: give it one, and point the "
            "Service's targetPort at it, or use mode PortSwap",
        )
    return Relay("PortRename", found, listen, found.number, None)


def _swapped(found: PortEntry, app: AppPort | None, taken: set[int]) -> Relay:
    if app is None:  # a spec with PortSwap has it; so says its own check
        raise Refused(SkipReason.PORT_NOT_FOUND, "PortSwap needs injection.app")
    if found.number < _FIRST_UNPRIVILEGED:
        raise Refused(
            SkipReason.PRIVILEGED_PORT,
            f"the sidecar runs without root and can't listen on {found.number}: use mode PortRename",
        )
    if app.port in taken:
        raise Refused(SkipReason.PORT_TAKEN, f"injection.app.port {app.port} is another container's already")
    return Relay("PortSwap", found, found.number, app.port, app)


def _own_port(used: set[int], declared: set[int]) -> int:
    """The sidecar's next own port: 15080, then 15083 and on. Raises Refused where there is none to have."""
    own: list[int] = [names.PROXY_PORT, *range(names.FURTHER_PROXY_PORT, names.LAST_PROXY_PORT + 1)]
    free: int | None = next((port for port in own if port not in used), None)
    if free is None:
        raise Refused(SkipReason.TOO_MANY_PORTS, f"no port is left: the sidecar has {len(own)} of a pod's")
    if free in declared:
        raise Refused(SkipReason.PORT_TAKEN, f"a container declares port {free}, which is the sidecar's")
    return free


def apply(container: Json, taken: Relay) -> None:
    """Change the app's container: ports, probes, hooks, and with PortSwap its variable or arguments."""
    old, name = taken.found.number, taken.found.name
    for handler in _handlers(container):
        elsewhere = taken.direct and handler.get("host")  # not by way of the pod's own network
        if handler.get("port") in ({old, name} - {""}) and not elsewhere:
            handler["port"] = taken.direct or taken.upstream
    if taken.mode == "PortRename":
        entry = container["ports"][taken.found.place]
        own = {key: value for key, value in entry.items() if key not in ("name", "hostPort", "hostIP")}
        entry["containerPort"] = taken.listen
        container["ports"].append(own)
    elif taken.app is not None and taken.app.env is not None:
        _set_variable(container, taken.app.env, str(taken.app.port))
    elif taken.app is not None:
        container["args"] = list(taken.app.args)


def _handlers(container: Json) -> Iterator[Json]:
    """Whatever in the container connects to a port of it."""
    places = [container.get(probe) for probe in _PROBES]
    places += [(container.get("lifecycle") or {}).get(hook) for hook in _HOOKS]
    for place in places:
        for kind in _HANDLERS:
            if place and place.get(kind):
                yield place[kind]


def _set_variable(container: Json, name: str, value: str) -> None:
    kept = [each for each in container.get("env") or [] if each["name"] != name]
    container["env"] = [*kept, {"name": name, "value": value}]
