"""The webhook entries of one namespace: the API server then asks about exactly the monitored pods."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from driftline_operator import names
from driftline_operator.cluster.resources import WEBHOOKS
from driftline_operator.controller.observed import Installation, Observed
from driftline_operator.controller.plan.objects import Desired, labels
from driftline_operator.injection.told import Told

MOST_BYTES: Final = 1_300_000
"""etcd takes objects of 1.5 MiB; the rest is for defaults and managed fields that the API server adds."""
MOST_PATH: Final = 8_000
"""Characters of an entry's path: what is told in it must fit the 8,190 bytes of a request's first line."""
TIMEOUT_SECONDS: Final = 5


def configuration(
    namespace: str, monitors: Sequence[tuple[Observed, Told]], installation: Installation
) -> tuple[Desired | None, tuple[str, ...]]:
    """One entry a monitor, oldest first; None where there is none. And the names that found no room.

    With each what the injector is told about it. An entry that would have to name hundreds of others that are
    held back finds no room either: without the names, its pods would get what was refused.
    """
    entries: list[dict[str, Any]] = []
    without_room: list[str] = []
    size = 0
    for observed, told in monitors:
        entry = _entry(observed, told, installation)
        entry_size = len(msgspec.json.encode(entry))
        if size + entry_size > MOST_BYTES or len(_path(observed, told)) > MOST_PATH:
            without_room.append(observed.name)
        else:
            size += entry_size
            entries.append(entry)
    if not entries:
        return None, tuple(without_room)
    metadata = {"name": names.webhook_configuration(namespace), "labels": labels()}
    kind = {"apiVersion": WEBHOOKS.api_version, "kind": WEBHOOKS.kind}
    return Desired(WEBHOOKS, None, {**kind, "metadata": metadata, "webhooks": entries}), tuple(without_room)


def _entry(observed: Observed, told: Told, installation: Installation) -> dict[str, Any]:
    path = _path(observed, told)
    client: dict[str, Any] = {"caBundle": base64.b64encode(installation.bundle).decode()}
    if installation.url:
        client["url"] = installation.url + path
    else:
        namespace, name = installation.service
        client["service"] = {"namespace": namespace, "name": name, "path": path, "port": 443}
    return {
        "name": names.webhook_entry(observed.namespace, observed.name),
        "clientConfig": client,
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": observed.namespace}},
        "objectSelector": observed.body["spec"]["selector"],
        "failurePolicy": installation.failure_policy,
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT_SECONDS,
        "reinvocationPolicy": "IfNeeded",
        "admissionReviewVersions": ["v1"],
    }


def _path(observed: Observed, told: Told) -> str:
    return names.webhook_path(observed.namespace, observed.name, observed.uid, observed.generation, told.path)
