"""The analyzer as a program: its socket, its files, its signals."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

from driftline.pane_codec import decode_pane

from tests.support.analysis import frames, predicted, write_monitor
from tests.support.analyzers import Running, analyzer
from tests.support.children import eventually

FAST = (("pane: 10s", "pane: 1s"), ("windows: [1m, 2m]", "windows: [1s, 2s]"), ("rows: 400", "rows: 100"))


def send(running: Running, count: int, age: float = 1.0, boot: int = 1) -> None:
    spread = [age + 0.01 * (i % 37) for i in range(count)]
    running.deliver(
        frames([predicted(running.now(), spread[i], sequence=i + 1) for i in range(count)], boot=boot)
    )


def exchanges(running: Running) -> int:
    seen: int = running.json("/v1/report")["capture"]["seen"]
    return seen


def test_it_takes_workers_in_sequence_and_shrugs_off_garbage(tmp_path: Path) -> None:
    with analyzer(tmp_path) as running:
        send(running, 50, boot=1)
        with running.connect() as connection:
            connection.sendall(os.urandom(5000))
        with running.connect() as connection:
            connection.sendall(frames([predicted(running.now(), 1.0)])[:-5])
        send(running, 50, boot=2)
        eventually(lambda: exchanges(running) == 100)
        assert running.json("/healthz")["status"] == "ok"


def test_a_captured_reference_panes_and_cursor(tmp_path: Path) -> None:
    with analyzer(tmp_path, *FAST, options=("--state", str(tmp_path / "state"))) as running:
        send(running, 120)
        eventually(lambda: running.json("/v1/report")["profile"] is not None)
        send(running, 30)
        eventually(lambda: running.get("/v1/panes")[1] != b"")
        _, body = running.get("/v1/panes")
        (length,) = struct.unpack_from("<I", body)
        pane = decode_pane(body[4 : 4 + length])
        assert pane.counts.rows == 30
        assert pane.profile_hash == running.json("/v1/report")["profile"]["hash"]
        first = running.json("/v1/report")["profile"]["hash"]
        assert running.stop() == 0
    with analyzer(tmp_path, *FAST, options=("--state", str(tmp_path / "state"))) as running:
        assert running.json("/v1/report")["profile"]["hash"] == first


def test_a_changed_monitor_takes_effect_and_a_broken_one_does_not(tmp_path: Path) -> None:
    with analyzer(tmp_path) as running:
        path = tmp_path / "monitor.yaml"
        write_monitor(path, ("name: model-a", "name: model-b"))
        eventually(lambda: running.json("/v1/report")["model"] == "model-b")
        path.write_text("kind: ModelMonitor\nspec: [")
        eventually(lambda: running.json("/v1/config")["files"][0]["refused"] is not None)
        assert running.json("/v1/report")["model"] == "model-b"
        text = running.text("/metrics")
        assert 'config_last_reload_successful{file="monitor",model="",monitor="",namespace=""} 0.0' in text
        write_monitor(path)
        eventually(lambda: running.json("/v1/report")["model"] == "model-a")
        assert running.json("/v1/config")["files"][0]["refused"] is None


def test_a_killed_analyzer_comes_back_on_the_same_socket(tmp_path: Path) -> None:
    with analyzer(tmp_path) as running:
        send(running, 10)
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(5)
    with analyzer(tmp_path) as running:
        send(running, 10)
        eventually(lambda: exchanges(running) == 10)
        assert running.stop() == 0
        assert not running.tee.exists()


def test_health_tells_when_the_socket_is_gone(tmp_path: Path) -> None:
    with analyzer(tmp_path) as running:
        running.tee.unlink()
        eventually(lambda: running.get("/healthz")[0] == 503)


def test_nothing_of_a_request_is_logged_or_exposed(tmp_path: Path) -> None:
    secret = "4929-1234-SECRET"
    with analyzer(tmp_path, *FAST) as running:
        send(running, 120)
        running.deliver(frames([predicted(running.now(), secret, city="Rome") for _ in range(50)]))
        running.deliver(frames([predicted(running.now(), 1.0, sequence=i) for i in range(9)])[:-1] + b"x")
        eventually(lambda: exchanges(running) >= 170)
        said = "".join(running.text(path) for path in ("/metrics", "/v1/report", "/v1/config", "/v1/history"))
        assert running.stop() == 0
        assert secret not in said + running.log.read_text()


def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "driftline_sidecar.main", "analyzer", "--tee", str(tmp_path / "t.sock")]
    monitor = tmp_path / "monitor.yaml"
    absent = subprocess.run([*command, "--monitor", monitor], capture_output=True, text=True, check=False)
    assert absent.returncode == 78
    assert str(monitor) in absent.stderr
    write_monitor(monitor, ("type: numeric", "type: number"))
    broken = subprocess.run([*command, "--monitor", monitor], capture_output=True, text=True, check=False)
    assert broken.returncode == 78
    assert "schema.features[0].type" in broken.stderr
