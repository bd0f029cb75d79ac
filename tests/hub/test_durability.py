"""Hub and database are killed under load, again and again: what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from driftline_operator.hub import schema
from driftline_operator.hub.database import Database
from driftline_operator.hub.tokens import sha256_of

from tests.support.children import child, eventually, free_port
from tests.support.hubs import document
from tests.support.postgres import Postgres, program

START = time.time()
"""Now: what is older than the retention is deleted by a hub that starts."""
ROUNDS = 4
SENDERS = 4
BATCH = 20
TOKEN = {"Authorization": "Bearer all"}


class Hub:
    """The program, on one address however often it is started."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.port, self.aside = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        grant = {"sha256": sha256_of("all"), "namespace": "*", "scopes": ["admin", "intake", "label", "read"]}
        (folder / "tokens.json").write_text(json.dumps({"tokens": [grant]}))

    @contextlib.contextmanager
    def running(self) -> Iterator[Any]:
        command = [
            sys.executable, "-m", "driftline_operator.main", "hub", "--database", self.url,
            "--tokens", str(self.folder / "tokens.json"), "--listen", f"127.0.0.1:{self.port}",
            "--metrics", f"127.0.0.1:{self.aside}",
        ]  # fmt: skip
        with child(command, self.folder / "hub.log") as process:
            yield process


async def ready(address: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{address}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


class Load:
    """Sends batches of predictions and labels until told to stop; what fails is sent again, as by a spool."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.acknowledged: dict[str, set[str]] = {"predictions": set(), "labels": set()}
        self.failed = 0
        self.stop = False

    async def run(self) -> None:
        async with aiohttp.ClientSession(headers=TOKEN) as session:
            await asyncio.gather(*(self._sender(session, n) for n in range(SENDERS)))

    async def _sender(self, session: aiohttp.ClientSession, number: int) -> None:
        sent = 0
        while not self.stop:
            ids = [f"{number}-{sent + n}" for n in range(BATCH)]
            predictions = [
                {"id": each, "at": START + sent + n, "sequence": sent + n, "prediction": "yes"}
                for n, each in enumerate(ids)
            ]
            body = {
                "namespace": "ml",
                "monitor": "census",
                "boot": f"boot{number}",
                "predictions": predictions,
            }
            await self._send(session, "/v1/predictions", body, "predictions", ids)
            labels = [{"id": each, "label": "yes", "at": START} for each in ids]
            await self._send(session, "/v1/labels?namespace=ml&monitor=census", labels, "labels", ids)
            sent += BATCH

    async def _send(
        self, session: aiohttp.ClientSession, path: str, body: Any, kind: str, ids: list[str]
    ) -> None:
        while not self.stop:
            address = random.choice(self.addresses)
            try:
                async with session.post(
                    address + path, json=body, timeout=aiohttp.ClientTimeout(20)
                ) as answer:
                    if answer.status == 200:
                        self.acknowledged[kind].update(ids)
                        return
                    assert answer.status in (401, 404, 503), await answer.text()
            except (aiohttp.ClientError, TimeoutError):
                pass
            self.failed += 1
            await asyncio.sleep(0.05)


async def tell(address: str) -> None:
    async with (
        aiohttp.ClientSession(headers=TOKEN) as session,
        session.put(f"{address}/v1/monitors/ml/census", json={"document": document()}) as answer,
    ):
        assert answer.status == 200, await answer.text()


def check(url: str, load: Load) -> None:
    database = Database(url)
    with database.reading() as connection:
        for kind, table in (("predictions", schema.predictions), ("labels", schema.labels)):
            found = list(connection.execute(sa.select(table.c.id)).scalars())
            assert len(found) == len(set(found)), f"{kind} are there twice"
            assert load.acknowledged[kind] <= set(found), f"acknowledged {kind} are lost"
    database.close()
    assert len(load.acknowledged["labels"]) > 100
    assert load.failed > 0, "nothing was killed under load"


async def under_load(hubs: list[Hub], once: Any) -> Load:
    """`once` kills something and brings it back; between, the load must get on."""
    load = Load([each.address for each in hubs])
    sending = asyncio.create_task(load.run())
    for _ in range(ROUNDS):
        before = len(load.acknowledged["labels"])
        while len(load.acknowledged["labels"]) < before + 5 * BATCH:
            await asyncio.sleep(0.02)
            assert not sending.done(), sending.exception()
        await asyncio.to_thread(once)
    load.stop = True
    await sending
    return load


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_hub_on_sqlite_loses_nothing(tmp_path: Path) -> None:
    killed(f"sqlite:///{tmp_path}/hub.db", tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_hub_on_postgresql_loses_nothing(postgres: Postgres, tmp_path: Path) -> None:
    killed(postgres.create(), tmp_path)


def killed(url: str, folder: Path) -> None:
    hub = Hub(url, folder)
    with contextlib.ExitStack() as running:
        current = [running.enter_context(hub.running())]
        eventually(lambda: asyncio.run(ready(hub.address)), 60)
        asyncio.run(tell(hub.address))

        def once() -> None:
            current[-1].kill()
            current[-1].wait()
            current.append(running.enter_context(hub.running()))
            eventually(lambda: asyncio.run(ready(hub.address)), 60)

        load = asyncio.run(under_load([hub], once))
    check(url, load)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_postgresql_under_two_hubs_loses_nothing(tmp_path: Path) -> None:
    if not program("postgres"):
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="dl-pg-"))
    own = Postgres(folder)
    own.start()
    try:
        url = own.create()
        folders = [tmp_path / name for name in "ab"]
        for path in folders:
            path.mkdir()
        hubs = [Hub(url, path) for path in folders]
        with hubs[0].running(), hubs[1].running():
            for each in hubs:
                eventually(lambda each=each: asyncio.run(ready(each.address)), 60)  # type: ignore[misc]
            asyncio.run(tell(hubs[0].address))

            def once() -> None:
                own.kill()
                own.start()

            load = asyncio.run(under_load(hubs, once))
            answers = [asyncio.run(metrics(each.address)) for each in hubs]
            assert answers[0] == answers[1]
            assert answers[0]["cells"][0]["labelled"] >= len(load.acknowledged["labels"])
        check(url, load)
    finally:
        own.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def metrics(address: str) -> Any:
    query = {"namespace": "ml", "monitor": "census", "start": str(START), "end": str(START + 1e6)}
    async with (
        aiohttp.ClientSession(headers=TOKEN) as session,
        session.get(f"{address}/v1/metrics", params=query) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return await answer.json()
