"""The steps from an empty or older database to this version's tables, by one replica at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from driftline_operator.hub.database import Database, lock

_FOLDER: Final = Path(__file__).with_name("migrations")
_KIND: Final = 9


class NewerDatabase(ValueError):
    """The database has steps that this version doesn't know."""


def migrate(database: Database, to: str = "head") -> str:
    """Run the steps that are lacking, all or none; the revision that it is at.

    Replicas that start at once wait for one another. Raises NewerDatabase, sqlalchemy.exc.SQLAlchemyError.
    """
    with database.writing() as connection:
        lock(connection, _KIND, 0)
        now = current(connection)
        if now is not None and now not in revisions():
            raise NewerDatabase(
                f"the database is at step {now}, which this version doesn't know: upgrade the hub"
            )
        command.upgrade(_config(connection), to)
        return current(connection) or ""


def current(connection: Connection) -> str | None:
    """The step that the database is at; None: it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def revisions() -> list[str]:
    """All steps, the first one first."""
    return [each.revision for each in ScriptDirectory(str(_FOLDER)).walk_revisions()][::-1]


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
