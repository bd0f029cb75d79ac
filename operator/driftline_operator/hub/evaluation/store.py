"""Reports in the database, and which monitor is due: each is evaluated by one replica at a time."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from driftline.performance.report import HubReport
from sqlalchemy.engine import Connection

from driftline_operator.hub import schema
from driftline_operator.hub.database import insert
from driftline_operator.hub.registry import rise

_TABLE = schema.evaluations
_REVISION: Final = "reports"
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(HubReport)


def claim(connection: Connection, monitor: int, now: float, until: float) -> bool:
    """Whether this replica may evaluate it now; no other may before `until`. Times in unix seconds.

    `until` names the claim: a later one has a later `until`.
    """
    first = insert(connection, _TABLE).values(monitor_id=monitor, due=until)
    taken = first.on_conflict_do_update(
        index_elements=["monitor_id"], set_={"due": until}, where=_TABLE.c.due <= now
    )
    return connection.execute(taken).rowcount > 0


def keep(connection: Connection, monitor: int, report: HubReport, claimed: float, due: float) -> bool:
    """Keep what was found, and when it is due again; False: the claim had ended, another has it now.

    Each report has a revision, higher than all that were committed before: its counter is locked from here to
    the commit.
    """
    values = {
        "due": due,
        "at": report.at,
        "report": _ENCODER.encode(report),
        "revision": rise(connection, _REVISION),
    }
    mine = sa.and_(_TABLE.c.monitor_id == monitor, _TABLE.c.due == claimed)
    return connection.execute(sa.update(_TABLE).where(mine).values(**values)).rowcount > 0


def read(connection: Connection, monitor: int) -> bytes | None:
    """A monitor's report as JSON; None before the first."""
    query = sa.select(_TABLE.c.report).where(_TABLE.c.monitor_id == monitor)
    found = connection.execute(query).scalar()
    return None if found is None else bytes(found)


class News(NamedTuple):
    """Reports, and the revision up to which they are known."""

    reports: list[HubReport]
    revision: int


def newer(connection: Connection, since: int) -> News:
    """Reports committed after that revision; what a newer hub wrote and can't be read is left out."""
    query = sa.select(_TABLE.c.report, _TABLE.c.revision).where(_TABLE.c.revision > since)
    found, last = [], since
    for body, revision in connection.execute(query):
        last = max(last, revision)
        try:
            found.append(_DECODER.decode(bytes(body)))
        except msgspec.DecodeError:
            continue
    return News(found, last)
