"""`driftline run --shadow`: two real servers on this machine, compared on the requests that come."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from driftline.decoding import decode_monitors
from driftline_cli.shadow_run import Comparison, can_be_written, fitted

from examples.flights import flights, train
from examples.flights.model import THRESHOLD, LateModel
from tests.support.children import REPO, child, count, eventually, free_port, listens
from tests.support.commands import driftline
from tests.support.shadow_model import answer

MONITOR = """
apiVersion: driftline.io/v1alpha1
kind: ModelMonitor
metadata: {name: demo, namespace: ml}
spec:
  selector: {matchLabels: {app: demo}}
  endpoint: {port: http, protocol: json, paths: [/predict]}
  model: {name: model-a, version: "1", type: classification}
  schema:
    features: [{name: age, type: numeric}]
    prediction: {name: label, score: score, path: $.label, scorePath: $.score, positive: "yes"}
"""
SHADOW = """
apiVersion: driftline.io/v1alpha1
kind: ShadowDeployment
metadata: {name: next, namespace: ml}
spec:
  monitorRef: {name: demo}
  candidate: {service: {name: next, port: 80}}
  minPairs: 300
  traffic: {queue: 5000, timeout: %(timeout)s}
  gate: {agreement: 0.9, errorRate: 0.02, coverage: 0.9%(rules)s}
  aa: {share: %(share)s}
"""
PROMOTABLE, REJECTED, INCONCLUSIVE = 0, 3, 4


@contextlib.contextmanager
def served(directory: Path, mode: str, seed: int) -> Iterator[int]:
    port = free_port()
    command = ["env", f"MODE={mode}", f"SEED={seed}", sys.executable, "-m", "uvicorn"]
    command += ["tests.support.shadow_model:app", "--port", str(port), "--log-level", "warning"]
    with child(command, directory / f"{mode}-{seed}.log"):
        eventually(lambda: listens(port), 20)
        yield port


@dataclass
class Compared:
    """`failed`: of the clients' requests."""

    code: int
    status: dict[str, Any]
    log: str
    failed: int
    bodies: list[str]
    metrics: str

    def rule(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(rule for rule in self.status["rules"] if rule["rule"] == name)
        return found


def compare(
    directory: Path,
    mode: str,
    requests: int = 600,
    *,
    live: str = "equal",
    share: float = 0.0,
    timeout: str = "5s",
    rules: str = "",
    options: tuple[str, ...] = ("--less-than-a-day",),
) -> Compared:
    """Send requests to the live model, with a candidate of that mode beside it."""
    shadow = SHADOW % {"share": share, "timeout": timeout, "rules": rules}
    rng = random.Random(3)
    ages = [rng.gauss(0, 2) for _ in range(requests)]
    bodies = [json.dumps({"age": age}) for age in ages]
    with served(directory, live, 1) as upstream, served(directory, mode, 2) as other:
        return diffed(directory, MONITOR, shadow, (upstream, other), bodies, options)


def diffed(
    directory: Path,
    monitor: str,
    shadow: str,
    ports: tuple[int, int],
    bodies: list[str],
    options: tuple[str, ...],
    edited: str = "",
) -> Compared:
    """`driftline shadow diff` before two servers, while these bodies are sent. `edited`: the monitor from the
    middle on.
    """
    (directory / "monitor.yaml").write_text(monitor)
    (directory / "shadow.yaml").write_text(shadow)
    report, log, listen, admin = directory / "verdict.json", directory / "run.log", free_port(), free_port()
    command = [sys.executable, "-m", "driftline_cli.main", "shadow", "diff"]
    command += ["-f", str(directory / "monitor.yaml"), "--upstream", f"http://127.0.0.1:{ports[0]}"]
    command += ["--listen", f"127.0.0.1:{listen}", "--admin", f"127.0.0.1:{admin}"]
    command += ["--shadow", f"http://127.0.0.1:{ports[1]}", "--shadow-file", str(directory / "shadow.yaml")]
    with child([*command, "--shadow-report", str(report), *options], log) as process:
        eventually(lambda: "driftline top" in log.read_text() or process.poll() is not None, 30)
        half = len(bodies) // 2 if edited else 0
        failed = asked(listen, bodies[:half])
        if edited:
            eventually(lambda: count(scraped(admin), "exchanges_total") == half, 30)
            (directory / "monitor.yaml").write_text(edited)
            for said in ("has changed: the comparison is over", "changed monitor files are in force"):
                eventually(lambda said=said: said in log.read_text(), 30)  # type: ignore[misc]
        failed += asked(listen, bodies[half:])
        eventually(lambda: count(scraped(admin), "exchanges_total") == len(bodies), 30)
        metrics = scraped(admin)
        os.kill(process.pid, signal.SIGINT)
        code = process.wait(60)
    return Compared(code, json.loads(report.read_text()), log.read_text(), failed, bodies, metrics)


def asked(port: int, bodies: list[str]) -> int:
    """How many requests failed."""
    failed = 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for body in bodies:
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            failed += response.status != 200
            response.read()
    connection.close()
    return failed


def scraped(admin: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def adds_up(account: dict[str, Any]) -> bool:
    dropped, failed = sum(account.get("dropped", {}).values()), sum(account.get("failed", {}).values())
    rest = account.get("lost", 0) + account.get("waiting", 0)
    mirrored = account.get("mirrored", 0)
    whole = account["eligible"] == mirrored + dropped + rest
    return whole and bool(mirrored == account.get("paired", 0) + failed)


def test_an_equal_candidate_is_promotable_for_whoever_says_less_than_a_day(tmp_path: Path) -> None:
    found = compare(tmp_path, "equal")
    assert found.code == PROMOTABLE, found.log
    assert (found.status["verdict"], found.status["pairs"], found.failed) == ("Promotable", 600, 0)
    assert found.rule("agreement")["value"] == 1.0
    assert "Promotable: AllRulesHold" in found.log
    assert "modelmonitor_shadow_eligible_total" in found.metrics


def test_a_monitor_that_is_changed_meanwhile_ends_the_comparison(tmp_path: Path) -> None:
    """A candidate that would be rejected, or Promotable, by what another path finds."""
    shadow = SHADOW % {"share": 0, "timeout": "5s", "rules": ""}
    bodies = [json.dumps({"age": number % 7}) for number in range(800)]
    edited = MONITOR.replace("path: $.label", "path: $.model")
    assert edited != MONITOR
    with served(tmp_path, "equal", 1) as upstream, served(tmp_path, "equal", 2) as other:
        ports = upstream, other
        found = diffed(tmp_path, MONITOR, shadow, ports, bodies, ("--less-than-a-day",), edited)
    assert found.code == INCONCLUSIVE, found.log
    assert (found.status["verdict"], found.status["reason"]) == ("Inconclusive", "MonitorChanged")
    assert (found.status["pairs"], found.failed) == (400, 0)
    account = found.status["account"]
    assert adds_up(account)
    assert (account["eligible"], account["dropped"]) == (800, {"Starting": 400})


def test_without_saying_so_a_short_run_has_no_verdict(tmp_path: Path) -> None:
    found = compare(tmp_path, "equal", options=())
    assert found.code == INCONCLUSIVE
    assert (found.status["verdict"], found.status["reason"]) == ("Inconclusive", "TooEarly")


def test_agreement_is_that_of_an_offline_comparison_on_the_same_requests(tmp_path: Path) -> None:
    found = compare(tmp_path, "retrained")
    ages = [json.loads(body)["age"] for body in found.bodies]
    agree = [answer("equal", age)["label"] == answer("retrained", age)["label"] for age in ages]
    assert 0.85 < sum(agree) / 600 < 1
    assert found.status["pairs"] == 600
    assert found.rule("agreement")["value"] == pytest.approx(sum(agree) / 600, abs=1e-12)
    told = found.status["comparison"]
    assert (told["requests"], told["rows"]) == (600, 600)
    assert told["agreement"]["value"] == pytest.approx(sum(agree) / 600, abs=1e-12)
    scores = [answer("retrained", age)["score"] - answer("equal", age)["score"] for age in ages]
    assert told["delta"]["quantiles"]["p95"] == pytest.approx(np.quantile(scores, 0.95), rel=0.13)
    assert f"agreement     {sum(agree) / 600:.4g} (" in found.log
    assert "difference    mean " in found.log


def test_one_that_errs_in_five_percent_is_rejected_and_clients_see_nothing_of_it(tmp_path: Path) -> None:
    found = compare(tmp_path, "errs", 1500)
    assert found.code == REJECTED, found.log
    assert found.rule("errorRate")["verdict"] == "Reject"
    assert "\n  ErrorResponse: the candidate answers 500 Internal Server Error\n" in found.log
    assert found.log.count("mirrored requests fail: the candidate answers 500") == 1
    assert found.failed == 0
    assert adds_up(found.status["account"])


def test_one_that_is_slow_is_rejected_by_the_ratio_of_latencies(tmp_path: Path) -> None:
    found = compare(tmp_path, "slow", 400, share=1.0, rules=", latencyRatio: {p50: 2}")
    assert found.code == REJECTED, found.log
    assert found.rule("latencyRatio.p50")["verdict"] == "Reject"
    assert found.rule("latencyRatio.p50")["value"] > 3


def test_without_requests_that_go_twice_the_ratio_of_latencies_says_nothing(tmp_path: Path) -> None:
    found = compare(tmp_path, "equal", rules=", latencyRatio: {p50: 2}")
    assert (found.code, found.rule("latencyRatio.p50")["reason"]) == (INCONCLUSIVE, "NoLatencyBaseline")


@pytest.mark.parametrize("mode", ["crash", "hang"])
def test_one_that_crashes_or_hangs_is_rejected_and_the_account_adds_up(tmp_path: Path, mode: str) -> None:
    found = compare(tmp_path, mode, 1500, timeout="1s")
    assert found.failed == 0
    assert adds_up(found.status["account"]), found.status
    assert found.status["verdict"] != "Promotable"
    assert found.status["account"]["dropped"]["BreakerOpen"] > 0
    if mode == "crash":
        assert found.status["account"]["failed"].keys() <= {"Refused", "Reset"}
        assert found.code == REJECTED, found.log


def test_a_noisy_model_is_not_rejected_beside_itself(tmp_path: Path) -> None:
    rules = ", systematicDifference: 0.5"
    found = compare(tmp_path, "noisy", 800, live="noisy", share=0.5, rules=rules)
    assert found.status["verdict"] != "Rejected", found.log
    agreement = found.rule("agreement")
    assert agreement["value"] < 0.9
    assert agreement["verdict"] != "Reject"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_flights_model_of_other_months_agrees_as_an_offline_comparison_says(tmp_path: Path) -> None:
    """Two real models behind two real servers: of January to March, and of June to August."""
    frame = flights.load()
    winter = train.train(frame[(frame["time"] < "2013-04-01")])
    summer = train.train(frame[(frame["time"] >= "2013-06-01") & (frame["time"] < "2013-09-01")])
    autumn = frame[frame["time"] >= "2013-10-01"].sample(1500, random_state=1)
    records = json.loads(autumn[list(flights.FEATURES)].to_json(orient="records"))
    with contextlib.ExitStack() as stack:
        ports = [
            stack.enter_context(_flights(tmp_path, name, found)) for name, found in _named(winter, summer)
        ]
        bodies = [json.dumps({"flights": records[at : at + 5]}) for at in range(0, len(records), 5)]
        monitor = (REPO / "examples" / "flights" / "monitor.yaml").read_text()
        shadow = SHADOW % {"share": 0, "timeout": "10s", "rules": ""}
        shadow = shadow.replace("namespace: ml", "namespace: default").replace("name: demo", "name: flights")
        found = diffed(tmp_path, monitor, shadow, (ports[0], ports[1]), bodies, ("--less-than-a-day",))
    first, second = (model.scores(records) >= THRESHOLD for model in (winter, summer))
    assert found.failed == 0
    assert found.status["pairs"] == len(bodies)
    assert found.rule("agreement")["value"] == pytest.approx(float((first == second).mean()), abs=1e-12)


def _named(*models: LateModel) -> Iterator[tuple[str, LateModel]]:
    return zip(("winter", "summer"), models, strict=True)


@contextlib.contextmanager
def _flights(directory: Path, name: str, model: LateModel) -> Iterator[int]:
    port, path = free_port(), directory / f"{name}.joblib"
    joblib.dump(model, path)
    command = [
        "env",
        "OMP_NUM_THREADS=1",
        f"FLIGHTS_MODEL={path}",
        sys.executable,
        "-m",
        "uvicorn",
        "examples.flights.serve:app",
    ]
    with child([*command, "--port", str(port), "--log-level", "warning"], directory / f"{name}.log"):
        eventually(lambda: listens(port), 60)
        yield port


@pytest.mark.parametrize(
    ("text", "message"), [("kind: ModelMonitor", "monitorRef"), (MONITOR, "must hold one ShadowDeployment")]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "monitor.yaml").write_text(MONITOR)
    shadow = tmp_path / "shadow.yaml"
    shadow.write_text(text)
    urls = ("--upstream", "http://127.0.0.1:1", "--shadow", "http://127.0.0.1:2")
    found = driftline("run", "-f", tmp_path / "monitor.yaml", *urls, "--shadow-file", shadow)
    assert found.code != 0
    assert str(shadow) in found.err


def test_a_shadow_that_can_t_be_compared_with_this_monitor_is_refused(tmp_path: Path) -> None:
    (tmp_path / "monitor.yaml").write_text(MONITOR)
    shadow = tmp_path / "shadow.yaml"
    text = SHADOW % {"timeout": "5s", "share": 0, "rules": ""}
    shadow.write_text(text + "  compare: {segments: [sex]}\n")
    urls = ("--upstream", "http://127.0.0.1:1", "--shadow", "http://127.0.0.1:2")
    found = driftline("shadow", "diff", "-f", tmp_path / "monitor.yaml", *urls, "--shadow-file", shadow)
    assert found.code == 78
    assert f"{shadow}: spec.compare.segments[0]: must name a categorical feature" in found.err


def test_options_that_would_be_ignored_are_refused(tmp_path: Path) -> None:
    (tmp_path / "monitor.yaml").write_text(MONITOR)
    report = tmp_path / "verdict.json"
    command = ("run", "-f", tmp_path / "monitor.yaml", "--upstream", "http://127.0.0.1:1")
    found = driftline(*command, "--less-than-a-day", "--shadow-report", report)
    assert found.code == 64
    assert "--less-than-a-day, --shadow-report: only with --shadow" in found.err
    found = driftline(*command, "--shadow", "https://127.0.0.1:2")
    assert found.code == 64
    assert "--shadow: must be http://HOST:PORT, TLS isn't spoken here" in found.err


def test_a_report_that_has_no_place_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "monitor.yaml").write_text(MONITOR)
    urls = ("--upstream", "http://127.0.0.1:1", "--shadow", "http://127.0.0.1:2")
    command = ("shadow", "diff", "-f", tmp_path / "monitor.yaml", *urls)
    for path in (tmp_path / "nowhere" / "verdict.json", tmp_path):
        found = driftline(*command, "--shadow-report", path)
        assert found.code == 73
        assert f"{path}: can't be written" in found.err


def test_a_look_whether_a_report_can_be_written_leaves_nothing_and_takes_nothing(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("{}")
    can_be_written(old)
    can_be_written(new)
    assert (old.read_text(), new.exists()) == ("{}", False)


def test_a_run_says_that_nobody_is_there_and_on_which_paths_it_waits(tmp_path: Path) -> None:
    shadow = SHADOW % {"timeout": "5s", "share": 0, "rules": ""}
    with served(tmp_path, "equal", 1) as upstream:
        found = diffed(tmp_path, MONITOR, shadow, (upstream, free_port()), [], ("--less-than-a-day",))
    assert "the candidate, can't be reached (Connection refused)" in found.log
    assert (found.code, found.status["message"]) == (INCONCLUSIVE, "No request on /predict yet.")
    assert "A/A" not in found.log


def test_a_candidate_that_is_the_live_model_is_called_so(tmp_path: Path) -> None:
    shadow = SHADOW % {"timeout": "5s", "share": 0, "rules": ", performance: {accuracy: 0.1}"}
    monitor = f"{MONITOR}  labels: {{}}\n"
    with served(tmp_path, "equal", 1) as upstream:
        found = diffed(tmp_path, monitor, shadow, (upstream, upstream), [], ())
    assert "it is the live model itself: an A/A comparison" in found.log
    assert "no verdict before whole days" in found.log
    assert "gate.performance needs the labels of a hub" in found.log
    assert "can't be reached" not in found.log


def test_a_table_is_cut_to_its_terminal() -> None:
    assert fitted("12345\n1\n123\n4", 4, 4) == "123\n1\n123"


def test_log_lines_and_tables_leave_each_other_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a terminal: what is said between two tables stands above the newer one, and nothing of the older."""
    (tmp_path / "monitor.yaml").write_text(MONITOR)
    (monitor,) = decode_monitors((tmp_path / "monitor.yaml").read_bytes())
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: (screen.columns, 24))
    url = "http://127.0.0.1:1"
    comparison = Comparison(monitor, None, url, url, None, time.time())
    comparison.draw(time.time())
    comparison.tell_above(b"a line of the log\n")
    comparison.draw(time.time())
    comparison.draw(time.time())
    shown = screen.lines()
    assert shown[:2] == ["a line of the log", "Inconclusive: NoData"]
    assert len([line for line in shown if line.startswith("Inconclusive")]) == 1
    assert max(map(len, shown)) < screen.columns


class Terminal(io.TextIOWrapper):
    """What a terminal of 40 columns shows, of text and the two sequences that tables are taken back by."""

    columns = 40

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), write_through=True)

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no file")

    def lines(self) -> list[str]:
        """The screen."""
        found = [""]
        for part in re.split(r"(\x1b\[\d+A\x1b\[J|\n)", self.buffer.getvalue().decode()):  # type: ignore[attr-defined]
            if part.startswith("\x1b"):
                found = [*found[: len(found) - 1 - int(part[2:].partition("A")[0])], ""]
            elif part == "\n":
                found.append("")
            else:
                found[-1] += part
        return found[:-1]


def test_diff_needs_a_candidate(tmp_path: Path) -> None:
    found = driftline("shadow", "diff", "-f", tmp_path / "monitor.yaml", "--upstream", "http://127.0.0.1:1")
    assert found.code == 64
    assert "--shadow" in found.err


@pytest.mark.parametrize(("shadow", "option"), [("localhost:15080", "listen"), ("127.0.0.1:15090", "admin")])
def test_driftline_itself_is_no_candidate(tmp_path: Path, shadow: str, option: str) -> None:
    """It would be the live model against itself, and Promotable."""
    (tmp_path / "monitor.yaml").write_text(MONITOR)
    command = ("run", "-f", tmp_path / "monitor.yaml", "--upstream", "http://127.0.0.1:1")
    found = driftline(*command, "--shadow", f"http://{shadow}")
    assert found.code == 64
    assert f"Driftline's own address (--{option}): name the candidate's server" in found.err
