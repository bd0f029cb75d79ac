"""Which monitors the hub has to be told of, or forget. Pure.

Telling is idempotent, so a new leader tells all of them; what the hub knows by others' telling and nobody
has any longer is taken back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from driftline_operator.controller.monitors import Key
from driftline_operator.controller.observed import Observed, Reference


@dataclass(frozen=True, slots=True)
class Registration:
    """What the hub is told of one monitor."""

    document: Mapping[str, Any]
    """The ModelMonitor, without status and what the API server adds."""
    profile: bytes
    """Empty where there is no reference."""
    token: str
    """SHA-256 (hex) of the token that the namespace's sidecars have."""

    @property
    def digest(self) -> str:
        """Changes with any of it."""
        parts = msgspec.json.encode([self.document, self.token], order="sorted")
        return hashlib.sha256(parts + self.profile).hexdigest()


class Steps(NamedTuple):
    """What is to be done."""

    put: Mapping[Key, Registration]
    remove: Collection[Key]


def registration(observed: Observed, reference: Reference | None, token: str | None) -> Registration | None:
    """Of a monitor that can be built and whose namespace has its token; else it is told later."""
    if observed.monitor is None or token is None:
        return None
    body = observed.body
    document = {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": {"name": observed.name, "namespace": observed.namespace},
        "spec": body["spec"],
    }
    profile = b"" if reference is None else reference.profile
    return Registration(document, profile, hashlib.sha256(token.encode()).hexdigest())


def steps(
    wanted: Mapping[Key, Registration],
    told: Mapping[Key, str],
    present: Collection[Key],
    kept: Collection[Key],
) -> Steps:
    """`told`: digests as the hub has taken them from us. `present`: monitors that the hub says it knows.

    `kept`: all monitors that exist, those that can't be told now included: they are not taken back.
    """
    put = {key: each for key, each in wanted.items() if told.get(key) != each.digest or key not in present}
    return Steps(put, [key for key in present if key not in kept])
