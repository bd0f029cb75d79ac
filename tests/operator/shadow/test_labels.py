"""What labels say goes into the gate: asked of the hub, of all pairs and of whole days."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from driftline.decoding import build_monitor
from driftline.events import Prediction
from driftline.shadow.gate import DAY
from driftline.shadow.performance import Labelled, Performance, of_classes
from driftline.shadow.runtime import MirrorConfig, ShadowId
from driftline_operator.conditions import HubReason
from driftline_operator.controller.hub.client import HubClient
from driftline_operator.controller.hub.opinions import Away
from driftline_operator.controller.hub.shadows import ASK_SECONDS, ShadowLabels
from driftline_operator.controller.running import Running
from driftline_operator.hub.api import application
from driftline_operator.hub.database import Database
from driftline_operator.hub.hub import Hub as RealHub
from driftline_operator.hub.migrate import migrate
from driftline_operator.hub.tokens import Grant, Scope, TokenFile, sha256_of
from driftline_operator.shadow.book import ShadowBook, judged
from driftline_operator.shadow.course import Course
from driftline_operator.shadow.observed import observe_shadow
from driftline_sidecar.analyzer.mirror.labelled import CandidateRows
from driftline_sidecar.analyzer.mirror.sending import Answer
from driftline_sidecar.analyzer.predictions.packet import pack
from driftline_sidecar.analyzer.predictions.rows import RowReader
from driftline_sidecar.decoders import Decoder
from prometheus_client import CollectorRegistry

from tests.support.exchanges import exchange
from tests.support.hubs import document
from tests.support.shadow_fleet import part
from tests.support.shadows import CLASSES

BEGAN = 1e9
JSON = {"Content-Type": "application/json"}
CONFIG = MirrorConfig(shadow=ShadowId(uid="u", name="v4"), began=BEGAN, url="http://x:1", plan=CLASSES)


def running(gate: dict[str, Any]) -> Running:
    """A shadow that compares, with pairs that agree."""
    body = {
        "apiVersion": "driftline.io/v1alpha1",
        "kind": "ShadowDeployment",
        "metadata": {"name": "v4", "namespace": "ml", "uid": "u", "generation": 1},
        "spec": {
            "monitorRef": {"name": "census"},
            "candidate": {"service": {"name": "v4", "port": 80}},
            "minPairs": 300,
            "gate": {"minTime": "1s", "allowUnderADay": True, "errorRate": 0.05, **gate},
        },
    }
    book = ShadowBook("u", 1, CLASSES)
    book.take(part(CONFIG, "a", 2_000))
    course = Course(uid="u", generation=1, began=BEGAN, plan=CLASSES)
    return Running(observe_shadow(body), course, book)


def pairs(loss: float, rows: int = 2_000) -> Performance:
    """The live model is always right, the candidate but for a share."""
    wrong = np.arange(rows) < loss * rows
    return of_classes(np.arange(rows), np.ones(rows, bool), ~wrong)


class Hub:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self, answer: Labelled | Away) -> None:
        self.answer = answer
        self.asked: list[tuple[tuple[str, str], float | None]] = []

    async def labelled(self, key: tuple[str, str], course: Course, before: float | None) -> Labelled | Away:
        self.asked.append((key, before))
        return self.answer


def labels(hub: Hub, known: Running, now: float) -> ShadowLabels:
    return ShadowLabels(cast(HubClient, hub), lambda: [known], lambda: now)


def verdict(known: Running) -> tuple[str, str]:
    assert known.book is not None
    assert known.observed.spec is not None
    found = judged(known.book, known.observed.spec, 100.0, known.labels)
    rule = next(each for each in found.rules if each.rule == "performance.accuracy")
    return found.verdict, rule.reason.value


async def test_labels_decide_a_performance_rule() -> None:
    for loss, expected in ((0.0, ("Promotable", "WithinLimit")), (0.2, ("Rejected", "BeyondLimit"))):
        known = running({"performance": {"accuracy": 0.05}})
        assert verdict(known) == ("Inconclusive", "NoLabels")
        hub = Hub(Labelled.of(2_000, pairs(loss)))
        await labels(hub, known, BEGAN + 100).turn()
        assert hub.asked == [(("ml", "census"), None)]
        assert verdict(known) == expected


async def test_whole_days_are_asked_for_apart() -> None:
    known = running({"performance": {"accuracy": 0.05}, "minTime": "24h", "allowUnderADay": False})
    hub = Hub(Labelled.of(2_000, pairs(0.0)))
    now = BEGAN + 2.5 * DAY
    await labels(hub, known, now).turn()
    assert [before for _, before in hub.asked] == [None, BEGAN + 2 * DAY]
    assert known.labels.days is not None
    await labels(hub, known, now + ASK_SECONDS / 2).turn()
    assert len(hub.asked) == 2, "not due yet"


async def test_a_day_is_whole_when_its_youngest_predictions_have_the_age() -> None:
    """Else labels of its evening would be missing, and days be read that aren't whole."""
    known = running({"performance": {"accuracy": 0.05}, "minTime": "24h", "allowUnderADay": False})
    for elapsed, expected in ((2.9, []), (3.1, [BEGAN + DAY]), (4.0, [BEGAN + 2 * DAY])):
        hub = Hub(Labelled.of(2_000, pairs(0.0), age=2 * DAY))
        await labels(hub, known, BEGAN + elapsed * DAY).turn()
        assert [before for _, before in hub.asked] == [None, *expected]
        assert (known.labels.days is not None) is bool(expected)


async def test_who_has_no_such_rule_asks_nothing() -> None:
    known = running({"agreement": 0.9})
    hub = Hub(Labelled.of(0, Performance()))
    await labels(hub, known, BEGAN + 100).turn()
    assert hub.asked == []


async def test_a_hub_that_is_away_leaves_what_was_known() -> None:
    known = running({"performance": {"accuracy": 0.05}})
    hub = Hub(Labelled.of(2_000, pairs(0.0)))
    await labels(hub, known, BEGAN + 100).turn()
    hub.answer = Away(HubReason.UNREACHABLE, "gone")
    await labels(hub, known, BEGAN + 200).turn()
    assert len(hub.asked) == 2
    assert verdict(known) == ("Promotable", "WithinLimit")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[tuple[HubClient, TestClient[Any, Any]]]:
    """A real one that knows the monitor, as the controller asks it, and as others do."""
    database, tokens = Database(f"sqlite:///{tmp_path}/hub.db"), TokenFile(None)
    migrate(database)
    scopes: tuple[Scope, ...] = ("admin", "read", "label", "intake")
    tokens.give(Grant(sha256=sha256_of("all"), namespace="*", scopes=scopes))
    found = RealHub(database, tokens, clock=lambda: BEGAN + 100)
    await found.refresh()
    headers = {"Authorization": "Bearer all"}
    async with TestClient(TestServer(application(found, CollectorRegistry())), headers=headers) as server:
        await server.put("/v1/monitors/ml/census", json={"document": document(labels={"ages": ["10s"]})})
        async with HubClient(str(server.make_url("/")), lambda: None, lambda: "all") as client:
            yield client, server
    found.close()


async def test_from_both_answers_and_a_label_to_the_verdict(
    hub: tuple[HubClient, TestClient[Any, Any]],
) -> None:
    """As in a cluster, but for the sockets in between: the sidecar's rows, the hub's join, the gate."""
    client, server = hub
    spec = build_monitor(document()).spec
    assert spec.labels is not None
    features = spec.schema.features
    live_rows, decoder = RowReader(spec, spec.labels), Decoder(spec, features)
    rows = CandidateRows(spec, spec.labels, features, CONFIG)
    sent: dict[int, list[Prediction]] = {}
    for number in range(400):
        answers = [{"outcome": said, "score": 0.5} for said in ("yes", "no" if number % 4 == 0 else "yes")]
        given = exchange({"age": 1, "sex": "f", "origin": "x"}, answers[0])
        given = msgspec.structs.replace(given, id=f"id-{number}", sequence=number)
        other = Answer(200, b"HTTP/1.1 200 OK\r\n\r\n", msgspec.json.encode(answers[1]), 0.01)
        live = live_rows.read(decoder.decode([given]), decoder, BEGAN + 50)
        for each in (live, rows.read(given, other, BEGAN + 50)):
            for boot, predictions in each.by_boot.items():
                sent.setdefault(boot, []).extend(predictions)
    assert len(sent) == 2
    for boot, predictions in sent.items():
        packet = pack("ml", "census", boot, predictions)
        answer = await server.post("/v1/predictions", data=packet.body, headers=JSON)
        assert answer.status == 200, await answer.text()
    labels_ = [{"id": f"id-{number}", "label": "yes", "at": BEGAN + 60} for number in range(400)]
    await server.post("/v1/labels", json=labels_, params={"namespace": "ml", "monitor": "census"})
    known = running({"performance": {"accuracy": 0.05}})
    await ShadowLabels(client, lambda: [known], lambda: BEGAN + 100).turn()
    assert known.labels.every.accuracy.count == 400
    assert verdict(known) == ("Rejected", "BeyondLimit")
