"""What a controller believes of what is kept: nothing that only who may write ConfigMaps has written."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from driftline_operator import names
from driftline_operator.shadow.course import Course, Rollout, encode
from driftline_operator.shadow.keeping import Restored, kept, key_of_token, restored
from driftline_operator.shadow.observed import ObservedShadow, observe_shadow
from driftline_operator.shadow.reasons import Ending, Promotion

from tests.operator.shadow.test_plan import comparing, shadow, workload

Json = dict[str, Any]
KEY, OTHER = key_of_token("t" * 40), key_of_token("u" * 40)
PAIRS = b"pairs"
TEMPLATE = workload()["spec"]["template"]
EVIL = {**TEMPLATE, "spec": {"containers": [{"name": "model", "image": "evil:1"}]}}
NEW = Course(uid="uid-v4", generation=1)
ANEW = msgspec.structs.replace(NEW, anew=True)


def observed(*conditions: tuple[str, str, str], started: bool = False, generation: int = 1) -> ObservedShadow:
    """With a status that says these conditions of that generation."""
    body = shadow()
    told = [{"type": kind, "status": status, "reason": reason} for kind, status, reason in conditions]
    if told or started:
        body["status"] = {"observedGeneration": generation, "conditions": told}
        body["status"] |= {"started": "2026-11-27T12:00:00Z"} if started else {}
    return observe_shadow(body)


def rolling(before: Json = TEMPLATE) -> Course:
    began = msgspec.json.decode(msgspec.json.encode(before))
    rollout = Rollout(state=Promotion.ROLLING_OUT, since=0.0, before=began, spec=shadow()["spec"])
    return msgspec.structs.replace(comparing().course, rollout=rollout)


def written(course: Course, key: bytes | None = KEY) -> Json:
    return dict(kept(observed(), course, PAIRS, {}, key).body)


STARTED = observed(("Finished", "False", "Running"), started=True)


@pytest.mark.parametrize("course", [comparing().course, rolling()])
def test_what_a_controller_wrote_is_gone_on_with(course: Course) -> None:
    assert restored(STARTED, written(course), KEY) == Restored(course, PAIRS)


def test_what_nobody_began_begins() -> None:
    assert restored(observed(), None, KEY) == restored(observed(), {}, None) == Restored(NEW)
    older = observed(("Finished", "True", "Rejected"), started=True, generation=0)
    assert restored(older, written(msgspec.structs.replace(NEW, generation=0)), KEY).course == NEW


def forged(**data: str) -> Json:
    made = written(rolling())
    return {**made, "data": {**made["data"], **data}}


FORGED: dict[str, Json | None] = {
    "a template of one's own": forged(course=encode(rolling(EVIL))),
    "other pairs": {**written(rolling()), "binaryData": {names.PAIRS_KEY: "Zm9yZ2Vk"}},
    "pairs that are none": {**written(rolling()), "binaryData": {names.PAIRS_KEY: "x"}},
    "no signature": forged(signature=""),
    "a signature of letters that are none": forged(signature="\N{SNOWMAN}"),
    "another key": written(rolling(), OTHER),
    "unsigned": written(rolling(), None),
    "signed, but not what was compared with": written(rolling(EVIL)),
    "gone": None,
}


@pytest.mark.parametrize("name", FORGED)
def test_what_another_wrote_is_not_believed(name: str) -> None:
    assert restored(STARTED, FORGED[name], KEY) == Restored(ANEW)


def test_without_a_token_nothing_is_believed() -> None:
    assert restored(STARTED, written(rolling()), None) == Restored(ANEW)


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("reason", ["Rejected", "DurationOver", "Promoted", "MonitorChanged"])
def test_what_had_ended_doesnt_begin_again(name: str, reason: str) -> None:
    """Who asked for a promotion once would have asked for another."""
    told = observed(("Finished", "True", reason), started=True)
    ended = msgspec.structs.replace(ANEW, ended=Ending(reason))
    assert restored(told, FORGED[name], KEY) == Restored(ended)


def test_an_end_of_another_release_is_one() -> None:
    """And no fault that holds up the namespace."""
    told = observed(("Finished", "True", "OfALaterRelease"), started=True)
    assert restored(told, FORGED["other pairs"], KEY).course.ended is Ending.NOT_AUTHENTIC


@pytest.mark.parametrize("state", [Promotion.ROLLING_OUT, Promotion.ROLLING_BACK])
def test_a_promotion_of_which_nothing_is_known_ends(state: Promotion) -> None:
    told = observed(("Finished", "False", "Running"), ("Promoted", "False", state), started=True)
    assert restored(told, FORGED["other pairs"], KEY).course.ended is Ending.NOT_AUTHENTIC


def test_an_old_one_put_back_is_not_believed() -> None:
    """A promotion that is over must not be rolled back later by what was kept while it was under way."""
    over = observed(("Finished", "True", "Promoted"), started=True)
    assert restored(over, written(rolling()), KEY).course == msgspec.structs.replace(
        ANEW, ended=Ending.PROMOTED
    )
    assert restored(STARTED, written(NEW), KEY) == Restored(ANEW)
    # A promotion can begin after `duration`, and be kept when the status doesn't say so yet.
    late = observed(("Finished", "True", "DurationOver"), started=True)
    assert restored(late, written(rolling()), KEY) == Restored(rolling(), PAIRS)


def edited(told: ObservedShadow, generation: int = 2) -> ObservedShadow:
    """The same, with a spec that no candidate could be made of, and a newer generation."""
    body = {**told.body, "metadata": {**told.body["metadata"], "generation": generation}, "spec": {}}
    return observe_shadow(body)


def test_a_promotion_under_way_is_gone_on_with_though_the_spec_was_edited() -> None:
    assert restored(edited(STARTED), written(rolling()), KEY) == Restored(rolling(), PAIRS)
    assert restored(edited(STARTED), written(comparing().course), KEY).course.generation == 2


@pytest.mark.parametrize("told", [observed(started=True, generation=2), observed()])
def test_a_promotion_of_an_older_generation_put_back_is_not_believed(told: ObservedShadow) -> None:
    """The status has gone on to the newer one, or speaks of none."""
    assert restored(edited(told), written(rolling()), KEY).course.rollout is None
    over = observed(("Finished", "True", "RolledBack"), started=True)
    assert restored(edited(over), written(rolling()), KEY).course.rollout is None
