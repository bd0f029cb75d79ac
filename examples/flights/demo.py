"""The demo, from nothing to a verdict: `make demo`.

Trains the model, serves it, puts Driftline in front, replays the year with labels that come later, and says
what drifted when and how good the model was.
DEMO_SECONDS (default 120) is how long the year lasts. Everything written is in .demo/.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import joblib
import msgspec
import pandas as pd
from driftline.client import HubError
from driftline.report import Report

from examples.flights import flights, store, train, truth
from examples.flights.history import Calendar, courses
from examples.flights.labels import Landings
from examples.flights.model import LateModel
from examples.flights.picture import draw
from examples.flights.processes import BIN, DemoError, port, running
from examples.flights.replay import Progress, replay
from examples.flights.story import Story
from examples.flights.truth import Truth

OUTPUT = Path(".demo")
MONITOR = Path(__file__).with_name("monitor.yaml")
PROFILE = OUTPUT / "flights.profile"
WINDOW, SOONER = "2s", "1s"
"""The monitor's windows: six and three days of flights, when the year lasts two minutes."""
POLL = 0.4


def say(text: str) -> None:
    """A line of the demo's own."""
    print(f"demo: {text}", flush=True)


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
    command += ["-f", MONITOR, "--label-column", "late_actual", "-o", PROFILE]
    say("building the reference profile from January to March; labels of what came after training")
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL)


@dataclass(frozen=True)
class Year:
    """What was sent, and what was said of it."""

    progress: Progress
    reports: list[Report]
    truth: Truth


def run_year(seconds: float, frame: pd.DataFrame) -> Year:
    """Serve, watch and replay those flights."""
    model, front, admin, api = port(8080), port(15080), port(15090), port(8090)
    upstream, admin_url = f"http://127.0.0.1:{model}", f"http://127.0.0.1:{admin}"
    hub = store.HubPlace(f"http://127.0.0.1:{api}", OUTPUT)
    serve = [BIN / "uvicorn", "examples.flights.serve:app", "--port", model, "--log-level", "warning"]
    watch: list[object] = [BIN / "driftline", "run", "-f", MONITOR, "--profile", PROFILE]
    watch += ["--upstream", upstream, "--report", OUTPUT / "report.json"]
    watch += ["--listen", f"127.0.0.1:{front}", "--admin", f"127.0.0.1:{admin}", *hub.sidecar_options()]
    settings = {"FLIGHTS_MODEL": str(OUTPUT / train.MODEL_FILE), "OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        stack.enter_context(running(OUTPUT / "model.log", serve, f"{upstream}/healthz", **settings))
        stack.enter_context(hub.running(MONITOR, PROFILE))
        stack.enter_context(running(OUTPUT / "driftline.log", watch, f"{admin_url}/readyz"))
        say(f"the model is at {upstream}, Driftline in front of it at http://127.0.0.1:{front}")
        say(f"metrics and report are at {admin_url}/metrics and {admin_url}/v1/report")
        say(f"the hub is at {hub.url}; a flight's label goes there when it has landed")
        say(f"replaying a year of flights in {seconds:.0f} seconds")
        watcher, opinions = Watcher(admin_url), stack.enter_context(hub.watched())
        watcher.start()
        with top(admin_url):
            url = f"http://127.0.0.1:{front}/predict"
            progress = asyncio.run(_replay(hub, url, seconds, frame, Lines(watcher)))
        watcher.stop()
        say("the last flights have landed; asking the hub")
        calendar = Calendar([*progress.marks, (progress.ended, flights.YEAR_ENDS)])
        truth = hub.ask(progress, _scored(frame), opinions, calendar)
    return Year(progress, watcher.reports, truth)


async def _replay(
    hub: store.HubPlace, url: str, seconds: float, frame: pd.DataFrame, tick: Callable[[Progress], None]
) -> Progress:
    """The year, and the labels that follow it."""
    async with hub.labels() as client:
        landings = Landings(client)
        sending = asyncio.create_task(landings.run())
        progress = await replay(url, seconds, tick, frame=frame, answered=landings.answered)
        await asyncio.sleep(1.5)  # the last pane closes
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await landings.finish()
    return progress


def _scored(frame: pd.DataFrame) -> pd.DataFrame:
    """With the scores that the model answers, as it rounds them."""
    model: LateModel = joblib.load(OUTPUT / train.MODEL_FILE)
    scores = model.scores(frame[list(flights.FEATURES)].to_dict("records"))
    return frame.assign(late_score=scores.round(6))


def tell(year: Year, seconds: float) -> None:
    """Print the verdicts and write the report."""
    progress, reports = year.progress, year.reports
    calendar = Calendar([*progress.marks, (progress.ended, flights.YEAR_ENDS)])
    told = courses(reports, WINDOW, calendar)
    days = int(WINDOW.removesuffix("s")) * (flights.YEAR_ENDS - flights.YEAR_STARTS).days / seconds
    window = f"{WINDOW} of the replay, {days:.0f} days of flights"
    story = Story(window, told, courses(reports, SOONER, calendar), progress, reports[-1])
    (OUTPUT / "drift.svg").write_text(draw(told, window))
    (OUTPUT / "history.json").write_bytes(msgspec.json.encode(reports))
    (OUTPUT / "report.md").write_text(story.markdown())
    for said in (story.lines(), truth.lines(year.truth)):
        print()
        for line in said:
            print(f"  {line}".rstrip())
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
        year = run_year(seconds, flights.load())
        failed = year.progress.failed
        if failed:
            raise DemoError(f"{failed} of {year.progress.requests} requests failed; see {OUTPUT}/*.log")
        tell(year, seconds)
    except (DemoError, HubError, subprocess.CalledProcessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    say(f"done in {(datetime.now() - began).total_seconds():.0f} s")  # noqa: DTZ005
    return 0


if __name__ == "__main__":
    sys.exit(main())
