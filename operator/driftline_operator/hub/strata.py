"""Version, variant and segments of a prediction as one number, and its sender as another.

They are written in a transaction of their own before the rows that use them: a number that no row
uses harms nobody. Clients choose the segments' values, so there is a limit to how many are told apart.

A number may be used without asking the database for `KNOWN_SECONDS`; then `used` is set anew. `retention`
deletes what was not used for days longer, so that no replica has a number that has gone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftline_operator.hub import schema
from driftline_operator.hub.database import Database, insert

MOST_STRATA: Final = 20_000
"""Of a monitor; values of segments beyond are all `OTHER`."""
MOST_VERSIONS: Final = 1_000
"""Told apart of a monitor beyond `MOST_STRATA`; further ones are `OTHER` too."""
KNOWN_SECONDS: Final = 6 * 3600.0
OTHER: Final = "(other)"
_MOST_CACHED: Final = 200_000
_K = TypeVar("_K")


class Stratum(NamedTuple):
    """What predictions are grouped by beside time."""

    version: str
    variant: str
    segments: tuple[tuple[str, str], ...]
    """By feature, sorted."""

    def digest(self) -> str:
        """Names it, however long it is."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    def without_values(self) -> Stratum:
        """What it counts as beyond the limit."""
        return self._replace(segments=tuple((name, OTHER) for name, _ in self.segments))

    def without_names(self) -> Stratum:
        """What it counts as far beyond."""
        return self.without_values()._replace(version=OTHER, variant="")


class _Number(NamedTuple):
    number: int
    asked: float
    """When the database was asked for it, unix seconds."""

    def holds(self, now: float) -> bool:
        return now - self.asked < KNOWN_SECONDS


class Numbers:
    """The numbers of strata and sources, remembered. Threads may share it: entries are only replaced."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock
        self._strata: dict[tuple[int, Stratum], _Number] = {}
        self._sources: dict[tuple[int, str], _Number] = {}

    def source(self, monitor: int, boot: str) -> int:
        """The number of a monitor's sender."""
        now = self._clock()
        known = self._sources.get((monitor, boot))
        if known is not None and known.holds(now):
            return known.number
        with self._database.writing() as connection:
            found = _source(connection, monitor, boot, now)
        _bounded(self._sources)[monitor, boot] = _Number(found, now)
        return found

    def strata(self, monitor: int, wanted: Iterable[Stratum]) -> dict[Stratum, int]:
        """The number of each."""
        now = self._clock()
        found, unknown = {}, []
        for stratum in wanted:
            known = self._strata.get((monitor, stratum))
            if known is None or not known.holds(now):
                unknown.append(stratum)
            else:
                found[stratum] = known.number
        if unknown:
            with self._database.writing() as connection:
                added = _strata(connection, monitor, sorted(unknown), now)  # in one order: no deadlock
            found |= added
            cache = _bounded(self._strata)
            cache.update({(monitor, stratum): _Number(number, now) for stratum, number in added.items()})
        return found


def _bounded(cache: dict[_K, _Number]) -> dict[_K, _Number]:
    if len(cache) > _MOST_CACHED:
        cache.clear()
    return cache


def _source(connection: Connection, monitor: int, boot: str, now: float) -> int:
    table = schema.sources
    adding = insert(connection, table).values(monitor_id=monitor, boot=boot, used=now)
    using = adding.on_conflict_do_update(index_elements=["monitor_id", "boot"], set_={"used": now})
    connection.execute(using)
    query = sa.select(table.c.id).where(table.c.monitor_id == monitor, table.c.boot == boot)
    number: int = connection.execute(query).scalar_one()
    return number


def _strata(connection: Connection, monitor: int, wanted: list[Stratum], now: float) -> dict[Stratum, int]:
    table = schema.strata
    query = sa.select(sa.func.count()).where(table.c.monitor_id == monitor)
    room = MOST_STRATA - connection.execute(query).scalar_one()
    found = {}
    for stratum in wanted:
        number = _find(connection, monitor, stratum)
        if number is None:
            number = _beyond(connection, monitor, stratum, room)
        if number is None:
            number = _add(connection, monitor, _counted_as(stratum, room))
            room -= 1
        found[stratum] = number
    using = sa.update(table).where(table.c.id == sa.bindparam("number")).values(used=now)
    connection.execute(using, [{"number": number} for number in sorted(set(found.values()))])
    return found


def _counted_as(stratum: Stratum, room: int) -> Stratum:
    if room > 0:
        return stratum
    return stratum.without_values() if room > -MOST_VERSIONS else stratum.without_names()


def _beyond(connection: Connection, monitor: int, stratum: Stratum, room: int) -> int | None:
    """The number of what it counts as, where there is no room and that is there already."""
    return None if room > 0 else _find(connection, monitor, stratum.without_values())


def _find(connection: Connection, monitor: int, stratum: Stratum) -> int | None:
    table = schema.strata.c
    query = sa.select(table.id).where(table.monitor_id == monitor, table.digest == stratum.digest())
    return connection.execute(query).scalar()


def _add(connection: Connection, monitor: int, stratum: Stratum) -> int:
    segments = msgspec.json.encode(dict(stratum.segments)).decode()
    adding = insert(connection, schema.strata).values(
        monitor_id=monitor,
        digest=stratum.digest(),
        version=stratum.version,
        variant=stratum.variant,
        segments=segments,
    )
    added = connection.execute(
        adding.on_conflict_do_nothing(index_elements=["monitor_id", "digest"])
    ).rowcount
    number = _find(connection, monitor, stratum)
    assert number is not None  # noqa: S101 - added here or by another replica, whose commit this waited for
    if added and stratum.segments:
        rows = [{"stratum_id": number, "segment": name, "value": value} for name, value in stratum.segments]
        connection.execute(sa.insert(schema.stratum_segments), rows)
    return number
