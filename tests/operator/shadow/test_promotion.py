"""A promotion step by step: who may ask, what is written, and how a controller that was killed goes on."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from driftline_operator import names
from driftline_operator.shadow.course import Course, Declined, Rollout, decode, encode, fingerprint
from driftline_operator.shadow.observed import observe_shadow
from driftline_operator.shadow.plan import Told
from driftline_operator.shadow.promotion import Step, patch_text, promoted
from driftline_operator.shadow.reasons import Ending, Promotion

from tests.operator.shadow.test_plan import TEMPLATE, planned, reason, shadow, state, workload

Json = dict[str, Any]


def course(**fields: Any) -> Course:
    live = fingerprint(workload()["spec"]["template"])
    usual = {"uid": "uid-v4", "generation": 1, "began": 0.0, "live": live, "verdict": "Promotable"}
    return Course(**{**usual, **fields})


def rolling(state: Promotion = Promotion.ROLLING_OUT, since: float = 100.0) -> Course:
    before = msgspec.json.decode(msgspec.json.encode(workload()["spec"]["template"]))
    return course(rollout=Rollout(state=state, since=since, before=before))


def step(at: Course, live: Json | None = None, now: float = 110.0, asked: str = "1", **spec: Any) -> Step:
    body = shadow(**spec)
    if asked:
        body["metadata"]["annotations"] = {names.PROMOTE_ANNOTATION: asked}
    observed = observe_shadow(body)
    assert observed.spec is not None
    return promoted(observed, observed.spec, at, live or workload(), "model", now)


def changed(ready: bool = False, mark: str = "uid-v4/1", **status: Any) -> Json:
    """The live workload as a promotion has made it."""
    live = workload()
    template = live["spec"]["template"]
    template["metadata"]["annotations"] = {names.PROMOTED_ANNOTATION: mark}
    template["spec"] = {**template["spec"], "dnsPolicy": "Default"}
    done = {"observedGeneration": 1, "updatedReplicas": 2, "replicas": 2, "readyReplicas": 2}
    live["status"] = (done if ready else {"observedGeneration": 1}) | status
    return live


def test_nobody_asks() -> None:
    assert step(course(), asked="") == Step(course())


@pytest.mark.parametrize(
    ("asked", "at", "spec", "why"),
    [
        ("2", course(), {}, Promotion.OLD_GENERATION),
        ("yes", course(), {}, Promotion.OLD_GENERATION),
        ("1", course(verdict="Inconclusive"), {}, Promotion.NOT_PROMOTABLE),
        ("1", course(verdict="Rejected"), {}, Promotion.NOT_PROMOTABLE),
        ("1", course(ended=Ending.LIVE_CHANGED), {}, Promotion.NOT_PROMOTABLE),
        ("1", course(live="another"), {}, Promotion.LIVE_CHANGED),
        ("1", course(), {"candidate": {"service": {"name": "v4", "port": 80}}}, Promotion.NO_FORM),
    ],
)
def test_why_it_is_not_promoted(asked: str, at: Course, spec: Json, why: Promotion) -> None:
    made = step(at, asked=asked, **spec)
    wanted = msgspec.structs.replace(at, declined=Declined(asked, why))
    assert (made.course, made.patch, made.refused) == (wanted, (), why)


def refused() -> Course:
    """Somebody asked before there was a verdict."""
    return step(course(verdict="Inconclusive")).course


def test_a_refusal_is_for_good_also_over_a_failover() -> None:
    """It would else fire at the first good verdict, with nobody there."""
    later = msgspec.structs.replace(decode(encode(refused()), "uid-v4", 1), verdict="Promotable")
    for _ in range(2):
        made = step(later)
        assert (made.course, made.patch, made.refused) == (later, (), Promotion.NOT_PROMOTABLE)


@pytest.mark.parametrize("asked", ["1/again", "1/2026-11-27T12:00:00Z"])
def test_another_value_asks_again(asked: str) -> None:
    later = msgspec.structs.replace(refused(), verdict="Promotable")
    assert step(later, asked=asked).course.rollout is not None
    still = step(refused(), asked=asked)
    assert still.course.declined == Declined(asked, Promotion.NOT_PROMOTABLE)


def test_taken_off_and_set_again_it_asks_again() -> None:
    off = step(refused(), asked="")
    assert (off.course, off.refused) == (course(verdict="Inconclusive"), None)
    later = msgspec.structs.replace(off.course, verdict="Promotable")
    assert step(later, asked="1").course.rollout is not None


def test_what_promotes_by_itself_is_not_held_up_by_a_refusal() -> None:
    later = msgspec.structs.replace(refused(), verdict="Promotable")
    assert step(later, onPass="Promote").course.rollout is not None


def test_who_asks_while_there_is_no_candidate_is_refused_too() -> None:
    body = shadow()
    body["metadata"]["annotations"] = {names.PROMOTE_ANNOTATION: "1"}
    told = Told(course())
    made = planned(body, state(workload(app="other")), told)
    assert (reason(made), reason(made, "Promoted")) == ("NoWorkload", "NotPromotable")
    made = planned(body, state(), told._replace(course=made.course))
    assert reason(made, "Promoted") == "NotPromotable"
    (said,) = [each.message for each in made.findings if each.aspect == "Promoted"]
    assert "driftline.io/promote=1/AGAIN" in said
    under_way = planned(body, state(workload(app="other")), Told(rolling()))
    assert under_way.course == rolling()


@pytest.mark.parametrize("asked", ["1", ""])
def test_what_was_there_is_kept_before_anything_is_changed(asked: str) -> None:
    made = step(course(), asked=asked, onPass="Promote")
    assert made.patch == ()
    assert made.course.rollout is not None
    assert made.course.rollout.before == workload()["spec"]["template"]


def test_after_its_duration_it_may_still_be_promoted() -> None:
    made = step(course(ended=Ending.DURATION_OVER, ended_at=50.0))
    assert made.course.rollout is not None


def test_the_template_is_replaced_and_marked() -> None:
    test, replace = step(rolling()).patch
    assert test == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert replace["path"] == "/spec/template"
    made = replace["value"]
    assert made["spec"]["containers"][0]["image"] == "census:4"
    assert made["metadata"]["labels"] == {
        "app": "census"
    }  # the live ones: the workload's selector wants them
    assert made["metadata"]["annotations"][names.PROMOTED_ANNOTATION] == "uid-v4/1"


def test_of_a_template_the_live_labels_stay() -> None:
    (_, replace) = step(rolling(), candidate={"template": TEMPLATE}).patch
    assert replace["value"]["spec"] == TEMPLATE["spec"]
    assert replace["value"]["metadata"]["labels"]["app"] == "census"


def test_a_controller_that_was_killed_after_the_write_writes_no_more() -> None:
    assert step(rolling(), changed()) == Step(rolling())


def test_ready_it_is_promoted() -> None:
    made = step(rolling(), changed(ready=True)).course
    assert made.ended is Ending.PROMOTED
    assert made.rollout is not None
    assert made.rollout.state is Promotion.PROMOTED
    assert step(made, changed(ready=True)) == Step(made)


@pytest.mark.parametrize("kind", ["late", "stuck"])
def test_what_doesnt_become_ready_is_taken_back(kind: str) -> None:
    stuck: Json = {"conditions": [{"type": "Progressing", "status": "False", "reason": "x"}]}
    live = changed(**(stuck if kind == "stuck" else {}))
    back = step(rolling(), live, now=701.0 if kind == "late" else 110.0).course
    assert back.rollout is not None
    assert back.rollout.state is Promotion.ROLLING_BACK
    test, replace = step(back, live).patch
    assert test["op"] == "test"
    assert replace["value"] == workload()["spec"]["template"]
    done = step(back, workload()).course
    assert done.ended is Ending.ROLLED_BACK


def test_old_complaints_of_the_workload_dont_count() -> None:
    """A condition is of the generation that its status has observed."""
    live = changed(conditions=[{"type": "Progressing", "status": "False"}])
    live["metadata"]["generation"] = 2
    assert step(rolling(), live) == Step(rolling())


def test_somebody_elses_change_is_left_alone() -> None:
    made = step(rolling(), changed(mark="another"))
    assert made.patch == ()
    assert made.course.ended is Ending.LIVE_CHANGED


def test_the_patch_as_text() -> None:
    spec = observe_shadow(shadow()).spec
    assert spec is not None
    text = patch_text(spec, "model")
    assert (
        text
        == "spec:\n  template:\n    spec:\n      containers:\n      - name: model\n        image: census:4\n"
    )


def test_the_arguments_dont_change() -> None:
    live, at = workload(), rolling()
    before = copy.deepcopy((live, at))
    step(at, live)
    assert (live, at) == before
