"""Reviews as the API server sends them, and as it never should."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from driftline.spec import Endpoint, LabelExpression, LabelSelector
from driftline_operator.injection.decide import decide
from driftline_operator.injection.selectors import matches
from driftline_operator.injection.sidecars import Settings
from driftline_operator.injector.monitors import Monitors
from driftline_operator.injector.review import BadReview, Question, answer, read

from tests.support.patches import patched
from tests.support.pods import container, pod, port, serving
from tests.support.specs import monitor

SETTINGS = Settings(image="sidecar:test")


def review(of: Any, **changes: Any) -> bytes:
    request = {"uid": "u1", "namespace": "ml", "operation": "CREATE", "kind": {"kind": "Pod"}, "object": of}
    return json.dumps({"request": {**request, **changes}}).encode()


def response(body: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(body)
    assert (document["apiVersion"], document["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    found: dict[str, Any] = document["response"]
    return found


def stored(name: str, created: str, **spec: Any) -> dict[str, Any]:
    usual = {
        "selector": {"matchLabels": {"app": "census"}},
        "endpoint": {"port": "http"},
        "model": {"name": "census", "type": "classification"},
        "schema": {"prediction": {"name": "employed"}},
    }
    metadata = {"name": name, "namespace": "ml", "uid": f"uid-{name}", "creationTimestamp": created}
    kind = {"apiVersion": "driftline.io/v1alpha1", "kind": "ModelMonitor"}
    return {**kind, "metadata": metadata, "spec": {**usual, **spec}}


def test_a_monitored_pod_is_patched() -> None:
    question = read(review(pod(serving())))
    found = answer(question, lambda q: decide(q.pod, [monitor(endpoint=Endpoint(port="http"))], SETTINGS))
    said = response(found.body)
    assert (said["uid"], said["allowed"], said["patchType"]) == ("u1", True, "JSONPatch")
    after = patched(pod(serving()), json.loads(base64.b64decode(said["patch"])))
    assert after["spec"]["initContainers"][0]["name"] == "driftline-proxy"
    assert found.word == "Injected"


def test_what_is_not_injected_is_admitted_with_its_word() -> None:
    question = read(review(pod(container(ports=[port(8080)]))))
    found = answer(question, lambda q: decide(q.pod, [monitor()], SETTINGS))
    said = response(found.body)
    assert found.word == "UnnamedPort"
    assert said["allowed"] is True
    assert "patch" not in said
    assert "driftline: census: UnnamedPort: port 8080 has no name" in said["warnings"][0]


def test_an_error_inside_admits_the_pod_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Question) -> Any:
        raise KeyError("secret of a pod")

    found = answer(read(review(pod(serving()))), broken)
    said = response(found.body)
    assert (found.word, said["allowed"]) == ("InternalError", True)
    assert said["warnings"] == ["driftline: KeyError: the pod starts without sidecar"]
    (logged,) = caplog.messages
    assert logged.startswith("a review failed: KeyError at ")
    assert "test_review.py" in logged
    assert "secret" not in logged


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"request": null}',
        review(None),
        review(pod(serving()), operation="UPDATE"),
        review(pod(serving()), kind={"kind": "Deployment"}),
        review(pod(serving()))[:-5],
    ],
)
def test_what_is_no_review_is_told_so(body: bytes) -> None:
    with pytest.raises(BadReview):
        read(body)


def test_monitors_are_oldest_first_and_only_those_that_select_the_pod() -> None:
    monitors = Monitors()
    monitors.replace(
        [
            stored("young", "2026-11-24T12:00:00Z"),
            stored("old", "2026-11-23T12:00:00Z"),
            stored("other", "2026-11-22T12:00:00Z", selector={"matchLabels": {"app": "fares"}}),
            stored("broken", "2026-11-21T12:00:00Z", windows=["1h", "5m"]),
        ]
    )
    found = monitors.selecting("ml", {"app": "census"})
    assert [each.metadata.name for each in found] == ["old", "young"]
    assert monitors.selecting("else", {"app": "census"}) == []


@pytest.mark.parametrize(
    ("operator", "values", "labels", "holds"),
    [
        ("In", ("a", "b"), {"k": "a"}, True),
        ("In", ("a", "b"), {"k": "c"}, False),
        ("In", ("a",), {}, False),
        ("NotIn", ("a",), {"k": "b"}, True),
        ("NotIn", ("a",), {"k": "a"}, False),
        ("NotIn", ("a",), {}, True),
        ("Exists", (), {"k": ""}, True),
        ("Exists", (), {}, False),
        ("DoesNotExist", (), {}, True),
        ("DoesNotExist", (), {"k": "a"}, False),
    ],
)
def test_selectors_are_read_as_kubernetes_does(
    operator: Any, values: tuple[str, ...], labels: dict[str, str], holds: bool
) -> None:
    expression = LabelExpression(key="k", operator=operator, values=values)
    selector = LabelSelector(match_labels={"app": "census"}, match_expressions=(expression,))
    assert matches(selector, {"app": "census", **labels}) is holds
    assert not matches(selector, labels)
