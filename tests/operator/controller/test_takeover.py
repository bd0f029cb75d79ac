"""A controller that takes over: what the one before said stands until pods were asked, and no longer."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.conditions import Aspect, DriftReason, Finding, ReferenceReason, Status
from driftline_operator.controller.apply import Applier
from driftline_operator.controller.gather import Watches
from driftline_operator.controller.hub.opinions import Opinion
from driftline_operator.controller.monitors import MonitorStore
from driftline_operator.controller.observed import Installation, Observed, Reference
from driftline_operator.controller.plan.status import FleetView
from driftline_operator.controller.reconcile import Reconciler
from driftline_operator.controller.references import Loaded, References
from driftline_operator.controller.series import Series
from driftline_operator.controller.shadows import Shadows
from driftline_operator.controller.tokens import Tokens
from driftline_operator.injection.sidecars import Settings
from prometheus_client import CollectorRegistry

from tests.operator.test_plan import body

Json = dict[str, Any]
KEY = ("ml", "census")
START = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
DRIFTED = FleetView(
    findings=(Finding(Aspect.DATA_DRIFT, Status.TRUE, DriftReason.DRIFT_DETECTED, "age drifted"),),
    rows=900,
    answered=1,
    at=START.timestamp(),
)


class Written(Api):
    """Takes everything, slowly enough for others to come in between."""

    def __init__(self) -> None:
        self.statuses: list[Json] = []
        self.events: list[Json] = []

    async def apply(self, *given: Any, subresource: str = "", **_: Any) -> Json:
        await asyncio.sleep(0)
        if subresource:
            self.statuses.append(given[2])
        known = body("census")
        version = {"resourceVersion": str(len(self.statuses))}
        return {**known, "metadata": known["metadata"] | version, "status": given[2].get("status")}

    async def create(self, *given: Any) -> Json:
        await asyncio.sleep(0)
        self.events.append(given[2])
        return {}

    async def get(self, *_: Any) -> Json:
        return {"data": {}}


class Unwatched(Watches):
    """A namespace that is there, with nothing in it."""

    def __init__(self) -> None:
        super().__init__("system", (), lambda: 0.0, certificate="certs", pod_monitors=False)
        self._namespaces[0]._objects = {"": {"ml": {"metadata": {"name": "ml"}}}}


class Captures(References):
    """Of a monitor that waits for rows."""

    def __init__(self) -> None:
        pass

    async def load(self, observed: Observed) -> Loaded:
        return Loaded(Reference(ReferenceReason.CAPTURING, f"rows for {observed.name}"))

    def forget(self, known: Any) -> None:
        pass


class Replica:
    """A reconciler with all that it needs."""

    def __init__(self) -> None:
        self.api, self.now = Written(), START
        self.store = MonitorStore(lambda _: None)
        self.store.note("ADDED", body("census"))
        applier = Applier(self.api, lambda: 10.0, lambda *_: None)
        watches = Unwatched()
        tokens = Tokens(self.api, applier)
        shadows = Shadows(
            self.api,
            applier,
            watches,
            tokens,
            allowed=True,
            needs_policy=False,
            identity="this",
            status_interval=30.0,
            now=lambda: self.now,
        )
        self.reconciler = Reconciler(
            applier,
            watches,
            self.store,
            Captures(),
            tokens,
            Series(CollectorRegistry()),
            lambda: Installation(sidecar=Settings(image="sidecar:test"), bundle=b"PEM"),
            lambda _: Opinion(),
            shadows,
            identity="this",
            status_interval=30.0,
            stale_after=300.0,
            now=lambda: self.now,
        )

    @property
    def drift(self) -> tuple[str, str]:
        """As the last status has it."""
        (found,) = [c for c in self.api.statuses[-1]["status"]["conditions"] if c["type"] == "DataDrift"]
        return found["status"], found["reason"]


@pytest.fixture
async def replica() -> Replica:
    """One under which a monitor drifts."""
    made = Replica()
    await made.reconciler.namespace("ml")
    assert made.drift == ("Unknown", "NoReference"), "of a new monitor it is said at once"
    made.reconciler.views[KEY] = DRIFTED
    await made.reconciler.statuses("ml")
    assert made.drift == ("True", "DriftDetected")
    return made


async def test_a_takeover_is_no_transition(replica: Replica) -> None:
    statuses, events = len(replica.api.statuses), len(replica.api.events)
    replica.reconciler.take_over()
    await replica.reconciler.namespace("ml")
    assert len(replica.api.statuses) == statuses
    replica.now += dt.timedelta(seconds=31)
    replica.reconciler.views[KEY] = DRIFTED._replace(rows=1000)
    await replica.reconciler.statuses("ml")
    assert replica.drift == ("True", "DriftDetected")
    assert replica.api.statuses[-1]["status"]["rows"] == 1000
    assert len(replica.api.events) == events


async def test_a_new_replica_does_not_undo_what_another_said(replica: Replica) -> None:
    other = Replica()
    known = body("census")
    version = known["metadata"] | {"resourceVersion": "9"}
    other.store.note("MODIFIED", {**known, "metadata": version, "status": replica.api.statuses[-1]["status"]})
    await other.reconciler.namespace("ml")
    assert other.api.statuses == other.api.events == []


async def test_what_nobody_can_confirm_does_not_stand_for_ever(replica: Replica) -> None:
    replica.reconciler.take_over()
    replica.now += dt.timedelta(seconds=91)
    await replica.reconciler.namespace("ml")
    assert replica.drift == ("Unknown", "NoReference")


@pytest.mark.parametrize("what", ["driftline-token", "driftline-census"])
async def test_a_namespace_that_takes_no_objects_has_a_status_all_the_same(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Replica()
    apply, create = made.api.apply, made.api.create

    async def refused(*given: Any, subresource: str = "", **more: Any) -> Json:
        if not subresource and given[-1]["metadata"]["name"] == what:
            raise ApiError(403, "Forbidden", "exceeded quota", "PATCH")
        return await (
            apply(*given, subresource=subresource, **more) if given[0].kind != "Secret" else create(*given)
        )

    async def missing(*_: Any) -> Json:
        raise ApiError(404, "NotFound", "", "GET")

    monkeypatch.setattr(made.api, "apply", refused)
    monkeypatch.setattr(made.api, "create", refused)
    monkeypatch.setattr(made.api, "get", missing)
    with pytest.raises(ApiError, match="exceeded quota"):
        await made.reconciler.namespace("ml")
    assert made.drift == ("Unknown", "NoReference")


async def test_what_was_found_long_ago_is_no_word_about_now(replica: Replica) -> None:
    replica.now += dt.timedelta(seconds=299)
    await replica.reconciler.namespace("ml")
    assert replica.drift == ("True", "DriftDetected")
    replica.now += dt.timedelta(seconds=2)  # no round has ended since
    await replica.reconciler.namespace("ml")
    assert replica.drift == ("Unknown", "Stale")


async def test_a_transition_is_told_once_whoever_sees_it(replica: Replica) -> None:
    events = len(replica.api.events)
    replica.reconciler.views[KEY] = DRIFTED._replace(
        findings=(Finding(Aspect.DATA_DRIFT, Status.FALSE, DriftReason.NO_DRIFT, "nothing lasting"),)
    )
    await asyncio.gather(*(replica.reconciler.statuses("ml") for _ in range(3)))
    assert [each["reason"] for each in replica.api.events[events:]] == ["NoDrift"]


async def test_rows_that_make_no_reference_are_said_until_they_do(replica: Replica) -> None:
    replica.reconciler.say_capture(KEY, ReferenceReason.CAPTURE_FAILED, "all rows alike")
    for _ in range(2):  # a plan doesn't take it back
        await replica.reconciler.namespace("ml")
        found = {each["type"]: each for each in replica.api.statuses[-1]["status"]["conditions"]}
        assert found["ReferenceReady"]["reason"] == "CaptureFailed"
        assert found["ReferenceReady"]["message"] == "all rows alike"
