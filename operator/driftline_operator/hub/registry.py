"""Monitors, profiles and sidecars' tokens: told once, in the database, known to every replica.

Each replica keeps what it has read and reads again when `counters.registry` has risen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import sqlalchemy as sa
from driftline.decoding import build_monitor
from driftline.errors import DataError, InvalidSpec
from driftline.profile import Profile
from driftline.profile_codec import decode_profile
from driftline.spec import ModelMonitor
from sqlalchemy.engine import Connection

from driftline_operator.hub import schema
from driftline_operator.hub.database import insert
from driftline_operator.hub.refusal import Refusal

_REGISTRY: Final = "registry"

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """A monitor as it was told."""

    id: int
    monitor: ModelMonitor
    profile_hash: str | None
    changed: float

    @property
    def name(self) -> Name:
        """Namespace and name."""
        return self.monitor.metadata.namespace, self.monitor.metadata.name

    @property
    def kind(self) -> str:
        """`classification`, `regression` or `ranking`."""
        return self.monitor.spec.model.type

    @property
    def segments(self) -> frozenset[str]:
        """The features whose values are groups."""
        return frozenset(self.monitor.spec.schema.segments)

    @property
    def features(self) -> frozenset[str]:
        """The features that are stored."""
        labels = self.monitor.spec.labels
        return frozenset() if labels is None else frozenset(labels.features)

    @property
    def kpis(self) -> frozenset[str]:
        """The KPIs there are."""
        return frozenset(each.name for each in self.monitor.spec.kpis)


@dataclass(frozen=True, slots=True)
class Registry:
    """All of it, as it was at one time."""

    revision: int = -1
    monitors: Mapping[Name, Known] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    """By namespace: the SHA-256 (hex) of its sidecars' token."""
    unreadable: frozenset[Name] = frozenset()
    """Monitors that can't be decoded: a newer hub wrote them."""

    def find(self, namespace: str, name: str) -> Known:
        """Raises Refusal (404; 503 where it is there, but not for this version)."""
        known = self.monitors.get((namespace, name))
        if (namespace, name) in self.unreadable:
            raise Refusal(503, "a newer hub wrote this monitor: this one can't read it", retry=10.0)
        if known is None:
            raise Refusal(404, "no such monitor", field="monitor", value=f"{namespace}/{name}")
        return known


def revision(connection: Connection) -> int:
    """How often monitors or tokens have changed."""
    query = sa.select(schema.counters.c.value).where(schema.counters.c.name == _REGISTRY)
    return connection.execute(query).scalar() or 0


def read(connection: Connection) -> Registry:
    """All of it now; what can't be decoded (written by a newer hub) is left out."""
    table = schema.monitors.c
    query = sa.select(
        table.id, table.namespace, table.name, table.document, table.profile_hash, table.changed
    )
    monitors, unreadable = {}, set()
    for row in connection.execute(query):
        try:
            known = Known(
                row.id, build_monitor(msgspec.json.decode(row.document)), row.profile_hash, row.changed
            )
        except (InvalidSpec, msgspec.DecodeError):
            unreadable.add((row.namespace, row.name))
            continue
        monitors[known.name] = known
    tokens = connection.execute(sa.select(schema.sidecar_tokens.c.namespace, schema.sidecar_tokens.c.sha256))
    hashes = {row.namespace: row.sha256 for row in tokens}
    return Registry(revision(connection), monitors, hashes, frozenset(unreadable))


def profile_of(connection: Connection, monitor: int) -> Profile | None:
    """A monitor's reference. Raises ProfileError."""
    query = sa.select(schema.monitors.c.profile).where(schema.monitors.c.id == monitor)
    body = connection.execute(query).scalar()
    return None if body is None else decode_profile(bytes(body))


@dataclass(frozen=True, slots=True)
class Told:
    """What `PUT /v1/monitors/NAMESPACE/NAME` brings, checked."""

    namespace: str
    name: str
    document: str
    profile: bytes | None
    profile_hash: str | None
    token: str | None


def check(
    namespace: str, name: str, document: dict[str, object], profile: bytes | None, token: str | None
) -> Told:
    """Raises Refusal (400) for a monitor or profile that can't be built, or of another name."""
    try:
        monitor = build_monitor(document)
    except InvalidSpec as error:
        first = error.problems[0]
        raise Refusal(
            400, str(error), field=f"document.{first.path}" if first.path else "document"
        ) from error
    own = (monitor.metadata.namespace, monitor.metadata.name)
    if own != (namespace, name):
        raise Refusal(
            400, f"the path names {namespace}/{name}", field="document.metadata.name", value="/".join(own)
        )
    if not profile:
        return Told(namespace, name, msgspec.json.encode(document).decode(), None, None, token)
    try:
        found = decode_profile(profile)
    except DataError as error:
        raise Refusal(400, str(error), field="profile", value=f"{len(profile)} bytes") from error
    return Told(namespace, name, msgspec.json.encode(document).decode(), profile, found.hash, token)


def put(connection: Connection, told: Told, now: float) -> bool:
    """Keep it; whether anything changed. A profile that isn't there is taken away."""
    fields = {"document": told.document, "profile": told.profile, "profile_hash": told.profile_hash}
    table = schema.monitors
    adding = insert(connection, table).values(namespace=told.namespace, name=told.name, changed=now, **fields)
    differs = sa.or_(
        table.c.document != told.document, table.c.profile_hash.is_distinct_from(told.profile_hash)
    )
    upsert = adding.on_conflict_do_update(
        index_elements=["namespace", "name"], set_=fields | {"changed": now}, where=differs
    )
    changed = connection.execute(upsert).rowcount > 0
    if told.token is not None:
        changed |= _put_token(connection, told.namespace, told.token)
    if changed:
        rise(connection, _REGISTRY)
    return changed


def remove(connection: Connection, namespace: str, name: str) -> bool:
    """Forget a monitor; its rows go with the next `retention`. Whether it was there."""
    table = schema.monitors.c
    gone = sa.delete(schema.monitors).where(table.namespace == namespace, table.name == name)
    if not connection.execute(gone).rowcount:
        return False
    others = sa.select(table.id).where(table.namespace == namespace)
    if connection.execute(others).first() is None:
        tokens = schema.sidecar_tokens
        connection.execute(sa.delete(tokens).where(tokens.c.namespace == namespace))
    rise(connection, _REGISTRY)
    return True


def _put_token(connection: Connection, namespace: str, sha256: str) -> bool:
    table = schema.sidecar_tokens
    upsert = insert(connection, table).values(namespace=namespace, sha256=sha256)
    upsert = upsert.on_conflict_do_update(
        index_elements=["namespace"], set_={"sha256": sha256}, where=table.c.sha256 != sha256
    )
    return connection.execute(upsert).rowcount > 0


def rise(connection: Connection, name: str) -> int:
    """Count one up, and to what; until the transaction ends nobody else may."""
    table = schema.counters
    upsert = insert(connection, table).values(name=name, value=1)
    upsert = upsert.on_conflict_do_update(index_elements=["name"], set_={"value": table.c.value + 1})
    risen: int = connection.execute(upsert.returning(table.c.value)).scalar_one()
    return risen
