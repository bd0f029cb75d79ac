"""A write that the API server refuses to one shadow holds up neither the other shadows nor the monitors."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
from driftline_operator import names
from driftline_operator.cluster.api import ApiError
from driftline_operator.controller.running import Running
from driftline_operator.controller.shadows import Shadows
from driftline_operator.shadow.book import ShadowBook
from driftline_operator.shadow.course import Course
from driftline_operator.shadow.observed import observe_shadow

from tests.operator.controller.test_shadow_rounds import BEGAN, CONFIG, NOW, Kept, Told
from tests.operator.shadow.test_plan import LOADED, monitor, service, shadow, state
from tests.operator.shadow.test_promotion import changed, rolling, step
from tests.support.shadow_fleet import part
from tests.support.shadows import CLASSES

Json = dict[str, Any]


class Refusing(Kept):
    """An applier that refuses objects of some kind and name, and keeps what is said."""

    def __init__(self, kind: str, name: str, status: int = 403) -> None:
        super().__init__()
        self.error = ApiError(status, "Forbidden", "exceeded quota", "PATCH x")
        self.kind, self.name = kind, name
        self.statuses: dict[str, Json] = {}
        self.patched: list[str] = []
        self.patches: list[Any] = []

    def _take(self, kind: str, name: str) -> None:
        if (kind, name) == (self.kind, self.name):
            raise self.error

    async def ensure(self, desired: Any) -> None:
        self._take(desired.resource.kind, desired.body["metadata"]["name"])
        await super().ensure(desired)

    async def remove(self, *_: Any) -> None:
        pass

    async def patch(self, resource: Any, _: str, name: str, patch: Any, **__: Any) -> None:
        self._take(resource.kind, name)
        self.patched.append(name)
        self.patches.append(patch)

    async def status(self, _: Any, body: Any) -> Any:
        self.statuses[body["metadata"]["name"]] = body["status"]
        return body

    async def create(self, *_: Any) -> None:
        self._take("Event", "")


class Source:
    """What the watch has."""

    def __init__(self, *bodies: Json) -> None:
        self.bodies = bodies

    def shadows(self, _: str) -> tuple[Json, ...]:
        return self.bodies


class Empty:
    """An API server without any object."""

    async def get(self, *_: Any) -> Any:
        raise ApiError(404, "NotFound", "no such object", "GET x")


class Tokens(Told):
    """Of a namespace that has one."""

    async def look(self, _: str) -> None:
        pass


def settling(applier: Kept, *bodies: Json) -> Shadows:
    fixed = {"allowed": True, "needs_policy": False, "identity": "this", "status_interval": 30.0}
    parts = (Empty(), applier, Source(*bodies), Tokens())
    return Shadows(*cast(Any, parts), **cast(Any, fixed), now=lambda: NOW)


def condition(status: Json, kind: str) -> tuple[str, str]:
    (found,) = [each for each in status["conditions"] if each["type"] == kind]
    return found["reason"], found["message"]


def service_shadow(name: str, monitored: str) -> Json:
    return shadow(name, monitorRef={"name": monitored}, candidate={"service": {"name": "v4", "port": 80}})


@pytest.mark.parametrize("kind", ["ConfigMap", "Event"])
async def test_another_shadow_is_settled_all_the_same(kind: str) -> None:
    one, two = service_shadow("v4", "census"), service_shadow("v5", "twin")
    twin = copy.deepcopy(monitor())
    twin["metadata"] |= {"name": "twin", "uid": "uid-twin"}
    name = names.shadow_config_map("v4") if kind == "ConfigMap" else ""
    applier = Refusing(kind, name)
    given = state(monitors=(monitor(), twin), services=(service("v4", {}),))
    loaded = {"census": LOADED["census"], "twin": LOADED["census"]}
    mirrors = await settling(applier, one, two).settle(given, loaded)
    assert mirrors.keys() == ({"twin"} if kind == "ConfigMap" else {"census", "twin"})
    assert condition(applier.statuses["v5"], "CandidateReady")[0] == "Ready"
    reason, message = condition(applier.statuses["v4"], "CandidateReady")
    if kind == "ConfigMap":
        assert reason == "ApiRefused"
        assert message.endswith("exceeded quota")


async def test_what_is_refused_is_not_taken_for_done() -> None:
    """Kept first: of a course that could not be kept, nothing is told to any mirror."""
    shadows = settling(Refusing("ConfigMap", names.shadow_config_map("v4")), service_shadow("v4", "census"))
    for _ in range(2):
        assert await shadows.settle(state(services=(service("v4", {}),)), LOADED) == {}
    (known,) = shadows.running()
    assert known.course.began is None


async def test_a_refused_model_version_says_so_and_is_tried_again() -> None:
    body = shadow(candidate={"patch": {"image": "census:4"}, "modelVersion": "4"})
    applier = Refusing("ModelMonitor", "census", 422)
    shadows, observed = settling(applier, body), observe_shadow(body)
    begun = step(rolling(), changed()).course
    shadows._running[observed.key] = Running(observed, begun)
    given = state(changed(ready=True))
    assert await shadows.settle(given, LOADED) == {}
    assert condition(applier.statuses["v4"], "CandidateReady")[0] == "ApiRefused"
    assert condition(applier.statuses["v4"], "Promoted")[0] == "RollingOut"
    applier.kind = ""
    await shadows.settle(given, LOADED)
    assert applier.patched == ["census"]


async def test_pairs_that_are_refused_stop_no_round() -> None:
    applier = Refusing("ConfigMap", names.shadow_config_map("v4"))
    shadows = settling(applier)
    course = Course(uid="uid-v4", generation=1, began=BEGAN, plan=CLASSES)
    known = Running(observe_shadow(shadow()), course, ShadowBook("uid-v4", 1, CLASSES))
    known.take(part(CONFIG, "a", 400))
    await shadows.keep(known)
    assert known.saved == (0, 0.0), "it is tried again"
    applier.kind = ""
    await shadows.keep(known)
    assert known.saved == (known.book.changes if known.book else 0, NOW.timestamp())


@pytest.mark.parametrize("status", [0, 409, 500])
async def test_what_may_pass_is_tried_again_with_all_of_the_namespace(status: int) -> None:
    applier = Refusing("ConfigMap", names.shadow_config_map("v4"), status)
    shadows = settling(applier, service_shadow("v4", "census"))
    with pytest.raises(ApiError):
        await shadows.settle(state(services=(service("v4", {}),)), LOADED)
