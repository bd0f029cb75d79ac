"""Conditions of a monitor from what its pods are found to be."""

from __future__ import annotations

import pytest
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.observed import Reference, observe
from driftline_operator.controller.plan.findings import injected, reference_ready
from driftline_operator.controller.plan.pods import STARTED_EARLIER, Failure, Survey
from driftline_operator.controller.plan.suspension import Suspension

from tests.operator.test_plan import body


def test_a_sidecar_that_hangs_is_said_though_most_start() -> None:
    hangs = Failure("census-3", "driftline-analyzer", "CreateContainerError", "no room")
    survey = Survey(expected=3, injected=3, started=2, failing=(hangs,))
    found = injected(observe(body("census")), survey, (), Suspension(""))
    assert (found.status, found.reason) == ("True", "AllInjected")
    assert found.message == "3/3 pods, 1 of them with a sidecar that doesn't start (CreateContainerError)"


@pytest.mark.parametrize(
    ("injection", "may_restart", "said"),
    [
        ({}, True, "or injection.restart: OnChange"),
        ({"restart": "OnChange"}, True, "their workloads are restarted"),
        ({"restart": "OnChange"}, False, "controller.allowRestarts is off"),
    ],
)
def test_who_is_to_restart_is_said(injection: dict[str, str], may_restart: bool, said: str) -> None:
    survey = Survey(expected=2, bare={STARTED_EARLIER: 2}, words={STARTED_EARLIER: "earlier"})
    of = observe(body("census", injection=injection))
    found = injected(of, survey, (), Suspension(""), may_restart=may_restart)
    assert (found.status, found.reason) == ("False", STARTED_EARLIER)
    assert said in found.message


def test_what_goes_past_the_sidecars_is_the_reason_once_all_have_one() -> None:
    survey = Survey(expected=2, injected=2)
    found = injected(observe(body("census")), survey, (), Suspension(""), caution="Service a is headless")
    assert (found.status, found.reason) == ("True", "HeadlessService")
    assert found.message == "2/2 pods; Service a is headless"


FEATURES = {"features": [{"name": "age", "type": "numeric"}], "prediction": {"name": "employed"}}


@pytest.mark.parametrize(
    ("schema", "reason", "discovers"),
    [
        ({"prediction": {"name": "employed"}}, ReferenceReason.CAPTURING, True),
        ({"prediction": {"name": "employed"}}, ReferenceReason.CAPTURED, False),
        (FEATURES, ReferenceReason.CAPTURING, False),
    ],
)
def test_pods_that_look_for_the_features_first_are_said_to(
    schema: dict[str, object], reason: ReferenceReason, discovers: bool
) -> None:
    of = observe(body("census", schema=schema, reference={"capture": {"rows": 600}}))
    found = reference_ready(of, Reference(reason, "0 of 600 rows gathered by 3 pods"))
    assert found.message.startswith("0 of 600 rows gathered by 3 pods")
    assert ("looks for them in up to 200 records" in found.message) is discovers
