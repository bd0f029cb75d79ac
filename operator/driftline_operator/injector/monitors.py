"""The monitors of a cluster as the injector needs them: decoded once, by namespace, oldest first."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from driftline.decoding import decode_monitors
from driftline.errors import InvalidSpec
from driftline.spec import ModelMonitor

from driftline_operator.cluster.resources import Object
from driftline_operator.injection.selectors import matches

_log = logging.getLogger(__name__)


class Known(NamedTuple):
    """A monitor, and what decides which of two is the older."""

    created: str
    """As the API server writes it: RFC 3339 in UTC, which sorts as text."""
    uid: str
    monitor: ModelMonitor


class Monitors:
    """Decoded when they change, not when a pod comes."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Known] = {}

    def replace(self, objects: Iterable[Object]) -> None:
        """All there are now."""
        known: dict[tuple[str, str], Known] = {}
        for found in objects:
            metadata = found["metadata"]
            if metadata.get("deletionTimestamp"):
                continue
            try:
                (monitor,) = decode_monitors(msgspec.json.encode(found))
            except InvalidSpec as error:
                # The API server's schema can't tell everything; the controller says it in the status.
                _log.warning("%s/%s is not used: %s", metadata.get("namespace"), metadata["name"], error)
                continue
            key = metadata.get("namespace", ""), metadata["name"]
            known[key] = Known(metadata.get("creationTimestamp", ""), metadata.get("uid", ""), monitor)
        self._known = known

    def selecting(self, namespace: str, labels: Mapping[str, str]) -> list[ModelMonitor]:
        """Those that mean a pod of that namespace with these labels, oldest first."""
        found = [
            each
            for (place, _), each in self._known.items()
            if place == namespace and matches(each.monitor.spec.selector, labels)
        ]
        return [each.monitor for each in sorted(found, key=lambda each: (each.created, each.uid))]
