"""Every ten minutes: days ahead, and what is too old goes. Synchronous: run it in a thread."""

from __future__ import annotations

import logging

from driftline_operator.hub import partitions, registry, retention
from driftline_operator.hub.database import Database

_log = logging.getLogger(__name__)


def upkeep(database: Database, now: float) -> None:
    """What fails is tried again the next time. Raises sqlalchemy.exc.SQLAlchemyError."""
    partitions.keep(database, now)
    with database.reading() as connection:
        known = registry.read(connection)
    gone = retention.clean(database, retention.limits_of(known), now)
    if gone:
        _log.info("deleted: %s", gone)
