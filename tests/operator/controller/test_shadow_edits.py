"""A spec that is edited while a promotion rolls out: that comes to its end first, as it was asked for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from driftline_operator import names
from driftline_operator.controller.running import Running
from driftline_operator.controller.shadows import Shadows
from driftline_operator.shadow.observed import as_promoted, observe_shadow
from driftline_operator.shadow.reasons import Ending

from tests.operator.controller.test_shadow_refusals import Refusing, condition, settling
from tests.operator.shadow.test_plan import LOADED, NOW, shadow, state, workload
from tests.operator.shadow.test_promotion import changed, rolling

Json = dict[str, Any]
STUCK = [{"type": "Progressing", "status": "False"}]
EDITS: dict[str, Json] = {
    "how long": shadow(duration="20h")["spec"],
    "another monitor": shadow(monitorRef={"name": "other"})["spec"],
    "another candidate": shadow(candidate={"service": {"name": "v5", "port": 80}})["spec"],
    "nothing that is one": {},
}


def edited(spec: Json) -> Json:
    body = shadow()
    return {**body, "metadata": {**body["metadata"], "generation": 2}, "spec": spec}


def rolled(spec: Json) -> tuple[Shadows, Refusing, Running]:
    """One whose promotion had begun when its spec was edited."""
    applier = Refusing("nothing", "")
    shadows, observed = settling(applier, edited(spec)), observe_shadow(shadow())
    known = shadows._running[observed.key] = Running(observed, rolling(since=NOW.timestamp()))
    return shadows, applier, known


@pytest.mark.parametrize("edit", EDITS)
async def test_what_is_stuck_is_taken_back_before_another_generation_begins(edit: str) -> None:
    shadows, applier, known = rolled(EDITS[edit])
    live = changed(conditions=STUCK)
    for _ in range(2):
        await shadows.settle(state(live), LOADED)
    assert applier.patched == ["census"]
    assert condition(applier.statuses["v4"], "Promoted")[0] == "RollingBack"
    assert applier.statuses["v4"]["observedGeneration"] == 1
    back = workload()
    back["status"] = changed(ready=True)["status"]
    await shadows.settle(state(back), LOADED)
    assert known.course.ended is Ending.ROLLED_BACK
    await shadows.settle(state(back), LOADED)
    (now,) = shadows.running()
    assert (now.course.generation, now.course.rollout) == (2, None)
    assert applier.statuses["v4"]["observedGeneration"] == 2


async def test_what_was_asked_for_is_applied_and_not_what_was_edited_since() -> None:
    given = shadow(candidate={"patch": {"image": "census:5"}})["spec"]
    shadows, applier, _ = rolled(given)
    await shadows.settle(state(), LOADED)
    ((_, replaced),) = applier.patches
    made = replaced["value"]
    assert made["metadata"]["annotations"][names.PROMOTED_ANNOTATION] == "uid-v4/1"
    assert made["spec"]["containers"][0]["image"] == "census:4"


def test_of_one_that_rolls_no_more_the_newer_generation_counts() -> None:
    newer = observe_shadow(edited(EDITS["how long"]))
    assert as_promoted(newer, rolling()).generation == 1
    ended = msgspec.structs.replace(rolling(), ended=Ending.PROMOTED)
    assert as_promoted(newer, ended) is newer
