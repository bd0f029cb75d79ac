"""What one namespace's pods, quota or Secret do doesn't reach the others: rounds go on for all."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import numpy as np
import pytest
from driftline.errors import DataError
from driftline.pane_codec import ENVELOPE, inflate
from driftline_operator.cluster.api import ApiError
from driftline_operator.controller.hub.history import PaneHistory
from driftline_operator.controller.rounds import Rounds
from driftline_operator.fleet.flat import pack_pane
from driftline_operator.fleet.fleet import Fleet
from driftline_operator.fleet.layout import Layout
from driftline_operator.fleet.pull import Missed, Page

from tests.operator.fleet.test_fleet import AXES, KEY, PROFILE, Pods, member
from tests.support.fleets import DAY_START, SPEC, counted, encoded, plain

OTHER = ("other", "census")


def damaged() -> bytes:
    """A pane with a right checksum, and more rows than a number holds."""
    good = inflate(encoded(PROFILE, counted(AXES, plain(np.random.default_rng(1), 50)), DAY_START))
    return ENVELOPE.seal(msgspec.msgpack.encode(msgspec.structs.replace(good, rows=2**63)))


def test_a_pane_of_impossible_counts_is_damaged() -> None:
    layout = Layout({feature.name: feature.axis for feature in PROFILE.features})
    with pytest.raises(DataError, match="damaged"):
        pack_pane(layout, inflate(damaged()))


class Damaged(Pods):
    """The pods of one namespace; what those of the other say breaks us."""

    async def panes(self, ip: str, monitor: str, cursor: str, token: str | None) -> Page | Missed:
        if monitor.startswith("other/"):
            return Page((b"not even a pane",), f"boot:{PROFILE.hash[:16]}:1", float(DAY_START))
        return await super().panes(ip, monitor, cursor, token)

    async def newest(self, ip: str, monitor: str, begin: int, token: str | None) -> Page | Missed:
        return await self.panes(ip, monitor, "", token)


async def test_a_monitor_that_breaks_us_begins_anew_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pods = Damaged()
    fleet = Fleet(pods, 60.0)
    began = []
    for minute in range(40):
        pods.now = DAY_START + minute * 60 + 65.0
        began += fleet.keep({KEY: member(), OTHER: member()}, pods.now)
        if minute == 20:
            monkeypatch.setattr(fleet._books[OTHER], "step", _broken)
        outcome = await fleet.round(lambda _: "token", lambda: pods.now)
        assert set(outcome.views) == {KEY, OTHER}
    assert began == [KEY, OTHER, OTHER]
    assert outcome.views[KEY].rows > 0
    assert outcome.views[KEY].answered == 3


def _broken(_: float) -> None:
    raise ZeroDivisionError


async def test_a_pod_whose_panes_break_us_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = Pods()
    fleet = Fleet(pods, 60.0)
    pods.now = DAY_START + 65.0
    fleet.keep({KEY: member()}, pods.now)
    monkeypatch.setattr(fleet._books[KEY], "take", lambda *_: 1 / 0)
    outcome = await fleet.round(lambda _: "token", lambda: pods.now)
    assert outcome.views[KEY].answered == 0
    (figures,) = fleet.figures()
    assert figures.missed == {"unreadable": 3}


class Cluster:
    """Stands for API server and reconciler of two namespaces; `refusing`: what fails, and how."""

    def __init__(self, fleet: Fleet) -> None:
        self.refusing: dict[tuple[str, str], Exception] = {}
        self.done: list[tuple[str, str]] = []
        self.planned = dict.fromkeys((KEY, OTHER), self)
        self.views: dict[Any, Any] = {}
        self.monitor = self.observed = self.survey = self
        self.spec, self.watched = SPEC, member().pods
        self.now = DAY_START + 65.0
        me: Any = self
        history = PaneHistory(None)
        self.rounds = Rounds(
            me,
            me,
            me,
            me,
            fleet,
            history,
            lambda: dt.datetime.fromtimestamp(self.now, dt.UTC),
            lambda namespace: self.done.append(("reconcile", namespace)),
        )
        me.rounds._checkpoint = lambda key, _: self.do("checkpoint", key[0])
        me.rounds._capture = lambda key, _: self.do("capture", key[0])

    async def do(self, what: str, where: str) -> None:
        if (what, where) in self.refusing:
            raise self.refusing[what, where]
        self.done.append((what, where))

    def loaded(self, _: Any) -> Any:
        return type("Loaded", (), {"profile": PROFILE})

    def of(self, _: str) -> str:
        return "token"

    def doubt(self, namespace: str) -> None:
        self.done.append(("doubt", namespace))

    async def get(self, _: Any, namespace: str, name: str) -> dict[str, Any]:
        await self.do("restore", namespace)
        return {}

    async def statuses(self, namespace: str) -> None:
        await self.do("status", namespace)


def error(status: int) -> ApiError:
    return ApiError(status, "Forbidden", "exceeded quota: team", "PATCH /")


@pytest.mark.parametrize("what", ["capture", "status", "checkpoint"])
@pytest.mark.parametrize("how", [error(403), error(500), ValueError("of ours")], ids=str)
async def test_a_refusal_in_one_namespace_leaves_the_other_alone(what: str, how: Exception) -> None:
    pods = Pods()
    cluster = Cluster(Fleet(pods, 60.0))
    first = min(KEY[0], OTHER[0])
    cluster.refusing[what, first] = how
    await cluster.rounds.turn()
    second = max(KEY[0], OTHER[0])
    assert {("capture", second), ("status", second), ("checkpoint", second)} < set(cluster.done)
    assert (what, first) not in cluster.done


async def test_without_an_api_server_the_round_ends() -> None:
    cluster = Cluster(Fleet(Pods(), 60.0))
    cluster.refusing["status", min(KEY[0], OTHER[0])] = error(0)
    with pytest.raises(ApiError):
        await cluster.rounds.turn()
    assert ("checkpoint", OTHER[0]) not in cluster.done


async def test_no_round_before_every_checkpoint_is_read() -> None:
    """Else the windows would be judged without it, and the checkpoint written over."""
    cluster = Cluster(Fleet(Pods(), 60.0))
    cluster.refusing["restore", OTHER[0]] = error(0)
    for _ in range(2):
        with pytest.raises(ApiError):
            await cluster.rounds.turn()
    assert cluster.done == [("restore", KEY[0])]
    cluster.refusing.clear()
    await cluster.rounds.turn()
    assert cluster.done[1] == ("restore", OTHER[0])
    assert [each for each in cluster.done if each[0] == "restore"] == [
        ("restore", KEY[0]),
        ("restore", OTHER[0]),
    ]
    assert ("checkpoint", OTHER[0]) in cluster.done


async def test_where_sidecars_refuse_the_token_the_secret_is_looked_at_again() -> None:
    pods = Pods(missing={f"10.0.0.{n}": Missed.REFUSED for n in range(3)})
    cluster = Cluster(Fleet(pods, 60.0))
    await cluster.rounds.turn()
    assert {("doubt", KEY[0]), ("reconcile", KEY[0]), ("doubt", OTHER[0])} < set(cluster.done)
    pods.missing.clear()
    cluster.done.clear()
    cluster.now += 60
    await cluster.rounds.turn()
    assert "doubt" not in {what for what, _ in cluster.done}
