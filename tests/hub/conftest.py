"""Every test of the store runs on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from driftline_operator.hub.database import Database
from driftline_operator.hub.migrate import migrate

from tests.support.hubs import Store
from tests.support.postgres import Postgres, cluster

_TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with cluster() as found:
        with psycopg.connect(found.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        database = Database(found.url(_TEMPLATE))
        migrate(database)
        database.close()
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that has the tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/hub.db"
    found: Postgres = request.getfixturevalue("postgres")
    return found.create(_TEMPLATE)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    found = Database(url)
    migrate(found)
    yield found
    found.close()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)
