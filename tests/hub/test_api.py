"""The HTTP side: who may ask what, what is refused and how, and what is answered."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from driftline_operator.hub import intake, registry
from driftline_operator.hub.database import Database
from driftline_operator.hub.hub import Hub
from driftline_operator.hub.limits import Limits
from driftline_operator.hub.refusal import Refusal
from driftline_operator.hub.tokens import Grant, TokenFile, sha256_of
from prometheus_client import generate_latest
from pyarrow import parquet

from tests.support.hub_api import ALL, CENSUS, Api
from tests.support.hubs import NOW, document


def envelope(*predictions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**CENSUS, "boot": "b", "predictions": predictions, **fields}


def one(identity: str = "a", **fields: Any) -> dict[str, Any]:
    return {"id": identity, "at": NOW - 10, "prediction": "yes", "score": 0.9, **fields}


async def test_from_prediction_and_label_to_metrics(api: Api) -> None:
    two = envelope(one("a"), one("b", sequence=1, segments={"sex": "f"}))
    assert await api.answer("POST", "/v1/predictions", json=two) == {"accepted": 2, "new": 2}
    assert await api.answer("POST", "/v1/predictions", json=two) == {"accepted": 2, "new": 0}
    sent = [{"id": "a", "label": "yes"}, {"id": "b", "label": "no", "at": NOW}]
    assert await api.answer("POST", "/v1/labels", json=sent, params=CENSUS) == {"accepted": 2, "new": 2}
    span = {"start": str(NOW - 60), "end": str(NOW)}
    (cell,) = (await api.answer("GET", "/v1/metrics", params=CENSUS | span))["cells"]
    assert (cell["predictions"], cell["labelled"]) == (2, 2)
    assert cell["confusion"] == {"classes": ["negative", "positive"], "counts": [[0, 1], [0, 1]]}
    assert cell["means"]["errors"]["total"] == 1.0
    (cell,) = (await api.answer("GET", "/v1/metrics", params=CENSUS | span | {"segment": "sex"}))["cells"]
    assert (cell["segment"], cell["labelled"]) == ("f", 1)
    (cell,) = (await api.answer("GET", "/v1/metrics", params=CENSUS | span | {"age": "5"}))["cells"]
    assert (cell["predictions"], cell["labelled"]) == (2, 0)
    (cell,) = (await api.answer("GET", "/v1/windows", params=CENSUS | span | {"step": "30"}))["cells"]
    assert (cell["start"], cell["predictions"]) == (NOW - 30, 2)


async def test_what_is_known_of_an_id_and_its_erasure(api: Api) -> None:
    await api.answer("POST", "/v1/predictions", json=envelope(one("a/1")))
    await api.answer("POST", "/v1/feedback", json={"id": "a/1", "thumb": "up"}, params=CENSUS)
    await api.answer("POST", "/v1/kpis", json=[{"id": "a/1", "name": "revenue", "value": 3}], params=CENSUS)
    found = await api.answer("GET", "/v1/predictions/a/1", params=CENSUS)
    assert [each["score"] for each in found["predictions"]] == [0.9]
    assert (found["feedback"][0]["thumb"], found["kpis"][0]["value"]) == ("up", 3.0)
    assert await api.answer("DELETE", "/v1/ids/a/1", params=CENSUS) == {"erased": 3}
    assert await api.answer("GET", "/v1/predictions/a/1", 404, params=CENSUS) == {
        "error": "nothing is known of this id", "field": "id", "value": "a/1",
    }  # fmt: skip


async def test_lines_and_lists_without_an_envelope(api: Api) -> None:
    query = CENSUS | {"boot": "b"}
    lines = "\n".join(json.dumps(one(str(n), sequence=n)) for n in range(3)) + "\n\n"
    headers = {"Content-Type": "application/x-ndjson"}
    sent = await api.answer("POST", "/v1/predictions", data=lines, params=query, headers=headers)
    assert sent == {"accepted": 3, "new": 3}
    assert await api.answer("POST", "/v1/predictions", json=[one("0")], params=query) == {
        "accepted": 1,
        "new": 0,
    }
    assert await api.answer("POST", "/v1/predictions", json=one("1", sequence=1), params=query) == {
        "accepted": 1, "new": 0,
    }  # fmt: skip
    assert await api.label('{"id": "1", "label": "yes"}', "application/x-ndjson") == {"accepted": 1, "new": 1}
    assert await api.label("[]", "application/json") == {"accepted": 0, "new": 0}


async def test_files_of_labels(api: Api) -> None:
    text = 'who,what,when\r\n1,yes,1750000000\r\n"2,x",no,2025-06-15T15:06:40+00:00\r\n'
    timed: dict[str, Any] = {"id-column": "who", "label-column": "what", "time-column": "when"}
    assert await api.label(text, "text/csv", **timed) == {
        "accepted": 2,
        "new": 2,
    }
    found = await api.answer("GET", "/v1/predictions/2,x", params=CENSUS)
    assert found["labels"] == [{"at": NOW, "label": "no", "received": NOW}]
    table = pa.table({"who": [3, 4], "what": [True, False], "when": pa.array([1, 2], pa.timestamp("s"))})
    file = io.BytesIO()
    parquet.write_table(table, file)
    sent = await api.label(file.getvalue(), "application/vnd.apache.parquet", **timed)
    assert sent == {"accepted": 2, "new": 2}
    found = await api.answer("GET", "/v1/predictions/4", params=CENSUS)
    assert found["labels"] == [{"at": 2.0, "label": "false", "received": NOW}]


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("who,what\n1,yes\n,no\n", "row 2, column who", ""),
        ("who\n1\n", "what", "what"),
        ("who,what,what\n1,2,3\n", "what", "what"),
        ("who,what\n1,yes\n2\n", None, None),
        (b"\xff\xfe", None, None),
    ],
)
async def test_files_that_are_refused_as_a_whole(api: Api, text: Any, field: str | None, value: Any) -> None:
    refused = await api.label(text, "text/csv", 400, **{"id-column": "who", "label-column": "what"})
    assert (refused.get("field"), refused.get("value")) == (field, value)
    await api.answer("GET", "/v1/predictions/1", 404, params=CENSUS)


async def test_a_file_is_no_parquet_or_too_long(api: Api) -> None:
    columns: dict[str, Any] = {"id-column": "who", "label-column": "what"}
    refused = await api.label(b"PAR1", "application/vnd.apache.parquet", 400, **columns)
    assert "no Parquet" in refused["error"]
    long = "who,what\n" + "".join(f"{n},x\n" for n in range(51))
    assert "at most 50 rows" in (await api.label(long, "text/csv", 413, **columns))["error"]
    file = io.BytesIO()
    parquet.write_table(pa.table({"who": list(range(51)), "what": ["x"] * 51}), file)
    await api.label(file.getvalue(), "application/vnd.apache.parquet", 413, **columns)
    assert (await api.label("who,what\n", "text/csv", 400, **{"id-column": "who"}))["field"] == "label-column"


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        (envelope(one(), one(7)), "predictions[1].id", 7),  # type: ignore[arg-type]
        (envelope(one(score="high")), "predictions[0].score", "high"),
        (envelope(one(score=1e300)), "predictions[0].score", 1e300),
        (envelope(one(sequence=2**63)), "predictions[0].sequence", 2**63),
        (envelope(one(at=-1)), "predictions[0].at", -1),
        (envelope(one(), boot=""), "boot", ""),
        ({"namespace": "ml"}, "body", None),
        (envelope(one(segments=["f"])), "predictions[0].segments", None),
    ],
)
async def test_one_wrong_event_refuses_all(api: Api, body: dict[str, Any], field: str, value: Any) -> None:
    refused = await api.answer("POST", "/v1/predictions", 400, json=body)
    assert refused["error"]
    assert (refused["field"], refused["value"]) == (field, value)
    await api.answer("GET", "/v1/predictions/a", 404, params=CENSUS)


async def test_other_refusals_say_what_is_wrong(api: Api) -> None:
    refused = await api.label('[{"id":"a","label":"x"},{"id":"b"}]', "application/json", 400)
    assert refused["field"] == "labels[1]"
    assert "no JSON" in (await api.label("{", "application/json", 400))["error"]
    assert "NUL" in (await api.label('{"id":"a\\u0000","label":"x"}', "application/json", 400))["error"]
    assert await api.label('{"id":"a\\\\u0000","label":"x"}', "application/json") == {"accepted": 1, "new": 1}
    assert (await api.label("<x/>", "text/xml", 415))["value"] == "text/xml"
    wrong = await api.answer("POST", "/v1/kpis", 400, json={"id": "a", "name": "profit"}, params=CENSUS)
    assert (wrong["field"], wrong["value"]) == ("kpis[0].name", "profit")
    assert (await api.answer("GET", "/v1/metrics", 400, params={"namespace": "ml"}))["field"] == "monitor"
    for name, value in (("start", "x"), ("age", "-1"), ("end", "nan"), ("segment", "age"), ("step", "0")):
        wrong = await api.answer("GET", "/v1/metrics", 400, params=CENSUS | {name: value})
        assert wrong["field"] == name
    nowhere = {"namespace": "ml", "monitor": "nowhere"}
    unknown = await api.answer("POST", "/v1/predictions", 404, json=envelope(one(), **nowhere))
    assert unknown == {"error": "no such monitor", "field": "monitor", "value": "ml/nowhere"}
    assert (await api.answer("GET", "/v1/report", 404, params=CENSUS))["error"] == "nothing was evaluated yet"
    assert (await api.ask("GET", "/v2/x")).status == 404
    assert (await api.ask("PATCH", "/v1/labels")).headers["Allow"] == "POST"


async def test_sizes_have_limits_that_are_said(api: Api) -> None:
    large = await api.label(b"x" * 100_001, "application/json", 413)
    assert large["error"] == "at most 100000 bytes in a request"
    packed = gzip.compress(b" " * 1_000_000)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    bomb = await api.ask("POST", "/v1/labels", params=CENSUS, data=packed, headers=headers)
    assert bomb.status == 413
    small = gzip.compress(b'{"id": "a", "label": "x"}')
    assert (await api.ask("POST", "/v1/labels", params=CENSUS, data=small, headers=headers)).status == 200
    many = json.dumps([{"id": "a"} for _ in range(10_001)]).replace("}", ',"label":1}')
    api.hub.limits = Limits()
    assert "10000 events" in (await api.label(many, "application/json", 413))["error"]


async def test_no_token_no_answer(api: Api) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic all"},
    ):
        response = await api.client.get("/v1/metrics", params=CENSUS, headers=headers)
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
    for path in ("/healthz", "/openapi.json"):
        assert (await api.client.get(path)).status == 200


async def test_scopes_and_namespaces(api: Api) -> None:
    for token in ("other", "nothing-but-labels"):
        response = await api.ask("POST", "/v1/predictions", token, json=envelope(one()))
        assert response.status == 403
    for method, path in (
        ("GET", "/v1/metrics"),
        ("GET", "/v1/report"),
        ("GET", "/v1/predictions/a"),
        ("DELETE", "/v1/ids/a"),
        ("PUT", "/v1/monitors/ml/census"),
        ("DELETE", "/v1/monitors/ml/census"),
        ("GET", "/v1/panes/ml/census"),
        ("POST", "/v1/panes/ml/census"),
    ):
        query = {} if path.endswith("/ml/census") else CENSUS
        for token in ("other", "nothing-but-labels"):
            response = await api.ask(method, path, token, params=query, json={"document": document()})
            assert response.status == 403, (method, path, token)
    label = {"id": "a", "label": "x"}
    assert (
        await api.ask("POST", "/v1/labels", "nothing-but-labels", params=CENSUS, json=label)
    ).status == 200
    assert (await api.ask("POST", "/v1/labels", "ml", params=CENSUS, json=label)).status == 200


async def test_a_sidecars_token_comes_with_its_monitor(api: Api) -> None:
    sent = envelope(one())
    assert (await api.ask("POST", "/v1/predictions", "sidecar", json=sent)).status == 401
    told = {"document": document(), "token": sha256_of("sidecar")}
    assert await api.answer("PUT", "/v1/monitors/ml/census", json=told) == {"changed": True}
    assert await api.answer("PUT", "/v1/monitors/ml/census", json=told) == {"changed": False}
    assert (await api.ask("POST", "/v1/predictions", "sidecar", json=sent)).status == 200
    assert (await api.ask("POST", "/v1/labels", "sidecar", params=CENSUS, json=[])).status == 403
    await api.answer("DELETE", "/v1/monitors/ml/census")
    assert (await api.ask("POST", "/v1/predictions", "sidecar", json=sent)).status == 401
    await api.answer("POST", "/v1/predictions", 404, json=sent)


async def test_monitors_that_cant_be(api: Api) -> None:
    wrong = await api.answer("PUT", "/v1/monitors/ml/other", 400, json={"document": document()})
    assert (wrong["field"], wrong["value"]) == ("document.metadata.name", "ml/census")
    broken = document(pane="7s")
    wrong = await api.answer("PUT", "/v1/monitors/ml/census", 400, json={"document": broken})
    assert wrong["field"].startswith("document.spec")
    told = {"document": document(), "profile": base64.b64encode(b"nonsense").decode()}
    assert (await api.answer("PUT", "/v1/monitors/ml/census", 400, json=told))["field"] == "profile"
    assert (await api.answer("GET", "/v1/monitors/ml/census"))["profile"] is None


async def test_pane_history(api: Api) -> None:
    pane = {"start": NOW, "seconds": 60, "profile": "abc", "body": base64.b64encode(b"counts").decode()}
    for new in (1, 0):
        sent = await api.answer("POST", "/v1/panes/ml/census", json={"panes": [pane]})
        assert sent == {"accepted": 1, "new": new}
    found = await api.answer("GET", "/v1/panes/ml/census", params={"profile": "abc"})
    assert found == {"panes": [pane | {"seconds": 60.0}], "next": None}
    await api.answer("GET", "/v1/panes/ml/census", 400)


async def test_too_many_events_wait(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.hub.buckets, "_burst", 3.0)
    monkeypatch.setattr(api.hub.buckets, "_rate", 0.5)
    five = [{"id": str(n), "label": "x"} for n in range(5)]
    assert (await api.ask("POST", "/v1/labels", params=CENSUS, json=five)).status == 200
    refused = await api.ask("POST", "/v1/labels", params=CENSUS, json=five)
    assert (refused.status, int(refused.headers["Retry-After"])) == (429, 4)
    assert (await api.ask("POST", "/v1/labels", "ml", params=CENSUS, json=five)).status == 200


async def test_too_many_requests_are_told_to_come_back(api: Api) -> None:
    api.hub.limits = Limits(waiting=1)
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go.wait(30)

    holding = asyncio.ensure_future(api.hub.take(hold))
    await asyncio.to_thread(held.wait, 30)
    refused = await api.ask("POST", "/v1/labels", params=CENSUS, json={"id": "a", "label": "x"})
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    go.set()
    await holding
    assert (await api.ask("POST", "/v1/labels", params=CENSUS, json={"id": "a", "label": "x"})).status == 200


async def test_what_it_counts(api: Api) -> None:
    await api.answer("POST", "/v1/labels", json=[{"id": "a", "label": "x"}] * 3, params=CENSUS)
    await api.answer("GET", "/v1/metrics", 400)
    text = generate_latest(api.series).decode()
    assert 'modelmonitor_hub_events_total{operation="labels",result="new"} 1.0' in text
    assert 'modelmonitor_hub_events_total{operation="labels",result="known"} 2.0' in text
    assert 'modelmonitor_hub_requests_total{code="400",operation="metrics"} 1.0' in text


def test_the_token_file_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text(f"tokens:\n- {{sha256: {sha256_of('a')}, namespace: ml, scopes: [read]}}\n")
    tokens = TokenFile(path)
    assert [each.namespace for each in tokens.grants] == ["ml"]
    path.write_text("tokens: [{}]")
    assert [each.namespace for each in tokens.grants] == ["ml"]
    assert "is not used" in caplog.text
    path.write_text("tokens: []")
    assert tokens.grants == ()
    path.write_text("tokens: 3")
    with pytest.raises(ValueError, match=r"tokens\.yaml"):
        TokenFile(path)


def test_the_hash_of_nothing_opens_nothing() -> None:
    from driftline_operator.hub.refusal import Refusal
    from driftline_operator.hub.tokens import find

    empty = Grant(sha256=sha256_of(""), namespace="*", scopes=ALL)
    for header in ("", "Bearer", "Bearer ", "Bearer  "):
        with pytest.raises(Refusal):
            find(header, [empty])


async def test_a_monitor_told_to_another_replica_is_known_at_once(api: Api, url: str) -> None:
    """However many ask at once, and just after a look for something else."""
    database = Database(url)
    other = Hub(database, api.hub.tokens, Limits(), clock=lambda: NOW)
    await other.refresh()
    with pytest.raises(Refusal, match="no such monitor"):
        await other.known("ml", "later")
    await api.answer("PUT", "/v1/monitors/ml/later", json={"document": document("later")})
    found = await asyncio.gather(*(other.known("ml", "later") for _ in range(20)))
    assert {each.name for each in found} == {("ml", "later")}
    other.close()


async def test_what_cant_be_looked_up_is_not_unknown(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> int:
        raise sa.exc.OperationalError("", {}, Exception("away"))

    monkeypatch.setattr(registry, "revision", away)
    for asked in (api.hub.known("ml", "later"), api.hub.grant("Bearer later")):
        with pytest.raises(Refusal) as refusal:
            await asked
        assert refusal.value.status == 503


async def test_a_hub_whose_database_takes_nothing_isnt_ready(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Exception):
        sqlstate, sqlite_errorname = "53100", "SQLITE_FULL"

    def full(*_: object) -> int:
        raise sa.exc.OperationalError("", {}, Full())

    with monkeypatch.context() as patched:
        patched.setattr(intake, "add_labels", full)
        patched.setattr(registry, "rise", full)
        await api.label('{"id": "a", "label": "x"}', "application/json", 503)
        await api.hub.refresh()
        assert (await api.client.get("/readyz")).status == 503
    await api.hub.refresh()
    assert (await api.client.get("/readyz")).status == 200
