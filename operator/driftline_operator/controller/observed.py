"""What was gathered of one namespace: plain data, from which everything is planned."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from driftline.decoding import build_monitor, encode_monitor
from driftline.errors import InvalidSpec
from driftline.spec import Metadata, ModelMonitor

from driftline_operator.cluster.resources import MODEL_MONITORS, Object, Resource
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.identity import Identified
from driftline_operator.controller.shelf import Shelved
from driftline_operator.injection.sidecars import Settings

_log = logging.getLogger(__name__)


class _Observed(NamedTuple):
    body: Object
    monitor: ModelMonitor | None
    """None: its spec is no good; `problem` says why."""
    problem: str = ""
    document: str = ""
    """The monitor as its sidecars read it: YAML, with nothing of its metadata but name and namespace."""


class Observed(_Observed, Identified):
    """One ModelMonitor as the API server has it."""

    __slots__ = ()

    @property
    def resource(self) -> Resource:
        """Its kind."""
        return MODEL_MONITORS


def observe(body: Object) -> Observed:
    """Decode a monitor; what Python refuses and the API server took is kept with its problem."""
    try:
        monitor = build_monitor(body)
        named = Metadata(name=monitor.metadata.name, namespace=monitor.metadata.namespace)
        document = encode_monitor(msgspec.structs.replace(monitor, metadata=named))
        return Observed(body, monitor, document=document)
    except InvalidSpec as error:
        return Observed(body, None, str(error))
    except Exception as error:  # noqa: BLE001 - logged with its trace
        # A fault of ours over one monitor must not stop the others.
        _log.exception("%s/%s", body["metadata"].get("namespace"), body["metadata"].get("name"))
        return Observed(body, None, f"can't be read: {type(error).__name__}")


class Reference(NamedTuple):
    """What a monitor's traffic is compared with, as far as it could be had."""

    reason: ReferenceReason
    message: str
    content: bytes | Shelved = b""
    """The profile, encoded; empty: none."""
    profile_hash: str = ""
    made: float = 0.0
    """When a captured one came into force, unix seconds."""
    recapture: str = ""
    """The id of the capture that is to take its place; empty: none is wanted."""

    @property
    def profile(self) -> bytes:
        """The profile, encoded; empty: none. Read each time."""
        return self.content.read() if isinstance(self.content, Shelved) else self.content

    @property
    def there(self) -> bool:
        """Is there a profile?"""
        return bool(self.content)


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all monitors."""

    sidecar: Settings
    enabled: bool = True
    """False while the kill switch is on."""
    bundle: bytes = b""
    """Authorities of the webhook's certificate, PEM; empty while there is none."""
    service: tuple[str, str] = ("", "")
    """Namespace and name of the injector's Service."""
    url: str = ""
    """Instead of the Service: an injector outside of the cluster."""
    failure_policy: str = "Ignore"
    pod_monitors: bool = False
    """Are the sidecars announced by a PodMonitor?"""
    may_restart: bool = True


class NamespaceState(NamedTuple):
    """All that is planned from, for the monitors of one namespace."""

    name: str
    labels: Mapping[str, str]
    alive: bool
    """False: it is being deleted, and takes no new objects."""
    monitors: tuple[Observed, ...]
    """Oldest first."""
    pods: tuple[Object, ...] = ()
    services: tuple[Object, ...] = ()
    policies: tuple[Object, ...] = ()
    quotas: tuple[Object, ...] = ()
    limit_ranges: tuple[Object, ...] = ()
    workloads: Mapping[tuple[str, str], Object] = {}
    """By kind and name: Deployments, ReplicaSets, StatefulSets, DaemonSets."""
    references: Mapping[str, Reference] = {}
    """By monitor."""
    suspended: Mapping[str, str] = {}
    """By monitor: the injection that failed to start, as its key (`plan.suspension`)."""
    published: bool = False
    """Is the namespace's webhook configuration there already?"""
    annotations: Mapping[str, str] = {}
    """The namespace's own."""
    mirrors: Mapping[str, str] = {}
    """By monitor: what its mirrors are told, where a shadow compares."""
    held: frozenset[str] = frozenset()
    """Monitors without an entry, whom another's must not bring in: found while planning."""
