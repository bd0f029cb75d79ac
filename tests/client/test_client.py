"""The client, sync and async, against a hub that is strict, away, busy or wrong."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from driftline.client import AsyncHub, Hub, HubError, Refused, Unreachable, kpi_of
from driftline.client.events import Target
from driftline.client.steps import Pause, Reply, Request, send
from driftline.events import Accepted, Label

from tests.support.children import free_port
from tests.support.fake_hub import TOKEN, FakeHub, hub

LABELS, FEEDBACK, KPIS = "/v1/labels", "/v1/feedback", "/v1/kpis"
Call = Callable[..., Any]


@pytest.fixture
def taking() -> Iterator[FakeHub]:
    with hub() as found:
        yield found


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Do one thing with a hub of either kind: `call(url, "label", "id", "yes")`."""

    def sync(url: str, method: str, *arguments: Any, token: str = TOKEN, **options: Any) -> Any:
        with Hub(url, token, namespace="ml", monitor="census", **options) as found:
            return getattr(found, method)(*arguments)

    async def aio(url: str, method: str, *arguments: Any, token: str = TOKEN, **options: Any) -> Any:
        async with AsyncHub(url, token, namespace="ml", monitor="census", **options) as found:
            return await getattr(found, method)(*arguments)

    def run(*arguments: Any, **options: Any) -> Any:
        return asyncio.run(aio(*arguments, **options))

    return sync if request.param == "sync" else run


def test_a_label_arrives(taking: FakeHub, call: Call) -> None:
    assert call(taking.url, "label", "id-1", "yes") == Accepted(accepted=1, new=1)
    assert taking.events[LABELS] == [Label(id="id-1", label="yes")]
    assert taking.targets == {("ml", "census")}


def test_many_labels_go_in_batches(taking: FakeHub, call: Call) -> None:
    given = [(f"id-{i}", i % 2 == 0) for i in range(2500)]
    assert call(taking.url, "labels", iter(given)) == Accepted(accepted=2500, new=2500)
    assert taking.requests[LABELS] == 3
    assert [(each.id, each.label) for each in taking.events[LABELS]] == given
    assert call(taking.url, "labels", []) == Accepted(accepted=0, new=0)
    assert taking.requests[LABELS] == 3


def test_ids_of_several_fields_and_times(taking: FakeHub, call: Call) -> None:
    noon = datetime(2026, 11, 27, 12, tzinfo=UTC)
    call(taking.url, "labels", [(("UA/1", 3.0), 1.5, noon), Label(id="x", label="no", at=5.0)])
    assert taking.events[LABELS] == [
        Label(id="UA%2F1/3", label=1.5, at=noon.timestamp()),
        Label(id="x", label="no", at=5.0),
    ]
    with pytest.raises(Refused, match="is empty"):
        call(taking.url, "label", ("a", None), "yes")


def test_feedback_and_kpis(taking: FakeHub, call: Call) -> None:
    call(taking.url, "feedback", "id-1", "up", 0.9, "good")
    call(taking.url, "kpi", "id-1", "revenue", 12.5)
    call(taking.url, "kpis", [kpi_of("id-2", "revenue"), kpi_of("id-2", "churn", event="e")])
    (said,) = taking.events[FEEDBACK]
    assert (said.thumb, said.score, said.comment) == ("up", 0.9, "good")
    assert [(each.id, each.name, each.value) for each in taking.events[KPIS]] == [
        ("id-1", "revenue", 12.5), ("id-2", "revenue", 1.0), ("id-2", "churn", 1.0),
    ]  # fmt: skip


def test_reading(taking: FakeHub, call: Call) -> None:
    assert call(taking.url, "report") == {"monitor": "/v1/report"}
    assert call(taking.url, "prediction", "a/b c") == {"monitor": "/v1/predictions/a/b c"}


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_what_fails_for_a_while_is_tried_again(taking: FakeHub, call: Call, status: int) -> None:
    taking.fail_next, taking.fail_status = 2, status
    assert call(taking.url, "label", "id-1", "yes") == Accepted(accepted=1, new=1)
    assert taking.requests[LABELS] == 3


def test_patience_ends(taking: FakeHub, call: Call) -> None:
    taking.status = 503
    with pytest.raises(Unreachable, match="the hub answers 503: as the test says") as failed:
        call(taking.url, "label", "id-1", "yes", patience=1.5)
    assert failed.value.status == 503
    assert 2 <= taking.requests[LABELS] <= 6


def test_nobody_there(call: Call) -> None:
    with pytest.raises(Unreachable, match="can't be reached: http://127"):
        call(f"http://127.0.0.1:{free_port()}", "label", "id-1", "yes", patience=0)


def test_a_hub_that_hangs_is_given_up(taking: FakeHub, call: Call) -> None:
    taking.delay = 60.0
    with pytest.raises(Unreachable, match="can't be reached"):
        call(taking.url, "label", "id-1", "yes", patience=0, timeout=0.3)


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_what_the_hub_will_not_have_is_said_at_once(taking: FakeHub, call: Call, status: int) -> None:
    taking.status = status
    with pytest.raises(Refused, match=f"answers {status}: as the test says"):
        call(taking.url, "label", "id-1", "yes")
    assert taking.requests[LABELS] == 1


def test_a_wrong_token_is_said(taking: FakeHub, call: Call) -> None:
    with pytest.raises(Refused, match="401: no such token"):
        call(taking.url, "label", "id-1", "yes", token="another")


def test_requests_that_are_too_large_go_in_halves(taking: FakeHub, call: Call) -> None:
    taking.most_rows = 300
    given = [(f"id-{i}", "yes") for i in range(1000)]
    assert call(taking.url, "labels", given) == Accepted(accepted=1000, new=1000)
    assert [each.id for each in taking.events[LABELS]] == [identity for identity, _ in given]


def test_another_server_is_no_hub(taking: FakeHub, call: Call) -> None:
    taking.status = 200
    with pytest.raises(Unreachable, match="isn't a hub"):
        call(taking.url, "label", "id-1", "yes")


@pytest.mark.parametrize("url", ["hub:8444", "ftp://hub", "https://", "https://hub?x=1"])
def test_a_url_that_is_none_is_said(url: str, call: Call) -> None:
    with pytest.raises(HubError, match="must be the hub's URL"):
        call(url, "label", "id-1", "yes")


def test_a_connection_is_kept_and_one_that_was_closed_is_opened_again(taking: FakeHub) -> None:
    with Hub(taking.url, TOKEN, monitor="census", patience=0) as found:
        found.label("a", "yes")
        first = found._connection
        found.label("b", "yes")
        assert found._connection is first
        assert first is not None
        assert first.sock is not None
        first.sock.close()  # as a hub does with an idle one
        found.label("c", "yes")
    assert [each.id for each in taking.events[LABELS]] == ["a", "b", "c"]


class TestSteps:
    """The conversation itself, without sockets."""

    def test_a_refusal_in_the_middle_says_what_was_taken(self) -> None:
        steps = send(LABELS, Target("ml", "x"), [Label(id=str(i), label="y") for i in range(5)], 60, batch=2)
        next(steps)
        for _ in range(2):
            steps.send(Reply(200, b'{"accepted":2,"new":2}'))
        with pytest.raises(Refused) as refused:
            steps.send(Reply(400, b'{"error":"no","field":"labels[0].label","value":7}'))
        assert (refused.value.taken, refused.value.first, refused.value.field) == (4, 4, "labels[0].label")
        assert str(refused.value) == "the hub answers 400: labels[0].label: no (got 7)"

    def test_the_hub_s_own_pause_counts(self) -> None:
        steps = send(LABELS, Target("ml", "x"), [Label(id="a", label="y")], 60)
        request = next(steps)
        assert isinstance(request, Request)
        assert request.path == "/v1/labels?namespace=ml&monitor=x"
        pause = steps.send(Reply(429, b"", 7.0))
        assert pause == Pause(7.0)
        assert steps.send(None) == request


def test_importing_it_needs_neither_aiohttp_nor_numpy() -> None:
    code = "import sys, driftline.client; print(sorted({'aiohttp', 'numpy', 'asyncio'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
