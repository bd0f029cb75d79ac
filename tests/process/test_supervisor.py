"""The proxy's supervisor as a process: ports, reload, termination, metrics and memory."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from driftline_sidecar.metrics import PREFIX, SERIES

from tests.support.children import (
    MONITOR,
    Proxy,
    child,
    eventually,
    free_port,
    listens,
    model,
    proxy,
    python,
)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with model(tmp_path_factory.mktemp("model")) as (port, _):
        yield port


def ask(running: Proxy, raw: bytes) -> bytes:
    """What the health port answers to these bytes, up to its end."""
    with socket.create_connection(("127.0.0.1", running.health), timeout=10) as sock:
        sock.sendall(raw)
        parts = []
        while part := sock.recv(65536):
            parts.append(part)
        return b"".join(parts)


def requests_of(running: Proxy, monitor: str) -> float:
    return running.count("requests_total", monitor=monitor)


def request(running: Proxy, path: str = "/predict") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_health_port_answers_and_withstands_what_is_sent_to_it(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, upstream) as running:
        assert running.ask("/healthz") == (200, "ok\n")
        assert running.ask("/readyz") == (200, "ok\n")
        assert running.ask("/nothing")[0] == 404
        assert ask(running, b"HEAD /healthz HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\n")
        assert ask(running, b"garbage\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert ask(running, b"DELETE /healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 ")
        assert ask(running, b"GET /" + b"x" * 8187).startswith(b"HTTP/1.1 431 ")
        slow = [socket.create_connection(("127.0.0.1", running.health)) for _ in range(80)]
        assert running.ask("/healthz")[0] == 200
        slow[-1].settimeout(10)
        assert slow[-1].recv(1) == b""  # the deadline of a client that says nothing
        for sock in slow:
            sock.close()


def test_metrics_are_clean_and_in_the_catalogue(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, upstream) as running:
        assert request(running) == 200
        eventually(lambda: requests_of(running, "census") == 1)
        assert running.count("requests_total", namespace="ml", model="census", code="200") == 1
        assert running.count("request_duration_seconds_count", monitor="census") == 1
        text = running.ask("/metrics")[1]
        families = {
            line.split()[2].removeprefix(PREFIX) for line in text.splitlines() if line.startswith("# T")
        }
        assert families == {
            series.name
            for series in SERIES.values()
            if series.program != "analyzer" and series.name != "build_info"
        }
        if shutil.which("promtool"):
            check = subprocess.run(
                ["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False
            )
            assert check.returncode == 0, check.stderr.decode()


def test_a_changed_monitor_takes_effect_and_a_broken_one_is_refused(tmp_path: Path, upstream: int) -> None:
    file = tmp_path / "monitor.yaml"
    with proxy(tmp_path, upstream) as running:
        file.write_text("apiVersion: nonsense\n")
        eventually(lambda: running.count("proxy_config_refused_total") == 1, 5)
        assert running.count("proxy_config_last_reload_successful") == 0
        assert request(running) == 200
        eventually(lambda: requests_of(running, "census") == 1)
        file.write_text(MONITOR.replace("name: census, namespace", "name: fraud, namespace"))
        eventually(lambda: running.count("proxy_config_last_reload_successful") == 1, 5)
        assert request(running) == 200
        eventually(lambda: requests_of(running, "fraud") == 1)
        assert requests_of(running, "census") == 1


def test_without_a_usable_monitor_traffic_is_relayed(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, upstream, monitor="{broken") as running:
        assert request(running) == 200
        assert running.count("capture_seen_total") == 0
        (tmp_path / "monitor.yaml").write_text(MONITOR)
        eventually(lambda: running.count("proxy_config_last_reload_successful") == 1, 5)
        assert request(running) == 200
        eventually(lambda: running.count("capture_seen_total", monitor="census") == 1)


def test_a_config_map_is_replaced_by_swapping_a_link(tmp_path: Path, upstream: int) -> None:
    for name, monitor in (("one", "census"), ("two", "fraud")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.yaml").write_text(MONITOR.replace("name: census, n", f"name: {monitor}, n"))
    (tmp_path / "..data").symlink_to("one")
    path = tmp_path / "..data" / "m.yaml"
    with proxy(tmp_path, upstream, "--monitor", str(path)) as running:
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").rename(tmp_path / "..data")

        def fraud_counts() -> bool:
            request(running)
            return requests_of(running, "fraud") > 0

        eventually(fraud_counts, 5)


def test_a_terminating_pod_whose_model_refuses_stops_listening(tmp_path: Path) -> None:
    with proxy(tmp_path, free_port()) as running:
        assert request(running) == 502
        assert running.ask("/prestop") == (200, "ok\n")
        with contextlib.suppress(OSError):
            request(running)  # the refusal that it takes
        eventually(lambda: not listens(running.port))
        assert running.ask("/readyz")[0] == 503
        assert running.stop() == 0


def test_a_crash_loop_closes_the_socket_and_says_so(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, upstream) as running:
        deadline = time.monotonic() + 20
        while running.ask("/readyz")[0] == 200:
            assert time.monotonic() < deadline
            if worker := running.worker:
                os.kill(worker, signal.SIGKILL)
            time.sleep(0.01)
        assert running.ask("/readyz") == (503, "the worker is in a crash loop\n")
        assert running.ask("/healthz")[0] == 503
        assert not listens(running.port)
        assert running.stop() == 0


def test_an_address_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = python(
            "-m", "driftline_sidecar.main", "proxy", "--upstream", "127.0.0.1:1", "--listen", address
        )
        with child(command, tmp_path / "log") as process:
            assert process.wait(10) == 71
    assert f"can't listen on {address}" in (tmp_path / "log").read_text()


def test_every_problem_of_the_command_line_at_once(tmp_path: Path) -> None:
    command = python("-m", "driftline_sidecar.main", "proxy", "--listen", "x", "--backlog", "0")
    with child(command, tmp_path / "log") as process:
        assert process.wait(10) == 64
    text = (tmp_path / "log").read_text()
    assert all(option in text for option in ("--upstream: must be given", "--listen: ", "--backlog: "))


def test_memory_of_supervisor_and_worker_together(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, upstream) as running:
        for _ in range(20):
            assert request(running) == 200
        assert running.pss() <= 30


def test_neither_numpy_nor_aiohttp_in_the_proxy() -> None:
    code = "import sys, driftline_sidecar.supervisor; print([m for m in sys.modules])"
    modules = subprocess.run(python("-c", code), capture_output=True, check=True).stdout.decode()
    assert not {name for name in ("numpy", "aiohttp", "scipy", "prometheus_client") if f"'{name}'" in modules}
