"""Whether the live pods' Services still lead to them after a promotion. Pure.

A promotion changes no label, so Services go on selecting the pods; but each port of theirs leads to one of
the pods' by its name or number, and a candidate may have others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from driftline_operator.cluster.resources import Object
from driftline_operator.injection.pod import Json

_Port = tuple[str, int | str]
"""Protocol, and number or name."""


def lost_ports(before: Json, after: Json, services: Iterable[Object]) -> list[str]:
    """Of pod templates: what Services find declared in the one and not in the other, as SERVICE:PORT.

    What isn't declared before either may be served all the same: nothing is known of it.
    """
    labels = (before.get("metadata") or {}).get("labels") or {}
    gone = {*_declared(before["spec"])} - {*_declared(after["spec"])}
    return [
        f"{service['metadata']['name']}:{entry['port']}"
        for service in services
        if _selects(service, labels)
        for entry in service["spec"].get("ports") or []
        if (entry.get("protocol", "TCP"), entry.get("targetPort", entry["port"])) in gone
    ]


def _selects(service: Object, labels: Mapping[str, str]) -> bool:
    selector = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= labels.items()


def _declared(spec: Mapping[str, Any]) -> Iterator[_Port]:
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        for port in container.get("ports") or ():
            for name in (port.get("containerPort"), port.get("name")):
                if name:
                    yield port.get("protocol", "TCP"), name
