"""What is planned for a shadow: golden files of the candidate, and every reason why there is none."""

from __future__ import annotations

import copy
import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from driftline.shadow.gate import GRACE_SECONDS
from driftline.shadow.runtime import decode_mirror
from driftline_operator import names
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.observed import NamespaceState, Reference, observe
from driftline_operator.controller.references import Loaded
from driftline_operator.shadow.book import days_of
from driftline_operator.shadow.course import Course, Rollout, fingerprint
from driftline_operator.shadow.findings import Asked
from driftline_operator.shadow.observed import observe_shadow
from driftline_operator.shadow.plan import Facts, ShadowPlan, Told, plan_shadows
from driftline_operator.shadow.reasons import Promotion

from tests.support.pods import container, pod, port

Json = dict[str, Any]
GOLDEN = Path(__file__).parent / "golden"
NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
ALLOWED = Facts()
LOADED = {"census": Loaded(Reference(ReferenceReason.NO_REFERENCE, ""))}

APP = container("model", [{**port(8080, "http"), "hostPort": 8080}], image="census:3")
LIVE_POD = pod(APP, container("helper", [port(9000, "x")]), metadata={
    "labels": {"app": "census"},
    "annotations": {"driftline.io/restarted-for": "x", "kubectl.kubernetes.io/restartedAt": "y", "note": "z"},
})  # fmt: skip


def workload(kind: str = "Deployment", name: str = "census", **labels: str) -> Json:
    template = {"metadata": copy.deepcopy(LIVE_POD["metadata"]), "spec": LIVE_POD["spec"]}
    template["metadata"].pop("namespace", None)
    template["metadata"]["labels"] = labels or {"app": "census"}
    metadata = {
        "name": name,
        "namespace": "ml",
        "uid": f"uid-{name}",
        "resourceVersion": "7",
        "generation": 1,
    }
    selector = {"matchLabels": labels or {"app": "census"}}
    return {
        "kind": kind, "metadata": metadata, "status": {},
        "spec": {"replicas": 2, "template": template, "selector": selector},
    }  # fmt: skip


def monitor(**spec: Any) -> Json:
    usual = {
        "selector": {"matchLabels": {"app": "census"}},
        "endpoint": {"port": "http"},
        "model": {"name": "census", "type": "classification"},
        "schema": {"prediction": {"name": "employed"}},
        "labels": {},
    }
    kind = {"apiVersion": "driftline.io/v1alpha1", "kind": "ModelMonitor"}
    metadata = {"name": "census", "namespace": "ml", "uid": "uid-m", "generation": 1}
    return {**kind, "metadata": metadata, "spec": {**usual, **spec}}


def shadow(name: str = "v4", age: int = 1, **spec: Any) -> Json:
    usual = {
        "monitorRef": {"name": "census"},
        "candidate": {"patch": {"image": "census:4"}},
        "gate": {"agreement": 0.9},
    }
    metadata = {"name": name, "namespace": "ml", "uid": f"uid-{name}", "generation": 1}
    metadata["creationTimestamp"] = f"2026-11-2{age}T12:00:00Z"
    kind = {"apiVersion": "driftline.io/v1alpha1", "kind": "ShadowDeployment"}
    return {**kind, "metadata": metadata, "spec": {**usual, **spec}}


def service(name: str, selector: Json, **metadata: Any) -> Json:
    ports = [{"port": 80, "name": "web"}]
    return {"metadata": {"name": name, **metadata}, "spec": {"selector": selector, "ports": ports}}


def state(*workloads: Json, monitors: tuple[Json, ...] = (monitor(),), **fields: Any) -> NamespaceState:
    known = {(each["kind"], each["metadata"]["name"]): each for each in workloads or (workload(),)}
    observed = tuple(observe(each) for each in monitors)
    return NamespaceState("ml", {}, True, observed, workloads=known, **fields)


def planned(
    body: Json, given: NamespaceState | None = None, told: Told | None = None, facts: Facts = ALLOWED
) -> ShadowPlan:
    observed = observe_shadow(body)
    known = told or Told(Course(uid=observed.uid, generation=1))
    (made,) = plan_shadows([observed], {observed.uid: known}, given or state(), LOADED, facts, NOW)
    return made


def reason(made: ShadowPlan, aspect: str = "CandidateReady") -> str:
    (found,) = [each.reason for each in made.findings if each.aspect == aspect]
    return str(found)


TEMPLATE: Json = {
    "metadata": {"labels": {"app.kubernetes.io/name": "next", "driftline.io/inject": "true"}},
    "spec": {"containers": [{"name": "m", "image": "i", "ports": [{"name": "http", "containerPort": 9090}]}]},
}

CASES: dict[str, Json] = {
    "an-image": shadow(),
    "everything-patched": shadow(
        candidate={
            "replicas": 3,
            "patch": {
                "image": "census:4",
                "env": [{"name": "A", "value": "1"}],
                "resources": {"limits": {"memory": "2Gi"}},
                "template": {
                    "metadata": {"labels": {"track": "shadow"}},
                    "spec": {"terminationGracePeriodSeconds": 5},
                },
            },
        }
    ),
    "another-container": shadow(candidate={"patch": {"container": "helper", "image": "helper:2"}}),
    "a-template": shadow(candidate={"template": TEMPLATE}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_candidate_is_that_of_the_golden_file(name: str) -> None:
    made = planned(CASES[name])
    shown = yaml.safe_dump_all([each.body for each in made.objects], sort_keys=False)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown)
    assert path.read_text() == shown


@pytest.mark.parametrize("name", CASES)
def test_no_candidate_can_get_live_traffic_or_a_sidecar(name: str) -> None:
    deployment, own = (each.body for each in planned(CASES[name]).objects)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels["driftline.io/inject"] == "false"
    assert "app" not in labels
    assert own["spec"]["selector"] == {
        key: labels[key] for key in (names.SHADOW_LABEL, names.CANDIDATE_LABEL)
    }
    assert labels[names.SHADOW_LABEL] == "uid-v4"
    assert "hostPort" not in yaml.safe_dump(deployment)


def selecting(*services: Json) -> NamespaceState:
    return state(services=services)


def test_a_candidate_of_live_pods_in_the_hosts_network_can_leave_it() -> None:
    patch = {"image": "census:4", "template": {"spec": {"hostNetwork": False}}}
    made = planned(shadow(candidate={"patch": patch}), state(ON_HOST))
    assert reason(made) == "Starting"
    assert made.objects[0].body["spec"]["template"]["spec"]["hostNetwork"] is False


LABELLED = shadow(candidate={"patch": {"template": {"metadata": {"labels": {"track": "next"}}}}})
TAKEN = workload(name=names.candidate("v4"), other="x")

TO_SERVICE: Json = {"service": {"name": "v4", "port": 80}}
ALIAS: Json = {
    "metadata": {"name": "v4"},
    "spec": {"type": "ExternalName", "externalName": "example.com", "ports": [{"port": 80}]},
}

ON_HOST = workload()
ON_HOST["spec"]["template"]["spec"] = {**ON_HOST["spec"]["template"]["spec"], "hostNetwork": True}

REFUSED: dict[str, Callable[[], ShadowPlan]] = {
    "InvalidSpec": lambda: planned(shadow(traffic={"paths": ["/v1/*/predict"]})),
    "MonitorMismatch of what is compared": lambda: planned(
        shadow(compare={"outputs": ["score"]}, gate={"meanDelta": 0.1})
    ),
    "MonitorNotFound": lambda: planned(shadow(monitorRef={"name": "other"})),
    "MonitorMismatch": lambda: planned(
        shadow(traffic={"paths": ["/v1/predict"]}),
        state(monitors=(monitor(endpoint={"port": "http", "paths": ["/predict"]}),)),
    ),
    "NoWorkload": lambda: planned(shadow(), state(workload(app="other"))),
    "SeveralWorkloads": lambda: planned(shadow(), state(workload(), workload("StatefulSet", "twin"))),
    "PatchInvalid": lambda: planned(
        shadow(candidate={"patch": {"template": {"spec": {"containers": [{"image": "x"}]}}}})
    ),
    "PortNotFound": lambda: planned(
        shadow(candidate={"template": {"spec": {"containers": [{"name": "m", "image": "i"}]}}})
    ),
    "HostNetwork of the live pods": lambda: planned(shadow(), state(ON_HOST)),
    "HostNetwork of its own": lambda: planned(
        shadow(candidate={"template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], "hostNetwork": True}}})
    ),
    "SelectedByService": lambda: planned(LABELLED, selecting(service("live", {"track": "next"}))),
    "SelectedByWorkload": lambda: planned(LABELLED, state(workload(), workload(name="b", track="next"))),
    "NameTaken": lambda: planned(shadow(), state(workload(), TAKEN)),
    "ServiceNotFound": lambda: planned(shadow(candidate=TO_SERVICE)),
    "ExternalService": lambda: planned(shadow(candidate=TO_SERVICE), selecting(ALIAS)),
    "Unguarded": lambda: planned(shadow(), facts=Facts(guarded=False)),
    "NotAllowed": lambda: planned(shadow(), facts=Facts(allowed=False)),
}


@pytest.mark.parametrize("facts", [ALLOWED, Facts(guarded=False), Facts(allowed=False)])
def test_a_rollout_is_watched_whatever_would_forbid_a_candidate_now(facts: Facts) -> None:
    """Else live pods that never become ready would stay."""
    live = workload()
    before = msgspec.json.decode(msgspec.json.encode(live["spec"]["template"]))
    live["spec"]["template"]["metadata"]["annotations"] = {names.PROMOTED_ANNOTATION: "uid-v4/1"}
    rollout = Rollout(state=Promotion.ROLLING_OUT, since=NOW.timestamp() - 601, before=before, spec={})
    course = Course(uid="uid-v4", generation=1, began=0.0, verdict="Promotable", rollout=rollout)
    given = state(live, TAKEN, services=(service("wide", {"track": "next"}),))
    made = planned(LABELLED, given, Told(course), facts)
    assert reason(made, "Promoted") == "RollingBack"
    back = planned(LABELLED, given, Told(made.course), facts)
    assert back.patch[1]["value"] == before
    assert back.objects == ()


@pytest.mark.parametrize("sensitive", [False, True])
@pytest.mark.parametrize("allowed", [False, True])
def test_what_is_redacted_is_only_sent_under_the_policy(sensitive: bool, allowed: bool) -> None:
    """The right to ShadowDeployments alone must not bring clients' credentials to a Service of one's own."""
    body = shadow(candidate=TO_SERVICE, traffic={"allowSensitive": sensitive})
    led = selecting({"metadata": {"name": "v4"}, "spec": {"ports": [{"port": 80}]}})
    made = planned(body, led, facts=Facts(allowed=allowed, guarded=False))
    assert reason(made) == ("Unguarded" if sensitive else "Ready")
    assert reason(planned(body, led, facts=Facts(allowed=allowed))) == "Ready"


@pytest.mark.parametrize("word", REFUSED)
def test_why_there_is_no_candidate(word: str) -> None:
    made = REFUSED[word]()
    assert reason(made) == word.split()[0]
    assert made.objects == ()
    assert made.mirror is None
    assert reason(made, "Promotable") == word.split()[0]


@pytest.mark.parametrize(
    "template",
    [
        {"spec": {"containers": "x"}},
        {"spec": {"containers": [1]}},
        {"spec": {"containers": [{}]}},
        {"spec": {"containers": [{"name": "m", "ports": [{"name": "http"}]}]}},
        {"metadata": {"labels": ["x"]}, "spec": {"containers": []}},
        {"metadata": "x", "spec": {"containers": []}},
    ],
)
@pytest.mark.parametrize("kind", ["template", "patch"])
def test_what_is_no_template_stops_nothing_else(template: Json, kind: str) -> None:
    """The API server takes such a fragment; a plan that failed over it would stop the monitors."""
    given = template if kind == "template" else {"template": template}
    made = planned(shadow(candidate={kind: given}))
    assert made.objects == () or reason(made) == "Starting"


def ready(made: ShadowPlan) -> str:
    return next(each.message for each in made.findings if each.aspect == "CandidateReady")


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        (
            {"container": "modle", "image": "census:4"},
            'candidate.patch.container: the live pods have no container "modle" (there are: model, helper)',
        ),
        (
            {"template": {"spec": {"containers": [{"name": "modle", "image": "census:4"}]}}},
            'candidate.patch.template: the live pods have no container "modle" (there are: model, helper)',
        ),
    ],
)
def test_a_misspelt_container_is_none_that_is_added(patch: Json, said: str) -> None:
    """The live image would answer, and be found equal to itself; a promotion would add the other one."""
    made = planned(shadow(candidate={"patch": patch}))
    assert reason(made) == "PatchInvalid"
    assert ready(made).startswith(said)
    assert made.objects == ()


def test_a_container_more_is_run_beside_one_that_changes_and_told() -> None:
    sidecar = {"spec": {"containers": [{"name": "cache", "image": "cache:1"}]}}
    made = planned(shadow(candidate={"patch": {"image": "census:4", "template": sidecar}}))
    containers = made.objects[0].body["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in containers] == ["model", "cache", "helper"]
    assert ready(made).endswith("beside the live pods' containers they run cache")


@pytest.mark.parametrize(
    ("patch", "is_so"),
    [
        ({"image": "census:3"}, True),
        ({"template": {"metadata": {"annotations": {"a": "b"}}}}, True),
        ({"image": "census:4"}, False),
        ({"env": [{"name": "A", "value": "1"}]}, False),
    ],
)
def test_a_candidate_that_is_the_live_model_says_so(patch: Json, is_so: bool) -> None:
    made = planned(shadow(candidate={"patch": patch}))
    assert reason(made) == "Starting"
    assert ("compared with itself (A/A)" in ready(made)) == is_so


def test_one_shadow_a_monitor_at_a_time() -> None:
    pair = [observe_shadow(shadow("younger", 2)), observe_shadow(shadow("older", 1))]
    told = {each.uid: Told(Course(uid=each.uid, generation=1)) for each in pair}
    first, second = plan_shadows(pair, told, state(), LOADED, Facts(), NOW)
    assert (first.observed.name, reason(first)) == ("older", "Starting")
    assert (second.observed.name, reason(second)) == ("younger", "SecondShadow")


def test_a_rollout_comes_to_its_end_whatever_an_older_shadow_does() -> None:
    pair = [observe_shadow(shadow("v3", 1)), observe_shadow(shadow("v4", 2))]
    live, v3 = workload(), Course(uid="uid-v3", generation=1)
    before = msgspec.json.decode(msgspec.json.encode(live["spec"]["template"]))
    live["spec"]["template"]["metadata"]["annotations"] = {names.PROMOTED_ANNOTATION: "uid-v4/1"}
    live["status"] = {"conditions": [{"type": "Progressing", "status": "False"}], "observedGeneration": 1}
    rollout = Rollout(state=Promotion.ROLLING_OUT, since=NOW.timestamp(), before=before, spec={})
    v4 = Course(uid="uid-v4", generation=1, began=0.0, verdict="Promotable", rollout=rollout)
    told = {"uid-v3": Told(v3), "uid-v4": Told(v4)}
    older, rolling = plan_shadows(pair, told, state(live), LOADED, Facts(), NOW)
    assert (reason(older), older.course) == ("SecondShadow", v3)
    assert reason(rolling, "Promoted") == "RollingBack"
    told["uid-v4"] = Told(rolling.course)
    _, back = plan_shadows(pair, told, state(live), LOADED, Facts(), NOW)
    assert back.patch[1]["value"] == before


@pytest.mark.parametrize(("minutes", "ended"), [(19, None), (21, "LiveChanged")])
def test_a_rollout_of_a_workload_that_has_gone_comes_to_an_end(minutes: int, ended: str | None) -> None:
    """It would hold up every other shadow of its monitor."""
    pair = [observe_shadow(shadow("v3", 1)), observe_shadow(shadow("v4", 2))]
    since = NOW.timestamp() - minutes * 60
    rollout = Rollout(state=Promotion.ROLLING_OUT, since=since, before={}, spec={})
    v3 = Course(uid="uid-v3", generation=1, began=0.0, verdict="Promotable", rollout=rollout)
    told = {"uid-v3": Told(v3), "uid-v4": Told(Course(uid="uid-v4", generation=1))}
    renamed = state(workload(name="renamed", app="other"))
    first, second = plan_shadows(pair, told, renamed, LOADED, Facts(), NOW)
    assert first.course.ended == ended
    assert reason(first, "Finished") == (ended or "Running")
    told["uid-v3"] = Told(first.course)
    _, second = plan_shadows(pair, told, renamed, LOADED, Facts(), NOW)
    assert reason(second) == ("NoWorkload" if ended else "SecondShadow")


def test_a_candidate_that_is_selected_later_is_taken_away() -> None:
    own = [{"uid": "uid-v4"}]
    running = workload(name=names.candidate("v4"), shadow="x")
    running["metadata"]["ownerReferences"] = own
    live_service = service("live", {"track": "next"})
    ours = service(names.candidate("v4"), {names.SHADOW_LABEL: "uid-v4"}, ownerReferences=own)
    made = planned(LABELLED, state(workload(), running, services=(live_service, ours)))
    assert [each.resource.kind for each in made.removed] == ["Deployment", "Service"]


def comparing(**fields: Any) -> Told:
    live = fingerprint(workload()["spec"]["template"])
    began = {"began": NOW.timestamp() - 60, "plan": planned_comparison(), "live": live}
    return Told(Course(uid="uid-v4", generation=1, **{**began, **fields}), asked=Asked(4, 4, 4))


def planned_comparison() -> Any:
    from driftline.shadow.planning import plan_of

    spec = observe_shadow(shadow()).spec
    watched = observe(monitor()).monitor
    assert spec is not None
    assert watched is not None
    return plan_of(watched.spec, spec.compare, None)


def running(body: Json, live: Json | None = None, **status: Any) -> NamespaceState:
    """The state in which that candidate runs, one pod of it ready; `status`: of its Deployment."""
    live = live or workload()
    deployment, service = (copy.deepcopy(dict(each.body)) for each in planned(body, state(live)).objects)
    deployment["metadata"] |= {"generation": 1, "uid": "uid-d"}
    deployment |= {"status": {"observedGeneration": 1, **status}}
    template = deployment["spec"]["template"]
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    metadata = {**template["metadata"], "name": "candidate-1", "uid": "uid-c", "namespace": "ml"}
    own = {"metadata": metadata, "spec": template["spec"], "status": ready}
    return state(live, deployment, services=(service,), pods=(own,))


def live_pod(number: int, phase: str = "Running", **metadata: Any) -> Json:
    """With a sidecar that serves the monitor."""
    annotations = {names.MONITORS_ANNOTATION: "other,census"}
    own = {"name": f"census-{number}", "labels": {"app": "census"}, "annotations": annotations, **metadata}
    made = pod(APP, metadata=own, initContainers=[{"name": names.PROXY_CONTAINER}])
    return {**made, "status": {"phase": phase}}


LIVE_PODS = (live_pod(1), live_pod(2), live_pod(3), live_pod(4, "Pending"))
ENDED, LEAVING = live_pod(5, "Failed"), live_pod(6, deletionTimestamp="2026-11-27T12:00:00Z")


@pytest.mark.parametrize("asked", [Asked(), Asked(1, 1, 1)])
def test_a_budget_is_divided_before_any_round(asked: Asked) -> None:
    """At the beginning, and after a takeover, no pod has been asked; nor has one that was just added."""
    made = planned(shadow(traffic={"budget": 10}), state(pods=LIVE_PODS), comparing()._replace(asked=asked))
    assert made.mirror is not None
    assert decode_mirror(made.mirror[1].encode()).traffic.budget == 2.5
    alone = planned(shadow(traffic={"budget": 10}), told=comparing())
    assert alone.mirror is not None
    assert decode_mirror(alone.mirror[1].encode()).traffic.budget == 10, "of one to come"


def test_what_the_mirrors_are_told() -> None:
    made = planned(shadow(traffic={"budget": 50}), state(pods=(*LIVE_PODS, ENDED, LEAVING)), comparing())
    assert made.mirror is not None
    name, text = made.mirror
    config = decode_mirror(text.encode())
    assert name == "census"
    assert config.url == "http://driftline-shadow-v4.ml.svc:8080"
    assert config.live == "http://127.0.0.1:8080"
    assert not config.ready  # there is no ready pod: requests are dropped as NotReady
    assert config.traffic.budget == 12.5  # of four pods
    assert config.shadow.uid == "uid-v4"
    assert config.until == config.began + 14 * 24 * 3600  # though nobody may be there to tell them


WARM = shadow(
    candidate={"patch": {"image": "census:4"}, "warmUp": "2m"}, aa={"share": 0.5},
    gate={"performance": {"accuracy": 0.01}},
)  # fmt: skip


def test_while_it_warms_up_mirrors_send_copies_that_do_not_count() -> None:
    given = running(WARM)
    made = planned(WARM, given)
    assert (made.course.ready_since, made.course.began) == (NOW.timestamp(), None)
    assert made.mirror is not None
    config = decode_mirror(made.mirror[1].encode())
    assert config.ready
    assert config.warming
    assert (config.aa.share, config.logged) == (0, False), "the live model is warm, the hub has no use for it"
    assert config.until == NOW.timestamp() + 120 + 14 * 24 * 3600
    asked = Asked(pods=2, answered=2, warming=1)
    later = planned(WARM, given, Told(made.course, asked=asked))
    assert later.course.warm_since == NOW.timestamp()
    for each in (made, later):
        assert reason(each, "Mirroring") == "WarmingUp"
    assert "1 of 2 live pods mirror" in next(f.message for f in later.findings if f.aspect == "Mirroring")
    began = msgspec.structs.replace(later.course, warm_since=NOW.timestamp() - 120)
    compared = planned(WARM, given, Told(began, asked=asked))
    assert compared.course.began == NOW.timestamp()
    assert compared.mirror is not None
    told = decode_mirror(compared.mirror[1].encode())
    assert not told.warming
    assert (told.began, told.aa.share, told.logged) == (NOW.timestamp(), 0.5, True)
    assert told.until == told.began + 14 * 24 * 3600, "its days are whole, whenever it was warm"
    assert told.life != config.life
    assert reason(compared, "Mirroring") == "NotBegun"


def test_of_days_to_come_the_warm_up_counts_from_its_first_copies() -> None:
    now = NOW.timestamp()
    warming = comparing(began=None, ready_since=now - 500, warm_since=now - 60)
    made = planned(WARM, running(WARM), warming)
    assert (made.course.began, made.course.warm_since) == (None, now - 60)
    assert made.mirror is not None
    assert decode_mirror(made.mirror[1].encode()).until == now - 60 + 120 + 14 * 24 * 3600


def test_a_monitor_that_reads_otherwise_while_it_warms_up_starts_it_over() -> None:
    now = NOW.timestamp()
    warming = comparing(began=None, ready_since=now - 500, warm_since=now - 60)
    stale = warming.course.plan
    other = observe(monitor(endpoint={"port": "http", "paths": ["/predict"]}))
    made = planned(WARM, running(WARM)._replace(monitors=(other,)), warming)
    assert stale is not None
    assert made.course.plan is not None
    assert made.course.plan.reading != stale.reading
    assert (made.course.ready_since, made.course.warm_since) == (now, None)


def test_of_a_swapped_port_the_live_models_own_is_told() -> None:
    swapped = monitor(injection={"mode": "PortSwap", "app": {"port": 8081, "env": "PORT"}})
    made = planned(shadow(), state(monitors=(swapped,)), told=comparing())
    assert made.mirror is not None
    assert decode_mirror(made.mirror[1].encode()).live == "http://127.0.0.1:8081"


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (Asked(), "NotAskedYet"),
        (Asked(pods=0), "NoLivePods"),
        (Asked(pods=2), "NoAnswer"),
        (Asked(pods=2, answered=2), "NotBegun"),
        (Asked(pods=2, answered=2, mirroring=1), "Mirroring"),
    ],
)
def test_mirroring_is_said_once_a_pod_has_begun_to(asked: Asked, wanted: str) -> None:
    made = planned(shadow(), running(shadow()), told=comparing()._replace(asked=asked))
    assert reason(made, "Mirroring") == wanted
    if asked.pods is None:
        return
    garbled = asked._replace(refused=tuple(f"pod-{n}" for n in range(7)))
    made = planned(shadow(), running(shadow()), told=comparing()._replace(asked=garbled))
    (message,) = [each.message for each in made.findings if each.aspect == "Mirroring"]
    assert "pod-0, pod-1, pod-2, pod-3, pod-4 and 2 more told is refused" in message


def test_segments_that_are_not_told_apart_are_said() -> None:
    made = planned(shadow(compare={"segments": ["sex"]}), told=comparing())
    (said,) = [each.message for each in made.findings if each.aspect == "Mirroring"]
    assert said.endswith("; segments that are not told apart: sex is no category of the reference")


def test_a_live_workload_that_changes_ends_the_comparison() -> None:
    made = planned(shadow(), told=comparing(live="another"))
    assert made.course.ended == "LiveChanged"
    assert made.mirror is None
    assert reason(made, "Finished") == "LiveChanged"


@pytest.mark.parametrize(
    "change",
    [
        {"schema": {"prediction": {"name": "employed", "path": "$.version"}}},
        {"schema": {"prediction": {"name": "employed", "positive": "no"}}},
        {"schema": {"prediction": {"name": "employed"}, "features": [{"name": "age", "type": "numeric"}]}},
        {"model": {"name": "census", "type": "regression"}},
        {"endpoint": {"port": "http", "protocol": "mlflow"}},
        {"endpoint": {"port": "http", "paths": ["/predict"]}},
        {"endpoint": {"port": "http", "json": {"predictions": "$.second"}}},
        {"capture": {"redact": ["$.ssn"]}},
        {"capture": {"redactHeaders": ["x-tenant"]}},
        {"capture": {"maxBodyBytes": "2Mi"}},
    ],
    ids=str,
)
def test_a_monitor_that_reads_otherwise_ends_the_comparison(change: Json) -> None:
    """Opposite answers can be read as equal ones: pairs of both would be Promotable together."""
    made = planned(shadow(), state(monitors=(monitor(**change),)), comparing(verdict="Promotable"))
    assert made.course.ended == "MonitorChanged"
    assert made.course.verdict == "Inconclusive"
    assert made.mirror is None
    assert reason(made, "Finished") == reason(made, "Promotable") == "MonitorChanged"


@pytest.mark.parametrize(
    "change",
    [
        {"drift": {"thresholds": {"psi": 0.4}}, "windows": ["10m", "1h"], "quality": {"missingRatio": 0.2}},
        {"model": {"name": "census", "version": "4", "type": "classification"}},
        {"labels": {}, "performance": {"window": "1h"}},
        {"capture": {"sample": 0.5}},
        {"metrics": {"maxSeries": 100}},
        {"schema": {"prediction": {"name": "employed"}, "segments": []}},
    ],
    ids=str,
)
def test_a_monitor_that_only_judges_otherwise_doesnt(change: Json) -> None:
    made = planned(shadow(), state(monitors=(monitor(**change),)), comparing())
    assert (made.course.ended, made.mirror is None) == (None, False)


def test_at_the_end_of_its_duration_it_ends_without_a_verdict() -> None:
    late = comparing(began=NOW.timestamp() - 15 * 24 * 3600)
    made = planned(shadow(), told=late)
    assert made.course.ended == "DurationOver"
    assert reason(made, "Promotable") == "NoData"
    assert made.objects == ()


def test_what_its_last_period_says_is_heard_before_it_ends() -> None:
    """A week that is as long as the comparison is whole minutes after its last request."""
    given = shadow(duration="168h")
    spec = observe_shadow(given).spec
    assert spec is not None
    last = 7 * 24 * 3600 + spec.traffic.timeout + GRACE_SECONDS
    for after, ended in ((last, None), (last + 80, None), (last + 91, "DurationOver")):
        assert planned(given, told=comparing(began=NOW.timestamp() - after)).course.ended == ended
    assert days_of(last, spec) == 7


def test_a_course_survives_its_text() -> None:
    from driftline_operator.shadow.course import decode, encode

    course = comparing().course
    assert decode(encode(course), "uid-v4", 1) == course
    assert decode(encode(course), "uid-v4", 2) == Course(uid="uid-v4", generation=2)
    assert decode("{", "uid-v4", 1) == Course(uid="uid-v4", generation=1)


def test_nothing_is_planned_in_a_namespace_that_goes() -> None:
    observed = observe_shadow(shadow())
    going = state()._replace(alive=False)
    assert plan_shadows([observed], {}, going, LOADED, Facts(), NOW) == []


def test_the_course_is_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(comparing().course), type=Course) == comparing().course
