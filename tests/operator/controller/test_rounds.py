"""Rounds over the fleet in a cluster where one namespace, or the API server, makes trouble."""

from __future__ import annotations

import base64
import datetime as dt
from collections import Counter
from typing import Any, NamedTuple

import pytest
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.apply import Applier
from driftline_operator.controller.hub.history import PaneHistory
from driftline_operator.controller.observed import Observed, Reference, observe
from driftline_operator.controller.plan.namespace import MonitorPlan
from driftline_operator.controller.plan.pods import Survey
from driftline_operator.controller.plan.status import FleetView
from driftline_operator.controller.plan.suspension import Suspension
from driftline_operator.controller.references import Loaded
from driftline_operator.controller.rounds import Rounds
from driftline_operator.fleet.fleet import Fleet

from tests.operator.fleet.test_fleet import PROFILE, Pods, member
from tests.operator.test_plan import body
from tests.support.fleets import DAY_START, SPEC

BAD, GOOD = ("bad", "census"), ("good", "census")


class Refusing(Api):
    """Takes no ConfigMap of the namespace `bad`; keeps checkpoints; may be away."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.status = 403
        self.unreadable: set[str] = set()

    async def apply(self, resource: Any, namespace: str | None, body: Any, **_: Any) -> Any:
        if namespace == "bad":
            raise ApiError(self.status, "Forbidden", "exceeded quota", "PATCH")
        self.kept[str(namespace)] = body
        return {"metadata": {"resourceVersion": "1"}}

    async def get(self, resource: Any, namespace: str | None, name: str) -> Any:
        if namespace in self.unreadable:
            raise ApiError(500, "InternalError", "etcd", "GET")
        if namespace not in self.kept:
            raise ApiError(404, "NotFound", "", "GET")
        return self.kept[namespace]


class Planned(NamedTuple):
    """Stands for the reconciler: two monitors of the same reference."""

    planned: dict[Any, MonitorPlan]
    views: dict[Any, FleetView]
    written: Counter[str]

    def loaded(self, _: Any) -> Loaded:
        return Loaded(Reference(ReferenceReason.PROFILE_LOADED, "", b"", PROFILE.hash), PROFILE)

    async def statuses(self, namespace: str) -> None:
        self.written[namespace] += 1


def observed(namespace: str) -> Observed:
    found = body("census")
    found["metadata"]["namespace"] = namespace
    made = observe(found)
    assert made.monitor is not None
    return made._replace(monitor=type(made.monitor)(metadata=made.monitor.metadata, spec=SPEC))


class Turns:
    """Rounds, minute by minute, over pods that have a day to tell."""

    def __init__(self, api: Refusing) -> None:
        survey = Survey(watched=member(2).pods)
        plans = {key: MonitorPlan(observed(key[0]), survey, Suspension(""), ()) for key in (BAD, GOOD)}
        self.planned = Planned(plans, {}, Counter())
        self.pods = Pods()
        applier = Applier(api, lambda: 10.0, lambda *_: None)
        tokens: Any = type("Tokens", (), {"of": lambda *_: "token"})()
        reconciler: Any = self.planned
        fleet, history = Fleet(self.pods, 60.0), PaneHistory(None)
        self.rounds = Rounds(api, applier, reconciler, tokens, fleet, history, self._now)

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.pods.now, dt.UTC)

    async def until(self, minute: int) -> None:
        self.pods.now = DAY_START + minute * 60 + 65.0
        await self.rounds.turn()


async def test_a_namespace_that_refuses_objects_does_not_end_the_others_round() -> None:
    api = Refusing()
    turns = Turns(api)
    for minute in range(3):
        await turns.until(minute)
    assert turns.planned.written == {"bad": 3, "good": 3}
    assert list(api.kept) == ["good"], "whose checkpoint comes after the other's"
    assert turns.planned.views[GOOD].answered == 2


async def test_what_was_not_written_is_wanted_again() -> None:
    api = Refusing()
    turns = Turns(api)
    await turns.until(10)
    data = turns.rounds.fleet.checkpoint(BAD)
    assert data is not None


async def test_a_clock_that_is_set_back_does_not_end_the_checkpoints() -> None:
    api = Refusing()
    turns = Turns(api)
    for minute in range(120, 124):
        await turns.until(minute)
    api.kept.clear()
    await turns.until(60)
    assert list(api.kept) == ["good"]


async def test_where_checkpoints_are_unreadable_the_status_is_written_all_the_same() -> None:
    api = Refusing()
    api.unreadable = {"good"}
    turns = Turns(api)
    await turns.until(1)
    assert turns.planned.written == {"bad": 1, "good": 1}


async def test_an_api_server_that_is_away_is_everybodys_trouble() -> None:
    api = Refusing()
    api.status = 0
    with pytest.raises(ApiError):
        await Turns(api).until(10)


async def test_a_checkpoint_that_could_not_be_read_is_read_in_the_next_round() -> None:
    api = Refusing()
    first = Turns(api)
    await first.until(30)
    await first.until(31)  # by now nothing lacks of what the pods had counted before
    rows = first.planned.views[GOOD].rows
    assert rows > 0
    assert base64.b64decode(api.kept["good"]["binaryData"]["panes"])
    second = Turns(api)
    api.unreadable = {"good"}
    await second.until(32)
    assert GOOD not in second.planned.views, "nothing is concluded from half of it"
    api.unreadable = set()
    asked = len(second.pods.asked)
    await second.until(33)
    assert second.planned.views[GOOD].answered == 2
    cursors = {cursor for _, cursor in second.pods.asked[asked:]}
    assert {cursor.rpartition(":")[2] for cursor in cursors} == {"32", "33"}, "from the checkpoint on"
