"""A promotion step by step: who may ask, what is written, and how a controller that was killed goes on."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
import yaml
from driftline_operator import names
from driftline_operator.shadow.candidate import Wanted
from driftline_operator.shadow.course import Course, Declined, Rollout, decode, encode, fingerprint
from driftline_operator.shadow.merging import merged
from driftline_operator.shadow.observed import observe_shadow
from driftline_operator.shadow.plan import Told
from driftline_operator.shadow.promotion import Step, patch_text, promoted
from driftline_operator.shadow.reasons import Ending, Promotion
from driftline_operator.shadow.template import changed as changed_by

from tests.operator.shadow.test_plan import NOW, TEMPLATE, monitor, planned, reason, shadow, state, workload
from tests.support.merges import CANDIDATES, LIVE

Json = dict[str, Any]


def course(**fields: Any) -> Course:
    live = fingerprint(workload()["spec"]["template"])
    usual = {"uid": "uid-v4", "generation": 1, "began": 0.0, "live": live, "verdict": "Promotable"}
    return Course(**{**usual, **fields})


def rolling(state: Promotion = Promotion.ROLLING_OUT, since: float = 100.0) -> Course:
    before = msgspec.json.decode(msgspec.json.encode(workload()["spec"]["template"]))
    return course(rollout=Rollout(state=state, since=since, before=before, spec=shadow()["spec"]))


def step(
    at: Course,
    live: Json | None = None,
    now: float = 110.0,
    asked: str = "1",
    services: Any = (),
    **spec: Any,
) -> Step:
    body = shadow(**spec)
    if asked:
        body["metadata"]["annotations"] = {names.PROMOTE_ANNOTATION: asked}
    observed = observe_shadow(body)
    assert observed.spec is not None
    return promoted(observed, observed.spec, at, target(live or workload()), services, now)


def target(live: Json) -> Wanted:
    return Wanted((), "", live, 8080, "model")


def changed(ready: bool = False, mark: str = "uid-v4/1", **status: Any) -> Json:
    """The live workload as a promotion has made it."""
    live = workload()
    template = live["spec"]["template"]
    template["metadata"]["annotations"] = {names.PROMOTED_ANNOTATION: mark}
    template["spec"] = {**template["spec"], "dnsPolicy": "Default"}
    done = {"observedGeneration": 1, "updatedReplicas": 2, "replicas": 2, "readyReplicas": 2}
    live["status"] = (done if ready else {"observedGeneration": 1}) | status
    return live


def test_what_somebody_else_puts_in_its_place_is_neither_promoted_nor_taken_back() -> None:
    """The annotation stays where an image is set by hand."""
    begun = step(rolling(), changed()).course
    assert begun.rollout is not None
    assert begun.rollout.made
    theirs = copy.deepcopy(changed(ready=True))
    theirs["spec"]["template"]["spec"]["containers"][0]["image"] = "somebody-else:9"
    for late in (110.0, 10_000.0):
        made = step(begun, theirs, late)
        assert (made.course.ended, made.patch) == (Ending.LIVE_CHANGED, ())
    assert step(begun, changed(ready=True)).course.ended is Ending.PROMOTED
    backing = msgspec.structs.replace(begun.rollout, state=Promotion.ROLLING_BACK)
    back = step(msgspec.structs.replace(begun, rollout=backing), theirs)
    assert (back.course.ended, back.patch) == (Ending.LIVE_CHANGED, ())


def test_what_is_released_after_a_promotion_leaves_it_promoted() -> None:
    done = step(step(rolling(), changed()).course, changed(ready=True)).course
    assert done.ended is Ending.PROMOTED
    theirs = copy.deepcopy(changed(ready=True))
    theirs["spec"]["template"]["spec"]["containers"][0]["image"] = "census:5"
    assert step(done, theirs, 1e6) == Step(done)


@pytest.mark.parametrize(
    "candidate",
    [
        {"patch": {"template": {"metadata": {"annotations": {"driftline.io/exclude": "true", "team": "b"}}}}},
        {"template": {"metadata": {"annotations": {"driftline.io/exclude": "true", "team": "b"}},
                      "spec": TEMPLATE["spec"]}},
    ],
)  # fmt: skip
def test_a_promoted_pod_is_monitored_as_the_live_one_was(candidate: Json) -> None:
    spec = observe_shadow(shadow(candidate=candidate)).spec
    assert spec is not None
    made = changed_by(workload()["spec"]["template"], spec.candidate, "model")
    found = made["metadata"]["annotations"]
    assert found["team"] == "b"
    assert "driftline.io/exclude" not in found


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
        ("1", course(ended=Ending.MONITOR_CHANGED), {}, Promotion.NOT_PROMOTABLE),
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
    begun = rolling(since=NOW.timestamp() - 60)
    assert planned(body, state(workload(app="other")), Told(begun)).course == begun


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
    assert replace["value"]["metadata"]["labels"] == {"app": "census"}


@pytest.mark.parametrize("name", CANDIDATES)
def test_no_label_changes_and_the_text_says_what_is_done(name: str) -> None:
    """Services go by labels: one that changed would cost the model its traffic, with all pods ready."""
    spec = observe_shadow(shadow(candidate=CANDIDATES[name])).spec
    assert spec is not None
    live = {**workload(), "spec": {"template": LIVE}}
    made = changed_by(LIVE, spec.candidate, "model")
    assert made["metadata"]["labels"] == LIVE["metadata"]["labels"]
    text = yaml.safe_load(patch_text(spec, target(live)))
    assert merged({"spec": {"template": LIVE}}, text) == {"spec": {"template": made}}


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": None},
        {"metadata": {"$patch": "replace"}},
        {"$retainKeys": ["spec"]},
        {"$patch": "delete"},
    ],
)
def test_a_patch_that_would_take_labels_away_runs_no_candidate(patch: Json) -> None:
    made = planned(shadow(candidate={"patch": {"image": "census:4", "template": patch}}))
    assert reason(made) == "PatchInvalid"
    assert made.objects == ()


@pytest.mark.parametrize(
    ("entry", "lost"),
    [
        ({"port": 80, "targetPort": "http"}, False),
        ({"port": 80, "targetPort": 8080}, True),
        ({"port": 8080}, True),
        ({"port": 8080, "protocol": "UDP"}, False),  # nobody declared it before either
        ({"port": 80, "targetPort": 9090}, False),
        ({"port": 80, "targetPort": "x"}, True),
    ],
)
def test_no_service_of_the_live_pods_loses_its_port(entry: Json, lost: bool) -> None:
    """The candidate has `http` too, at 9090."""
    own, other = (
        {"metadata": {"name": app}, "spec": {"selector": {"app": app}, "ports": [entry]}}
        for app in ("census", "other")
    )
    made = step(course(), candidate={"template": TEMPLATE}, services=(other, own))
    assert made.refused is (Promotion.PORT_LOST if lost else None)
    assert (made.course.rollout is None) is lost
    assert step(course(), candidate={"template": TEMPLATE}, services=(other,)).refused is None


def test_a_controller_that_was_killed_after_the_write_writes_no_more() -> None:
    seen = step(rolling(), changed())
    assert seen.patch == ()
    assert step(seen.course, changed()) == seen


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
    early = step(back, workload()).course
    assert early.ended is None
    assert early.rollout is not None
    assert early.rollout.state is Promotion.ROLLING_BACK
    assert "not all ready" in early.rollout.message
    done = step(early, restored()).course
    assert done.ended is Ending.ROLLED_BACK
    assert done.rollout is not None
    assert "all its pods are ready" in done.rollout.message


def restored(kind: str = "Deployment", **status: Any) -> Json:
    """The live workload as it was, and ready."""
    live = workload(kind)
    live["status"] = {
        "observedGeneration": 1,
        "updatedReplicas": 2,
        "replicas": 2,
        "readyReplicas": 2,
    } | status
    return live


def test_of_a_stateful_set_it_is_said_what_to_do() -> None:
    """It keeps a pod that never was ready, and has its old revision at once whatever its pods are of."""
    one = {"currentRevision": "a", "updateRevision": "a"}
    made = step(rolling(Promotion.ROLLING_BACK), restored("StatefulSet", **one, readyReplicas=1)).course
    assert made.rollout is not None
    assert made.rollout.state is Promotion.ROLLING_BACK
    assert "delete" in made.rollout.message
    assert step(made, restored("StatefulSet", **one, updatedReplicas=1)).course == made
    done = step(made, restored("StatefulSet", **one)).course
    assert done.ended is Ending.ROLLED_BACK
    assert done.rollout is not None
    assert "delete" not in done.rollout.message


def test_what_was_never_written_is_not_said_to_have_failed() -> None:
    made = step(rolling(), workload(), now=701.0).course
    assert made.rollout is not None
    assert made.rollout.state is Promotion.ROLLING_BACK
    assert "could not be changed" in made.rollout.message


def test_who_changes_what_is_taken_back_has_it() -> None:
    live = restored()
    live["spec"]["template"]["spec"] = {**live["spec"]["template"]["spec"], "dnsPolicy": "Default"}
    made = step(rolling(Promotion.ROLLING_BACK), live)
    assert (made.patch, made.course.ended) == ((), Ending.LIVE_CHANGED)


def test_old_complaints_of_the_workload_dont_count() -> None:
    """A condition is of the generation that its status has observed."""
    live = changed(conditions=[{"type": "Progressing", "status": "False"}])
    live["metadata"]["generation"] = 2
    made = step(rolling(), live)
    assert (made.patch, made.course.ended) == ((), None)


def test_somebody_elses_change_is_left_alone() -> None:
    made = step(rolling(), changed(mark="another"))
    assert made.patch == ()
    assert made.course.ended is Ending.LIVE_CHANGED


def test_the_patch_as_text() -> None:
    spec = observe_shadow(shadow()).spec
    assert spec is not None
    text = patch_text(spec, target(workload()))
    assert (
        text
        == "spec:\n  template:\n    spec:\n      containers:\n      - name: model\n        image: census:4\n"
    )


def test_the_arguments_dont_change() -> None:
    live, at = workload(), rolling()
    before = copy.deepcopy((live, at))
    step(at, live)
    assert (live, at) == before


def test_the_monitor_gets_the_version_once_at_the_promotions_end() -> None:
    """Whoever changes it after that is not overruled."""
    body = shadow(candidate={"patch": {"image": "census:4"}, "modelVersion": "4"})

    def at(course: Course, version: str) -> tuple[Course, str]:
        model = {"name": "census", "type": "classification", "version": version}
        given = state(changed(ready=True), monitors=(monitor(model=model),))
        made = planned(body, given, Told(course))
        return made.course, made.version

    begun, version = at(step(rolling(), changed()).course, "3")
    assert (begun.ended, version) == (None, "4")
    done, version = at(begun, "4")
    assert (done.ended, version) == (Ending.PROMOTED, "")
    assert at(done, "5") == (done, "")
