"""The supervisor's parts alone: restarts, counters, settings, logs."""

from __future__ import annotations

import json
import logging
import os

import pytest
from driftline.decoding import decode_monitors
from driftline.errors import InvalidSpec
from driftline.routes import route
from driftline_sidecar import counters as slots
from driftline_sidecar import logs
from driftline_sidecar.counters import Counters
from driftline_sidecar.restarts import CrashLoop, Restart, RestartPolicy
from driftline_sidecar.settings import Address, CaptureSettings, Route, parse_address, proxy_settings
from hypothesis import given
from hypothesis import strategies as st

from tests.support.children import MONITOR


def test_single_deaths_are_replaced_at_once_for_ever() -> None:
    policy = RestartPolicy()
    assert [policy.died(lived=60.0) for _ in range(50)] == [Restart(0.0)] * 50


def test_early_deaths_are_paused_longer_and_longer_and_end_in_a_crash_loop() -> None:
    policy = RestartPolicy()
    decisions = [policy.died(lived=0.1) for _ in range(10)]
    pauses = [decision.pause for decision in decisions[:-1]]
    assert pauses == sorted(pauses)
    assert pauses[:3] == [0.0] * 3
    assert sum(pauses) < 5
    assert decisions[-1] == CrashLoop(30.0, 10)


def test_a_long_life_forgives_early_deaths() -> None:
    policy = RestartPolicy()
    for _ in range(9):
        policy.died(lived=0.1)
    assert policy.died(lived=2.0) == Restart(0.0)
    assert policy.died(lived=0.1) == Restart(0.0)


def test_counters_are_shared_with_a_child_and_outlive_it() -> None:
    counters = Counters()
    pid = os.fork()
    if pid == 0:
        counters.block(2)[slots.SEEN] += 5
        os._exit(0)
    os.waitpid(pid, 0)
    assert counters.block(2)[slots.SEEN] == 5
    assert counters.block(1)[slots.SEEN] == 0


def test_the_accounts_of_a_dead_worker_add_up() -> None:
    counters = Counters()
    block = counters.block(1)
    block[slots.SEEN], block[slots.CAPTURED], block[slots.IN_FLIGHT], block[slots.CONNECTIONS] = 10, 4, 3, 2
    block[slots.DROPPED["queue_full"]] = 1
    counters.settle()
    assert block[slots.LOST] == 5
    assert (block[slots.IN_FLIGHT], block[slots.CONNECTIONS], block[slots.INTERRUPTED]) == (0, 0, 3)
    counters.settle()
    assert block[slots.LOST] == 5


def test_a_block_given_to_another_monitor_keeps_what_is_open() -> None:
    counters = Counters()
    block = counters.block(1)
    block[slots.IN_FLIGHT] = block[slots.CONNECTIONS] = block[slots.SEEN] = 2
    counters.clear(1)
    assert (block[slots.IN_FLIGHT], block[slots.CONNECTIONS], block[slots.SEEN]) == (2, 2, 0)


def test_no_two_slots_are_one() -> None:
    runs = [range(slots.STATUS, slots.STATUS_OTHER + 1)]
    runs += [range(first, first + len(slots.BOUNDS) + 1) for first in (slots.DURATION, slots.FIRST_BYTE)]
    single = [slots.DURATION_SUM, slots.FIRST_BYTE_SUM, *range(slots.IN_FLIGHT, slots.HEARTBEAT + 1)]
    reasons = [*slots.OPAQUE.values(), *slots.DROPPED.values(), *slots.UPSTREAM.values()]
    taken = [slot for run in runs for slot in run] + single + reasons
    assert sorted(taken) == list(range(slots.BLOCK_SLOTS))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        (":80", Address("", 80)),
        ("[::1]:80", Address("::1", 80)),
        ("http://model:8080/", Address("model", 8080)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:99999", "::1:80", "http://host/path:80", "[x]:80"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)


def test_settings_tell_every_problem() -> None:
    with pytest.raises(InvalidSpec) as refused:
        proxy_settings(
            {"upstream": "https://m:1", "drain-seconds": "nan", "tee": "x" * 200, "log-format": "xml"}
        )
    assert [problem.path for problem in refused.value.problems] == [
        "--upstream", "--tee", "--drain-seconds", "--log-format",
    ]  # fmt: skip


PATHS = st.sampled_from(["/", "/a", "/a/b", "/a/*", "/a*", "/*", "/b", "/a/b*"])


@given(st.lists(st.lists(PATHS, max_size=3, unique=True), max_size=4), PATHS)
def test_the_proxy_and_the_analyzer_route_alike(claims: list[list[str]], path: str) -> None:
    routes = tuple(Route(i, "ml", str(i), "m", paths=tuple(paths)) for i, paths in enumerate(claims))
    text = "---\n".join(
        MONITOR.replace("name: census, n", f'name: "{i}", n').replace(
            "port: 8080", f"port: {8080 + i}, paths: {paths}"
        )
        for i, paths in enumerate(claims)
    )
    found = CaptureSettings(routes).route(path)
    wanted = route(decode_monitors(text), path) if claims else None
    assert (found.monitor if found else None) == (wanted.metadata.name if wanted else None)


def test_a_log_line_has_the_fixed_fields_and_not_what_an_error_quotes() -> None:
    formatter = logs.JsonLines("worker")
    try:
        b"\xff the client's secret".decode()
    except UnicodeDecodeError as error:
        record = logging.LogRecord(
            "driftline", logging.ERROR, "", 0, "it failed", None, (type(error), error, None)
        )
    line = json.loads(formatter.format(record))
    assert line.keys() == {"time", "level", "program", "pid", "event", "message", "error"}
    assert "secret" not in json.dumps(line)
    assert line["error"].startswith("UnicodeDecodeError")


def test_a_field_that_is_not_fixed_is_refused() -> None:
    with pytest.raises(ValueError, match="body"):
        logs.event(logging.INFO, "x", "y", body="secret")
