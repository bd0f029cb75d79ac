"""What must never be kept is planted everywhere in a request, and looked for in all that the sidecar says."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import urllib.request
import zlib
from pathlib import Path
from typing import Final

import pytest

from tests.support.children import MONITOR, Proxy, analyzer, count, eventually, free_port, model, proxy
from tests.support.fake_hub import TOKEN, hub
from tests.support.load import answer, post

SECRET: Final = "s3cr3t-4711"
"""Everywhere the same, so that one search finds it."""

CAPTURED = """\
  reference: {capture: {rows: 100}}
  pane: 1s
  windows: [2s]
  drift: {minRows: 10, minRequests: 10}
  capture: {redact: ["$.ssn", "$..email", "$.notes"]}
"""
DECLARED = MONITOR + CAPTURED
SEEN_IN_TRAFFIC = MONITOR.replace("    features: [{name: age, type: numeric}]\n", "") + CAPTURED

HEADERS = (
    f"authorization: Bearer {SECRET}".encode(),
    f"cookie: session={SECRET}".encode(),
    f"x-api-key: {SECRET}".encode(),
    f"x-request-id: id-{SECRET}".encode(),
)


def bodies(number: int) -> list[bytes]:
    """Bodies whose secrets lie where the monitor redacts, and bodies that are no JSON at all."""
    row = {
        "age": number % 7,
        "day": number,
        "ssn": f"{SECRET}-{number}",
        "notes": {"free": [SECRET, {"more": SECRET}]},
        "contact": {"email": f"{SECRET}@example.org", "home": {"email": SECRET}},
    }
    whole = json.dumps(row).encode()
    return [whole, b"[%b]" % whole, whole[:-1], SECRET.encode(), b"\xff" + SECRET.encode()]


async def send(running: Proxy, rounds: int, headers: tuple[bytes, ...] = HEADERS) -> None:
    for number in range(rounds):
        for body in bodies(number):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(post(f"/predict?token={SECRET}", body, *headers))
            assert (await answer(reader))[0] == 200
            writer.close()


def said(admin: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}{path}", timeout=5) as found:
        body: bytes = found.read()
        return body


def unpacked(panes: bytes) -> list[bytes]:
    """The panes' contents: length, magic, version and checksum taken off, and inflated."""
    found = []
    while panes:
        (length,) = struct.unpack_from("<I", panes)
        found.append(zlib.decompress(panes[4 : 4 + length][11:]))
        panes = panes[4 + length :]
    return found


def written(directory: Path) -> dict[str, bytes]:
    """Every file under the directory, inflated where it is packed; the monitor file aside."""
    found = {}
    for path in directory.rglob("*"):
        if path.is_file() and path.name != "monitor.yaml":
            data = path.read_bytes()
            found[str(path)] = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    return found


@pytest.mark.parametrize("logs", ["json", "text"])
@pytest.mark.parametrize("monitor", [DECLARED, SEEN_IN_TRAFFIC], ids=["declared", "seen-in-traffic"])
async def test_a_redacted_value_is_nowhere(tmp_path: Path, monitor: str, logs: str) -> None:
    upstream, admin, state = free_port(), free_port(), tmp_path / "state"
    state.mkdir()
    with (
        model(tmp_path, upstream),
        proxy(tmp_path, upstream, "--log-format", logs, monitor=monitor) as running,
        analyzer(tmp_path, admin, "--state", str(state), "--log-format", logs),
    ):
        for _ in range(20):
            await send(running, 20)
            panes = said(admin, "/v1/panes")
            if panes and any(state.iterdir()):
                break
            await asyncio.sleep(0.5)
        everything = {
            path: said(admin, path) for path in ("/metrics", "/v1/report", "/v1/history", "/v1/config")
        }
        assert count(everything["/metrics"].decode(), "decode_errors_total") > 0
        everything["proxy"] = running.ask("/metrics")[1].encode()
        everything |= {f"pane {number}": pane for number, pane in enumerate(unpacked(panes))}
        everything |= written(tmp_path)
    assert any(name.startswith("pane") for name in everything)
    assert any(str(state) in name for name in everything)
    assert [name for name, data in everything.items() if SECRET.encode() in data] == []


LOGGED = DECLARED.replace(
    "  capture: {redact", "  labels: {key: [age, day], features: [age]}\n  capture: {redact"
)


async def test_a_redacted_value_is_not_sent_to_the_hub(tmp_path: Path) -> None:
    """Nor is anything else that the monitor doesn't name, nor does any of it wait in a file."""
    upstream, admin, state = free_port(), free_port(), tmp_path / "state"
    (tmp_path / "hub-token").write_text(TOKEN)
    with (
        hub() as taking,
        model(tmp_path, upstream),
        proxy(tmp_path, upstream, monitor=LOGGED) as running,
        analyzer(
            tmp_path,
            admin,
            "--state",
            str(state),
            "--hub",
            taking.url,
            "--hub-token",
            str(tmp_path / "hub-token"),
        ),
    ):
        eventually(lambda: "worker_connected" in (tmp_path / "analyzer.log").read_text())
        taking.status = 503
        await send(running, 20)
        eventually(lambda: any(taking.bodies) and any(state.rglob("*.json")), 20)
        waiting = written(state)
        taking.status = 0
        eventually(lambda: count(said(admin, "/metrics").decode(), "prediction_log_rows_total") == 40, 20)
        series = said(admin, "/metrics").decode()
    assert any(name.endswith(".json") for name in waiting)
    everything = {**waiting, **{f"request {i}": body for i, body in enumerate(taking.bodies)}}
    assert [name for name, data in everything.items() if SECRET.encode() in data] == []
    assert {row.id for row in taking.predictions.values()} == {f"{n % 7}/{n}" for n in range(20)}
    assert {name for row in taking.predictions.values() for name in row.features} == {"age"}
    assert count(series, "prediction_log_dropped_total") == 0
