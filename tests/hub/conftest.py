"""Every test of the store runs on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from driftline_operator.hub.api import application
from driftline_operator.hub.database import Database
from driftline_operator.hub.hub import Hub
from driftline_operator.hub.limits import Limits
from driftline_operator.hub.migrate import migrate
from driftline_operator.hub.tokens import TokenFile
from prometheus_client import CollectorRegistry

from tests.support.hub_api import GRANTS, Api
from tests.support.hubs import NOW, Store, document
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


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Api]:
    tokens = TokenFile(None)
    for grant in GRANTS:
        tokens.give(grant)
    limits = Limits(body=100_000, upload=200_000, upload_rows=50)
    hub, series = Hub(database, tokens, limits, clock=lambda: NOW), CollectorRegistry()
    await hub.refresh()
    async with TestClient(TestServer(application(hub, series))) as client:
        found = Api(hub, client, series)
        await found.answer("PUT", "/v1/monitors/ml/census", json={"document": document()})
        yield found
    hub.close()
