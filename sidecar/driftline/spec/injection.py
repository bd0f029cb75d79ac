"""How the sidecar gets into the pods: the mode, the container, what may be restarted, resources.

Only the operator reads this; on one machine it is checked and then of no effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from driftline.errors import Problem
from driftline.spec.part import Part, Rule

InjectionMode = Literal["PortRename", "PortSwap", "Redirect"]
RestartPolicy = Literal["Never", "OnChange"]

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"

ContainerName = Annotated[str, Meta(min_length=1, max_length=63, pattern=DNS_LABEL)]
ResourceName = Annotated[str, Meta(min_length=1, max_length=63)]
QuantityText = Annotated[str, Meta(min_length=1, max_length=32, pattern=QUANTITY)]
Quantities = Annotated[dict[ResourceName, QuantityText], Meta(max_length=8)]

OWN_PORTS = range(15080, 15100)
"""What the sidecar listens on in a pod; an app moved there would collide with it."""


class AppPort(Part, frozen=True, kw_only=True):
    """Where PortSwap moves the app, so that the sidecar can have the app's own number."""

    port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)],
        Meta(description="The port on which the app listens from now on; not one of 15080 to 15099."),
    ]
    env: Annotated[
        Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")] | None,
        Meta(description="The environment variable that tells the app its port; it is set to `port`."),
    ] = None
    args: Annotated[
        Annotated[tuple[Annotated[str, Meta(max_length=1024)], ...], Meta(max_length=64)],
        Meta(description="The container's arguments with the new port in them; they replace its `args`."),
    ] = ()

    RULES: ClassVar = (
        Rule(
            "has(self.env) != (has(self.args) && size(self.args) > 0)",
            "must have exactly one of env and args",
        ),
        Rule(
            "self.port < 15080 || self.port > 15099", "port must not be one of the sidecar's, 15080 to 15099"
        ),
    )

    def _check_one(self) -> Iterator[Problem]:
        if (self.env is None) == (not self.args):
            yield Problem("", "must have exactly one of env and args")

    def _check_port(self) -> Iterator[Problem]:
        if self.port in OWN_PORTS:
            yield Problem("port", f"must not be one of the sidecar's, 15080 to 15099 ({self.port})")


class ContainerResources(Part, frozen=True, kw_only=True):
    """Kubernetes' resources of one sidecar container."""

    requests: Annotated[
        Quantities, Meta(description="What the scheduler sets aside: `{cpu: 50m, memory: 64Mi}`.")
    ] = field(default_factory=dict)
    limits: Annotated[
        Quantities,
        Meta(description="What it may use at most. A CPU limit on the proxy slows the model's traffic."),
    ] = field(default_factory=dict)


class SidecarContainer(Part, frozen=True, kw_only=True):
    """What can be set of one sidecar container."""

    resources: Annotated[
        ContainerResources,
        Meta(description="Instead of the installation's default resources, name by name."),
    ] = ContainerResources()


class Injection(Part, frozen=True, kw_only=True):
    """How pods get their sidecar."""

    mode: Annotated[
        InjectionMode,
        Meta(
            description="How the sidecar comes before the model. `PortRename` (default): the named port that "
            "Services point at becomes the sidecar's. `PortSwap`: the sidecar takes the app's number and the "
            "app moves, for numeric target ports. `Redirect`: inbound traffic is redirected in the pod's "
            "network; needs NET_ADMIN."
        ),
    ] = "PortRename"
    container: Annotated[
        ContainerName | None,
        Meta(description="The model's container. Default: the one that declares `endpoint.port`."),
    ] = None
    app: Annotated[AppPort | None, Meta(description="Where the app moves; with mode PortSwap.")] = None
    restart: Annotated[
        RestartPolicy,
        Meta(
            description="`Never` (default): pods get or change their sidecar when they are next replaced. "
            "`OnChange`: their Deployment, StatefulSet or DaemonSet is rolled out anew."
        ),
    ] = "Never"
    proxy: Annotated[SidecarContainer, Meta(description="The container that relays traffic.")] = (
        SidecarContainer()
    )
    analyzer: Annotated[SidecarContainer, Meta(description="The container that computes statistics.")] = (
        SidecarContainer()
    )
    image_pull_secrets: Annotated[
        Annotated[tuple[ContainerName, ...], Meta(max_length=8)],
        Meta(description="Secrets of the namespace to pull the sidecars' image with, added to the pod's."),
    ] = ()

    RULES: ClassVar = (
        Rule(
            "(has(self.mode) && self.mode == 'PortSwap') == has(self.app)",
            "app is needed with mode PortSwap, and only read with it",
        ),
    )

    def _check_app(self) -> Iterator[Problem]:
        if (self.mode == "PortSwap") != (self.app is not None):
            yield Problem("app", f"is needed with mode PortSwap, and only read with it (mode {self.mode})")
