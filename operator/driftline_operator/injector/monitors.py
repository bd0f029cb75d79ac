"""The monitors of a cluster as the injector needs them: decoded once, by namespace, oldest first."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from driftline.decoding import build_monitor
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

    def note(self, key: tuple[str, str], found: Object | None) -> None:
        """One that came or changed; None: it has gone. Costs one decoding, however many there are."""
        self._known.pop(key, None)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return
        metadata = found["metadata"]
        try:
            monitor = build_monitor(found)
        except InvalidSpec as error:
            # The API server's schema can't tell everything; the controller says it in the status.
            _log.warning("%s/%s is not used: %s", *key, error)
            return
        except Exception:  # noqa: BLE001 - a fault of ours over one monitor must not stop the others
            _log.exception("%s/%s is not used", *key)
            return
        self._known[key] = Known(metadata.get("creationTimestamp", ""), metadata.get("uid", ""), monitor)

    def replace(self, objects: Iterable[Object]) -> None:
        """All there are now."""
        self._known.clear()
        for found in objects:
            metadata = found["metadata"]
            self.note((metadata.get("namespace", ""), metadata["name"]), found)

    def selecting(self, namespace: str, labels: Mapping[str, str]) -> list[ModelMonitor]:
        """Those that mean a pod of that namespace with these labels, oldest first."""
        found = [
            each
            for (place, _), each in self._known.items()
            if place == namespace and matches(each.monitor.spec.selector, labels)
        ]
        return [each.monitor for each in sorted(found, key=lambda each: (each.created, each.uid))]
