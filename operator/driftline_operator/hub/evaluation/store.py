"""Reports in the database, and which monitor is due: each is evaluated by one replica at a time."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from driftline.performance.report import HubReport
from sqlalchemy.engine import Connection

from driftline_operator.hub import schema
from driftline_operator.hub.database import insert

_TABLE = schema.evaluations
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(HubReport)


def claim(connection: Connection, monitor: int, now: float, until: float) -> bool:
    """Whether this replica may evaluate it now; no other may before `until`. Times in unix seconds."""
    first = insert(connection, _TABLE).values(monitor_id=monitor, due=until)
    taken = first.on_conflict_do_update(
        index_elements=["monitor_id"], set_={"due": until}, where=_TABLE.c.due <= now
    )
    return connection.execute(taken).rowcount > 0


def keep(connection: Connection, monitor: int, report: HubReport, due: float) -> None:
    """Keep what was found, and when it is due again."""
    values = {"due": due, "at": report.at, "report": _ENCODER.encode(report)}
    connection.execute(sa.update(_TABLE).where(_TABLE.c.monitor_id == monitor).values(**values))


def read(connection: Connection, monitor: int) -> bytes | None:
    """A monitor's report as JSON; None before the first."""
    query = sa.select(_TABLE.c.report).where(_TABLE.c.monitor_id == monitor)
    found = connection.execute(query).scalar()
    return None if found is None else bytes(found)


def newer(connection: Connection, since: float) -> list[HubReport]:
    """Reports made after that time; what a newer hub wrote and can't be read is left out."""
    query = sa.select(_TABLE.c.report).where(_TABLE.c.at > since, _TABLE.c.report.is_not(None))
    found = []
    for body in connection.execute(query).scalars():
        try:
            found.append(_DECODER.decode(bytes(body)))
        except msgspec.DecodeError:
            continue
    return found
