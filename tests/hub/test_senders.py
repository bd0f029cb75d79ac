"""The hub's senders against the real hub: the sidecar's log, the client, `driftline labels push`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from driftline.client import AsyncHub, Hub, HubError, Refused
from driftline_sidecar.exchange import Exchange

from tests.support.analysis import document, frames, predicted
from tests.support.analyzers import Running
from tests.support.children import child, count, eventually, free_port
from tests.support.commands import driftline

TOKENS = {"sidecar": ["intake"], "labeller": ["label", "read"]}
LABELS = (
    "  reference: {capture",
    "  labels: {features: [age]}\n  kpis: [{name: revenue}]\n  reference: {capture",
)


@contextlib.contextmanager
def hub(directory: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`driftline-operator hub` with a SQLite file, told of the analyzer's monitor."""
    (directory / "monitor.yaml").write_text(document(LABELS))
    grants = [
        {"sha256": hashlib.sha256(token.encode()).hexdigest(), "namespace": "ml", "scopes": scopes}
        for token, scopes in TOKENS.items()
    ]
    (directory / "tokens").write_bytes(msgspec.json.encode({"tokens": grants}))
    command = [sys.executable, "-c", "import sys; from driftline_operator.main import main; sys.exit(main())"]
    command += ["hub", "--database", f"sqlite:///{directory / 'hub.db'}", "--listen", f"127.0.0.1:{port}"]
    command += ["--metrics", f"127.0.0.1:{free_port()}", "--tokens", str(directory / "tokens")]
    command += ["-f", str(directory / "monitor.yaml")]
    with child(command, directory / "hub.log") as process:
        eventually(lambda: knows(port) or process.poll() is not None, 30)
        assert process.poll() is None, (directory / "hub.log").read_text()
        yield process


def knows(port: int) -> bool:
    """Whether it has read its monitors: it listens before."""
    try:
        with client(port, patience=0) as found:
            found.prediction("nobody")
    except Refused as refused:
        return refused.value != "ml/demo"
    except HubError:
        pass
    return False


@contextlib.contextmanager
def analyzer(directory: Path, port: int) -> Iterator[Running]:
    (directory / "monitor.yaml").write_text(document(LABELS))
    (directory / "token").write_text("sidecar")
    admin = free_port()
    command = [sys.executable, "-m", "driftline_sidecar.main", "analyzer"]
    command += ["--monitor", str(directory / "monitor.yaml"), "--tee", str(directory / "tee.sock")]
    command += ["--admin", f"127.0.0.1:{admin}", "--hub", f"http://127.0.0.1:{port}"]
    command += ["--hub-token", str(directory / "token"), "--state", str(directory / "state")]
    with child(command, directory / "analyzer.log") as process:
        running = Running(process, directory, admin)
        eventually(lambda: running.ready() or process.poll() is not None, 20)
        assert process.poll() is None, running.log.read_text()
        yield running


def feed(running: Running, first: int, rows: int) -> list[Exchange]:
    now = running.now()
    made = [predicted(now, float(i % 40), sequence=i) for i in range(first, first + rows)]
    running.deliver(frames(made))
    return made


def acknowledged(running: Running) -> float:
    return count(running.text("/metrics"), "prediction_log_rows_total")


def stored(directory: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(directory / "hub.db")) as database:
        return database.execute(query).fetchall()


def client(port: int, token: str = "labeller", patience: float = 10) -> Hub:
    return Hub(f"http://127.0.0.1:{port}", token, namespace="ml", monitor="demo", patience=patience)


def test_a_prediction_its_label_and_what_else_is_said_of_it_meet(tmp_path: Path) -> None:
    port = free_port()
    with hub(tmp_path, port), analyzer(tmp_path, port) as running, client(port) as found:
        found.label("id-3", "no")  # before its prediction
        feed(running, 1, 600)
        eventually(lambda: acknowledged(running) == 600, 20)
        (tmp_path / "truth.csv").write_text("id,truth\n" + "".join(f"id-{i},yes\n" for i in range(4, 601)))
        (tmp_path / "labeller").write_text("labeller")
        pushed = driftline(
            "labels", "push", tmp_path / "truth.csv", "--id-column", "id", "--label-column", "truth", "--url",
            f"http://127.0.0.1:{port}", "--token-file", tmp_path / "labeller", "--namespace", "ml",
            "--monitor", "demo", "--batch", "100",
        )  # fmt: skip
        assert pushed.code == 0, pushed.err
        assert "597 labels sent, 597 of them new or changed" in pushed.err
        assert found.label("id-4", "yes").new == 0
        assert found.label("id-4", "no").new == 1
        found.feedback("id-3", thumb="up", score=0.5)
        found.kpi("id-3", "revenue", 12.5)
        with pytest.raises(Refused, match="kpis"):
            found.kpi("id-3", "unknown", 1)
        with pytest.raises(Refused, match="404"):
            found.prediction("nobody")
        said = found.prediction("id-3")

    assert stored(tmp_path, "SELECT COUNT(*), COUNT(DISTINCT id) FROM predictions") == [(600, 600)]
    assert stored(tmp_path, "SELECT COUNT(*) FROM predictions WHERE \"class\" = 'yes' AND score = 0.4") == [
        (600,)
    ]
    assert stored(tmp_path, "SELECT COUNT(DISTINCT id) FROM labels") == [(598,)]
    text = msgspec.json.encode(said).decode()
    assert all(part in text for part in ('"no"', "12.5", '"up"', '"age"'))


def test_the_async_client_too(tmp_path: Path) -> None:
    port = free_port()

    async def say() -> tuple[int, int]:
        url = f"http://127.0.0.1:{port}"
        async with AsyncHub(url, "labeller", namespace="ml", monitor="demo") as found:
            many = await found.labels((f"id-{i}", bool(i % 2)) for i in range(3000))
            again = await found.labels((f"id-{i}", bool(i % 2)) for i in range(3000))
            return many.new, again.new

    with hub(tmp_path, port):
        assert asyncio.run(say()) == (3000, 0)


@pytest.mark.slow
@pytest.mark.timeout(300)  # five starts of a hub, and the pauses between tries grow meanwhile
def test_a_hub_killed_under_load_has_everything_it_acknowledged_and_once(tmp_path: Path) -> None:
    port, sent = free_port(), 0
    with analyzer(tmp_path, port) as running:
        for _ in range(4):
            with hub(tmp_path, port) as process:
                before = acknowledged(running)
                for _ in range(10):
                    feed(running, sent + 1, 500)
                    sent += 500
                eventually(lambda: acknowledged(running) > before, 30)  # noqa: B023 - done with before the next
                process.kill()
                process.wait(10)
            known = acknowledged(running)
            rows = stored(tmp_path, "SELECT COUNT(*) FROM predictions")
            assert isinstance(rows[0][0], int)
            assert known <= rows[0][0] <= sent
        with hub(tmp_path, port):
            eventually(lambda: acknowledged(running) == sent, 60)
    assert count_of(tmp_path) == (sent, sent, sent)


def count_of(directory: Path) -> tuple[object, ...]:
    (found,) = stored(directory, "SELECT COUNT(*), COUNT(DISTINCT id), MAX(sequence) FROM predictions")
    return found
