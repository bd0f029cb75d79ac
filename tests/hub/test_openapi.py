"""The served document and the hub agree: schemathesis sends what it allows, and what it doesn't."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from aiohttp import web
from driftline_operator.hub import openapi
from driftline_operator.hub.api import application
from driftline_operator.hub.database import Database
from driftline_operator.hub.hub import Hub
from driftline_operator.hub.limits import Limits
from driftline_operator.hub.migrate import migrate
from driftline_operator.hub.tokens import ALL, SCOPES, Grant, TokenFile, sha256_of
from hypothesis import HealthCheck, given, settings
from prometheus_client import CollectorRegistry
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.hubs import Store

TOKEN = "all"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A hub in a thread of its own: schemathesis is synchronous."""
    url = f"sqlite:///{tmp_path_factory.mktemp('hub')}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").create()
    database = Database(url)
    migrate(database)
    Store(database)
    tokens = TokenFile(None)
    tokens.give(Grant(sha256=sha256_of(TOKEN), namespace=ALL, scopes=tuple(SCOPES)))
    hub = Hub(database, tokens, Limits(rate=1e9, burst=1e9))
    ready: list[str] = []
    loop = asyncio.new_event_loop()

    async def serve() -> web.AppRunner:
        await hub.refresh()
        runner = web.AppRunner(application(hub, CollectorRegistry()), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(serve())
        ready.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    while not ready:
        time.sleep(0.01)
    yield ready[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    hub.close()


OPERATIONS = [(path, method) for path, methods in openapi.document()["paths"].items() for method in methods]

MORE_THAN_A_SCHEMA: dict[tuple[str, str], list[Any]] = {
    # An envelope, or events with `boot` in the query: a schema can't tie a body to a parameter.
    ("/v1/predictions", "post"): [positive_data_acceptance],
    # A monitor has rules of its own, which `build_monitor` checks.
    ("/v1/monitors/{namespace}/{monitor}", "put"): [positive_data_acceptance],
}


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_hub_does_what_its_document_says(address: str, path: str, method: str) -> None:
    served = schemathesis.openapi.from_url(f"{address}/openapi.json")

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=served[path][method.upper()].as_strategy())
    def check(case: schemathesis.Case[Any]) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        case.call_and_validate(headers=headers, excluded_checks=MORE_THAN_A_SCHEMA.get((path, method), []))

    check()


def test_the_served_document_is_the_generated_one(address: str) -> None:
    with urllib.request.urlopen(f"{address}/openapi.json") as answer:
        assert json.load(answer) == json.loads(json.dumps(openapi.document()))


def test_every_schema_is_used_and_every_reference_leads_somewhere() -> None:
    document = openapi.document()
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text
