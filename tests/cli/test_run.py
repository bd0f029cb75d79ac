"""`driftline run`: both programs in front of a model, on real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from driftline.report import CaptureReport
from driftline_cli.children import backoff
from driftline_cli.gateway import captured, ended
from prometheus_client.parser import text_string_to_metric_families

from tests.support.analysis import write_monitor
from tests.support.children import child, eventually, free_port, model
from tests.support.commands import driftline
from tests.support.fake_hub import TOKEN, hub

CHANGES = (
    ("paths: [/predict]", "paths: []"),
    ("pane: 10s", "pane: 1s"),
    ("windows: [1m, 2m]", "windows: [1s, 2s]"),
)


class Running:
    def __init__(self, process: subprocess.Popen[bytes], listen: int, admin: int, log: Path) -> None:
        self.process, self.listen, self.admin, self.log = process, listen, admin, log

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def json(self, path: str) -> Any:
        status, body = self.get(path)
        assert status == 200, body
        return json.loads(body)

    def post(self, count: int) -> None:
        for i in range(count):
            body = json.dumps({"age": i % 7, "city": "Rome"}).encode()
            url = f"http://127.0.0.1:{self.listen}/predict"
            with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=5) as answer:
                assert answer.status == 200

    def child(self, program: str) -> int:
        """The PID of a child, from /proc."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if program.encode() in words and str(self.log.parent / "monitor.yaml").encode() in words:
                    stat = (path.parent / "stat").read_text().rpartition(")")[2].split()
                    if int(stat[1]) == self.process.pid:
                        return int(path.parent.name)
        raise AssertionError(f"no {program} among the children")


@contextlib.contextmanager
def running(
    directory: Path, *options: str, changes: Sequence[tuple[str, str]] = CHANGES
) -> Iterator[Running]:
    monitor = write_monitor(directory / "monitor.yaml", *changes)
    listen, admin = free_port(), free_port()
    log = directory / "run.log"
    with model(directory) as (upstream, _):
        command = [sys.executable, "-m", "driftline_cli.main", "run", "-f", str(monitor), *options]
        command += ["--upstream", f"http://127.0.0.1:{upstream}", "--listen", f"127.0.0.1:{listen}"]
        with child([*command, "--admin", f"127.0.0.1:{admin}"], log) as process:
            found = Running(process, listen, admin, log)
            eventually(lambda: "driftline top" in log.read_text() or process.poll() is not None, 30)
            assert process.poll() is None, log.read_text()
            yield found


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_one_address_tells_of_both_and_ctrl_c_ends_both(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with running(tmp_path, "--report", str(report)) as found:
        found.post(20)
        eventually(lambda: found.json("/v1/report")["capture"]["captured"] == 20)
        assert found.json("/v1/report")["capture"]["seen"] == 20
        assert found.get("/healthz")[0] == 200
        assert found.get("/readyz")[0] == 200
        assert found.json("/v1/config")["monitors"][0]["monitor"] == "ml/demo"
        assert found.get("/v1/panes")[0] == 200
        families = {family.name for family in text_string_to_metric_families(found.get("/metrics")[1])}
        assert {"modelmonitor_requests", "modelmonitor_exchanges"} <= families
        pids = [found.child("proxy"), found.child("analyzer")]
        found.process.send_signal(signal.SIGINT)
        assert found.process.wait(30) == 0
        assert not any(map(alive, pids))
        assert json.loads(report.read_text())["capture"]["captured"] == 20
        assert "<svg" in report.with_suffix(".html").read_text()


def test_predictions_go_to_the_hub_and_the_rest_with_the_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    labels = ("  pane: 1s", "  labels: {key: [age, city]}\n  pane: 1s")
    with hub() as taking:
        options = ("--hub", taking.url, "--hub-token", str(tmp_path / "token"))
        with running(tmp_path, *options, changes=(*CHANGES, labels)) as found:
            assert f"hub        {taking.url}" in found.log.read_text()
            found.post(7)
            eventually(lambda: len(taking.predictions) == 7)
            found.post(7)
            eventually(lambda: found.json("/v1/report")["capture"]["captured"] == 14)
            found.process.send_signal(signal.SIGINT)
            assert found.process.wait(30) == 0
        assert len(taking.predictions) == 14
        assert {row.id for row in taking.predictions.values()} == {f"{age}/Rome" for age in range(7)}


def test_a_hub_elsewhere_without_tls_is_refused(tmp_path: Path) -> None:
    monitor = write_monitor(tmp_path / "monitor.yaml")
    wrong = driftline("run", "-f", monitor, "--upstream", "127.0.0.1:1", "--hub", "http://hub.example:8444")
    assert wrong.code == 64
    assert "--hub: must be https://HOST:PORT where it isn't on this machine" in wrong.err


def test_a_killed_analyzer_is_started_again_and_no_request_fails(tmp_path: Path) -> None:
    with running(tmp_path) as found:
        found.post(5)
        first = found.child("analyzer")
        os.kill(first, signal.SIGKILL)
        found.post(20)
        eventually(lambda: found.get("/v1/report")[0] == 200, 20)
        assert found.child("analyzer") != first
        assert "starting it again" in found.log.read_text()
        before = found.json("/v1/report")["capture"]
        time.sleep(0.3)  # the worker connects again
        found.post(5)
        eventually(lambda: found.json("/v1/report")["capture"]["seen"] == before["seen"] + 5)
        capture = found.json("/v1/report")["capture"]
        assert capture["seen"] == 30
        assert capture["captured"] + capture["lost"] + sum(capture["dropped"].values()) == 30


def test_the_children_end_with_a_killed_parent(tmp_path: Path) -> None:
    with running(tmp_path) as found:
        pids = [found.child("proxy"), found.child("analyzer")]
        found.process.kill()
        eventually(lambda: not any(map(alive, pids)), 30)


def test_what_is_wrong_is_said_before_anything_starts(tmp_path: Path) -> None:
    monitor = write_monitor(tmp_path / "monitor.yaml")
    wrong = driftline("run", "-f", monitor, "--upstream", "nowhere", "--listen", "127.0.0.1:x")
    assert wrong.code == 64
    assert "--upstream" in wrong.err
    assert "--listen" in wrong.err
    absent = driftline("run", "-f", tmp_path / "no.yaml", "--upstream", "127.0.0.1:1")
    assert absent.code == 66
    assert "no.yaml" in absent.err
    write_monitor(monitor, ("type: numeric", "type: number"))
    broken = driftline("run", "-f", monitor, "--upstream", "127.0.0.1:1")
    assert broken.code == 78
    assert "schema.features[0].type" in broken.err


def test_a_captured_reference_survives_the_analyzer_and_with_state_the_run(tmp_path: Path) -> None:
    def reference() -> Any:
        return found.json("/v1/config")["monitors"][0]["reference"]

    capture = ("capture: {rows: 400}", "capture: {rows: 100}")
    state = ("--state", str(tmp_path / "state"))
    with running(tmp_path, *state, changes=(*CHANGES, capture)) as found:
        found.post(105)
        eventually(lambda: reference()["state"] == "Ready", 20)
        made = reference()["hash"]
        first = found.child("analyzer")
        os.kill(first, signal.SIGKILL)
        eventually(lambda: found.get("/v1/config")[0] == 200 and found.child("analyzer") != first, 20)
        assert reference()["hash"] == made
    with running(tmp_path, *state, changes=(*CHANGES, capture)) as found:
        eventually(lambda: found.get("/v1/config")[0] == 200, 30)  # the log has the first run's words too
        assert reference()["hash"] == made


@pytest.mark.parametrize("option", ["--admin", "--listen"])
def test_an_address_in_use_is_said(tmp_path: Path, option: str) -> None:
    monitor = write_monitor(tmp_path / "monitor.yaml")
    with socket.create_server(("127.0.0.1", 0)) as other:
        addresses = {"--listen": f"127.0.0.1:{free_port()}", "--admin": f"127.0.0.1:{free_port()}"}
        addresses[option] = f"127.0.0.1:{other.getsockname()[1]}"
        options = [word for pair in addresses.items() for word in pair]
        used = driftline("run", "-f", monitor, "--upstream", "127.0.0.1:1", *options)
    assert used.code == 69
    said = f"{option} {addresses[option]}: another program listens there; choose another address"
    assert used.err.splitlines() == [f"driftline: {said}"]


def test_what_is_not_watched_is_told(tmp_path: Path) -> None:
    outside = ("paths: [/predict]", "paths: [/other]")
    with running(tmp_path, changes=(outside, *CHANGES[1:])) as found:
        found.post(7)
        eventually(lambda: found.json("/v1/report")["unwatched_requests"] == 7)
        monitor = tmp_path / "monitor.yaml"
        monitor.write_text(monitor.read_text().replace("type: numeric", "type: number"))
        eventually(lambda: found.json("/v1/report")["refused"], 20)
        (refused,) = found.json("/v1/report")["refused"]
        assert refused["file"] == str(monitor)
        assert "schema.features[0].type" in refused["reason"]
        shown = driftline("top", "--admin", f"http://127.0.0.1:{found.admin}", "--once").out
        assert "on other paths, not watched 7" in shown
        assert "refused, the older content stays" in shown


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.2), (2, 0.4), (5, 3.2), (50, 10.0)])
def test_backoff_grows_to_a_limit(failures: int, seconds: float) -> None:
    assert backoff(failures) == pytest.approx(seconds)


def test_the_account_of_captures() -> None:
    def series(name: str, value: int, labels: str = "") -> str:
        return f'modelmonitor_{name}{{namespace="ml",monitor="demo",model="m"{labels}}} {value}\n'

    text = (
        series("capture_seen_total", 10)
        + series("capture_captured_total", 6)
        + series("capture_lost_total", 1)
        + series("capture_dropped_total", 3, ',reason="queue_full"')
    )
    found = captured(text, "ml", "demo")
    assert found == CaptureReport(seen=10, captured=6, lost=1, dropped={"queue_full": 3})
    assert captured(text, "ml", "other") == CaptureReport()
    assert ended(CaptureReport(seen=7, captured=7), found).seen == 11


def test_port_0_is_any_free_one_and_named(tmp_path: Path) -> None:
    monitor = write_monitor(tmp_path / "monitor.yaml")
    command = [sys.executable, "-m", "driftline_cli.main", "run", "-f", str(monitor)]
    command += ["--upstream", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    log = tmp_path / "run.log"
    with child(command, log) as process:
        eventually(lambda: "Ctrl-C ends it" in log.read_text() or process.poll() is not None, 30)
        said = log.read_text()
        (listen,) = re.findall(r"requests +http://127\.0\.0\.1:(\d+)", said)
        assert int(listen) > 0
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{listen}/predict", data=b"{}", timeout=5)
        with refused.value:
            assert refused.value.code == 502
