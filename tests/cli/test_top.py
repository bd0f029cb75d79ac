"""`driftline top`: frames, lines, and what happens where nobody answers."""

from __future__ import annotations

import contextlib
import http.server
import io
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest
from driftline_cli.admin_client import AdminClient, Unavailable
from driftline_cli.sparkline import sparkline
from driftline_cli.top_view import frame, line
from rich.console import Console

from tests.support.children import free_port
from tests.support.commands import driftline
from tests.support.reports import history, report

ANSWERS = {
    "/v1/report": msgspec.json.encode(report()),
    "/v1/history": msgspec.json.encode(history()),
    "/odd/v1/report": b"<html>",
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = ANSWERS.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as its base names it
        pass


@pytest.fixture
def admin() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def drawn(*, ascii_only: bool = False) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(frame(report(), history(), ascii_only=ascii_only))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class TestFrame:
    def test_says_what_drifted_and_since_when(self) -> None:
        text = drawn()
        assert "ml/flights" in text
        assert "Drifted (page) since 11:59:00Z: temp" in text
        assert "1.250" in text
        assert "NotSustained -> Drifted" in text

    def test_shows_traffic_windows_and_what_was_dropped(self) -> None:
        text = drawn()
        assert "4.2" in text
        assert "12,345" in text
        assert "lost 3" in text
        assert "queue_full 7" in text

    def test_the_worst_feature_stands_first(self) -> None:
        text = drawn()
        rows = [row for row in text.splitlines() if row.startswith(("temp", "visib"))]
        assert [row.split()[0] for row in rows] == ["temp", "visib"]
        assert rows[0].count("█") == 1

    def test_without_unicode(self) -> None:
        assert drawn(ascii_only=True).isascii()

    def test_a_line_has_the_same(self) -> None:
        text = line(report())
        assert "\n" not in text
        for part in ("11/s", "p99 9.0ms", "1h:Ok(12,345)", "worst temp psi 1.25", "dropped 10"):
            assert part in text


def test_sparklines_begin_at_zero_and_leave_gaps() -> None:
    assert sparkline([0.0, None, 0.25, 0.125], 10, 0.25) == "▁ █▅"
    assert sparkline([1.0, 2.0], 10, 0.25) == "▅█"
    assert sparkline([5.0, 0.0, 0.0], 2, 0.25) == "▁▁"
    assert sparkline([], 5, 0.0) == ""


class TestCommand:
    def test_once_prints_a_frame_into_a_pipe(self, admin: str) -> None:
        found = driftline("top", "--once", "--admin", admin)
        assert found.code == 0
        assert "Drifted (page)" in found.out
        assert "\x1b" not in found.out

    def test_nobody_answers(self) -> None:
        found = driftline("top", "--once", "--admin", f"http://127.0.0.1:{free_port()}")
        assert found.code == 69
        assert "nothing answers" in found.err
        assert "Traceback" not in found.err

    def test_something_else_answers(self, admin: str) -> None:
        with pytest.raises(Unavailable, match="not a Driftline admin address"):
            AdminClient(f"{admin}/odd").report()
        with pytest.raises(Unavailable, match="404"):
            AdminClient(f"{admin}/none").report()

    def test_lines_into_a_pipe_until_it_is_ended(self, admin: str) -> None:
        command = [sys.executable, "-m", "driftline_cli.main", "top", "--admin", admin, "--interval", "0.1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first, second = process.stdout.readline(), process.stdout.readline()
            process.terminate()
        assert first == second
        assert "verdict Drifted" in first

    def test_q_ends_the_live_view(self, admin: str) -> None:
        command = [sys.executable, "-m", "driftline_cli.main", "top", "--admin", admin]
        master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
        with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
            os.close(slave)
            said = b""
            deadline = time.monotonic() + 20
            while b"temp" not in said and time.monotonic() < deadline:
                said += os.read(master, 65536)
            assert b"Drifted" in said
            os.write(master, b"q")
            with contextlib.suppress(OSError):  # the other end is closed
                while os.read(master, 65536):
                    pass
            assert process.wait(10) == 0
        os.close(master)
