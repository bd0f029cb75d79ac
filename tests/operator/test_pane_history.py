"""A window of thirty days over a failover: its panes exceed the checkpoint, and come back from the hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from driftline import captured
from driftline.captured import Captured
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.counting import count
from driftline.pane import Pane
from driftline.pane_codec import encode_pane, inflate
from driftline.profile import Profile
from driftline.quantity import Duration
from driftline.spec import MonitorSpec
from driftline_operator.conditions import HubReason
from driftline_operator.controller.hub.client import HubClient
from driftline_operator.controller.hub.history import PaneHistory
from driftline_operator.controller.hub.opinions import Away
from driftline_operator.fleet import checkpoint
from driftline_operator.fleet.book import Book, Seen
from driftline_operator.fleet.checkpoint import LeftOut
from driftline_operator.fleet.flat import pack_pane
from driftline_operator.fleet.layout import Layout
from driftline_operator.hub.api import application
from driftline_operator.hub.database import Database
from driftline_operator.hub.hub import Hub
from driftline_operator.hub.migrate import migrate
from driftline_operator.hub.tokens import Grant, TokenFile, sha256_of
from prometheus_client import CollectorRegistry

from tests.support.hubs import document
from tests.support.specs import monitor, numeric

KEY = ("ml", "census")
LONG = 2 * 3600
"""A pane of a long window, rolled up: 120 minutes."""
DAYS = 30
BEGAN = 1_700_006_400
NOW = float(BEGAN + DAYS * 86_400)
NAMES = [f"f{number}" for number in range(24)]
SPEC: MonitorSpec = monitor(
    features=tuple(map(numeric, NAMES)), windows=(Duration(3600), Duration(DAYS * 86_400))
).spec


def rows(rng: np.random.Generator, number: int) -> Batch:
    columns: dict[str, Column] = {name: NumericColumn(rng.normal(0, 1, number)) for name in NAMES}
    columns["employed"] = CategoricalColumn(rng.integers(0, 2, number).astype(np.int32), ("no", "yes"))
    return Batch(number, columns, number)


@pytest.fixture(scope="module")
def profile() -> Profile:
    number = 20_000
    part = Captured(SPEC.schema.features, rows(np.random.default_rng(1), number), np.arange(float(number)))
    return captured.build(SPEC, [part], float(BEGAN))


def filled(profile: Profile) -> Book:
    """A month of one pod, as it is held: rolled up."""
    book = Book(SPEC, profile, float(BEGAN), 60.0)
    layout = Layout({feature.name: feature.axis for feature in profile.features})
    rng = np.random.default_rng(2)
    packed = []
    for start in range(BEGAN, int(NOW), LONG):
        counts = count(profile.axes(), rows(rng, 600), lambda: None)
        pane = Pane(start=start, length=LONG, profile_hash=profile.hash, counts=counts)
        packed.append(((start, LONG), pack_pane(layout, inflate(encode_pane(pane)))))
    book.store.merge(packed)
    book.see([Seen("pod", "uid", float(BEGAN))], NOW)
    book.take(Seen("pod", "uid", float(BEGAN)), f"boot:{profile.hash[:16]}:1", float(BEGAN), [], NOW)
    book.step(NOW + book.lag)
    return book


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[HubClient]:
    database, tokens = Database(f"sqlite:///{tmp_path}/hub.db"), TokenFile(None)
    migrate(database)
    tokens.give(Grant(sha256=sha256_of("admin"), namespace="*", scopes=("admin", "read")))
    hub = Hub(database, tokens, clock=lambda: NOW)
    await hub.refresh()
    async with TestClient(TestServer(application(hub, CollectorRegistry()))) as server:
        told = {"document": document()}
        answer = await server.put(
            "/v1/monitors/ml/census", json=told, headers={"Authorization": "Bearer admin"}
        )
        assert answer.status == 200, await answer.text()
        async with HubClient(str(server.make_url("/")), lambda: None, lambda: "admin") as found:
            yield found
    hub.close()


def taken_over(profile: Profile, data: bytes) -> tuple[Book, LeftOut]:
    book = Book(SPEC, profile, NOW, 60.0)
    left_out = checkpoint.restore(book, data)
    assert left_out is not None
    return book, left_out


async def test_what_a_checkpoint_has_no_room_for_comes_back_from_the_hub(
    profile: Profile, client: HubClient
) -> None:
    first = filled(profile)
    assert first.store.packed_bytes > checkpoint.MOST_BYTES
    dead, alive = PaneHistory(client), PaneHistory(client)
    assert await dead.keep(KEY, profile.hash, first.store.rolled_up())
    second, left_out = taken_over(profile, checkpoint.encode(first))
    month = (float(BEGAN), NOW)
    assert second.coverage(month) < first.coverage(month) == pytest.approx(1.0)
    panes = await alive.recall(KEY, profile.hash, left_out)
    assert checkpoint.recall(second, left_out, panes)
    assert second.store.dump() == first.store.dump()
    assert second.coverage(month) == first.coverage(month)
    assert second.windows == first.windows
    # It ended a day ago: a window of thirty days ends at multiples of some days.
    assert second.windows[DAYS * 86_400].report.rows == 600 * 12 * (DAYS - 1)


async def test_panes_that_are_lacking_or_not_as_they_were_leave_their_time_uncovered(
    profile: Profile, client: HubClient
) -> None:
    first = filled(profile)
    history = PaneHistory(client)
    panes = first.store.rolled_up()
    second, left_out = taken_over(profile, checkpoint.encode(first))
    before = second.store.dump(), second.coverage((float(BEGAN), NOW))
    assert await history.recall(KEY, profile.hash, left_out) == {}
    start, length, data = panes[0]
    assert await history.keep(KEY, profile.hash, [(start, length, data + b"x"), *panes[1:]])
    found = await history.recall(KEY, profile.hash, left_out)
    assert len(found) == len(left_out.panes)
    assert not checkpoint.recall(second, left_out, found)
    assert (second.store.dump(), second.coverage((float(BEGAN), NOW))) == before


async def test_only_what_changed_is_sent_again(profile: Profile) -> None:
    sent: list[int] = []

    class Counting(HubClient):
        async def put_panes(self, key, profile, panes):  # type: ignore[no-untyped-def]
            sent.append(len(panes))

    history = PaneHistory(Counting("http://nowhere", lambda: None, lambda: "token"))
    panes = [(start, 300, bytes([start])) for start in range(5)]
    for change in (panes, panes, [*panes[:4], (4, 300, b"other")]):
        assert await history.keep(KEY, "a", change)
    assert sent == [5, 1]
    assert not await PaneHistory(None).keep(KEY, "a", panes)


async def test_a_hub_that_is_away_is_left_in_peace_for_a_minute() -> None:
    now = [0.0]
    asked: list[float] = []

    class Gone(HubClient):
        async def put_panes(self, key, profile, panes):  # type: ignore[no-untyped-def]
            asked.append(now[0])
            return Away(HubReason.UNREACHABLE, "gone")

    history = PaneHistory(Gone("http://nowhere", lambda: None, lambda: "token"), lambda: now[0])
    for second in range(0, 130, 10):
        now[0] = float(second)
        assert not await history.keep(KEY, "a", [(0, 300, b"x")])
    assert asked == [0.0, 60.0, 120.0]
