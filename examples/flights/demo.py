"""The demo, from nothing to a verdict: `make demo`.

Trains the model, serves it, puts Driftline in front, replays the year and says what drifted when.
DEMO_SECONDS (default 120) is how long the year lasts. Everything written is in .demo/.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
from driftline.report import Report

from examples.flights import flights, train
from examples.flights.history import Calendar, courses
from examples.flights.picture import draw
from examples.flights.replay import Progress, replay
from examples.flights.story import Story

BIN = Path(sys.executable).parent
OUTPUT = Path(".demo")
MONITOR = Path(__file__).with_name("monitor.yaml")
PROFILE = OUTPUT / "flights.profile"
WINDOW, SOONER = "2s", "1s"
"""The monitor's windows: six and three days of flights, when the year lasts two minutes."""
POLL = 0.4
READY_WITHIN = 60.0


class DemoError(Exception):
    """A part of the demo did not start or died; the message says where its log is."""


def say(text: str) -> None:
    """A line of the demo's own."""
    print(f"demo: {text}", flush=True)


def port(wanted: int) -> int:
    """`wanted` on the loopback address if nobody has it, else one that is free."""
    for candidate in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise DemoError("no free port on 127.0.0.1")


@contextmanager
def running(name: str, command: Sequence[object], url: str, **environment: str) -> Iterator[None]:
    """`command`, from the moment `url` answers until the end; its output goes to .demo/NAME.log."""
    log = OUTPUT / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
        try:
            await_answer(name, url, process, log)
            yield
            if process.poll() is not None:
                raise DemoError(f"{name} ended with {process.returncode} during the replay; see {log}")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def await_answer(name: str, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once `url` answers 200."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:  # refused, reset or not ready yet: URLError is one too
            time.sleep(0.1)
    raise DemoError(f"{name} is not ready ({url}); see {log}:\n{log.read_text()[-1500:]}")


class Watcher(threading.Thread):
    """Asks Driftline for its report again and again, as a dashboard would, and keeps what it said."""

    def __init__(self, admin: str) -> None:
        super().__init__(daemon=True)
        self.reports: list[Report] = []
        self._url = f"{admin}/v1/report"
        self._stopped = threading.Event()

    def run(self) -> None:
        """Poll until stopped."""
        while not self._stopped.wait(POLL):
            self.ask()

    def ask(self) -> None:
        """One report more; none where Driftline is too busy to answer in time."""
        try:
            with urllib.request.urlopen(self._url, timeout=5) as answer:
                self.reports.append(msgspec.json.decode(answer.read(), type=Report))
        except (TimeoutError, urllib.error.URLError) as error:
            say(f"no report: {error}")

    def stop(self) -> None:
        """Ask a last time and end."""
        self._stopped.set()
        self.join()
        self.ask()


@contextmanager
def top(admin: str) -> Iterator[None]:
    """`driftline top` on this terminal; nothing where there is none."""
    if not sys.stdout.isatty():
        yield
        return
    process = subprocess.Popen([BIN / "driftline", "top", "--admin", admin])
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


class Lines:
    """Progress where there is no terminal for `driftline top`: a line per replayed month."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._month = 0

    def __call__(self, progress: Progress) -> None:
        if sys.stdout.isatty() or progress.reached.month == self._month:
            return
        self._month = progress.reached.month
        line = f"{progress.reached:%d %b}  {progress.requests:6,} requests"
        if self._watcher.reports:
            line += self._said(self._watcher.reports[-1])
        print(f"  {line}", flush=True)

    @staticmethod
    def _said(report: Report) -> str:
        p99 = report.requests.p99_ms
        latency = f"  p99 {p99:.1f} ms" if p99 is not None else ""
        drifted = ", ".join(report.verdict.features) or "nothing"
        return f"  {report.requests.rate:5.0f}/s{latency}  drifted: {drifted}"


def prepare() -> None:
    """Train the model and build the reference profile."""
    say("training on the flights of the first six weeks")
    auc = train.prepare(OUTPUT)
    say(f"AUC on the weeks after training: {auc:.3f}")
    command: list[object] = [BIN / "driftline", "profile", "build", OUTPUT / train.REFERENCE_FILE]
    command += ["-f", MONITOR, "-o", PROFILE]
    say("building the reference profile from January to March")
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL)


def run_year(seconds: float) -> tuple[Progress, list[Report]]:
    """Serve, watch and replay; returns what was sent and what Driftline said."""
    model, front, admin = port(8080), port(15080), port(15090)
    upstream, admin_url = f"http://127.0.0.1:{model}", f"http://127.0.0.1:{admin}"
    serve: list[object] = [
        BIN / "uvicorn",
        "examples.flights.serve:app",
        "--port",
        str(model),
        "--log-level",
        "warning",
    ]
    watch: list[object] = [
        BIN / "driftline",
        "run",
        "-f",
        MONITOR,
        "--profile",
        PROFILE,
        "--upstream",
        upstream,
    ]
    watch += ["--listen", f"127.0.0.1:{front}", "--admin", f"127.0.0.1:{admin}"]
    watch += ["--report", OUTPUT / "report.json"]
    settings = {"FLIGHTS_MODEL": str(OUTPUT / train.MODEL_FILE), "OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        stack.enter_context(running("model", serve, f"{upstream}/healthz", **settings))
        stack.enter_context(running("driftline", watch, f"{admin_url}/readyz"))
        say(f"the model is at {upstream}, Driftline in front of it at http://127.0.0.1:{front}")
        say(f"metrics and report are at {admin_url}/metrics and {admin_url}/v1/report")
        say(f"replaying a year of flights in {seconds:.0f} seconds")
        watcher = Watcher(admin_url)
        watcher.start()
        with top(admin_url):
            url = f"http://127.0.0.1:{front}/predict"
            progress = asyncio.run(replay(url, seconds, Lines(watcher)))
            time.sleep(1.5)  # the last pane closes
        watcher.stop()
    return progress, watcher.reports


def tell(progress: Progress, reports: list[Report], seconds: float) -> None:
    """Print the verdicts and write the report."""
    calendar = Calendar([*progress.marks, (time.time(), flights.YEAR_ENDS)])
    told = courses(reports, WINDOW, calendar)
    days = int(WINDOW.removesuffix("s")) * (flights.YEAR_ENDS - flights.YEAR_STARTS).days / seconds
    window = f"{WINDOW} of the replay, {days:.0f} days of flights"
    story = Story(window, told, courses(reports, SOONER, calendar), progress, reports[-1])
    (OUTPUT / "drift.svg").write_text(draw(told, window))
    (OUTPUT / "history.json").write_bytes(msgspec.json.encode(reports))
    (OUTPUT / "report.md").write_text(story.markdown())
    print()
    for line in story.lines():
        print(f"  {line}")
    print()
    say(f"the report is {OUTPUT / 'report.md'}, its picture {OUTPUT / 'drift.svg'}")
    say(f"Driftline's own report is {OUTPUT / 'report.html'}")


def main() -> int:
    """The command line; 1 where a part failed."""
    seconds = float(os.environ.get("DEMO_SECONDS", "120"))
    OUTPUT.mkdir(exist_ok=True)
    began = datetime.now()  # noqa: DTZ005  only a difference is taken
    try:
        prepare()
        progress, reports = run_year(seconds)
        if progress.failed:
            raise DemoError(f"{progress.failed} of {progress.requests} requests failed; see {OUTPUT}/*.log")
        tell(progress, reports, seconds)
    except (DemoError, subprocess.CalledProcessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    say(f"done in {(datetime.now() - began).total_seconds():.0f} s")  # noqa: DTZ005
    return 0


if __name__ == "__main__":
    sys.exit(main())
