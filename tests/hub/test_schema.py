"""The migrations make the tables, from each step, and several replicas may start at once."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from driftline_operator.hub import schema
from driftline_operator.hub.database import Database
from driftline_operator.hub.migrate import NewerDatabase, current, migrate, revisions
from sqlalchemy import text

from tests.support.postgres import Postgres


@pytest.fixture
def empty(url: str, request: pytest.FixtureRequest) -> str:
    if url.startswith("sqlite"):
        return url
    found: Postgres = request.getfixturevalue("postgres")
    return found.create()


@pytest.mark.parametrize("step", revisions())
def test_from_each_step_to_the_newest(empty: str, step: str) -> None:
    database = Database(empty)
    assert migrate(database, step) == step
    assert migrate(database) == revisions()[-1]
    with database.reading() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "include_object": lambda *each: "predictions_" not in each[1]},
        )
        assert compare_metadata(context, schema.metadata) == []
    database.close()


def test_replicas_that_start_at_once_migrate_once(empty: str) -> None:
    databases = [Database(empty) for _ in range(4)]
    results: list[object] = []

    def run(database: Database) -> None:
        try:
            results.append(migrate(database))
        except Exception as error:  # noqa: BLE001 - the test's own
            results.append(error)

    threads = [threading.Thread(target=run, args=[each]) for each in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [revisions()[-1]] * 4
    for each in databases:
        each.close()


def test_a_newer_database_is_left_alone(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase, match="9999"):
        migrate(database)
    with database.reading() as connection:
        assert current(connection) == "9999"
