"""Version, variant and segments of a prediction as one number, and its sender as another.

They are written in a transaction of their own before the rows that use them: a number that no row
uses harms nobody. Clients choose the segments' values, so there is a limit to how many are told apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftline_operator.hub import schema
from driftline_operator.hub.database import Database, insert

MOST_STRATA: Final = 20_000
"""Of a monitor; values of segments beyond are all `OTHER`."""
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


class Numbers:
    """The numbers of strata and sources, remembered. Threads may share it: entries are only added."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._strata: dict[tuple[int, Stratum], int] = {}
        self._sources: dict[tuple[int, str], int] = {}

    def source(self, monitor: int, boot: str) -> int:
        """The number of a monitor's sender."""
        known = self._sources.get((monitor, boot))
        if known is not None:
            return known
        with self._database.writing() as connection:
            found = _source(connection, monitor, boot)
        _bounded(self._sources)[monitor, boot] = found
        return found

    def strata(self, monitor: int, wanted: Iterable[Stratum]) -> dict[Stratum, int]:
        """The number of each."""
        found, unknown = {}, []
        for stratum in wanted:
            number = self._strata.get((monitor, stratum))
            if number is None:
                unknown.append(stratum)
            else:
                found[stratum] = number
        if unknown:
            with self._database.writing() as connection:
                added = _strata(connection, monitor, sorted(unknown))  # in one order: no deadlock
            found |= added
            cache = _bounded(self._strata)
            cache.update({(monitor, stratum): number for stratum, number in added.items()})
        return found


def _bounded(cache: dict[_K, int]) -> dict[_K, int]:
    if len(cache) > _MOST_CACHED:
        cache.clear()
    return cache


def _source(connection: Connection, monitor: int, boot: str) -> int:
    table = schema.sources
    adding = insert(connection, table).values(monitor_id=monitor, boot=boot)
    connection.execute(adding.on_conflict_do_nothing(index_elements=["monitor_id", "boot"]))
    query = sa.select(table.c.id).where(table.c.monitor_id == monitor, table.c.boot == boot)
    number: int = connection.execute(query).scalar_one()
    return number


def _strata(connection: Connection, monitor: int, wanted: list[Stratum]) -> dict[Stratum, int]:
    table = schema.strata
    query = sa.select(sa.func.count()).where(table.c.monitor_id == monitor)
    room = MOST_STRATA - connection.execute(query).scalar_one()
    found = {}
    for stratum in wanted:
        number = _find(connection, monitor, stratum)
        if number is None:
            number = _add(connection, monitor, stratum if room > 0 else stratum.without_values())
            room -= 1
        found[stratum] = number
    return found


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
