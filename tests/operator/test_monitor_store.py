"""Monitors by name and identity: namesakes that follow each other aren't taken for one."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from driftline_operator.conditions import Aspect, Finding, Status
from driftline_operator.controller import observed
from driftline_operator.controller.monitors import MonitorStore
from driftline_operator.controller.observed import observe
from driftline_operator.controller.plan import status
from driftline_operator.controller.plan.status import Transition
from driftline_operator.injector import monitors as injectors
from driftline_operator.injector.monitors import Monitors

from tests.operator.injector.test_review import stored

Json = dict[str, Any]


def of(uid: str) -> Json:
    found = stored("census", "2026-01-01T00:00:00Z")
    return {**found, "metadata": {**found["metadata"], "uid": uid, "generation": 1}}


def test_the_end_of_the_old_one_may_come_after_a_new_namesake() -> None:
    dirty: list[str] = []
    store = MonitorStore(dirty.append)
    store.note("ADDED", of("old"))
    store.note("ADDED", of("new"))
    store.note("DELETED", of("old"))
    found = store.get(("ml", "census"))
    assert found is not None
    assert found.uid == "new"
    store.note("DELETED", of("new"))
    assert store.get(("ml", "census")) is None
    assert dirty == ["ml"] * 3


def test_what_went_unseen_is_found_by_a_whole_list() -> None:
    store = MonitorStore(lambda _: None)
    store.note("ADDED", of("old"))
    store.listing()
    store.replace([])
    assert store.every() == {}


def broken(_: object) -> None:
    raise RecursionError


def test_a_monitor_that_breaks_us_is_invalid_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed, "build_monitor", broken)
    monkeypatch.setattr(injectors, "build_monitor", broken)
    found = observe(of("old"))
    assert (found.monitor, found.problem) == (None, "can't be read: RecursionError")
    known = Monitors()
    known.replace([of("old")])
    assert known.selecting("ml", {"app": "census"}) == []


@pytest.mark.parametrize("letter", ["a", "ж", "\U0001f600"])
def test_the_note_of_an_event_is_cut_by_bytes(letter: str) -> None:
    """So the API server counts."""
    finding = Finding(Aspect.DATA_DRIFT, Status.TRUE, "DriftDetected", letter * 2000)
    (transition,) = status.transitions(observe(of("old")), [finding])
    assert isinstance(transition, Transition)
    made = status.event(observe(of("old")), transition, "me", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    assert 1020 < len(made["note"].encode()) <= 1024
    assert made["note"].endswith(letter)
